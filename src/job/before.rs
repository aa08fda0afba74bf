//! What earlier runs of a schedule know: the chain's last link, findings with their age.

use super::{Error, Tools, attribution};
use crate::evidence::format::Previous;
use crate::model::{AccountId, Confirmation, Coverage, Finding, RegionId, RegionStatus, Scope};
use crate::policy::History;
use std::collections::BTreeSet;

/// The run before, of the same schedule.
pub(super) struct Before {
    pub(super) link: Option<Previous>,
    pub(super) history: History,
    /// Calls that changed something and that nobody else has confirmed yet.
    pub(super) unconfirmed: Vec<Confirmation>,
}

/// Runs looked back through for a region that the last ones could not read.
const LOOK_BACK: usize = 20;

/// What is known from the run before, and from those before it what it does not speak of.
pub(super) fn previous(tools: &Tools, schedule: &str) -> Result<Before, Error> {
    let Some((sealed, _)) = tools.store.last_of(schedule)? else {
        return Ok(Before {
            link: None,
            history: History::default(),
            unconfirmed: Vec::new(),
        });
    };
    let (record, manifest) = tools.store.read_record(&sealed.run)?;
    let unconfirmed = attribution::to_confirm(&sealed.run, &record.changes, &record.confirmed);
    let mut findings = record.findings;
    let mut resolved = record.resolved;
    let mut unread = unread_regions(&record.coverage);
    let mut meant = vec![record.header.scope.clone()];
    let mut link = manifest.previous;
    for _ in 0..LOOK_BACK {
        // What a run could not read, or did not mean to, it says nothing about: the run before it does.
        let narrow = meant.iter().all(|scope| !means_everything(scope));
        let Some(before) = link.take().filter(|_| narrow || !unread.is_empty()) else {
            break;
        };
        let Ok((record, manifest)) = tools.store.read_record(&before.run) else {
            break;
        };
        let of_unread = |f: &Finding| {
            // `*`: of that account, or of all, nothing was read.
            let is_unread = |account: &str, region: &str| {
                unread.contains(&(AccountId::from(account), RegionId::from(region)))
            };
            (is_unread(f.account.as_str(), f.region.as_str())
                || is_unread(f.account.as_str(), "*")
                || is_unread("*", "*")
                || meant.iter().all(|scope| !means(scope, f)))
                && !findings.iter().any(|known| {
                    known.account == f.account
                        && known.region == f.region
                        && known.subject() == f.subject()
                        && known.check == f.check
                })
        };
        let older: Vec<_> = record.findings.into_iter().filter(of_unread).collect();
        let gone: Vec<_> = record.resolved.into_iter().filter(of_unread).collect();
        findings.extend(older);
        resolved.extend(gone);
        let still = unread_regions(&record.coverage);
        unread.retain(|region| still.contains(region));
        meant.push(record.header.scope);
        link = manifest.previous;
    }
    Ok(Before {
        link: Some(Previous {
            run: sealed.run,
            manifest_sha256: sealed.manifest_sha256,
        }),
        history: History::new(findings, resolved),
        unconfirmed,
    })
}

/// Whether a run meant every group of every region.
fn means_everything(scope: &Scope) -> bool {
    let all = |words: &[String]| words.iter().any(|word| word == "all");
    all(&scope.regions) && all(&scope.groups)
}

/// Whether a run can have judged a finding's group: by its regions and by ids. A scope by names or tags
/// is taken to mean it: what it no longer finds there has left it.
fn means(scope: &Scope, finding: &Finding) -> bool {
    let region = scope
        .regions
        .iter()
        .any(|word| word == "all" || *word == finding.region.as_str());
    let ids: Vec<&String> = scope
        .groups
        .iter()
        .filter(|word| word.starts_with("sg-"))
        .collect();
    region && (ids.is_empty() || ids.iter().any(|id| **id == finding.group_id.as_str()))
}

fn unread_regions(coverage: &Coverage) -> BTreeSet<(AccountId, RegionId)> {
    coverage
        .regions
        .iter()
        .filter(|region| region.status != RegionStatus::Ok)
        .map(|region| (region.account.clone(), region.region.clone()))
        .collect()
}
