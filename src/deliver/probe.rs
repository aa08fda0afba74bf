//! The relay tried step by step, with no letter sent: where it stops, and what to change there.

use super::mail::MailSettings;
use std::time::Duration;
use tokio::net::TcpStream;

/// One step of reaching the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `resolve`, `connect`, `tls`, `greeting`, `login`
    pub name: &'static str,
    /// What was found.
    pub found: String,
    /// What to change; `None`: the step works.
    pub todo: Option<String>,
}

/// A person waits for the answer.
const LIMIT: Duration = Duration::from_secs(20);

/// Tries the relay; the last step is the one that fails, where one does.
pub async fn probe(settings: &MailSettings) -> Vec<Step> {
    let relay = settings.relay();
    let works = |name, found: String| Step {
        name,
        found,
        todo: None,
    };
    let fails = |name, found: String, todo: &str| Step {
        name,
        found,
        todo: Some(todo.to_owned()),
    };
    let mut out = Vec::new();
    let addresses = match settings.resolve(LIMIT).await {
        Ok(addresses) => addresses,
        Err(unresolved) => {
            let todo = "correct the host in [mail] url, or this machine's resolver";
            let found = format!("{relay}: {}", unresolved.why);
            out.push(fails("resolve", found, todo));
            return out;
        }
    };
    let shown: Vec<String> = addresses.iter().map(|a| a.ip().to_string()).collect();
    out.push(works("resolve", format!("{relay} is {}", shown.join(", "))));
    let connected = tokio::time::timeout(LIMIT, TcpStream::connect(addresses.as_slice())).await;
    let why = match connected {
        Ok(Ok(_)) => None,
        Ok(Err(why)) => Some(why.to_string()),
        Err(_) => Some(format!("no answer within {} s", LIMIT.as_secs())),
    };
    if let Some(why) = why {
        let todo = "open the way to that host and port (egress rules, firewall; clouds often block port 25), \
                    or correct the port in [mail] url";
        out.push(fails("connect", format!("{relay}: {why}"), todo));
        return out;
    }
    out.push(works("connect", relay.clone()));
    let tls = settings.is_encrypted();
    let login = settings.user().is_some();
    let why = match settings.session(LIMIT).await {
        Ok(()) => {
            if tls {
                out.push(works("tls", "the certificate is trusted".to_owned()));
            }
            out.push(works("greeting", "the relay answers".to_owned()));
            if let Some(user) = settings.user() {
                out.push(works("login", format!("as {user}")));
            }
            return out;
        }
        Err(why) => why,
    };
    let told = why.told;
    if why.of_tls {
        let todo = "name the relay by the name in its certificate, give its CA in [mail] ca_file, or use \
                    smtp:// (STARTTLS) in place of smtps://, or the other way round";
        out.push(fails("tls", told, todo));
        return out;
    }
    if tls && why.code.is_some() {
        out.push(works("tls", "the certificate is trusted".to_owned()));
    }
    let of_login = login && matches!(why.code, Some(534 | 535 | 538 | 526 | 530 | 504 | 454));
    out.push(if of_login {
        let todo = "correct the user in [mail] url and the password (SGWARDEN_SMTP_PASSWORD, password_file or \
                    password_secret); some relays want a password made for programs";
        fails("login", told, todo)
    } else {
        let todo = "is that a mail relay, and may this host use it? ask whoever runs it, with its answer";
        fails("greeting", told, todo)
    });
    out
}
