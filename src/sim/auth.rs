//! Who is calling: both signature versions, checked from the reference's text and held to the
//! provider's own vectors; nothing is shared with the client that signs.
//!
//! Refusals come in this order: form of the signature, time, key, signed headers, content hash,
//! signature, session token, nonce.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, NaiveDateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::wire::{Failure, encode};
use super::world::{SessionKey, World};

const V3: &str = "ACS3-HMAC-SHA256";
/// Widest difference of clocks, seconds (reference 1.5).
const MAX_SKEW: i64 = 15 * 60;

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out
}

/// Hex of the SHA-256.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn canonical_query(params: &[(String, String)], skip: &str) -> String {
    let mut sorted: Vec<&(String, String)> = params.iter().filter(|(n, _)| n != skip).collect();
    sorted.sort();
    let mut out = String::new();
    for (i, (name, value)) in sorted.into_iter().enumerate() {
        if i > 0 {
            out.push('&');
        }
        encode(name, &mut out);
        out.push('=');
        encode(value, &mut out);
    }
    out
}

/// V1's string to sign, of the decoded parameters of query and form; `Signature` is left out.
pub fn v1_string_to_sign(method: &str, params: &[(String, String)]) -> String {
    let mut out = format!("{method}&%2F&");
    encode(&canonical_query(params, "Signature"), &mut out);
    out
}

/// V1's signature, base64.
pub fn v1_signature(secret: &str, string_to_sign: &str) -> String {
    match Hmac::<Sha1>::new_from_slice(format!("{secret}&").as_bytes()) {
        Ok(mut mac) => {
            mac.update(string_to_sign.as_bytes());
            STANDARD.encode(mac.finalize().into_bytes())
        }
        Err(_) => String::new(),
    }
}

/// What stands before the key in a `PUBLIC KEY` of RSA: the algorithm (RFC 8017, A.1), and in front of it
/// and behind it a length of two bytes, as every key of 2048 bits and more has it.
const RSA_ALGORITHM: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/// The key alone, as DER, of a PEM's `PUBLIC KEY`; `None` where it is none of RSA.
pub(super) fn rsa_public_key(pem: &str) -> Option<Vec<u8>> {
    let whole = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).ok()?;
    // SEQUENCE, length; the algorithm; BIT STRING, length, no unused bits; the key.
    let rest = whole.as_ref().get(4..)?.strip_prefix(RSA_ALGORITHM)?;
    let key = rest.strip_prefix(&[0x03, 0x82])?.get(2..)?;
    key.strip_prefix(&[0x00]).map(<[u8]>::to_vec)
}

/// Whether that key signed it: RSASSA-PKCS1-v1_5 with SHA-256, in base64, of V1's string to sign itself.
fn rsa_signed(public_key: &str, string_to_sign: &str, signature: &str) -> bool {
    let Some((key, signature)) = rsa_public_key(public_key).zip(STANDARD.decode(signature).ok())
    else {
        return false;
    };
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
        .verify(string_to_sign.as_bytes(), &signature)
        .is_ok()
}

/// V3's string to sign. `query` are the decoded query parameters, `headers` have lower-case names,
/// `signed` is the list of `SignedHeaders` as sent.
pub fn v3_string_to_sign(
    method: &str,
    query: &[(String, String)],
    headers: &[(String, String)],
    signed: &str,
    body: &[u8],
) -> String {
    let mut names: Vec<&str> = signed.split(';').filter(|n| !n.is_empty()).collect();
    names.sort_unstable();
    let mut canonical = String::new();
    canonical.push_str(method);
    canonical.push_str("\n/\n");
    canonical.push_str(&canonical_query(query, ""));
    canonical.push('\n');
    for name in names {
        let values: Vec<&str> = headers
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, v)| v.trim())
            .collect();
        canonical.push_str(name);
        canonical.push(':');
        canonical.push_str(&values.join(","));
        canonical.push('\n');
    }
    canonical.push('\n');
    canonical.push_str(signed);
    canonical.push('\n');
    canonical.push_str(&sha256_hex(body));
    format!("{V3}\n{}", sha256_hex(canonical.as_bytes()))
}

