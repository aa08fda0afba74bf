//! Waivers: what somebody approved, in full, until a day. One that covers less than is exposed covers
//! nothing, and the finding is exposed. The day is an argument.

use crate::exposure::Run;
use crate::exposure::points::{common, minus, read};
use crate::exposure::set::{AddressSet, PortRange, parse_any_cidr};
use crate::model::{
    AccountId, Coverage, Family, Finding, GroupId, Protocol, RegionId, RegionStatus, Verdict,
    WaiverNote, WaiverState, WaiverUse,
};
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet};

/// One approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiver {
    /// Only in this account.
    pub account: Option<AccountId>,
    /// Only in this region.
    pub region: Option<RegionId>,
    /// The group.
    pub group: GroupId,
    /// The check; `None` is every check.
    pub check: Option<String>,
    /// The ports as written.
    pub ports: Vec<String>,
    /// The sources as written.
    pub sources: Vec<String>,
    /// Who answers for it.
    pub owner: String,
    /// Who approved it.
    pub approved_by: String,
    /// Why.
    pub reason: String,
    /// The ticket.
    pub ticket: Option<String>,
    /// Its last day.
    pub expires: NaiveDate,
    /// The line where it begins.
    pub line: u64,
}

/// What one entry of `ports` approves: `22` or `20-25` of tcp and udp, `tcp/22` of one of them, `icmp`,
/// `icmpv6` or `gre`, which have no ports. `None` for all else.
pub fn parse_ports(text: &str) -> Option<Vec<(Protocol, Option<PortRange>)>> {
    let range = |digits: &str| {
        let (low, high) = digits.split_once('-').unwrap_or((digits, digits));
        let port = |text: &str| {
            let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| text.parse::<u16>().ok()).flatten()
        };
        let (low, high) = (port(low)?, port(high)?);
        (1 <= low && low <= high).then_some((low, high))
    };
    if let Some(protocol) = Protocol::parse(text).filter(|protocol| !protocol.has_ports()) {
        return Some(vec![(protocol, None)]);
    }
    match text.split_once('/') {
        Some((word, ports)) => {
            let protocol = Protocol::parse(word).filter(|protocol| protocol.has_ports())?;
            Some(vec![(protocol, Some(range(ports)?))])
        }
        None => {
            let ports = range(text)?;
            Some(vec![
                (Protocol::Tcp, Some(ports)),
                (Protocol::Udp, Some(ports)),
            ])
        }
    }
}

impl Waiver {
    /// All points that it approves. Texts that cannot be read approve nothing: the reader refused them.
    fn points(&self) -> Vec<Run> {
        let mut out = Vec::new();
        for family in Family::ALL {
            let sources = AddressSet::from_ranges(
                self.sources
                    .iter()
                    .filter_map(|text| parse_any_cidr(text))
                    .filter(|(of, _)| *of == family)
                    .map(|(_, range)| range),
            );
            if sources.is_empty() {
                continue;
            }
            for (protocol, ports) in self
                .ports
                .iter()
                .filter_map(|text| parse_ports(text))
                .flatten()
            {
                if protocol.is_of(family) {
                    out.push(Run {
                        family,
                        protocol,
                        ports,
                        sources: sources.clone(),
                    });
                }
            }
        }
        out
    }

    fn is_of(&self, account: &AccountId, region: &RegionId, group: &GroupId) -> bool {
        self.group == *group
            && self.account.as_ref().is_none_or(|own| own == account)
            && self.region.as_ref().is_none_or(|own| own == region)
    }

    fn is_under(&self, check: &str) -> bool {
        self.check.as_deref().is_none_or(|own| own == check)
    }
}

/// The waivers of a policy on one day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waivers {
    all: Vec<Waiver>,
    today: NaiveDate,
    by_group: BTreeMap<GroupId, Vec<usize>>,
}

