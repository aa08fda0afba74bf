//! How a narrowed rule is told: what came in its place, or whose place it took.

use super::about::protocol;
use super::view::{View, visible};
use crate::model::{
    AccountId, Change, FindingRule, GroupId, Held, Narrowing, Proposal, RegionId, Traffic,
};
use std::collections::BTreeMap;

/// Rules named in one sentence at most.
const MOST: usize = 12;

impl View<'_> {
    /// A rule in a few words, of its fields.
    pub fn rule_words(&self, rule: &BTreeMap<String, String>) -> String {
        let first = |names: &[&str]| {
            names
                .iter()
                .filter_map(|name| rule.get(*name))
                .find(|value| !value.is_empty())
                .map(|value| visible(value))
                .unwrap_or_default()
        };
        self.words.say(
            "change.rule_item",
            &[
                ("protocol", &protocol(&first(&["IpProtocol"]))),
                ("ports", &first(&["PortRange", "PortRangeListId"])),
                (
                    "source",
                    &first(&[
                        "SourceCidrIp",
                        "Ipv6SourceCidrIp",
                        "SourcePrefixListId",
                        "SourceGroupId",
                    ]),
                ),
            ],
        )
    }

    /// The rules that came in a rule's place, and the ids of those whose place one took.
    pub fn narrowing(&self, narrowing: Option<&Narrowing>) -> (String, String) {
        match narrowing {
            None => (String::new(), String::new()),
            Some(Narrowing::ReplacedBy(rules)) => {
                let words = rules.iter().map(|rule| self.rule_words(rule)).collect();
                (self.few(words), String::new())
            }
            Some(Narrowing::InPlaceOf(ids) | Narrowing::TakenBack(ids)) => {
                let ids = ids.iter().map(|id| visible(id)).collect();
                (String::new(), self.few(ids))
            }
        }
    }

    /// Traffic in a line.
    pub(super) fn traffic(&self, traffic: &[Traffic]) -> String {
        let parts: Vec<String> = traffic.iter().map(|one| self.one_traffic(one)).collect();
        parts.join(&self.words.get("list.clauses"))
    }

    fn one_traffic(&self, traffic: &Traffic) -> String {
        let kind = match (traffic.waived, traffic.internet) {
            (true, _) => "traffic.waived",
            (false, true) => "traffic.internet",
            (false, false) => "traffic.private",
        };
        let more = traffic.sources.len().saturating_sub(1).to_string();
        let from = match traffic.sources.as_slice() {
            [] => String::new(),
            [first] => self.words.say("traffic.from", &[("first", first)]),
            [first, ..] => self
                .words
                .say("traffic.from_more", &[("first", first), ("n", &more)]),
        };
        self.words.say(
            "traffic.item",
            &[
                ("protocol", traffic.protocol.as_str()),
                ("ports", &traffic.ports),
                ("n", &traffic.addresses),
                ("kind", &self.words.get(kind)),
                ("from", &from),
                ("family", traffic.family.as_str()),
            ],
        )
    }

    /// The name of a held group, where the run has it.
    pub(super) fn group_name(&self, held: &Held) -> String {
        let findings = self.record.findings.iter();
        let own = findings
            .filter(|f| (&f.account, &f.region, &f.group_id) == place(held))
            .map(|finding| &finding.group_name);
        let changes = self.record.changes.iter();
        let changed = changes
            .filter(|c| (&c.account, &c.region, &c.group_id) == place(held))
            .map(|change| &change.group_name);
        own.chain(changed).next().cloned().unwrap_or_default()
    }

    /// What the rules of a held group say, as far as findings speak of them.
    pub(super) fn held_rules(&self, held: &Held) -> Vec<String> {
        let findings = self.record.findings.iter();
        let of_group: Vec<&FindingRule> = findings
            .filter(|f| (&f.account, &f.region, &f.group_id) == place(held))
            .flat_map(|finding| &finding.rules)
            .collect();
        let said = held.rules.iter().filter_map(|id| {
            let rule = of_group.iter().find(|rule| rule.rule_id == *id)?;
            Some(self.words.say(
                "change.held_rule",
                &[
                    ("protocol", &protocol(&rule.protocol)),
                    ("ports", &visible(&rule.port_range)),
                    ("source", &visible(&rule.source)),
                    ("priority", &visible(&rule.priority)),
                ],
            ))
        });
        said.collect()
    }

    fn few(&self, mut parts: Vec<String>) -> String {
        let more = parts.len().saturating_sub(MOST);
        parts.truncate(MOST);
        if more > 0 {
            parts.push(self.words.say("count.more", &[("n", &more.to_string())]));
        }
        parts.join(&self.words.get("count.list"))
    }

    /// What stands where the rule stood, of a change or of a plan; empty where nothing does.
    pub fn after(&self, narrowing: Option<&Narrowing>) -> String {
        let (rules, old) = self.narrowing(narrowing);
        match narrowing {
            None | Some(Narrowing::TakenBack(_)) => String::new(),
            Some(Narrowing::ReplacedBy(_)) => {
                self.words.say("change.replaced_by", &[("rules", &rules)])
            }
            Some(Narrowing::InPlaceOf(_)) => {
                self.words.say("change.in_place_of", &[("rules", &old)])
            }
        }
    }
}

/// The sentences that a change is told by: `change.KEY.OUTCOME`.
pub(super) fn key(change: &Change) -> &'static str {
    match &change.narrowing {
        Some(Narrowing::ReplacedBy(_)) => "narrow",
        Some(Narrowing::InPlaceOf(_)) => "add",
        Some(Narrowing::TakenBack(_)) => "take_back",
        None => change.kind.as_str(),
    }
}

/// In a cell of `changes.csv`, in English as all of that file.
pub(super) fn cell(narrowing: Option<&Narrowing>) -> String {
    match narrowing {
        None => String::new(),
        Some(Narrowing::ReplacedBy(rules)) => {
            let rules: Vec<String> = rules.iter().map(super::csv::rule_text).collect();
            format!("replaced by {}", rules.join("; "))
        }
        Some(Narrowing::InPlaceOf(ids)) => format!("in place of {}", ids.join(" ")),
        Some(Narrowing::TakenBack(ids)) => {
            format!("taken back, had been in place of {}", ids.join(" "))
        }
    }
}

fn place(held: &Held) -> (&AccountId, &RegionId, &GroupId) {
    (&held.account, &held.region, &held.group_id)
}

/// Whether a plan narrows anything.
pub fn narrows(planned: &[Proposal]) -> bool {
    planned.iter().any(|planned| planned.narrowing.is_some())
}
