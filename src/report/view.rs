//! What several renderers say: the headline, a finding in plain words, local times. Names and
//! descriptions are an attacker's text and are made visible here, once.

use super::about::{About, protocol, service};
use super::lang::Words;
use crate::model::{
    Change, ExposedRun, Family, Finding, FindingState, Language, RegionStatus, RunRecord, Verdict,
};
use chrono::{DateTime, NaiveDateTime, Utc};
use chrono_tz::Tz;

/// A record with its words.
#[derive(Debug)]
pub struct View<'r> {
    /// The record.
    pub record: &'r RunRecord,
    /// The words.
    pub words: Words,
    language: Language,
    zone: Tz,
}

/// Control characters, bidirectional overrides and invisible characters as `\u{...}`.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let hidden = c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if hidden {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

impl<'r> View<'r> {
    /// Of a record, in its language and zone.
    pub fn new(record: &'r RunRecord) -> Self {
        Self::of(record, record.header.language)
    }

    /// In English whatever its language: a terminal, like the log, is for whoever operates the program.
    pub fn in_english(record: &'r RunRecord) -> Self {
        Self::of(record, Language::En)
    }

    fn of(record: &'r RunRecord, language: Language) -> Self {
        Self {
            record,
            words: Words::new(language),
            language,
            zone: record.header.times.timezone.parse().unwrap_or(Tz::UTC),
        }
    }

    /// The language that it speaks.
    pub fn language(&self) -> Language {
        self.language
    }

