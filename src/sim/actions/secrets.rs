//! KMS: GetSecretValue.

use serde_json::json;

use super::super::wire::Failure;
use super::{Call, State, identity};

fn invalid(name: &str) -> Failure {
    Failure::bad(
        "InvalidParameter",
        format!("The specified parameter {name} is not valid."),
    )
}

/// The value of one version. A secret of another account goes by its ARN, which is not simulated.
pub(super) fn get_value(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    let name = call.need("SecretName")?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_/+=.@-".contains(&b);
    if name.len() > 192 || !name.bytes().all(plain) {
        return Err(invalid("SecretName"));
    }
    if let Some(word) = call.get("FetchExtendedConfig")
        && !["true", "false"].contains(&word)
    {
        return Err(invalid("FetchExtendedConfig"));
    }
    let stage = call.get("VersionStage").unwrap_or("ACSCurrent");
    let version = call.get("VersionId");
    let secret = call
        .region(state)?
        .secrets
        .get(name)
        .filter(|secret| {
            secret.version_stages.iter().any(|has| has == stage)
                && version.is_none_or(|version| version == secret.version_id)
        })
        .ok_or_else(|| Failure::new(404, "Forbidden.ResourceNotFound", "Resource not found."))?;
    if secret.encryption_key_id.is_some() && !call.caller.may("kms:Decrypt") {
        return Err(identity::denied(call, "kms:Decrypt"));
    }
    Ok(json!({
        "RequestId": call.request_id,
        "SecretName": secret.secret_name,
        "SecretType": secret.secret_type,
        "SecretData": secret.secret_data,
        "SecretDataType": secret.secret_data_type,
        "VersionId": secret.version_id,
        "VersionStages": {"VersionStage": secret.version_stages},
        "CreateTime": secret.create_time,
    })
    .to_string())
}
