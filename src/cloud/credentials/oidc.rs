//! An OIDC token in a file, as Kubernetes writes it for RRSA, traded for a session.
//!
//! Source: alibabacloud-credentials 1.0.12 (Python) and the STS API's page, read 2026-08. The call is not
//! signed: the token is the proof. It goes into the body, since URLs are written into logs of proxies.

use super::assume::Role;
use super::{Context, CredentialSource, Issued, Loading, SourceError, document, sts};
use crate::cloud::{endpoint, sign};
use std::path::PathBuf;

const ROLE: &str = "ALIBABA_CLOUD_ROLE_ARN";
const PROVIDER: &str = "ALIBABA_CLOUD_OIDC_PROVIDER_ARN";
const TOKEN_FILE: &str = "ALIBABA_CLOUD_OIDC_TOKEN_FILE";
const SESSION: &str = "ALIBABA_CLOUD_ROLE_SESSION_NAME";

/// The variables of the environment that RRSA sets.
pub struct OidcRole;

/// A token to trade.
pub(super) struct Trade {
    pub(super) role: Role,
    pub(super) provider: String,
    pub(super) token_file: PathBuf,
    pub(super) sts_region: Option<String>,
    pub(super) vpc: bool,
}

impl CredentialSource for OidcRole {
    fn name(&self) -> String {
        "OIDC role".to_owned()
    }

    fn absent(&self, _: &Context) -> String {
        format!("{ROLE}, {PROVIDER} and {TOKEN_FILE} are not all set")
    }

    fn load<'a>(&'a self, context: &'a Context) -> Loading<'a> {
        Box::pin(async move {
            let environment = &context.environment;
            let (Some(arn), Some(provider), Some(file)) = (
                environment.get(ROLE),
                environment.get(PROVIDER),
                environment.get(TOKEN_FILE),
            ) else {
                return Ok(None);
            };
            let trade = Trade {
                role: Role {
                    arn: arn.to_owned(),
                    session: environment.get(SESSION).map(str::to_owned),
                    ..Role::default()
                },
                provider: provider.to_owned(),
                token_file: PathBuf::from(file),
                sts_region: None,
                vpc: false,
            };
            trade.session(context).await.map(Some)
        })
    }
}

impl Trade {
    /// The file is read each time: Kubernetes writes a new token long before the old one ends.
    pub(super) async fn session(&self, context: &Context) -> Result<Issued, SourceError> {
        let broken = |why: String| SourceError::Broken(why);
        let shown = self.token_file.display();
        let token = std::fs::read_to_string(&self.token_file)
            .map_err(|why| broken(format!("reading the OIDC token {shown}: {why}")))?;
        let token = token.trim();
        if !(4..=20_000).contains(&token.len()) {
            return Err(broken(format!(
                "{shown} holds {} bytes, and an OIDC token has 4 to 20000",
                token.len()
            )));
        }
        let mut form = self.role.params()?;
        form.insert("OIDCProviderArn".to_owned(), self.provider.clone());
        form.insert("OIDCToken".to_owned(), token.to_owned());
        let place = sts::place(context, self.sts_region.as_deref(), self.vpc)?;
        let what = format!("AssumeRoleWithOIDC of {} at {place}", self.role.arn);
        let body = sign::encode::canonical_query(&form);
        let answer = sts::ask(&what, token, |client, nonce| {
            Ok(client
                .post(format!("{place}/?Format=json"))
                .header("content-type", "application/x-www-form-urlencoded")
                .header("accept", "application/json")
                .header("x-acs-action", "AssumeRoleWithOIDC")
                .header("x-acs-version", endpoint::Service::Sts.version())
                .header("x-acs-date", sts::date((context.now)()))
                .header("x-acs-signature-nonce", nonce)
                .body(body.clone()))
        })
        .await?;
        document::sts(&answer, &what, (context.now)())
    }
}
