//! A mail server on loopback that keeps every message exactly as it came, and refuses on request.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// Longest line and message that are taken in.
const MAX_LINE: usize = 64 << 10;

/// How a connection is protected.
#[derive(Debug, Clone)]
pub enum Mode {
    /// Not at all.
    Plain,
    /// STARTTLS is offered, and demanded before AUTH and MAIL.
    StartTls(Arc<ServerConfig>),
    /// TLS from the first byte.
    ImplicitTls(Arc<ServerConfig>),
}

/// What the receiver demands and where it fails.
#[derive(Debug, Clone)]
pub struct ReceiverOptions {
    /// User and password that AUTH takes; without them AUTH takes any, and MAIL needs none.
    pub login: Option<(String, String)>,
    /// SIZE: larger messages get 552.
    pub max_size: usize,
    /// The first so many MAIL commands get 451.
    pub fail_first: u32,
    /// Recipients that get this reply: (address, "550 5.1.1 no such user").
    pub reject: Vec<(String, String)>,
    /// The first so many messages are kept, and the connection is closed in place of the last 250.
    pub drop_after_data: u32,
}

impl Default for ReceiverOptions {
    fn default() -> ReceiverOptions {
        ReceiverOptions {
            login: None,
            max_size: 15_000_000,
            fail_first: 0,
            reject: Vec::new(),
            drop_after_data: 0,
        }
    }
}

/// A message as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Envelope sender.
    pub from: String,
    /// Envelope recipients that were accepted.
    pub to: Vec<String>,
    /// Headers and body, dots unstuffed, without the final dot.
    pub data: Vec<u8>,
    /// Whether it came over TLS.
    pub tls: bool,
    /// Who was logged in.
    pub user: Option<String>,
}

struct Inner {
    mode: Mode,
    options: Mutex<ReceiverOptions>,
    messages: Mutex<Vec<Received>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running mail server. It ends when this is dropped.
pub struct Receiver {
    inner: Arc<Inner>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Receiver {
    /// Listens on a free port of loopback.
    ///
    /// # Errors
    /// Where loopback cannot be listened on.
    pub async fn start(mode: Mode, options: ReceiverOptions) -> std::io::Result<Receiver> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner {
            mode,
            options: Mutex::new(options),
            messages: Mutex::default(),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&inner)));
        Ok(Receiver {
            inner,
            address,
            task,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// What it has received so far.
    pub fn messages(&self) -> Vec<Received> {
        lock(&self.inner.messages).clone()
    }

    /// Changes what it demands and where it fails, from the next command on.
    pub fn set_options(&self, options: ReceiverOptions) {
        *lock(&self.inner.options) = options;
    }

    /// Ends the server and every connection.
    pub async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, inner: Arc<Inner>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&inner)));
                }
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, inner: Arc<Inner>) {
    match inner.mode.clone() {
        Mode::Plain => {
            let _ = Session::new(stream, &inner, false).talk(true).await;
        }
        Mode::ImplicitTls(config) => {
            if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
                let _ = Session::new(stream, &inner, true).talk(true).await;
            }
        }
        Mode::StartTls(config) => {
            let upgraded = Session::new(stream, &inner, false).talk(true).await;
            if let Ok(Some(stream)) = upgraded
                && let Ok(stream) = TlsAcceptor::from(config).accept(stream).await
            {
                let _ = Session::new(stream, &inner, true).talk(false).await;
            }
        }
    }
}

#[derive(Default)]
struct Envelope {
    from: Option<String>,
    to: Vec<String>,
}

