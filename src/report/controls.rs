//! What several renderers say of controls, of checks, and of all that makes a run looser than it could
//! be: nobody should have to look for it.

use super::view::{View, visible};
use crate::model::{CheckInfo, ControlResult, ControlStatus, Language};
use std::collections::BTreeMap;

impl View<'_> {
    /// A check's title in the report's language, where it has one.
    pub fn title<'c>(&self, check: &'c CheckInfo) -> &'c str {
        let tag = match self.language() {
            Language::En => return &check.title,
            Language::ZhCn => "zh-CN",
            Language::ZhTw => "zh-TW",
        };
        check.titles.get(tag).unwrap_or(&check.title)
    }

    /// How many groups passed a check, and how many did not; empty where they were not counted.
    pub fn check_counts(&self, check: &CheckInfo) -> String {
        let groups = &check.groups;
        let counts = [
            ("passed", groups.compliant),
            ("exposed", groups.exposed),
            ("managed", groups.managed),
            ("waived", groups.waived),
            ("undetermined", groups.undetermined),
        ];
        if counts.iter().all(|(_, n)| *n == 0) {
            return String::new();
        }
        let texts = counts.map(|(name, n)| (name, n.to_string()));
        let with: Vec<(&str, &str)> = texts.iter().map(|(name, n)| (*name, n.as_str())).collect();
        self.words.say("control.counts", &with)
    }

    /// A check in lines: what it looks for, at what, how many passed, why it matters, what to do.
    pub fn check_text(&self, check: &CheckInfo) -> String {
        let mut lines = vec![self.title(check).to_owned()];
        if !check.protocols.is_empty() {
            let least: Vec<String> = check
                .min_public
                .iter()
                .map(|(family, size)| format!("{family} {size}"))
                .collect();
            lines.push(format!(
                "{} {} ({}: {})",
                check.protocols.join(", "),
                check.ports.join(", "),
                self.words.get("label.least"),
                least.join(", ")
            ));
        }
        lines.extend([
            self.check_counts(check),
            check.why.clone(),
            check.fix.clone(),
        ]);
        if !check.differs.is_empty() {
            let label = self.words.get("label.differs");
            lines.push(format!("{label}: {}", check.differs));
        }
        lines.retain(|line| !line.is_empty());
        lines.join("\n")
    }

    /// All that makes this run looser than the checks' and clauses' own words could be, in sentences.
    pub fn relaxations(&self) -> Vec<String> {
        let header = &self.record.header;
        let scope = &header.scope;
        let mut out = Vec::new();
        let mut say = |key: &str, list: &[String]| {
            if !list.is_empty() && list != ["all"] {
                let list = visible(&list.join(&self.words.get("count.list")));
                out.push(self.words.say(key, &[("list", &list)]));
            }
        };
        say("relaxed.trusted", &header.trusted);
        say("relaxed.regions", &scope.regions);
        say("relaxed.exclude_regions", &scope.exclude_regions);
        say("relaxed.groups", &scope.groups);
        say("relaxed.exclude_groups", &scope.exclude_groups);
        out.extend(self.least_exposures());
        if header.totals.waived > 0 {
            let n = header.totals.waived.to_string();
            out.push(self.words.say("relaxed.waived", &[("n", &n)]));
        }
        out
    }

    /// From which exposure on each check counts, by size: one address is no relaxation.
    fn least_exposures(&self) -> Vec<String> {
        let checks = &self.record.header.checks;
        let mut sizes: BTreeMap<Vec<String>, Vec<&str>> = BTreeMap::new();
        let counting = checks
            .iter()
            .filter(|check| !check.protocols.is_empty() && check.audience == "internet");
        let mut all = 0usize;
        for check in counting {
            all = all.saturating_add(1);
            let size: Vec<String> = check
                .min_public
                .iter()
                .filter(|(_, size)| *size != "any")
                .map(|(family, size)| format!("{} {size}", family.replace("ipv", "IPv")))
                .collect();
            if !size.is_empty() {
                sizes.entry(size).or_default().push(&check.id);
            }
        }
        let list = self.words.get("count.list");
        sizes
            .into_iter()
            .map(|(size, ids)| {
                let size = size.join(&list);
                if ids.len() == all {
                    return self.words.say("relaxed.least_all", &[("size", &size)]);
                }
                let ids = ids.join(&list);
                self.words
                    .say("relaxed.least", &[("size", &size), ("list", &ids)])
            })
            .collect()
    }

    /// Why a clause is not assessed, or which checks do not count for it; may be empty.
    pub fn control_why(&self, result: &ControlResult) -> String {
        let mut parts: Vec<String> = Vec::new();
        if result.checks.is_empty() {
            parts.extend(result.reason.as_deref().map(visible));
        } else if result.status == ControlStatus::NotAssessed {
            if result.groups.undetermined > 0 {
                let n = result.groups.undetermined.to_string();
                parts.push(self.words.say("control.undetermined", &[("n", &n)]));
            }
            if result.interfaces_unjudged {
                parts.push(self.words.get("control.interfaces"));
            }
            if !self.record.header.complete {
                parts.push(self.words.get("control.incomplete"));
            }
        }
        for lost in &result.lost {
            let key = format!("control.lost_{}", lost.why.as_str());
            parts.push(self.words.say(&key, &[("check", &lost.check)]));
        }
        parts.join("\n")
    }

    /// What a reader of clauses must know, in sentences.
    pub fn control_notes(&self) -> [String; 3] {
        [
            self.words.get("control.note_mapped"),
            self.words.get("control.note_semantics"),
            self.words.get("control.note_counts"),
        ]
    }

    /// A clause's status in words.
    pub fn control_status(&self, result: &ControlResult) -> String {
        self.words
            .get(&format!("control.{}", result.status.as_str()))
    }
}