impl Waivers {
    /// All that are written down, and the day in the schedule's zone. One is valid to the end of the
    /// day it names.
    pub fn on(all: Vec<Waiver>, today: NaiveDate) -> Self {
        let mut by_group: BTreeMap<GroupId, Vec<usize>> = BTreeMap::new();
        for (at, waiver) in all.iter().enumerate() {
            by_group.entry(waiver.group.clone()).or_default().push(at);
        }
        Self {
            all,
            today,
            by_group,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    fn counts(&self, waiver: &Waiver) -> bool {
        self.today <= waiver.expires
    }

    /// The places of the waivers of a group, expired ones too.
    pub fn of_group(&self, account: &AccountId, region: &RegionId, group: &GroupId) -> Vec<usize> {
        self.by_group
            .get(group)
            .into_iter()
            .flatten()
            .copied()
            .filter(|at| {
                self.all
                    .get(*at)
                    .is_some_and(|waiver| waiver.is_of(account, region, group))
            })
            .collect()
    }

    /// The waivers that together cover every exposed point and every source there, as one note; `None`
    /// where they do not. The note's `expires` is the last day on which that stays so.
    pub fn covering(
        &self,
        (account, region, group): (&AccountId, &RegionId, &GroupId),
        check: &str,
        exposed: &[Run],
    ) -> Option<WaiverNote> {
        let mut mine: Vec<(&Waiver, Vec<Run>)> = self
            .of_group(account, region, group)
            .into_iter()
            .filter_map(|at| self.all.get(at))
            .filter(|waiver| waiver.is_under(check) && self.counts(waiver))
            .map(|waiver| (waiver, waiver.points()))
            .collect();
        // Those that last longest first: the fewest days are lost by the ones that are needed.
        mine.sort_by(|(a, _), (b, _)| b.expires.cmp(&a.expires).then(a.line.cmp(&b.line)));
        if exposed.is_empty() {
            // A finding about the group itself: approved by a waiver that names the check, no other.
            let named = mine.iter().find(|(waiver, _)| waiver.check.is_some());
            return named.map(|(waiver, _)| note(waiver));
        }
        let covered = |by: &[(&Waiver, Vec<Run>)]| {
            let points: Vec<Run> = by
                .iter()
                .flat_map(|(_, points)| points.iter().cloned())
                .collect();
            minus(exposed, &points).is_empty()
        };
        let enough = (1..=mine.len()).find(|n| mine.get(..*n).is_some_and(&covered))?;
        mine.truncate(enough);
        for at in (0..mine.len()).rev() {
            let mut without = mine.clone();
            without.remove(at);
            if covered(&without) {
                mine = without;
            }
        }
        let notes: Vec<WaiverNote> = mine.iter().map(|(waiver, _)| note(waiver)).collect();
        joined(&notes)
    }

    /// The same for what interfaces expose by several groups together: covered where it is approved of
    /// each of the groups, since no one of them is the cause alone.
    pub fn covering_all(
        &self,
        (account, region): (&AccountId, &RegionId),
        groups: &[GroupId],
        check: &str,
        exposed: &[Run],
    ) -> Option<WaiverNote> {
        let notes = groups
            .iter()
            .map(|group| self.covering((account, region, group), check, exposed))
            .collect::<Option<Vec<WaiverNote>>>()?;
        joined(&notes)
    }

    /// All that is approved of one group, under any of those checks.
    pub fn approved(
        &self,
        (account, region, group): (&AccountId, &RegionId, &GroupId),
        checks: &[&str],
    ) -> Vec<Run> {
        self.of_group(account, region, group)
            .into_iter()
            .filter_map(|at| self.all.get(at))
            .filter(|waiver| {
                self.counts(waiver) && checks.iter().any(|check| waiver.is_under(check))
            })
            .flat_map(Waiver::points)
            .collect()
    }

    /// What became of each, in the order of the file.
    pub fn uses(&self, seen: &Seen<'_>) -> Vec<WaiverUse> {
        self.all
            .iter()
            .enumerate()
            .map(|(at, waiver)| {
                let points = waiver.points();
                let mine: Vec<&Finding> = seen
                    .findings
                    .iter()
                    .filter(|finding| {
                        let of = |group: &GroupId| {
                            waiver.is_of(&finding.account, &finding.region, group)
                        };
                        let mine = match &finding.interface {
                            Some(interface) => interface.groups.iter().any(of),
                            None => of(&finding.group_id),
                        };
                        mine && waiver.is_under(&finding.check)
                    })
                    .collect();
                let part_of = |verdict: Verdict| {
                    mine.iter()
                        .filter(|finding| {
                            finding.verdict == verdict
                                && match read(&finding.exposed) {
                                    Some(runs) if runs.is_empty() => waiver.check.is_some(),
                                    Some(runs) => !common(&runs, &points).is_empty(),
                                    None => true,
                                }
                        })
                        .count()
                };
                let waived = part_of(Verdict::Waived);
                let applied = waiver
                    .check
                    .as_deref()
                    .is_none_or(|check| seen.checks.contains(&check));
                let undetermined = mine
                    .iter()
                    .any(|finding| finding.verdict == Verdict::Undetermined);
                let state = if !self.counts(waiver) {
                    WaiverState::Expired
                } else if part_of(Verdict::Exposed) > 0 {
                    WaiverState::Outgrown
                } else if waived > 0 {
                    WaiverState::Active
                } else if undetermined || !applied {
                    WaiverState::Unjudged
                } else if seen.judged.contains(&at) || seen.has_no_group(waiver) {
                    WaiverState::Unused
                } else {
                    WaiverState::Unjudged
                };
                self.shown(waiver, state, waived)
            })
            .collect()
    }

    fn shown(&self, waiver: &Waiver, state: WaiverState, findings: usize) -> WaiverUse {
        WaiverUse {
            state,
            group: waiver.group.clone(),
            check: waiver.check.clone().unwrap_or_else(|| "*".to_owned()),
            account: waiver.account.clone(),
            region: waiver.region.clone(),
            ports: waiver.ports.clone(),
            sources: waiver.sources.clone(),
            owner: waiver.owner.clone(),
            approved_by: waiver.approved_by.clone(),
            reason: waiver.reason.clone(),
            expires: waiver.expires.to_string(),
            days_left: waiver.expires.signed_duration_since(self.today).num_days(),
            ticket: waiver.ticket.clone(),
            line: waiver.line,
            findings: u64::try_from(findings).unwrap_or(u64::MAX),
        }
    }
}

/// What a run knows that decides what is said of its waivers.
#[derive(Clone, Debug)]
pub struct Seen<'r> {
    /// The run's findings.
    pub findings: &'r [Finding],
    /// Places of the waivers whose group was judged.
    pub judged: &'r BTreeSet<usize>,
    /// The checks applied.
    pub checks: &'r [&'r str],
    /// What was read.
    pub coverage: &'r Coverage,
    /// Whether the scope narrows no groups: then one that is not listed is gone.
    pub every_group: bool,
}

