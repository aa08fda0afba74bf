//! What systemd wants to hear from a service of `Type=notify`: one datagram a message, to the socket
//! that `NOTIFY_SOCKET` names (sd_notify(3)). Without one nothing is sent.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The way to the service manager.
#[derive(Debug)]
pub struct Notify {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// From `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`; `own` is this process's id.
    ///
    /// # Errors
    /// The socket is named and cannot be used.
    pub fn new(
        socket: Option<&str>,
        watchdog_usec: Option<&str>,
        watchdog_pid: Option<&str>,
        own: u32,
    ) -> Result<Self, String> {
        let to = match socket {
            None | Some("") => None,
            Some(name) => Some(open(name).map_err(|why| format!("NOTIFY_SOCKET={name}: {why}"))?),
        };
        let ours = watchdog_pid.is_none_or(|pid| pid == own.to_string());
        let watchdog = watchdog_usec
            .filter(|_| ours && to.is_some())
            .and_then(|usec| usec.parse().ok())
            .filter(|usec| *usec > 0)
            .map(Duration::from_micros);
        Ok(Self { to, watchdog })
    }

    /// How long the manager waits for a sign of life; a sign comes at least twice as often.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// It is up: the schedules were read.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}", one_line(status)));
    }

    /// What it does now, for `systemctl status`.
    pub fn status(&self, status: &str) {
        self.send(&format!("STATUS={}", one_line(status)));
    }

    /// It ends after the group at hand.
    pub fn stopping(&self, status: &str) {
        self.send(&format!("STOPPING=1\nSTATUS={}", one_line(status)));
    }

    /// A sign of life.
    pub fn alive(&self) {
        if self.watchdog.is_some() {
            self.send("WATCHDOG=1");
        }
    }

    fn send(&self, message: &str) {
        if let Some((socket, to)) = &self.to
            && let Err(why) = socket.send_to_addr(message.as_bytes(), to)
        {
            tracing::warn!(%why, "systemd was not told");
        }
    }
}

fn open(name: &str) -> std::io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    // A manager that does not listen must not hold up the schedules.
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abstract_sockets_and_watchdogs_of_others() {
        let name = format!("sgwarden-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("an address");
        let manager = UnixDatagram::bind_addr(&address).expect("a socket");
        let named = format!("@{name}");
        let notify = Notify::new(Some(&named), Some("1000000"), Some("7"), 7).expect("a way");
        assert_eq!(notify.watchdog(), Some(Duration::from_secs(1)));
        notify.ready("two\nlines");
        let mut buffer = [0_u8; 64];
        let size = manager.recv(&mut buffer).expect("told");
        assert_eq!(&buffer[..size], b"READY=1\nSTATUS=two lines");
        let other = Notify::new(Some(&named), Some("1000000"), Some("8"), 7).expect("a way");
        assert_eq!(other.watchdog(), None);
        let none = Notify::new(None, Some("1000000"), None, 7).expect("none");
        none.ready("to nobody");
        assert_eq!(none.watchdog(), None);
    }
}
