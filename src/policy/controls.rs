//! From checks to the clauses they are mapped to: which references hold, how many groups passed. The
//! memory it takes grows with clauses, not with groups.

use super::check::{Check, MinPublic};
use super::side::Audience;
use super::together;
use crate::exposure::Internet;
use crate::exposure::set::network_size;
use crate::model::{
    Clause, ClauseLeast, Control, ControlResult, ControlStatus, Coverage, Family, Finding, Looser,
    LostReference, PopulationRow, RegionCoverage, Totals, Unassessed, Verdict,
};
use std::collections::BTreeMap;

/// Why a check is looser than a clause's own words; `None`: it is not.
///
/// A check counts |S less the trusted| from its own least. So that nothing the clause counts goes by,
/// what the clause counts, less all that is trusted, must still be as much.
fn looser(
    check: &Check,
    least: ClauseLeast,
    internet: &Internet,
    every_group: bool,
) -> Option<Looser> {
    if !every_group {
        return Some(Looser::Scope);
    }
    let ClauseLeast::Prefix { ipv4, ipv6 } = least else {
        return None;
    };
    if check.kind.is_property() || check.audience == Audience::Private {
        return None;
    }
    let clause = MinPublic { ipv4, ipv6 };
    let mut out = None;
    for (family, prefix) in [(Family::Ipv4, ipv4), (Family::Ipv6, ipv6)] {
        let whole = internet.whole_count(family);
        let counted = match prefix {
            Some(prefix) => network_size(family, prefix).min(whole),
            None => clause.addresses(family),
        };
        let own = check.min_public.addresses(family);
        let trusted = whole.saturating_sub(internet.of(family).count());
        if own > counted {
            return Some(Looser::Least);
        }
        if counted.saturating_sub(trusted) < own {
            out = Some(Looser::Trusted);
        }
    }
    out
}

/// One clause with its checks.
#[derive(Debug)]
struct Mapped {
    clause: Clause,
    /// Positions in the policy.
    checks: Vec<usize>,
    lost: Vec<LostReference>,
    groups: Totals,
    /// A check that counts is judged over interfaces too.
    by_interface: bool,
    reason: Option<String>,
}

/// Counts verdicts by check and by clause, as the rows of the population pass.
#[derive(Debug)]
pub struct Tally {
    ids: Vec<String>,
    by_check: Vec<Totals>,
    clauses: BTreeMap<Order, Mapped>,
    /// The group whose rows are passing, and its verdicts.
    group: [String; 3],
    verdicts: BTreeMap<usize, Verdict>,
}

impl Tally {
    /// For a policy's checks. `every_group`: nothing was left out of the scope.
    pub fn new(
        checks: &[Check],
        not_assessed: &[Unassessed],
        internet: &Internet,
        every_group: bool,
    ) -> Self {
        let mut clauses: BTreeMap<Order, Mapped> = BTreeMap::new();
        for (at, check) in checks.iter().enumerate() {
            for Control { clause, least } in &check.controls {
                let mapped = slot(&mut clauses, clause);
                match looser(check, *least, internet, every_group) {
                    None => {
                        mapped.checks.push(at);
                        mapped.by_interface |= together::is_judged(check);
                    }
                    Some(why) => mapped.lost.push(LostReference {
                        check: check.id.clone(),
                        why,
                    }),
                }
            }
        }
        for item in not_assessed {
            let mapped = slot(&mut clauses, &item.clause);
            if mapped.reason.is_none() {
                mapped.reason = Some(item.reason.clone());
            }
        }
        Self {
            ids: checks.iter().map(|check| check.id.clone()).collect(),
            by_check: vec![Totals::default(); checks.len()],
            clauses,
            group: Default::default(),
            verdicts: BTreeMap::new(),
        }
    }

    /// Counts one row. The rows of a group come one after the other.
    pub fn row(&mut self, row: &PopulationRow, verdict: Verdict) {
        let key = [&row.account, &row.region, &row.group_id];
        self.count(key.map(String::as_str), &row.check, verdict);
    }