struct Session<'a, S> {
    stream: S,
    inner: &'a Inner,
    tls: bool,
    buffer: Vec<u8>,
    user: Option<String>,
    greeted: bool,
    envelope: Envelope,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Session<'a, S> {
    fn new(stream: S, inner: &'a Inner, tls: bool) -> Session<'a, S> {
        Session {
            stream,
            inner,
            tls,
            buffer: Vec::new(),
            user: None,
            greeted: false,
            envelope: Envelope::default(),
        }
    }

    fn options(&self) -> MutexGuard<'_, ReceiverOptions> {
        lock(&self.inner.options)
    }

    /// A line without its end; `None` at the end of the connection.
    async fn line(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(at) = self.buffer.iter().position(|b| *b == b'\n') {
                let mut line: Vec<u8> = self.buffer.drain(..=at).collect();
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(Some(line));
            }
            if self.buffer.len() > MAX_LINE {
                return Err(std::io::Error::other("line too long"));
            }
            if !self.read().await? {
                return Ok(None);
            }
        }
    }

    async fn read(&mut self) -> std::io::Result<bool> {
        let mut chunk = [0; 16 << 10];
        let n = self.stream.read(&mut chunk).await?;
        self.buffer.extend_from_slice(&chunk[..n]);
        Ok(n > 0)
    }

    async fn say(&mut self, reply: &str) -> std::io::Result<()> {
        self.stream.write_all(reply.as_bytes()).await?;
        self.stream.write_all(b"\r\n").await?;
        self.stream.flush().await
    }

    /// The whole dialogue. `Some(stream)` after STARTTLS.
    async fn talk(mut self, greet: bool) -> std::io::Result<Option<S>> {
        if greet {
            self.say("220 sim.example.com ESMTP").await?;
        }
        while let Some(line) = self.line().await? {
            let line = String::from_utf8_lossy(&line).into_owned();
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" => self.ehlo(rest).await?,
                "HELO" => {
                    self.greeted = true;
                    self.say("250 sim.example.com").await?;
                }
                "STARTTLS" if self.offers_tls() => {
                    self.say("220 2.0.0 go ahead").await?;
                    // What was sent before the handshake is thrown away (CVE-2011-0411).
                    return Ok(Some(self.stream));
                }
                "AUTH" => self.auth(rest).await?,
                "MAIL" => self.mail(rest).await?,
                "RCPT" => self.rcpt(rest).await?,
                "DATA" => {
                    if !self.data().await? {
                        return Ok(None);
                    }
                }
                "RSET" => {
                    self.envelope = Envelope::default();
                    self.say("250 2.0.0 reset").await?;
                }
                "NOOP" => self.say("250 2.0.0 ok").await?,
                "QUIT" => {
                    self.say("221 2.0.0 bye").await?;
                    return Ok(None);
                }
                _ => self.say("502 5.5.2 command not known").await?,
            }
        }
        Ok(None)
    }

    fn offers_tls(&self) -> bool {
        !self.tls && matches!(self.inner.mode, Mode::StartTls(_))
    }

    async fn ehlo(&mut self, name: &str) -> std::io::Result<()> {
        if name.trim().is_empty() {
            return self.say("501 5.5.4 EHLO needs a name").await;
        }
        self.greeted = true;
        self.envelope = Envelope::default();
        let size = self.options().max_size;
        let mut reply = format!("250-sim.example.com\r\n250-SIZE {size}\r\n250-8BITMIME\r\n");
        if self.offers_tls() {
            reply.push_str("250-STARTTLS\r\n");
        } else {
            reply.push_str("250-AUTH PLAIN LOGIN\r\n");
        }
        reply.push_str("250 ENHANCEDSTATUSCODES");
        self.say(&reply).await
    }

    async fn auth(&mut self, rest: &str) -> std::io::Result<()> {
        if self.offers_tls() {
            return self
                .say("530 5.7.0 must issue a STARTTLS command first")
                .await;
        }
        let (mechanism, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        let (user, password) = match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => {
                let text = if initial.is_empty() {
                    self.ask("").await?
                } else {
                    initial.into()
                };
                let text = decode(&text);
                let mut parts = text.split('\0').skip(1);
                let user = parts.next().unwrap_or_default().to_owned();
                (user, parts.next().unwrap_or_default().to_owned())
            }
            "LOGIN" => {
                let user = if initial.is_empty() {
                    self.ask("VXNlcm5hbWU6").await?
                } else {
                    initial.into()
                };
                let password = self.ask("UGFzc3dvcmQ6").await?;
                (decode(&user), decode(&password))
            }
            _ => return self.say("504 5.5.4 mechanism not known").await,
        };
        let login = self.options().login.clone();
        if login.is_some_and(|(u, p)| u != user || p != password) {
            return self.say("535 5.7.8 authentication failed").await;
        }
        self.user = Some(user);
        self.say("235 2.7.0 authenticated").await
    }

    async fn ask(&mut self, prompt: &str) -> std::io::Result<String> {
        self.say(&format!("334 {prompt}")).await?;
        let line = self.line().await?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    async fn mail(&mut self, rest: &str) -> std::io::Result<()> {
        if !self.greeted {
            return self.say("503 5.5.1 EHLO first").await;
        }
        if self.offers_tls() {
            return self
                .say("530 5.7.0 must issue a STARTTLS command first")
                .await;
        }
        if self.user.is_none() && self.options().login.is_some() {
            return self.say("530 5.7.0 authentication required").await;
        }
        let Some(from) = address(rest, "FROM:") else {
            return self.say("501 5.5.4 MAIL FROM:<address>").await;
        };
        let declared = rest
            .split_ascii_whitespace()
            .find_map(|p| p.strip_prefix("SIZE=")?.parse::<usize>().ok());
        let (fails, max) = {
            let mut options = self.options();
            let fails = options.fail_first > 0;
            options.fail_first = options.fail_first.saturating_sub(1);
            (fails, options.max_size)
        };
        if fails {
            return self.say("451 4.3.0 try again later").await;
        }
        if declared.is_some_and(|n| n > max) {
            return self.say("552 5.3.4 message too big").await;
        }
        self.envelope = Envelope {
            from: Some(from),
            to: Vec::new(),
        };
        self.say("250 2.1.0 ok").await
    }

    async fn rcpt(&mut self, rest: &str) -> std::io::Result<()> {
        if self.envelope.from.is_none() {
            return self.say("503 5.5.1 MAIL first").await;
        }
        let Some(to) = address(rest, "TO:").filter(|a| !a.is_empty()) else {
            return self.say("501 5.5.4 RCPT TO:<address>").await;
        };
        let refusal = {
            let options = self.options();
            let mut rejected = options.reject.iter();
            let hit = rejected.find(|(a, _)| a.eq_ignore_ascii_case(&to));
            hit.map(|(_, reply)| reply.clone())
        };
        match refusal {
            Some(reply) => self.say(&reply).await,
            None => {
                self.envelope.to.push(to);
                self.say("250 2.1.5 ok").await
            }
        }
    }

    /// Whether the dialogue goes on.
    async fn data(&mut self) -> std::io::Result<bool> {
        if self.envelope.to.is_empty() {
            self.say("503 5.5.1 RCPT first").await?;
            return Ok(true);
        }
        self.say("354 end with a dot").await?;
        let max = self.options().max_size;
        let mut data = Vec::new();
        let mut too_big = false;
        loop {
            let Some(line) = self.line().await? else {
                return Ok(false);
            };
            if line == b"." {
                break;
            }
            let line = match line.split_first() {
                Some((b'.', rest)) => rest,
                _ => &line,
            };
            too_big |= data.len() + line.len() + 2 > max;
            if !too_big {
                data.extend_from_slice(line);
                data.extend_from_slice(b"\r\n");
            }
        }
        let envelope = std::mem::take(&mut self.envelope);
        if too_big {
            self.say("552 5.3.4 message too big").await?;
            return Ok(true);
        }
        let number = {
            let mut messages = lock(&self.inner.messages);
            messages.push(Received {
                from: envelope.from.unwrap_or_default(),
                to: envelope.to,
                data,
                tls: self.tls,
                user: self.user.clone(),
            });
            messages.len()
        };
        let drops = {
            let mut options = self.options();
            let drops = options.drop_after_data > 0;
            options.drop_after_data = options.drop_after_data.saturating_sub(1);
            drops
        };
        if drops {
            return Ok(false);
        }
        self.say(&format!("250 2.0.0 queued as SIM{number:06}"))
            .await?;
        Ok(true)
    }
}

fn decode(base64: &str) -> String {
    let bytes = STANDARD.decode(base64.trim()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The address in `FROM:<address> PARAMETERS`.
fn address(text: &str, keyword: &str) -> Option<String> {
    let head = text.get(..keyword.len())?;
    if !head.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let rest = text.get(keyword.len()..)?.trim_start().strip_prefix('<')?;
    Some(rest.split_once('>')?.0.to_owned())
}
