//! KMS's GetSecretValue. What is wrong with an answer is said without a word of it.

use super::{BadAnswer, Object};
use crate::model::Secret;

/// A secret's value as KMS gives it.
#[derive(Clone, Debug)]
pub struct SecretValue {
    /// `SecretName`
    pub name: String,
    /// `SecretType`, such as `Generic`; of the others the value is a JSON text of several. Empty where the
    /// service does not say.
    pub kind: String,
    /// `SecretDataType`: `text` or `binary`.
    pub form: String,
    /// `SecretData`, possibly empty.
    pub data: Secret,
    /// `RequestId`
    pub request_id: String,
}

/// The value of GetSecretValue. Errs where there is none.
pub fn secret_value(body: &[u8]) -> Result<SecretValue, BadAnswer> {
    let top =
        Object::parse(body).map_err(|_| BadAnswer("not an object of plain keys".to_owned()))?;
    if top.get("SecretData").is_none() {
        return Err(BadAnswer("no SecretData in the answer".to_owned()));
    }
    let text = |key: &str| {
        top.text(key)
            .map_err(|_| BadAnswer(format!("{key} is not text")))
    };
    Ok(SecretValue {
        name: top.required("SecretName")?,
        kind: text("SecretType")?,
        form: top.required("SecretDataType")?,
        data: Secret::new(text("SecretData")?),
        request_id: text("RequestId")?,
    })
}
