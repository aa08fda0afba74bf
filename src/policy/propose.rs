//! From a finding to the waivers that would cover it: exactly that, and nothing beside it.

use crate::exposure::points::read;
use crate::exposure::set::{AddressSet, parse_any_cidr, ports_text};
use crate::exposure::{Internet, Run};
use crate::model::{CheckInfo, Family, Finding, Protocol};
use std::collections::BTreeMap;

/// The ports and sources of one waiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposed {
    /// As a waivers' file spells them.
    pub ports: Vec<String>,
    /// As the rules have them where that is exact, else as the fewest CIDRs.
    pub sources: Vec<String>,
}

/// The waivers that together cover the finding: one for each set of sources. `check` is the finding's
/// check, where it is known. A finding about the group itself has no points: its waiver names the check,
/// and all of them. `None` where a text of the finding is not one of ours.
pub fn propose(
    finding: &Finding,
    check: Option<&CheckInfo>,
    internet: &Internet,
) -> Option<Vec<Proposed>> {
    if finding.exposed.is_empty() {
        return Some(vec![Proposed {
            ports: vec!["1-65535".to_owned()],
            sources: vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()],
        }]);
    }
    let mut by_port: Vec<(String, BTreeMap<Family, AddressSet>)> = Vec::new();
    for run in read(&finding.exposed)? {
        let label = label(&run, check);
        let at = match by_port.iter().position(|(known, _)| *known == label) {
            Some(at) => at,
            None => {
                by_port.push((label, BTreeMap::new()));
                by_port.len().saturating_sub(1)
            }
        };
        if let Some((_, sources)) = by_port.get_mut(at) {
            let own = sources.entry(run.family).or_default();
            *own = own.union(&run.sources);
        }
    }
    let mut out: Vec<Proposed> = Vec::new();
    for (label, sources) in by_port {
        let sources: Vec<String> = sources
            .iter()
            .flat_map(|(family, set)| spelled(finding, *family, set, internet))
            .collect();
        match out.iter_mut().find(|other| other.sources == sources) {
            Some(other) => other.ports.push(label),
            None => out.push(Proposed {
                ports: vec![label],
                sources,
            }),
        }
    }
    Some(out)
}

/// `22` where the check looks at one of tcp and udp only; else `tcp/22`, since `22` would approve both.
fn label(run: &Run, check: Option<&CheckInfo>) -> String {
    let protocol = run.protocol.as_str();
    let Some(ports) = run.ports.map(ports_text) else {
        return protocol.to_owned();
    };
    let other = if run.protocol == Protocol::Tcp {
        Protocol::Udp
    } else {
        Protocol::Tcp
    };
    let only = check.is_some_and(|check| {
        check.protocols.iter().any(|word| word == protocol)
            && check.protocols.iter().all(|word| word != other.as_str())
    });
    if only {
        ports
    } else {
        format!("{protocol}/{ports}")
    }
}

/// The sources as people wrote them in the rules, where these are the set exactly.
fn spelled(
    finding: &Finding,
    family: Family,
    set: &AddressSet,
    internet: &Internet,
) -> Vec<String> {
    let mut written: Vec<(String, AddressSet)> = finding
        .rules
        .iter()
        .filter(|rule| rule.unreadable.is_empty())
        .filter_map(|rule| Some((rule.source.clone(), parse_any_cidr(&rule.source)?)))
        .filter(|(_, (of, _))| *of == family)
        .map(|(text, (_, range))| (text, AddressSet::from_ranges([range])))
        .filter(|(_, own)| {
            let public = own.intersect(internet.of(family));
            !public.is_empty() && public.is_subset(set)
        })
        .collect();
    written.sort_by(|(a, x), (b, y)| y.count().cmp(&x.count()).then_with(|| a.cmp(b)));
    let mut whole = AddressSet::EMPTY;
    let mut out = Vec::new();
    for (text, own) in written {
        if !own.is_subset(&whole) {
            whole = whole.union(&own);
            out.push(text);
        }
    }
    if whole.intersect(internet.of(family)) == *set {
        out
    } else {
        set.cidrs(family)
    }
}