    /// Counts what interfaces are found with, beside the groups: a clause has not passed where all
    /// groups pass alone and their interfaces do not.
    pub fn interfaces(&mut self, findings: &[Finding]) {
        let mut found: Vec<([String; 3], &Finding)> = findings
            .iter()
            .filter(|finding| finding.interface.is_some())
            .map(|f| {
                let place = [f.account.as_str(), f.region.as_str()].map(str::to_owned);
                let [account, region] = place;
                ([account, region, f.subject()], f)
            })
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        for (key, finding) in found {
            self.count(
                key.each_ref().map(String::as_str),
                &finding.check,
                finding.verdict,
            );
        }
    }

    fn count(&mut self, key: [&str; 3], check: &str, verdict: Verdict) {
        if !self.group.iter().eq(key) {
            self.close();
            self.group = key.map(str::to_owned);
        }
        let Some(at) = self.ids.iter().position(|id| id == check) else {
            return;
        };
        if let Some(totals) = self.by_check.get_mut(at) {
            totals.count(verdict);
        }
        self.verdicts.insert(at, verdict);
    }

    fn close(&mut self) {
        for clause in self.clauses.values_mut() {
            let verdicts = clause.checks.iter().filter_map(|at| self.verdicts.get(at));
            if let Some(gravest) = verdicts.copied().min_by_key(|verdict| rank(*verdict)) {
                clause.groups.count(gravest);
            }
        }
        self.verdicts.clear();
    }

    /// The counts of each check, and what the run says of each clause. `complete`: everything in
    /// scope was read and judged. Where interfaces were not all judged, a clause whose checks are judged
    /// over them is not assessed: nobody knows what their groups let in together.
    pub fn finish(
        mut self,
        complete: bool,
        coverage: &Coverage,
    ) -> (Vec<Totals>, Vec<ControlResult>) {
        self.close();
        let ids = self.ids;
        let unjudged = coverage
            .regions
            .iter()
            .any(RegionCoverage::leaves_interfaces_unjudged);
        let results = self.clauses.into_values().map(|mapped| ControlResult {
            status: status(&mapped, complete, unjudged),
            interfaces_unjudged: mapped.by_interface && unjudged,
            checks: mapped
                .checks
                .iter()
                .filter_map(|at| ids.get(*at).cloned())
                .collect(),
            clause: mapped.clause,
            lost: mapped.lost,
            groups: mapped.groups,
            reason: mapped.reason,
        });
        (self.by_check, results.collect())
    }
}

/// The title is for people: packs may word it differently, and the first is shown.
fn slot<'c>(clauses: &'c mut BTreeMap<Order, Mapped>, clause: &Clause) -> &'c mut Mapped {
    clauses.entry(order(clause)).or_insert_with(|| Mapped {
        clause: clause.clone(),
        checks: Vec::new(),
        lost: Vec::new(),
        groups: Totals::default(),
        by_interface: false,
        reason: None,
    })
}

/// What a group counts as under several checks.
fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Undetermined => 0,
        Verdict::Exposed => 1,
        Verdict::Managed => 2,
        Verdict::Waived => 3,
        Verdict::Compliant => 4,
    }
}

/// A clause with anything undetermined is not assessed, whatever else is known.
fn status(mapped: &Mapped, complete: bool, unjudged: bool) -> ControlStatus {
    let groups = &mapped.groups;
    let unknown = mapped.by_interface && unjudged;
    if mapped.checks.is_empty() || !complete || unknown || groups.undetermined > 0 {
        ControlStatus::NotAssessed
    } else if groups.exposed > 0 || groups.managed > 0 {
        ControlStatus::Failed
    } else if groups.waived > 0 {
        ControlStatus::Waived
    } else {
        ControlStatus::Passed
    }
}

/// Framework, version, the clause as people count (2.10 after 2.9), the clause as it is written.
type Order = (String, String, Vec<(String, u64)>, String);

fn order(clause: &Clause) -> Order {
    let mut parts = Vec::new();
    let mut rest = clause.clause.as_str();
    while !rest.is_empty() {
        let (text, tail) = split(rest, |c| c.is_ascii_digit());
        let (number, tail) = split(tail, |c| !c.is_ascii_digit());
        let number = number.parse::<u64>().unwrap_or(0);
        parts.push((text.to_owned(), number));
        rest = tail;
    }
    (
        clause.framework.clone(),
        clause.version.clone(),
        parts,
        clause.clause.clone(),
    )
}

fn split(text: &str, at: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(at).unwrap_or(text.len()))
}
