//! More than one account: a role is assumed in each but one's own, and every call is signed with the keys
//! of the account that it speaks of. The caller says whose group it means, never with which keys.

use super::call::{Answer, Client, Effect, Request};
use super::course::{Course, Trouble};
use super::credentials::{
    Context, CredentialSource, Environment, Keyring, Loading, Refusal, Role, assume_by,
};
use super::endpoint::Service;
use super::failure::{CallFailure, Fate};
use super::pacing::locked;
use super::wire::{self, BadAnswer, Member};
use crate::model::{AccountId, Identity, RawAnswer};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};
use tokio::sync::OnceCell;

/// `[accounts]`: the role that is assumed in every account but one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRole {
    /// Its name, the same in each account.
    pub name: String,
    /// What its trust policy demands, where it does.
    pub external_id: Option<String>,
}

impl AccountRole {
    fn of(&self, account: &AccountId) -> Role {
        Role {
            arn: format!("acs:ram::{account}:role/{}", self.name),
            external_id: self.external_id.clone(),
            ..Role::default()
        }
    }
}

/// The sessions of a client.
#[derive(Default)]
pub(super) struct Sessions {
    /// The account of the client's own keys, as the service said.
    home: OnceLock<AccountId>,
    entered: Mutex<BTreeMap<AccountId, Arc<OnceCell<Arc<Keyring>>>>>,
}

/// Renews a session: the client's own keys assume the role again.
struct InAccount {
    home: Arc<Keyring>,
    role: Role,
}

impl CredentialSource for InAccount {
    fn name(&self) -> String {
        format!("role {}", self.role.arn)
    }

    fn absent(&self, _: &Context) -> String {
        "never".to_owned()
    }

    fn load<'a>(&'a self, context: &'a Context) -> Loading<'a> {
        Box::pin(async move {
            let keys = self.home.current().await?;
            let settings = context.settings.clone();
            let issued = assume_by(settings, keys, &self.role, (context.now)()).await?;
            Ok(Some(issued))
        })
    }
}

impl Client {
    /// Notes whose the client's own keys are.
    pub(super) fn is_home(&self, account: &AccountId) {
        // The first answer stands; keys of a source do not change their account.
        let _ = self.sessions.home.set(account.clone());
    }

    /// Whose the client's own keys are, once the service has said so.
    pub(super) fn home(&self) -> Option<&AccountId> {
        self.sessions.home.get()
    }

    /// Whether there may be keys for an account: it is one's own, or there is a role to assume.
    pub fn reaches(&self, account: &AccountId) -> bool {
        self.settings.role.is_some() || self.sessions.home.get().is_none_or(|home| home == account)
    }

    /// The keys for a request: those of the account that it speaks of.
    pub(super) async fn keyring(
        &self,
        request: &Request,
    ) -> Result<Arc<Keyring>, Box<CallFailure>> {
        let account = &request.account;
        match self.sessions.home.get() {
            Some(home) if !account.as_str().is_empty() && home != account => {
                self.session(request).await
            }
            // One's own, or nobody's in particular; or the first call of all, which asks whose they are.
            Some(_) | None => Ok(Arc::clone(&self.keys)),
        }
    }

