//! What the reports say of interfaces, of groups that nothing uses, and of a second source.

use super::undo::quote;
use super::view::{View, visible};
use crate::model::{Finding, RegionCoverage, RegionStatus};

/// Names in a sentence; coverage.json has all.
const MOST: usize = 12;

impl View<'_> {
    /// What is behind a finding, in numbers; empty where it was not looked at.
    pub fn attached(&self, finding: &Finding) -> String {
        let Some(attached) = &finding.attached else {
            return String::new();
        };
        self.words.say(
            "attached.text",
            &[
                ("interfaces", &attached.interfaces.to_string()),
                ("reachable", &attached.reachable.to_string()),
                ("instances", &attached.instances.to_string()),
            ],
        )
    }

    /// A finding's sentence; where it is the interfaces', they are named first.
    pub(super) fn with_interfaces(&self, finding: &Finding, sentence: String) -> String {
        let Some(note) = &finding.interface else {
            return sentence;
        };
        let groups: Vec<&str> = note.groups.iter().map(|group| group.as_str()).collect();
        self.words.say(
            "sentence.interface",
            &[
                ("interfaces", &self.interfaces(finding)),
                ("groups", &groups.join(" + ")),
                ("sentence", &sentence),
            ],
        )
    }

    /// `eni-1 and 3 more`; empty for a finding of a group.
    pub fn interfaces(&self, finding: &Finding) -> String {
        let Some(note) = &finding.interface else {
            return String::new();
        };
        let first = note.ids.first().map(|id| visible(id)).unwrap_or_default();
        match note.count.saturating_sub(1) {
            0 => first,
            n => self.words.say(
                "sentence.and_more",
                &[("first", &first), ("n", &n.to_string())],
            ),
        }
    }

    /// The command that explains a finding: by the check of the run's schedule, which another check than
    /// those looked at unasked may have found it by. Where no file of it is known, and of interfaces,
    /// which have no finding of their own, it asks about a packet.
    pub fn explain(&self, finding: &Finding) -> String {
        let header = &self.record.header;
        let id = finding.interface.as_ref().and_then(|note| note.ids.first());
        let of = id.map_or(finding.group_id.as_str(), String::as_str);
        let mut out = format!("sgwarden explain {} --region {}", quote(of), finding.region);
        if finding.account != header.identity.account {
            out.push_str(&format!(" --account {}", finding.account));
        }
        match &header.schedule_file {
            Some(file) if id.is_none() => {
                out.push_str(&format!(
                    " --schedule {} --check {}",
                    quote(file),
                    quote(&finding.check)
                ));
            }
            Some(_) | None => out.push_str(&self.packet(finding)),
        }
        out
    }

    /// The packet of a finding that `explain` is asked about; empty where none shows it.
    fn packet(&self, finding: &Finding) -> String {
        let about = self.about(finding);
        let Some(run) = finding.exposed.first() else {
            return String::new();
        };
        if about.egress || about.property.is_some() {
            return String::new();
        }
        let port = match run.ports.split('-').next() {
            Some("") | None => String::new(),
            Some(port) => format!(" --port {port}"),
        };
        // Unasked, the source is the whole internet.
        let source = match run
            .sources
            .first()
            .and_then(|source| source.split('/').next())
        {
            Some(source) if about.private => format!(" --source {}", quote(source)),
            Some(_) | None => String::new(),
        };
        format!(" --protocol {}{port}{source}", run.protocol.as_str())
    }

    /// What was and was not looked at beside the rules.
    pub(super) fn unseen_beside(&self) -> Vec<String> {
        let coverage = &self.record.coverage;
        let mut out = vec![self.words.get("note.unseen_ipv6")];
        let read = || {
            let regions = coverage.regions.iter();
            regions.filter(|region| region.status != RegionStatus::Skipped)
        };
        let dark = |region: &&RegionCoverage| {
            let seen = region.attached.as_ref();
            seen.is_none_or(|seen| seen.instances.is_none())
        };
        if read().any(|region| dark(&region)) {
            let list = self.places(read().filter(dark));
            out.push(self.words.say("note.unseen_reach", &[("list", &list)]));
        }
        let unjudged = |region: &&RegionCoverage| region.leaves_interfaces_unjudged();
        if self.judges_interfaces() && read().any(|region| unjudged(&region)) {
            let list = self.places(read().filter(unjudged));
            out.push(self.words.say("note.unseen_interfaces", &[("list", &list)]));
        }
        let alone = |region: &&RegionCoverage| region.expected.is_none();
        if read().any(|region| alone(&region)) {
            let why = read()
                .filter(alone)
                .map(|region| region.expected_note.as_str())
                .find(|note| !note.is_empty())
                .unwrap_or_default();
            let list = self.places(read().filter(alone));
            let key = if why.is_empty() {
                "note.unseen_expected"
            } else {
                "note.unseen_expected_why"
            };
            out.push(
                self.words
                    .say(key, &[("list", &list), ("why", &self.ours(why))]),
            );
        }
        for unnamed in &coverage.unnamed_regions {
            let list = self.cut(unnamed.regions.iter().map(|region| region.as_str()));
            out.push(self.words.say(
                "note.unnamed_regions",
                &[
                    ("account", unnamed.account.as_str()),
                    ("list", &list),
                    ("date", &unnamed.list),
                ],
            ));
        }
        out
    }

    /// Whether a check of the run is judged over interfaces with several groups.
    pub fn judges_interfaces(&self) -> bool {
        let checks = &self.record.header.checks;
        self.judges()
            && checks
                .iter()
                .any(|check| check.direction == "ingress" && !check.is_of_group())
    }

    /// Whether Cloud Config evaluates its rule again after the changes; empty where nobody asked.
    pub fn reevaluation(&self) -> String {
        let Some(asked) = &self.record.header.reevaluation else {
            return String::new();
        };
        let rule = visible(&asked.rule);
        let Some(error) = &asked.error else {
            return self.words.say("reevaluation.asked", &[("rule", &rule)]);
        };
        self.words.say(
            "reevaluation.failed",
            &[
                ("rule", &rule),
                ("action", &error.action),
                ("code", &error.code),
                ("request_id", &visible(&error.request_id)),
                ("message", &visible(&error.message)),
            ],
        )
    }

    /// What Cloud Config says of a region against ours, in a cell.
    pub(super) fn expected(&self, region: &RegionCoverage) -> String {
        match &region.expected {
            None => self.ours(&region.expected_note),
            Some(expected) => self.words.say(
                "attached.expected",
                &[
                    ("n", &expected.count.to_string()),
                    ("missing", &expected.missing.to_string()),
                    ("surplus", &expected.surplus.to_string()),
                ],
            ),
        }
    }

    fn places<'c>(&self, regions: impl Iterator<Item = &'c RegionCoverage>) -> String {
        self.cut(regions.map(|region| region.region.as_str()))
    }

    /// The first names of a list, and how many more there are.
    fn cut<'c>(&self, names: impl Iterator<Item = &'c str>) -> String {
        let mut all: Vec<&str> = names.collect();
        all.dedup();
        let more = all.len().saturating_sub(MOST);
        all.truncate(MOST);
        let list = all.join(&self.words.get("count.list"));
        if more == 0 {
            return list;
        }
        self.words.say(
            "sentence.and_more",
            &[("first", &list), ("n", &more.to_string())],
        )
    }
}
