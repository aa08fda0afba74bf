//! Why a packet is accepted or dropped: the rules in order, what each took, the one that decides.

use super::first_match::{GroupRules, Run};
use super::internet::Internet;
use super::reading::{Certainty, Policy};
use super::set::AddressSet;
use crate::model::{Family, Protocol};

/// A packet's question: one source, or the internet as a whole.
#[derive(Clone, Debug)]
pub struct Question {
    /// Address family.
    pub family: Family,
    /// Protocol.
    pub protocol: Protocol,
    /// `None` for protocols without ports.
    pub port: Option<u16>,
    /// `None`: the whole internet.
    pub source: Option<u128>,
}

/// One rule that matches the protocol and port, in deciding order.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its id.
    pub rule_id: String,
    /// As the service spells it.
    pub priority: String,
    /// What it does under this reading.
    pub policy: Policy,
    /// As the service spells it.
    pub protocol: String,
    /// As the service spells it.
    pub ports: String,
    /// As the service spells it.
    pub source: String,
    /// Of the addresses asked about, how many it decides.
    pub took: u128,
    /// Whether it is read as what it could be, and why.
    pub unreadable: Vec<String>,
    /// An Accept that is narrowed by a source port or destination, read as without.
    pub limited: bool,
}

/// The answer under one reading.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The rules, in deciding order.
    pub steps: Vec<Step>,
    /// The addresses asked about that get in.
    pub accepted: AddressSet,
    /// How many were asked about.
    pub asked: u128,
    /// A Drop that closes nothing because of its limit, by id: skipped.
    pub skipped: Vec<String>,
}

/// One packet that gets in, and the table it is decided by.
#[derive(Clone, Debug)]
pub struct Example {
    /// The packet: its question has a source.
    pub packet: Question,
    /// The answer about its point, for the whole internet.
    pub everyone: Explanation,
    /// Which of those steps decides the packet.
    pub decider: Option<usize>,
}

/// One packet of a run of points: to its first port, from an address inside the largest range of its
/// sources.
pub fn example(
    group: &GroupRules<'_>,
    internet: &Internet,
    certainty: Certainty,
    run: &Run,
) -> Example {
    let size = |(low, high): &(u128, u128)| high.saturating_sub(*low);
    // Of equals the first. Not the range's own first address, which looks like a network's name.
    let largest = run
        .sources
        .ranges()
        .iter()
        .rev()
        .max_by_key(|range| size(range));
    let source = largest.map(|(low, high)| low.saturating_add(1).min(*high));
    let packet = Question {
        family: run.family,
        protocol: run.protocol,
        port: run.ports.map(|(low, _)| low),
        source,
    };
    let point = Question {
        source: None,
        ..packet.clone()
    };
    let steps = explain(group, internet, certainty, &packet).steps;
    Example {
        everyone: explain(group, internet, certainty, &point),
        // Both list the rules that match the point, in one order.
        decider: steps.iter().position(|step| step.took > 0),
        packet,
    }
}

/// Answers under one reading.
pub fn explain(
    group: &GroupRules<'_>,
    internet: &Internet,
    certainty: Certainty,
    question: &Question,
) -> Explanation {
    let asked = match question.source {
        Some(address) => AddressSet::from_ranges([(address, address)]),
        None => internet.of(question.family).clone(),
    };
    let count = asked.count();
    let mut left = asked;
    let mut accepted = AddressSet::EMPTY;
    let mut steps = Vec::new();
    for (policy, rule) in group.in_order(certainty) {
        if !rule.matches_point(question.protocol, question.port)
            || rule.sources(question.family).is_empty()
        {
            continue;
        }
        let takes = left.intersect(&rule.source_set(question.family));
        left = left.subtract(&takes);
        steps.push(Step {
            rule_id: rule.rule.id().to_owned(),
            priority: rule.rule.priority.shown().to_owned(),
            policy,
            protocol: rule.rule.ip_protocol.shown().to_owned(),
            ports: rule.rule.ports_shown().to_owned(),
            source: rule.rule.source_shown(),
            took: takes.count(),
            unreadable: rule.unreadable.clone(),
            limited: rule.limited,
        });
        if policy == Policy::Accept {
            accepted = accepted.union(&takes);
        }
    }
    let skipped = group
        .rules()
        .iter()
        .filter(|rule| {
            rule.limited
                && rule.policy == Some(Policy::Drop)
                && rule.matches_point(question.protocol, question.port)
        })
        .map(|rule| rule.rule.id().to_owned())
        .collect();
    Explanation {
        steps,
        accepted,
        asked: count,
        skipped,
    }
}
