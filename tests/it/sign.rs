//! Every vector, every stage it records.

use serde_json::Value;
use sgwarden::cloud::sign::{self, encode, v1, v3};
use std::collections::BTreeMap;

const VECTORS: &str = include_str!("../vectors/signature-vectors.json");

fn vectors(version: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(VECTORS).expect("vectors are JSON");
    all[version].as_array().expect("a list").clone()
}

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} of {vector}"))
}

/// Lists and structs as the SDK flattens them.
fn flatten(name: &str, value: &Value, out: &mut BTreeMap<String, String>) {
    let join = |inner: &str| {
        if name.is_empty() {
            inner.to_owned()
        } else {
            format!("{name}.{inner}")
        }
    };
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(key, value)| flatten(&join(key), value, out)),
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                flatten(&join(&(index + 1).to_string()), value, out);
            }
        }
        Value::String(text) => {
            out.insert(name.to_owned(), text.clone());
        }
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) => {
            out.insert(name.to_owned(), value.to_string());
        }
    }
}

fn params(vector: &Value, key: &str) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    flatten("", &vector[key], &mut out);
    out
}

#[test]
fn version_1() {
    let vectors = vectors("v1");
    assert_eq!(vectors.len(), 17);
    for vector in &vectors {
        let name = text(vector, "name");
        let mut all = params(vector, "query_params");
        let query = all.clone();
        all.extend(params(vector, "form_params"));
        let canonical = v1::CanonicalQuery::new(&all);
        assert_eq!(
            canonical.as_str(),
            text(vector, "canonical_query"),
            "{name}"
        );
        let string = canonical.string_to_sign(text(vector, "method"));
        assert_eq!(string.as_str(), text(vector, "string_to_sign"), "{name}");
        let signature = string.signature(text(vector, "access_key_secret"));
        assert_eq!(signature.as_str(), text(vector, "signature"), "{name}");
        if let Some(published) = vector["published_signature"].as_str() {
            assert_eq!(signature.as_str(), published, "{name}");
        }
        let mut sent = query;
        sent.insert("Signature".to_owned(), signature.as_str().to_owned());
        assert_eq!(
            encode::canonical_query(&sent),
            text(vector, "request_query"),
            "{name}"
        );
    }
}

#[test]
fn version_3() {
    let vectors = vectors("v3");
    assert_eq!(vectors.len(), 19);
    for vector in &vectors {
        let name = text(vector, "name");
        let payload = v3::hashed_payload(text(vector, "body").as_bytes());
        assert_eq!(payload, text(vector, "hashed_payload"), "{name}");
        let canonical = v3::CanonicalRequest::new(
            text(vector, "method"),
            &params(vector, "query_params"),
            &params(vector, "headers"),
            &payload,
        );
        assert_eq!(canonical.query(), text(vector, "canonical_query"), "{name}");
        assert_eq!(
            canonical.headers(),
            text(vector, "canonical_headers"),
            "{name}"
        );
        assert_eq!(
            canonical.signed_headers(),
            text(vector, "signed_headers"),
            "{name}"
        );
        assert_eq!(
            canonical.as_str(),
            text(vector, "canonical_request"),
            "{name}"
        );
        assert_eq!(
            canonical.hashed(),
            text(vector, "hashed_canonical_request"),
            "{name}"
        );
        let string = canonical.string_to_sign();
        assert_eq!(string.as_str(), text(vector, "string_to_sign"), "{name}");
        let signature = string.signature(text(vector, "access_key_secret"));
        assert_eq!(signature.as_str(), text(vector, "signature"), "{name}");
        let authorization =
            signature.authorization(text(vector, "access_key_id"), canonical.signed_headers());
        assert_eq!(authorization, text(vector, "authorization"), "{name}");
        if let Some(published) = vector["published_authorization"].as_str() {
            assert_eq!(authorization, published, "{name}");
        }
    }
}

/// The whole of what a client sends, for the vectors that are such requests.
#[test]
fn as_sent() {
    let mut whole = 0;
    for vector in &vectors("v3") {
        let headers = params(vector, "headers");
        let known = [
            "host",
            "x-acs-action",
            "x-acs-version",
            "x-acs-date",
            "x-acs-signature-nonce",
            "x-acs-content-sha256",
            "x-acs-security-token",
        ];
        let ours = headers.keys().all(|name| known.contains(&name.as_str()));
        if !ours || text(vector, "method") != "POST" || !text(vector, "body").is_empty() {
            continue;
        }
        let query = params(vector, "query_params");
        let unsigned = sign::Unsigned {
            host: &headers["host"],
            action: &headers["x-acs-action"],
            version: &headers["x-acs-version"],
            params: &query,
            form: &std::collections::BTreeMap::new(),
            date: &headers["x-acs-date"],
            nonce: &headers["x-acs-signature-nonce"],
        };
        let key = sign::Key {
            id: text(vector, "access_key_id"),
            secret: text(vector, "access_key_secret"),
            token: vector["security_token"].as_str(),
        };
        let signed = sign::sign(sign::Version::V3, &unsigned, &key);
        let sent: BTreeMap<&str, String> = signed.headers.into_iter().collect();
        assert_eq!(sent["authorization"], text(vector, "authorization"));
        assert_eq!(signed.query, text(vector, "canonical_query"));
        whole += 1;
    }
    assert!(whole >= 3, "{whole}");

    let vector = vectors("v1")
        .into_iter()
        .find(|vector| text(vector, "name") == "sdk-flow-describe-sts")
        .expect("the vector");
    let mut query = params(&vector, "query_params");
    let mut take = |name: &str| query.remove(name).expect("the parameter");
    let (action, version, date, nonce) = (
        take("Action"),
        take("Version"),
        take("Timestamp"),
        take("SignatureNonce"),
    );
    for name in [
        "Format",
        "SignatureMethod",
        "SignatureVersion",
        "AccessKeyId",
        "SecurityToken",
    ] {
        take(name);
    }
    let unsigned = sign::Unsigned {
        host: text(&vector, "host"),
        action: &action,
        version: &version,
        params: &query,
        form: &std::collections::BTreeMap::new(),
        date: &date,
        nonce: &nonce,
    };
    let key = sign::Key {
        id: text(&vector, "access_key_id"),
        secret: text(&vector, "access_key_secret"),
        token: vector["security_token"].as_str(),
    };
    let signed = sign::sign(sign::Version::V1, &unsigned, &key);
    assert_eq!(signed.query, text(&vector, "request_query"));
}