/// V3's signature, hex.
pub fn v3_signature(secret: &str, string_to_sign: &str) -> String {
    match Hmac::<Sha256>::new_from_slice(secret.as_bytes()) {
        Ok(mut mac) => {
            mac.update(string_to_sign.as_bytes());
            hex(&mac.finalize().into_bytes())
        }
        Err(_) => String::new(),
    }
}

/// A call as it came, before anyone looked at it.
pub(super) struct Incoming<'a> {
    pub(super) method: &'a str,
    pub(super) query: &'a [(String, String)],
    pub(super) form: &'a [(String, String)],
    /// Lower-case names.
    pub(super) headers: &'a [(String, String)],
    pub(super) body: &'a [u8],
}

impl Incoming<'_> {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, v)| v.as_str())
    }

    pub(super) fn is_v3(&self) -> bool {
        self.header("authorization").is_some()
            || (self.header("x-acs-action").is_some() && self.param("Signature").is_none())
    }

    pub(super) fn param(&self, name: &str) -> Option<&str> {
        let mut all = self.query.iter().chain(self.form);
        all.find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// What kind of identity calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Principal {
    Root,
    User {
        name: String,
        id: String,
    },
    Role {
        name: String,
        session: String,
    },
    /// A user's key pair, which can ask for a session and nothing else.
    KeyPair {
        user: String,
    },
    /// Without a signature.
    Nobody,
}

/// A caller whose signature held.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) account: String,
    pub(super) principal: Principal,
    pub(super) allow: Vec<String>,
    pub(super) deny: Vec<String>,
}

impl Caller {
    /// Who asks for AssumeRoleWithOIDC.
    pub(super) fn nobody() -> Caller {
        Caller {
            account: String::new(),
            principal: Principal::Nobody,
            allow: Vec::new(),
            deny: Vec::new(),
        }
    }

    pub(super) fn may(&self, action: &str) -> bool {
        if self.principal == Principal::Root {
            return true;
        }
        let hit = |list: &[String]| list.iter().any(|p| glob(p, action));
        hit(&self.allow) && !hit(&self.deny)
    }
}

/// `*` stands for any text; case does not count.
fn glob(pattern: &str, text: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    let text = text.to_ascii_lowercase();
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        last = Some(part);
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    match last {
        None => rest.is_empty(),
        Some(part) => part.is_empty() || text.ends_with(part),
    }
}

/// Nonces seen, by key and nonce.
#[derive(Debug, Default)]
pub(super) struct Nonces {
    seen: HashMap<String, i64>,
}

impl Nonces {
    fn fresh(&mut self, key: &str, nonce: &str, now: i64) -> bool {
        if self.seen.len() > 200_000 {
            self.seen.retain(|_, at| now - *at < 2 * MAX_SKEW);
        }
        self.seen.insert(format!("{key}/{nonce}"), now).is_none()
    }
}

fn unknown_key() -> Failure {
    Failure::new(
        404,
        "InvalidAccessKeyId.NotFound",
        "Specified access key is not found.",
    )
}

struct Holder {
    secret: String,
    token: Option<(String, DateTime<Utc>)>,
    caller: Caller,
}

/// The user of a session's key. With which code an ended one is refused is unverified.
fn of_session_key(
    world: &World,
    session: &SessionKey,
    now: DateTime<Utc>,
) -> Result<Holder, Failure> {
    let user = world
        .accounts
        .get(&session.account)
        .and_then(|a| a.users.iter().find(|u| u.name == session.user))
        .filter(|_| session.expires > now)
        .ok_or_else(unknown_key)?;
    Ok(Holder {
        secret: session.secret.clone(),
        token: None,
        caller: Caller {
            account: session.account.clone(),
            principal: Principal::User {
                name: user.name.clone(),
                id: user.id.clone(),
            },
            allow: user.allow.clone(),
            deny: user.deny.clone(),
        },
    })
}

