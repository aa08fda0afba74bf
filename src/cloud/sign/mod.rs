//! Signatures, in stages: a canonical form, the string to sign, the signature, what is sent.
//!
//! To add a version, add a file with its stages and an arm in [`sign`].

pub mod encode;
pub mod v1;
pub mod v3;

use std::collections::BTreeMap;

/// Which of the service's two schemes to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// HMAC-SHA1, all in the query.
    V1,
    /// ACS3-HMAC-SHA256, in headers.
    #[default]
    V3,
}

/// A POST before it is signed. Every attempt has a date and a nonce of its own.
#[derive(Clone, Copy)]
pub struct Unsigned<'a> {
    /// As the `Host` header has it, with the port where it is not the scheme's own.
    pub host: &'a str,
    /// Such as `DescribeRegions`.
    pub action: &'a str,
    /// The API's version, such as `2014-05-26`.
    pub version: &'a str,
    /// The action's own parameters, in the query.
    pub params: &'a BTreeMap<String, String>,
    /// Those that stand in the body, where the action has such; they may be long.
    pub form: &'a BTreeMap<String, String>,
    /// `YYYY-MM-DDTHH:MM:SSZ`
    pub date: &'a str,
    /// Unique.
    pub nonce: &'a str,
}

/// The key to sign with.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    /// AccessKeyId
    pub id: &'a str,
    /// AccessKeySecret
    pub secret: &'a str,
    /// The token of a session's key.
    pub token: Option<&'a str>,
}

/// What is sent.
pub struct Signed {
    /// The URL's query, encoded.
    pub query: String,
    /// Headers beside those of HTTP itself; `host` is among them.
    pub headers: Vec<(&'static str, String)>,
    /// The body: a form, or nothing.
    pub body: String,
    /// To be held against the server's, should it disagree. With version 1 it holds the token.
    pub string_to_sign: String,
}

/// Signs a POST: the least headers, since proxies rewrite the others.
pub fn sign(version: Version, request: &Unsigned<'_>, key: &Key<'_>) -> Signed {
    match version {
        Version::V1 => sign_v1(request, key),
        Version::V3 => sign_v3(request, key),
    }
}

fn sign_v1(request: &Unsigned<'_>, key: &Key<'_>) -> Signed {
    let mut params = request.params.clone();
    let mut put = |name: &str, value: &str| {
        params.insert(name.to_owned(), value.to_owned());
    };
    put("Action", request.action);
    put("Version", request.version);
    put("Format", "json");
    put("Timestamp", request.date);
    put("SignatureNonce", request.nonce);
    put("SignatureMethod", "HMAC-SHA1");
    put("SignatureVersion", "1.0");
    put("AccessKeyId", key.id);
    if let Some(token) = key.token {
        put("SecurityToken", token);
    }
    // Query and form are signed as one.
    let mut all = params.clone();
    all.extend(request.form.clone());
    let string_to_sign = v1::CanonicalQuery::new(&all).string_to_sign("POST");
    let signature = string_to_sign.signature(key.secret);
    params.insert("Signature".to_owned(), signature.as_str().to_owned());
    Signed {
        query: encode::canonical_query(&params),
        headers: with_type(vec![("host", request.host.to_owned())], request),
        body: encode::canonical_query(request.form),
        string_to_sign: string_to_sign.as_str().to_owned(),
    }
}

fn sign_v3(request: &Unsigned<'_>, key: &Key<'_>) -> Signed {
    let body = encode::canonical_query(request.form);
    let payload = v3::hashed_payload(body.as_bytes());
    let mut headers = with_type(vec![("host", request.host.to_owned())], request);
    headers.extend([
        ("x-acs-action", request.action.to_owned()),
        ("x-acs-version", request.version.to_owned()),
        ("x-acs-date", request.date.to_owned()),
        ("x-acs-signature-nonce", request.nonce.to_owned()),
        ("x-acs-content-sha256", payload.clone()),
    ]);
    if let Some(token) = key.token {
        headers.push(("x-acs-security-token", token.to_owned()));
    }
    let signed: BTreeMap<String, String> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    let canonical = v3::CanonicalRequest::new("POST", request.params, &signed, &payload);
    let string_to_sign = canonical.string_to_sign();
    let signature = string_to_sign.signature(key.secret);
    headers.push((
        "authorization",
        signature.authorization(key.id, canonical.signed_headers()),
    ));
    headers.push(("accept", "application/json".to_owned()));
    Signed {
        query: canonical.query().to_owned(),
        headers,
        body,
        string_to_sign: string_to_sign.as_str().to_owned(),
    }
}

/// A form says that it is one; version 3 signs that too.
fn with_type(
    mut headers: Vec<(&'static str, String)>,
    request: &Unsigned<'_>,
) -> Vec<(&'static str, String)> {
    if !request.form.is_empty() {
        let form = "application/x-www-form-urlencoded".to_owned();
        headers.push(("content-type", form));
    }
    headers
}
