//! First seen, new, open, reopened, resolved: from the last sealed run of the same schedule, which
//! is an argument. Nothing else remembers.

use crate::model::{
    BySeverity, Coverage, Finding, FindingRule, FindingState, GroupId, RegionCoverage,
    RegionStatus, Severity, SeverityCounts, Verdict,
};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};

type Key = (String, String, String, String);

fn key(finding: &Finding) -> Key {
    (
        finding.account.as_str().to_owned(),
        finding.region.as_str().to_owned(),
        finding.subject(),
        finding.check.clone(),
    )
}

/// The group whose rule it is.
fn owner<'a>(finding: &'a Finding, rule: &'a FindingRule) -> &'a GroupId {
    rule.group_id.as_ref().unwrap_or(&finding.group_id)
}

/// A rule as findings show it: id, priority, protocol, ports, source.
fn shown(rule: &FindingRule) -> [String; 5] {
    [
        rule.rule_id.clone(),
        rule.priority.clone(),
        rule.protocol.clone(),
        rule.port_range.clone(),
        rule.source.clone(),
    ]
}

/// What the last run said.
#[derive(Clone, Debug, Default)]
pub struct History {
    open: BTreeMap<Key, Finding>,
    resolved: BTreeMap<Key, Finding>,
    compliant_now: BTreeSet<Key>,
}

impl History {
    /// From the last run's findings and what it called resolved.
    pub fn new(findings: Vec<Finding>, resolved: Vec<Finding>) -> Self {
        let by_key = |list: Vec<Finding>| list.into_iter().map(|f| (key(&f), f)).collect();
        Self {
            open: by_key(findings),
            resolved: by_key(resolved),
            compliant_now: BTreeSet::new(),
        }
    }

    /// Notes a compliant verdict; only those that were findings before are kept.
    pub fn saw_compliant(&mut self, account: &str, region: &str, group: &str, check: &str) {
        let key = (
            account.to_owned(),
            region.to_owned(),
            group.to_owned(),
            check.to_owned(),
        );
        if self.open.contains_key(&key) {
            self.compliant_now.insert(key);
        }
    }

    /// Since when a rule has been reported under any check of its group, without a break.
    pub fn rule_first_seen(
        &self,
        account: &str,
        region: &str,
        group: &str,
        rule: &[String; 5],
    ) -> Option<&str> {
        self.open
            .values()
            .filter(|f| f.account.as_str() == account && f.region.as_str() == region)
            .flat_map(|f| f.rules.iter().map(move |r| (owner(f, r), r)))
            .filter(|(of, r)| of.as_str() == group && shown(r) == *rule && !r.first_seen.is_empty())
            .map(|(_, r)| r.first_seen.as_str())
            .min()
    }

    /// Fills `first_seen` and `state` of this run's findings.
    pub fn date(&self, findings: &mut [Finding], now: &str) {
        for finding in findings {
            let key = key(finding);
            for at in 0..finding.rules.len() {
                let Some(rule) = finding.rules.get(at) else {
                    break;
                };
                let group = owner(finding, rule).as_str();
                let since = self
                    .rule_first_seen(&key.0, &key.1, group, &shown(rule))
                    .unwrap_or(now)
                    .to_owned();
                if let Some(rule) = finding.rules.get_mut(at) {
                    rule.first_seen = since;
                }
            }
            if let Some(before) = self.open.get(&key) {
                finding.first_seen.clone_from(&before.first_seen);
                // What was approved and is no longer covered is exposed again; it was never gone.
                let again =
                    before.verdict == Verdict::Waived && finding.verdict == Verdict::Exposed;
                finding.state = if again {
                    FindingState::Reopened
                } else {
                    FindingState::Open
                };
            } else {
                now.clone_into(&mut finding.first_seen);
                finding.state = if self.resolved.contains_key(&key) {
                    FindingState::Reopened
                } else {
                    FindingState::New
                };
            }
        }
    }

    /// Findings of the last run that are gone: compliant now, or of a group that is no longer
    /// there, in a region of which every group was read. What was not read is not resolved.
    pub fn resolved(
        &self,
        findings: &[Finding],
        coverage: &Coverage,
        checks: &[&str],
        every_group: bool,
    ) -> Vec<Finding> {
        let still: BTreeSet<Key> = findings.iter().map(key).collect();
        let of = |wanted: &dyn Fn(&RegionCoverage) -> bool| -> BTreeSet<(&str, &str)> {
            let regions = coverage.regions.iter().filter(|region| wanted(region));
            regions
                .map(|region| (region.account.as_str(), region.region.as_str()))
                .collect()
        };
        let read = of(&|region| region.status == RegionStatus::Ok);
        // A finding of interfaces is gone only where interfaces were looked at.
        let seen = of(&|region| region.attached.is_some());
        self.open
            .iter()
            .filter(|(key, before)| {
                let place = (before.account.as_str(), before.region.as_str());
                !still.contains(*key)
                    && checks.contains(&before.check.as_str())
                    && (self.compliant_now.contains(*key)
                        || every_group
                            && read.contains(&place)
                            && (before.interface.is_none() || seen.contains(&place)))
            })
            .map(|(_, before)| before.clone())
            .collect()
    }
}

/// A run's findings and what it found resolved, counted by severity. Closed are those that the run
/// before called exposed: what was waived, managed or undetermined was not waiting to be closed.
pub fn by_severity(findings: &[Finding], resolved: &[Finding], began: DateTime<Utc>) -> BySeverity {
    let mut out: BySeverity = Severity::ALL
        .into_iter()
        .map(|severity| (severity, SeverityCounts::default()))
        .collect();
    for finding in findings {
        let counts = out.entry(finding.severity).or_default();
        let slot = match finding.verdict {
            Verdict::Exposed => &mut counts.exposed,
            Verdict::Managed => &mut counts.managed,
            Verdict::Waived => &mut counts.waived,
            Verdict::Undetermined => &mut counts.undetermined,
            Verdict::Compliant => continue,
        };
        *slot = slot.saturating_add(1);
        if finding.verdict == Verdict::Exposed && finding.state != FindingState::Open {
            counts.new = counts.new.saturating_add(1);
        }
    }
    for finding in resolved {
        // A time that cannot be read is no time: it is not averaged as zero.
        let Some(open) =
            seconds_open(finding, began).filter(|_| finding.verdict == Verdict::Exposed)
        else {
            continue;
        };
        let counts = out.entry(finding.severity).or_default();
        counts.closed = counts.closed.saturating_add(1);
        counts.closed_seconds = counts.closed_seconds.saturating_add(open);
        counts.closed_longest_seconds = counts.closed_longest_seconds.max(open);
    }
    out
}

/// How long a finding has been open, in seconds; `None` where its first sight is not a time before.
pub fn seconds_open(finding: &Finding, now: DateTime<Utc>) -> Option<u64> {
    let since = finding.first_seen.parse::<DateTime<Utc>>().ok()?;
    u64::try_from(now.signed_duration_since(since).num_seconds()).ok()
}