fn holder(world: &World, key: &str, now: DateTime<Utc>) -> Result<Holder, Failure> {
    for account in world.accounts.values() {
        for user in &account.users {
            let Some(found) = user.keys.iter().find(|k| k.id == key) else {
                continue;
            };
            if !found.active {
                return Err(Failure::new(
                    403,
                    "InvalidAccessKeyId.Inactive",
                    "Specified access key is disabled.",
                ));
            }
            return Ok(Holder {
                secret: found.secret.clone(),
                token: None,
                caller: Caller {
                    account: account.id.clone(),
                    principal: if user.root {
                        Principal::Root
                    } else {
                        Principal::User {
                            name: user.name.clone(),
                            id: user.id.clone(),
                        }
                    },
                    allow: user.allow.clone(),
                    deny: user.deny.clone(),
                },
            });
        }
    }
    if let Some(session) = world.session_keys.get(key) {
        return of_session_key(world, session, now);
    }
    let session = world.sessions.get(key).ok_or_else(unknown_key)?;
    let role = world
        .accounts
        .get(&session.account)
        .and_then(|a| a.roles.iter().find(|r| r.name == session.role))
        .ok_or_else(unknown_key)?;
    Ok(Holder {
        secret: session.access_key_secret.clone(),
        token: Some((session.security_token.clone(), session.expires)),
        caller: Caller {
            account: session.account.clone(),
            principal: Principal::Role {
                name: session.role.clone(),
                session: session.name.clone(),
            },
            allow: role.allow.clone(),
            deny: role.deny.clone(),
        },
    })
}

/// Checks a call's signature, time, token and nonce.
pub(super) fn authenticate(
    call: &Incoming<'_>,
    world: &World,
    nonces: &mut Nonces,
    now: DateTime<Utc>,
) -> Result<Caller, Failure> {
    if call.is_v3() {
        v3(call, world, nonces, now)
    } else {
        v1(call, world, nonces, now)
    }
}

fn incomplete(what: &str) -> Failure {
    Failure::bad(
        "IncompleteSignature",
        format!("The request signature does not conform to Aliyun standards: {what}."),
    )
}

fn mismatch(string_to_sign: &str) -> Failure {
    Failure::bad(
        "SignatureDoesNotMatch",
        format!(
            "Specified signature is not matched with our calculation. server string to sign is:{string_to_sign}"
        ),
    )
}

fn check_time(text: &str, now: DateTime<Utc>) -> Result<(), Failure> {
    let Ok(time) = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%SZ") else {
        return Err(Failure::bad(
            "InvalidTimeStamp.Format",
            "Specified time stamp is not well formatted, should be yyyy-MM-dd'T'HH:mm:ss'Z'.",
        ));
    };
    if (now - time.and_utc()).num_seconds().abs() > MAX_SKEW {
        return Err(Failure::bad(
            "InvalidTimeStamp.Expired",
            "Specified time stamp or date value is expired.",
        ));
    }
    Ok(())
}

fn check_token(holder: &Holder, sent: Option<&str>, now: DateTime<Utc>) -> Result<(), Failure> {
    match (&holder.token, sent) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(Failure::bad(
            "InvalidSecurityToken.MismatchWithAccessKey",
            "Specified SecurityToken mismatch with the AccessKey.",
        )),
        (Some(_), None) => Err(Failure::bad(
            "MissingSecurityToken",
            "SecurityToken is required for this action.",
        )),
        (Some((token, _)), Some(sent)) if token != sent => Err(Failure::bad(
            "InvalidSecurityToken.MismatchWithAccessKey",
            "Specified SecurityToken mismatch with the AccessKey.",
        )),
        (Some((_, expires)), Some(_)) if *expires <= now => Err(Failure::bad(
            "InvalidSecurityToken.Expired",
            "Specified SecurityToken is expired.",
        )),
        _ => Ok(()),
    }
}

fn check_nonce(nonces: &mut Nonces, key: &str, nonce: &str, now: i64) -> Result<(), Failure> {
    if nonces.fresh(key, nonce, now) {
        return Ok(());
    }
    Err(Failure::bad(
        "SignatureNonceUsed",
        "Specified signature nonce was used already.",
    ))
}

