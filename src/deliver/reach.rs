//! Whether the host of an address can be reached, over the client that messages are sent by: the same
//! proxy, the same trust. Its root is asked for with HEAD; of the address, which is a secret, nothing but the
//! host is used.

use super::webhook::{address, client, told};
use std::path::Path;

/// Why a message would not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreached {
    /// What happened, without the address.
    pub why: String,
    /// What to change.
    pub todo: &'static str,
}

/// Reads the file with an address.
///
/// # Errors
/// It cannot be read, or holds none.
pub fn read(file: &Path) -> Result<reqwest::Url, Unreached> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|why| Unreached {
        why: format!("{shown} cannot be read: {why}"),
        todo: "put the address that was given out for this into the file of url_file, readable by this user",
    })?;
    address(&text).map_err(|why| Unreached {
        why: format!("{shown}: {why}"),
        todo: "put the address that was given out for this into the file of url_file",
    })
}

/// Asks the host for its root. Any answer will do: what it says of its root says nothing of a message.
///
/// # Errors
/// There was none.
pub async fn reach(url: &reqwest::Url) -> Result<String, Unreached> {
    let mut root = url.clone();
    root.set_path("/");
    root.set_query(None);
    root.set_fragment(None);
    // A name and a password in the address are part of the secret. Neither call fails where there is a host.
    let _ = root.set_username("");
    let _ = root.set_password(None);
    let host = url.host_str().unwrap_or_default().to_owned();
    let http = client().map_err(|why| Unreached {
        why,
        todo: "correct HTTPS_PROXY and SSL_CERT_FILE",
    })?;
    match http.head(root).send().await {
        Ok(_) if url.scheme() == "https" => {
            Ok(format!("{host} answers, its certificate is trusted"))
        }
        Ok(_) => Ok(format!("{host} answers")),
        Err(error) => {
            let why = told(error);
            let todo = if why.contains("dns error") {
                "correct the host in the address, or this machine's resolver"
            } else if why.contains("certificate") {
                "trust the certificate's issuer on this machine (its roots, or SSL_CERT_FILE), or correct the \
                 host in the address"
            } else {
                "open the way to that host (egress rules, firewall), or set HTTPS_PROXY"
            };
            Err(Unreached {
                why: format!("{host}: {why}"),
                todo,
            })
        }
    }
}
