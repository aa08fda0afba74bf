//! Which accounts a job reads, and the way into each. One that cannot be entered is coverage that failed:
//! the run is INCOMPLETE and says which.

use super::{Begun, Error, Tools};
use crate::cloud::CallFailure;
use crate::config::schedule::Accounts;
use crate::evidence::Spool;
use crate::model::{
    AccountId, CallError, Change, GroupId, Identity, RegionCoverage, RegionId, RegionStatus,
};
use std::collections::BTreeSet;

/// Account, region, group.
pub(super) type Where = (AccountId, RegionId, GroupId);

/// Where a change was made.
pub(super) fn place(change: &Change) -> Where {
    let (account, region) = (change.account.clone(), change.region.clone());
    (account, region, change.group_id.clone())
}

/// The accounts of a run that reads only what it changes.
pub(super) fn touched(regions: &[RegionCoverage], begun: &Begun) -> Vec<String> {
    if begun.entered.is_empty() {
        return vec!["self".to_owned()];
    }
    let accounts: BTreeSet<&AccountId> = regions.iter().map(|region| &region.account).collect();
    accounts.into_iter().map(ToString::to_string).collect()
}

/// The accounts of a scope.
pub(super) struct Meant {
    /// In order of their ids.
    pub(super) accounts: Vec<AccountId>,
    /// Accounts that are meant and not known: the directory could not be read.
    pub(super) unknown: Option<RegionCoverage>,
}

/// The accounts that a scope means. Where the directory cannot be read, one's own is read all the same.
pub(super) async fn of_scope(
    scope: &Accounts,
    home: &AccountId,
    tools: &Tools,
    spool: &mut Spool,
) -> Result<Meant, Error> {
    let own = || Meant {
        accounts: vec![home.clone()],
        unknown: None,
    };
    Ok(match scope {
        Accounts::Own => own(),
        Accounts::Listed(accounts) => Meant {
            accounts: accounts.clone(),
            unknown: None,
        },
        Accounts::Directory => match tools.client.directory().await {
            Ok(answer) => {
                for raw in &answer.raws {
                    spool.answers(std::slice::from_ref(raw))?;
                }
                Meant {
                    accounts: answer.value,
                    unknown: None,
                }
            }
            Err(failure) => {
                for raw in &failure.answers {
                    spool.answers(std::slice::from_ref(raw))?;
                }
                Meant {
                    unknown: Some(closed(&AccountId::from("*"), &failure, 0)),
                    ..own()
                }
            }
        },
    })
}

/// An account of which nothing could be read.
fn closed(account: &AccountId, failure: &CallFailure, requests: u64) -> RegionCoverage {
    let mut coverage = RegionCoverage::new(account.clone(), RegionId::from("*"));
    coverage.status = RegionStatus::Failed;
    coverage.error = Some(CallError::from(failure));
    coverage.requests = requests;
    coverage
}

/// Enters an account that is not one's own; `Err` is what the coverage says of it.
pub(super) async fn enter(
    account: &AccountId,
    tools: &Tools,
    spool: &mut Spool,
) -> Result<Result<Identity, RegionCoverage>, Error> {
    match tools.client.enter(account).await {
        Ok(answer) => {
            for raw in &answer.raws {
                spool.answers(std::slice::from_ref(raw))?;
            }
            Ok(Ok(answer.value))
        }
        Err(failure) => {
            for raw in &failure.answers {
                spool.answers(std::slice::from_ref(raw))?;
            }
            let requests = tools.client.requests(account, "");
            Ok(Err(closed(account, &failure, requests)))
        }
    }
}

/// Notes who one is in each account that is about to be changed. One that cannot be entered is told by
/// the calls that need it.
pub(super) async fn note_identities<'a>(
    accounts: impl Iterator<Item = &'a AccountId>,
    tools: &Tools,
    begun: &mut Begun,
) -> Result<(), Error> {
    let others: BTreeSet<&AccountId> = accounts
        .filter(|account| **account != begun.identity.account)
        .collect();
    for account in others {
        if let Ok(identity) = enter(account, tools, &mut begun.spool).await? {
            begun.entered.push(identity);
        }
    }
    Ok(())
}