impl Seen<'_> {
    /// Whether every region in which the waiver's group could be was read, and it is in none.
    fn has_no_group(&self, waiver: &Waiver) -> bool {
        let mut could_be = self.coverage.regions.iter().filter(|region| {
            waiver
                .account
                .as_ref()
                .is_none_or(|own| *own == region.account)
                && waiver
                    .region
                    .as_ref()
                    .is_none_or(|own| *own == region.region)
        });
        let mut some = false;
        self.every_group
            && could_be.all(|region| {
                some = true;
                region.status == RegionStatus::Ok
            })
            && some
    }
}

/// One waiver as findings show it.
fn note(waiver: &Waiver) -> WaiverNote {
    WaiverNote {
        owner: waiver.owner.clone(),
        approved_by: waiver.approved_by.clone(),
        reason: waiver.reason.clone(),
        expires: waiver.expires.to_string(),
        ticket: waiver.ticket.clone(),
    }
}

/// Several as one: each name and reason once, and the day on which the first of them ends.
fn joined(notes: &[WaiverNote]) -> Option<WaiverNote> {
    let each = |text: fn(&WaiverNote) -> &str| {
        let mut out: Vec<&str> = Vec::new();
        for note in notes {
            let text = text(note);
            if !text.is_empty() && !out.contains(&text) {
                out.push(text);
            }
        }
        out.join("; ")
    };
    let ticket = each(|note| note.ticket.as_deref().unwrap_or_default());
    Some(WaiverNote {
        owner: each(|note| &note.owner),
        approved_by: each(|note| &note.approved_by),
        reason: each(|note| &note.reason),
        // Days as text, year first, sort as days.
        expires: notes.iter().map(|note| note.expires.clone()).min()?,
        ticket: (!ticket.is_empty()).then_some(ticket),
    })
}