fn v3(
    call: &Incoming<'_>,
    world: &World,
    nonces: &mut Nonces,
    now: DateTime<Utc>,
) -> Result<Caller, Failure> {
    let authorization = call
        .header("authorization")
        .ok_or_else(|| incomplete("no Authorization header"))?;
    let parts = authorization
        .strip_prefix(V3)
        .and_then(|rest| rest.strip_prefix(' '))
        .ok_or_else(|| incomplete("the algorithm is not ACS3-HMAC-SHA256"))?;
    let part = |name: &str| {
        parts
            .split(',')
            .find_map(|p| p.trim().strip_prefix(name)?.strip_prefix('='))
            .ok_or_else(|| incomplete(&format!("Authorization has no {name}")))
    };
    let (key, signed, signature) = (
        part("Credential")?,
        part("SignedHeaders")?,
        part("Signature")?,
    );
    let header = |name: &str| {
        call.header(name)
            .ok_or_else(|| incomplete(&format!("no header {name}")))
    };
    check_time(header("x-acs-date")?, now)?;
    let holder = holder(world, key, now)?;
    let is_signed = |name: &str| signed.split(';').any(|s| s == name);
    for (name, _) in call.headers {
        let must = name == "host" || name == "content-type" || name.starts_with("x-acs-");
        if must && !is_signed(name) {
            return Err(incomplete(&format!("header {name} is not signed")));
        }
    }
    if let Some(absent) = signed.split(';').find(|s| call.header(s).is_none()) {
        return Err(incomplete(&format!("signed header {absent} was not sent")));
    }
    let string_to_sign =
        v3_string_to_sign(call.method, call.query, call.headers, signed, call.body);
    if header("x-acs-content-sha256")? != sha256_hex(call.body)
        || v3_signature(&holder.secret, &string_to_sign) != signature
    {
        return Err(mismatch(&string_to_sign));
    }
    check_token(&holder, call.header("x-acs-security-token"), now)?;
    let nonce = header("x-acs-signature-nonce")?;
    check_nonce(nonces, key, nonce, now.timestamp())?;
    Ok(holder.caller)
}

fn v1(
    call: &Incoming<'_>,
    world: &World,
    nonces: &mut Nonces,
    now: DateTime<Utc>,
) -> Result<Caller, Failure> {
    let need = |name: &str| call.param(name).ok_or_else(|| Failure::missing(name));
    let key = need("AccessKeyId")?;
    let signature = call
        .param("Signature")
        .ok_or_else(|| incomplete("no Signature"))?;
    let by_rsa = match need("SignatureMethod")? {
        "HMAC-SHA1" => false,
        "SHA256withRSA" => true,
        _ => return Err(incomplete("HMAC-SHA1 and SHA256withRSA are known")),
    };
    if need("SignatureVersion")? != "1.0" {
        return Err(incomplete("only version 1.0 is known"));
    }
    let kind = call.param("SignatureType").unwrap_or_default();
    if kind != if by_rsa { "PRIVATEKEY" } else { "" } {
        return Err(incomplete("SignatureType is not that of the method"));
    }
    check_time(need("Timestamp")?, now)?;
    if by_rsa {
        let pair = world.key_pairs.iter().find(|pair| pair.id == key);
        let pair = pair.ok_or_else(unknown_key)?;
        let all: Vec<(String, String)> = call.query.iter().chain(call.form).cloned().collect();
        let string_to_sign = v1_string_to_sign(call.method, &all);
        if !rsa_signed(&pair.public_key, &string_to_sign, signature) {
            return Err(mismatch(&string_to_sign));
        }
        check_nonce(nonces, key, need("SignatureNonce")?, now.timestamp())?;
        return Ok(Caller {
            account: pair.account.clone(),
            principal: Principal::KeyPair {
                user: pair.user.clone(),
            },
            allow: Vec::new(),
            deny: Vec::new(),
        });
    }
    let holder = holder(world, key, now)?;
    let all: Vec<(String, String)> = call.query.iter().chain(call.form).cloned().collect();
    let string_to_sign = v1_string_to_sign(call.method, &all);
    if v1_signature(&holder.secret, &string_to_sign) != signature {
        return Err(mismatch(&string_to_sign));
    }
    check_token(&holder, call.param("SecurityToken"), now)?;
    check_nonce(nonces, key, need("SignatureNonce")?, now.timestamp())?;
    Ok(holder.caller)
}
