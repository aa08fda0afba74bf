//! Why a packet is accepted or dropped: the rules in order, what each took, the one that decides.

use super::first_match::GroupRules;
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