    fn session<'a>(
        &'a self,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Arc<Keyring>, Box<CallFailure>>> {
        Box::pin(async move {
            let account = &request.account;
            let Some(role) = &self.settings.role else {
                let why = format!(
                    "these keys are of another account than {account}, and no role is set that could \
                     be assumed there ([accounts] role)"
                );
                return Err(Course::new(self, request).fail(Trouble::no_keys(why)));
            };
            let cell = Arc::clone(
                locked(&self.sessions.entered)
                    .entry(account.clone())
                    .or_default(),
            );
            let role = role.of(account);
            let keyring = cell
                .get_or_try_init(|| self.first_session(request, &role))
                .await?;
            Ok(Arc::clone(keyring))
        })
    }

    async fn first_session(
        &self,
        request: &Request,
        role: &Role,
    ) -> Result<Arc<Keyring>, Box<CallFailure>> {
        let now = chrono::Utc::now();
        let issued = match super::credentials::assume(self, role, now).await {
            Ok(issued) => issued,
            Err(Refusal::Source(why)) => {
                return Err(Course::new(self, request).fail(Trouble::no_keys(why.to_string())));
            }
            Err(Refusal::Call(mut failure)) => {
                // Of the call that was to be made nothing left this machine.
                failure.fate = Fate::NotSent;
                failure.account = request.account.clone();
                for answer in &mut failure.answers {
                    answer.account = request.account.clone();
                    answer.params.remove("ExternalId");
                }
                failure.advice = Some(format!(
                    "{}in account {} there must be the role {}, its trust policy must name this account, and \
                     its external id must be that of [accounts]",
                    failure
                        .advice
                        .map_or_else(String::new, |advice| format!("{advice}; ")),
                    request.account,
                    role.arn,
                ));
                return Err(failure);
            }
        };
        let context = Context {
            environment: Environment::default(),
            settings: self.settings.clone(),
            metadata: None,
            now: chrono::Utc::now,
        };
        let source = InAccount {
            home: Arc::clone(&self.keys),
            role: role.clone(),
        };
        Ok(Arc::new(Keyring::renewed_by(
            issued,
            Arc::new(source),
            Arc::new(context),
        )))
    }

    /// Who we are in an account: the role is assumed there, and the service says whose session that is.
    ///
    /// # Errors
    /// It cannot be assumed, or the session is of another account.
    pub async fn enter(&self, account: &AccountId) -> Result<Answer<Identity>, Box<CallFailure>> {
        let request = Request {
            service: Service::Sts,
            action: "GetCallerIdentity".to_owned(),
            account: account.clone(),
            region: String::new(),
            host: None,
            params: BTreeMap::new(),
            effect: Effect::Read,
        };
        let decode = |body: &Bytes| {
            let identity = wire::identity(body)?;
            if identity.account == *account {
                return Ok(identity);
            }
            Err(BadAnswer(format!(
                "the session is of account {} and not of {account}",
                identity.account
            )))
        };
        self.call(&request, decode).await
    }

    /// Every account of the resource directory, the management account too, by id.
    ///
    /// # Errors
    /// The directory cannot be read in full.
    pub async fn directory(&self) -> Result<Answer<Vec<AccountId>>, Box<CallFailure>> {
        let home = self.sessions.home.get();
        let ask = |action: &str, params: BTreeMap<String, String>| Request {
            service: Service::ResourceDirectory,
            action: action.to_owned(),
            account: home.cloned().unwrap_or_else(|| AccountId::from("")),
            region: String::new(),
            host: None,
            params,
            effect: Effect::Read,
        };
        let mut raws: Vec<RawAnswer> = Vec::new();
        let failed = |mut failure: Box<CallFailure>, raws: Vec<RawAnswer>| {
            let mut all = raws;
            all.append(&mut failure.answers);
            failure.answers = all;
            failure
        };
        let request = ask("GetResourceDirectory", BTreeMap::new());
        let mut accounts = BTreeSet::new();
        match self
            .call(&request, |body| wire::management_account(body))
            .await
        {
            Ok(answer) => {
                raws.extend(answer.raws);
                accounts.insert(answer.value);
            }
            Err(failure) => return Err(failed(failure, raws)),
        }
        let mut token: Option<String> = None;
        let mut tokens = BTreeSet::new();
        loop {
            let mut params = BTreeMap::from([("MaxResults".to_owned(), "100".to_owned())]);
            if let Some(token) = &token {
                params.insert("NextToken".to_owned(), token.clone());
            }
            let request = ask("ListAccounts", params);
            let page = match self.call(&request, |body| wire::members_page(body)).await {
                Ok(answer) => {
                    raws.extend(answer.raws);
                    answer.value
                }
                Err(failure) => return Err(failed(failure, raws)),
            };
            // One that has left the directory is not of it; every other state may have groups.
            let members = page.members.into_iter().filter(Member::is_there);
            accounts.extend(members.map(|member| member.account));
            match page.next_token {
                None => break,
                Some(next) if tokens.insert(next.clone()) => token = Some(next),
                Some(_) => {
                    let why = "the service gave the same NextToken twice, which would never end";
                    let failure = Course::new(self, &request).fail(Trouble::paging(why.to_owned()));
                    return Err(failed(failure, raws));
                }
            }
        }
        Ok(Answer {
            value: accounts.into_iter().collect(),
            raws,
        })
    }
}