    /// The findings, gravest first: by severity, reach, account, region, group. Those that this run
    /// closed come last.
    pub fn findings(&self) -> Vec<&'r Finding> {
        let mut out: Vec<&'r Finding> = self.record.findings.iter().collect();
        out.sort_by_cached_key(|&finding: &&'r Finding| {
            (
                self.closed(finding).is_some(),
                std::cmp::Reverse(finding.severity),
                finding.reach,
                rank(finding.verdict),
                &finding.account,
                &finding.region,
                &finding.group_id,
                &finding.check,
            )
        });
        out
    }

    /// Whether the run judged anything: `apply` and `rollback` read only what they change.
    pub fn judges(&self) -> bool {
        !matches!(self.record.header.command.as_str(), "apply" | "rollback")
    }

    /// `INCOMPLETE`, `FAIL`, `OK`; of a run that judged nothing what became of its changes.
    pub fn word(&self) -> String {
        let header = &self.record.header;
        if self.is_broken() {
            // Graver than what could not be read, which is said beside it.
            let unverified = self.words.get("word.unverified");
            return match header.complete {
                true => unverified,
                false => format!("{unverified}, {}", self.words.get("word.incomplete")),
            };
        }
        self.words.get(if !header.complete {
            "word.incomplete"
        } else if !self.judges() {
            self.unjudged_word()
        } else if self.is_open() {
            "word.fail"
        } else if header.totals.exposed > 0 {
            "word.closed"
        } else {
            "word.ok"
        })
    }

    /// The sentence under it.
    pub fn headline(&self) -> String {
        let header = &self.record.header;
        if self.is_broken() && self.judges() {
            let unverified = self.words.get("headline.unverified");
            match header.complete {
                true => unverified,
                false => format!("{unverified} {}", self.words.get("headline.incomplete")),
            }
        } else if !header.complete {
            self.words.get("headline.incomplete")
        } else if !self.judges() {
            self.unjudged_headline()
        } else if self.is_open() {
            self.failing()
        } else if header.totals.exposed > 0 {
            self.words.get("headline.closed")
        } else if header.totals.managed > 0 || header.totals.waived > 0 {
            self.words.get("headline.quiet")
        } else if self.record.part.is_some() {
            self.words.get("headline.clean_part")
        } else {
            self.words.get("headline.clean")
        }
    }

    /// What is wrong where something is exposed: open to the internet, or only of another kind.
    pub fn failing(&self) -> String {
        let from_internet = self.record.findings.iter().any(|finding| {
            finding.verdict == Verdict::Exposed
                && self.closed(finding).is_none()
                && self.about(finding).is_open_to_internet()
        });
        self.words.get(if from_internet {
            "headline.fail"
        } else {
            "headline.fail_other"
        })
    }

    /// Which part of the run this is, in a sentence; `None`: all of it.
    pub fn part(&self) -> Option<String> {
        let route = self.record.part.as_ref()?;
        let list = self.words.get("count.list");
        let mut narrowed = Vec::new();
        let mut say = |key: &str, of: Vec<String>| {
            if !of.is_empty() {
                narrowed.push(self.words.say(key, &[("list", &visible(&of.join(&list)))]));
            }
        };
        let tags = route.tags.iter();
        say(
            "part.tags",
            tags.map(|tag| format!("{}={}", tag.key, tag.value))
                .collect(),
        );
        let accounts = route.accounts.iter();
        say("part.accounts", accounts.map(ToString::to_string).collect());
        let regions = route.regions.iter();
        say("part.regions", regions.map(ToString::to_string).collect());
        let least = route.severity.iter();
        let word = |severity: &crate::model::Severity| {
            self.words.get(&format!("severity.{}", severity.as_str()))
        };
        say("part.severity", least.map(word).collect());
        let route = narrowed.join("; ");
        Some(self.words.say("note.part", &[("route", &route)]))
    }

    /// The counts in a line, such as `3 exposed, 1 undetermined`.
    pub fn counts(&self) -> String {
        let totals = &self.record.header.totals;
        let mut parts: Vec<String> = [
            ("count.exposed", totals.exposed),
            ("count.undetermined", totals.undetermined),
            ("count.managed", totals.managed),
            ("count.waived", totals.waived),
        ]
        .into_iter()
        .filter(|(_, n)| *n > 0)
        .map(|(key, n)| self.words.say(key, &[("n", &n.to_string())]))
        .collect();
        parts.extend(self.closed_count());
        if parts.is_empty() && !self.judges() {
            self.unjudged_count()
        } else if parts.is_empty() {
            self.words.get(match self.record.part {
                Some(_) => "headline.nothing_part",
                None => "headline.nothing",
            })
        } else {
            parts.join(&self.words.get("count.list"))
        }
    }

    /// How many findings are in that state, exposed, and not closed by this run.
    pub fn in_state(&self, state: FindingState) -> usize {
        self.record
            .findings
            .iter()
            .filter(|finding| {
                finding.state == state
                    && finding.verdict == Verdict::Exposed
                    && self.closed(finding).is_none()
            })
            .count()
    }

    /// An RFC 3339 time in the schedule's zone, as people read it.
    pub fn local(&self, utc: &str) -> String {
        self.local_naive(utc).map_or_else(
            || utc.to_owned(),
            |time| time.format("%Y-%m-%d %H:%M").to_string(),
        )
    }

    /// The same with the zone's name, for a time within a sentence; what is no such time stays.
    pub(super) fn local_with_zone(&self, utc: &str) -> String {
        match self.local_naive(utc) {
            Some(_) => format!("{} {}", self.local(utc), self.zone()),
            None => visible(utc),
        }
    }

    /// The same as a date and time without zone, for Excel.
    pub fn local_naive(&self, utc: &str) -> Option<NaiveDateTime> {
        utc.parse::<DateTime<Utc>>()
            .ok()
            .map(|time| time.with_timezone(&self.zone).naive_local())
    }

    /// The zone's name.
    pub fn zone(&self) -> &str {
        self.zone.name()
    }

    /// A number with separators, or in words from a million on.
    pub fn number(&self, digits: &str) -> String {
        let Ok(n) = digits.parse::<u128>() else {
            return digits.to_owned();
        };
        // Chinese counts in ten thousands: the same keys stand for other powers.
        let english = self.language == Language::En;
        let units: [(&str, u128); 3] = if english {
            [
                ("number.trillion", 1_000_000_000_000),
                ("number.billion", 1_000_000_000),
                ("number.million", 1_000_000),
            ]
        } else {
            [
                ("number.trillion", 1_000_000_000_000),
                ("number.billion", 100_000_000),
                ("number.million", 10_000),
            ]
        };
        for (key, unit) in units {
            if n >= unit {
                let tenths = n.saturating_mul(10) / unit;
                if tenths > 100_000 {
                    // IPv6: nobody reads such a number.
                    return format!("2^{}", 127u32.saturating_sub(n.leading_zeros()));
                }
                let text = if tenths % 10 == 0 {
                    (tenths / 10).to_string()
                } else {
                    format!("{}.{}", tenths / 10, tenths % 10)
                };
                return self.words.say(key, &[("n", &text)]);
            }
        }
        let separator = self.words.get("number.thousand_separator");
        let mut out = String::new();
        let text = n.to_string();
        for (at, digit) in text.chars().enumerate() {
            if at > 0 && (text.len() - at) % 3 == 0 {
                out.push_str(&separator);
            }
            out.push(digit);
        }
        out
    }

    /// `TCP 22 (SSH)`
    pub fn what(&self, run: &ExposedRun) -> String {
        let protocol = run.protocol.as_str().to_ascii_uppercase();
        let key = match run.ports.as_str() {
            "" => "what.no_ports",
            "1-65535" => "what.all_ports_label",
            _ if service(run.protocol, &run.ports).is_some() => "what.named_label",
            _ => "what.ports",
        };
        let service = service(run.protocol, &run.ports).unwrap_or_default();
        self.words.say(
            key,
            &[
                ("protocol", &protocol),
                ("ports", &run.ports),
                ("service", service),
            ],
        )
    }

    /// `the whole IPv4 internet (3.7 billion addresses)`
    pub fn whom(&self, about: About, run: &ExposedRun) -> String {
        let family = match run.family {
            Family::Ipv4 => "IPv4",
            Family::Ipv6 => "IPv6",
        };
        let n = self.number(&run.addresses);
        let key = match run.share.as_str() {
            "1.0000" if about.private => "whom.private_whole",
            _ if about.private => "whom.private",
            "1.0000" => "whom.whole",
            "0.0000" if run.addresses == "1" => "whom.one",
            "0.0000" => "whom.some",
            _ => "whom.part",
        };
        self.words.say(
            key,
            &[
                ("family", family),
                ("n", &n),
                ("share", &percent(&run.share)),
            ],
        )
    }

    /// What the finding's check is about.
    pub fn about(&self, finding: &Finding) -> About {
        About::of(&self.record.header, &finding.check)
    }

    /// A finding in a sentence or a few: one for each distinct exposure, the rules once. One that this
    /// run closed begins with that.
    pub fn sentence(&self, finding: &Finding) -> String {
        let said = self.with_interfaces(finding, self.own_sentence(finding));
        self.with_closing(finding, said)
    }

    fn own_sentence(&self, finding: &Finding) -> String {
        let about = self.about(finding);
        let rules = self.rules(finding);
        let reason = finding
            .reason
            .as_deref()
            .map(|why| self.ours(why))
            .unwrap_or_default();
        let (what, whom) = self.exposed(about, finding);
        if finding.verdict == Verdict::Undetermined {
            let key = match (what.is_empty(), about.egress) {
                (true, _) => "sentence.undetermined_bare",
                (false, true) => "sentence.undetermined_egress",
                (false, false) => "sentence.undetermined",
            };
            return self.words.say(
                key,
                &[("what", &what), ("whom", &whom), ("reason", &reason)],
            );
        }
        let key = match (about.property, about.egress, rules.is_empty()) {
            (Some(property), _, _) => property,
            (None, true, true) => "sentence.egress_no_rules",
            (None, true, false) => "sentence.egress",
            (None, false, true) => "sentence.exposed_no_rules",
            (None, false, false) => "sentence.exposed",
        };
        let mut text = self
            .words
            .say(key, &[("what", &what), ("whom", &whom), ("rules", &rules)]);
        match finding.verdict {
            Verdict::Managed => text.push_str(&self.words.get("sentence.managed_too")),
            Verdict::Waived => {
                let waiver = finding.waiver.as_ref();
                let part = |f: fn(&crate::model::WaiverNote) -> &str| {
                    waiver.map(|w| visible(f(w))).unwrap_or_default()
                };
                text.push_str(&self.words.say(
                    "sentence.waived_too",
                    &[
                        ("approved_by", &part(|w| &w.approved_by)),
                        ("owner", &part(|w| &w.owner)),
                        ("expires", &part(|w| &w.expires)),
                        ("reason", &part(|w| &w.reason)),
                    ],
                ));
            }
            Verdict::Exposed | Verdict::Compliant | Verdict::Undetermined => {}
        }
        text
    }

    /// A finding in part of a line: what is open to whom, by which rules' sources; or why not judged.
    pub fn brief(&self, finding: &Finding) -> String {
        let about = self.about(finding);
        let (what, whom) = self.exposed(about, finding);
        if about.property.is_some() && finding.verdict != Verdict::Undetermined {
            return self.sentence(finding);
        }
        if finding.verdict == Verdict::Undetermined {
            let why = finding
                .reason
                .as_deref()
                .map(|why| self.ours(why))
                .unwrap_or_default();
            let short: String = why.chars().take(96).collect();
            return if short.len() < why.len() {
                format!("{short}...")
            } else {
                short
            };
        }
        let readable: Vec<String> = finding
            .rules
            .iter()
            .filter(|rule| rule.unreadable.is_empty())
            .map(|rule| visible(&rule.source))
            .collect();
        let more = readable.len().saturating_sub(2);
        let mut by = readable.into_iter().take(2).collect::<Vec<_>>().join(" + ");
        if more > 0 {
            let more = self.words.say("brief.more", &[("n", &more.to_string())]);
            by.push_str(&format!(" + {more}"));
        }
        let what = match self.interfaces(finding) {
            of if of.is_empty() => what,
            of => self
                .words
                .say("brief.of", &[("what", &what), ("interfaces", &of)]),
        };
        let key = if about.egress {
            "brief.egress"
        } else {
            "brief.open"
        };
        self.words
            .say(key, &[("what", &what), ("whom", &whom), ("by", &by)])
    }

    /// What is open, and to whom, over all runs of the finding.
    fn exposed(&self, about: About, finding: &Finding) -> (String, String) {
        let list = self.words.get("count.list");
        let mut what: Vec<String> = Vec::new();
        let mut whom: Vec<String> = Vec::new();
        for run in &finding.exposed {
            let pair = [
                (self.what(run), &mut what),
                (self.whom(about, run), &mut whom),
            ];
            for (text, into) in pair {
                if !into.contains(&text) {
                    into.push(text);
                }
            }
        }
        const MOST: usize = 4;
        let short = |parts: Vec<String>| {
            let more = parts.len().saturating_sub(MOST);
            let mut text = parts.into_iter().take(MOST).collect::<Vec<_>>().join(&list);
            if more > 0 {
                text.push_str(&list);
                text.push_str(&self.words.say("count.more", &[("n", &more.to_string())]));
            }
            text
        };
        (short(what), short(whom))
    }

    /// The rules that a finding rests on, the first three.
    fn rules(&self, finding: &Finding) -> String {
        let list = self.words.get("count.list");
        let readable: Vec<String> = finding
            .rules
            .iter()
            .filter(|rule| rule.unreadable.is_empty())
            .map(|rule| {
                let id = if rule.rule_id.is_empty() {
                    self.words.get("sentence.no_rule_id")
                } else {
                    rule.rule_id.clone()
                };
                self.words.say(
                    "sentence.rule_item",
                    &[
                        ("id", &visible(&id)),
                        ("source", &visible(&rule.source)),
                        ("priority", &visible(&rule.priority)),
                    ],
                )
            })
            .collect();
        if readable.is_empty() {
            return String::new();
        }
        const MOST: usize = 3;
        let more = readable.len().saturating_sub(MOST);
        let key = if readable.len() == 1 {
            "sentence.rule.one"
        } else {
            "sentence.rule.other"
        };
        let mut text = readable
            .into_iter()
            .take(MOST)
            .collect::<Vec<_>>()
            .join(&list);
        if more > 0 {
            text = self.words.say(
                "sentence.and_more",
                &[("first", &text), ("n", &more.to_string())],
            );
        }
        self.words.say(key, &[("list", &text)])
    }

    /// A change in a sentence; a second where its rule reads otherwise when it is back.
    pub fn change(&self, change: &Change) -> String {
        let said = self.own_change(change);
        match self.comes_back(change) {
            more if more.is_empty() => said,
            more => self
                .words
                .say("change.and", &[("first", &said), ("second", &more)]),
        }
    }

    fn own_change(&self, change: &Change) -> String {
        let field = |name: &str| {
            change
                .rule
                .get(name)
                .map(|v| visible(v))
                .unwrap_or_default()
        };
        let first = |names: [&str; 4]| {
            names
                .iter()
                .map(|name| field(name))
                .find(|v| !v.is_empty())
                .unwrap_or_default()
        };
        let source = first([
            "SourceCidrIp",
            "Ipv6SourceCidrIp",
            "SourcePrefixListId",
            "SourceGroupId",
        ]);
        let key = format!(
            "change.{}.{}",
            super::narrowed::key(change),
            change.outcome.as_str()
        );
        let (instead, old) = self.narrowing(change.narrowing.as_ref());
        let ports = first(["PortRange", "PortRangeListId", "", ""]);
        self.words.say(
            &key,
            &[
                ("rule", &field("SecurityGroupRuleId")),
                ("source", &source),
                ("protocol", &protocol(&field("IpProtocol"))),
                ("ports", &ports),
                ("priority", &field("Priority")),
                ("instead", &instead),
                ("old", &old),
                (
                    "error",
                    &change
                        .error
                        .as_deref()
                        .map(|why| self.ours(why))
                        .unwrap_or_default(),
                ),
            ],
        )
    }

    /// What this run did not look at, in sentences.
    pub fn unseen(&self) -> Vec<String> {
        let mut out = vec![
            self.words.get("note.unseen_nat"),
            self.words.get("note.unseen_identity"),
            self.words.get("note.unseen_egress"),
        ];
        out.extend(self.unseen_beside());
        let scope = &self.record.header.scope;
        let left: Vec<String> = scope
            .exclude_regions
            .iter()
            .chain(&self.record.coverage.excluded_groups)
            .cloned()
            .collect();
        if !left.is_empty() {
            out.push(self.words.say(
                "note.unseen_excluded",
                &[("list", &visible(&left.join(&self.words.get("count.list"))))],
            ));
        }
        out
    }

    /// Regions that were not read in full.
    pub fn failed_regions(&self) -> Vec<String> {
        self.record
            .coverage
            .regions
            .iter()
            .filter(|region| region.status == RegionStatus::Failed)
            .map(|region| match &region.error {
                Some(error) => self.words.say(
                    "note.region_failed",
                    &[
                        ("account", region.account.as_str()),
                        ("region", region.region.as_str()),
                        ("action", &error.action),
                        ("code", &error.code),
                        ("message", &visible(&error.message)),
                    ],
                ),
                None => self.words.say(
                    "note.region_failed_bare",
                    &[
                        ("account", region.account.as_str()),
                        ("region", region.region.as_str()),
                    ],
                ),
            })
            .collect()
    }
}

fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Exposed => 0,
        Verdict::Undetermined => 1,
        Verdict::Managed => 2,
        Verdict::Waived => 3,
        Verdict::Compliant => 4,
    }
}

/// `0.9871` as `98.7%`.
pub fn percent(share: &str) -> String {
    let digits: String = share.chars().filter(char::is_ascii_digit).collect();
    let Ok(n) = digits.parse::<u32>() else {
        return share.to_owned();
    };
    if n == 0 {
        return "<0.01%".to_owned();
    }
    if n < 100 {
        return format!("0.{n:02}%");
    }
    format!("{}.{}%", n / 100, (n / 10) % 10)
}
