//! One group: its pages, what is missing from them, and the lists they name.

use super::lists::Kind;
use super::region::Region;
use super::{failure_of_ours, listing};
use crate::cloud::wire;
use crate::model::{
    CallError, Field, GroupReading, Lists, NicType, RawAnswer, Rule, Rules, SecurityGroup,
};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The action.
const ACTION: &str = "DescribeSecurityGroupAttribute";

/// Pages of one group: quotas end far below a hundred thousand rules.
const MOST_PAGES: usize = 100;

/// The code of a group that is not there.
pub(super) const GONE: &str = "InvalidSecurityGroupId.NotFound";

/// A group, read or not.
pub(super) struct Reading {
    pub(super) end: End,
    /// Answers of lists that were fetched on the way.
    pub(super) lists: Vec<RawAnswer>,
    /// For the region.
    pub(super) warnings: Vec<String>,
    /// Names of keys and fields that are new to us.
    pub(super) odd: BTreeSet<String>,
}

/// How the reading ended.
pub(super) enum End {
    /// In full.
    Read(Box<GroupReading>),
    /// Not in full, and why.
    Unread(Box<GroupReading>, CallError),
    /// It went away between listing and reading.
    Vanished(String, Vec<RawAnswer>),
}

/// The rules of one round of pages.
#[derive(Default)]
struct Pages {
    rules: Vec<Rule>,
    by_id: HashMap<Box<str>, usize>,
    /// A page had no Permissions.
    missing: bool,
    /// A rule came twice with differing content.
    differing: Option<String>,
    odd: BTreeSet<String>,
}

impl Pages {
    /// Takes a rule once per id. What was asked for is not part of its content.
    fn take(&mut self, rule: Rule) {
        if rule.id().is_empty() {
            self.rules.push(rule);
            return;
        }
        let known = self.by_id.get(rule.id()).and_then(|at| self.rules.get(*at));
        match known {
            None => {
                self.by_id.insert(rule.id().into(), self.rules.len());
                self.rules.push(rule);
            }
            Some(known) => {
                let mut rule = rule;
                rule.asked_nic = known.asked_nic;
                if rule != *known {
                    self.differing = Some(rule.id().to_owned());
                }
            }
        }
    }

    /// Distinct rules: by id, and those without one by what they say, so that a page that comes
    /// twice does not stand for one that is missing.
    fn count(&self) -> u64 {
        let mut nameless: Vec<&Rule> = self
            .rules
            .iter()
            .filter(|rule| rule.id().is_empty())
            .collect();
        let all = nameless.len();
        nameless.sort();
        nameless.dedup();
        let doubles = all.saturating_sub(nameless.len());
        u64::try_from(self.rules.len().saturating_sub(doubles)).unwrap_or(u64::MAX)
    }

    /// Whether something that was listed is not here.
    fn falls_short(&self, group: &SecurityGroup) -> bool {
        match group.rule_count {
            Some(listed) => self.count() < listed || (self.missing && listed > 0),
            None => self.missing,
        }
    }
}

/// Why a round of pages ended early.
struct Stopped {
    error: CallError,
    gone: bool,
}

/// Reads a group, in the order that semantics.md ("Certainty") asks for.
pub(super) async fn read(region: &Region, listed: SecurityGroup, twice: bool) -> Reading {
    let mut group = listed;
    let mut answers = Vec::new();
    let mut pages = Pages::default();
    let mut problem = None;
    let first = read_pages(region, &group, &mut pages, &mut answers).await;
    let again = match &first {
        Ok(()) => pages.differing.is_none() && pages.falls_short(&group),
        Err(stopped) => stopped.gone,
    };
    if again {
        match listing::one(region, &group.id, &mut answers).await {
            // Gone is what both say: the group answers that it does not exist, and is not listed.
            Ok(None) if first.is_err() => return Reading::vanished(group.id, answers),
            Ok(None) => {
                problem = Some(ours(
                    "rules-missing",
                    "its rules came short, and a fresh listing does not have it although it answers",
                ));
            }
            Err(error) => problem = Some(error),
            Ok(Some(fresh)) => {
                group = fresh;
                let mut fresh = Pages::default();
                let second = read_pages(region, &group, &mut fresh, &mut answers).await;
                match second {
                    Ok(()) => pages = fresh,
                    Err(stopped) => problem = Some(stopped.error),
                }
            }
        }
    } else if let Err(stopped) = first {
        problem = Some(stopped.error);
    }
    let (doubt, warning) = match &problem {
        Some(_) => (None, None),
        None => doubt(&group, &pages),
    };
    let mut problem = problem.or_else(|| doubt.map(|text| ours("rules-missing", &text)));
    if twice && problem.is_none() {
        problem = Some(ours("listed-twice", "listed twice with differing content"));
    }
    let mut fetched = Vec::new();
    let mut warnings = Vec::new();
    let lists = match &problem {
        Some(_) => Lists::default(),
        None => fetch_lists(region, &pages.rules, &mut fetched, &mut warnings).await,
    };
    let whole = Box::new(GroupReading {
        account: region.shared.request.account.clone(),
        region: region.id.clone(),
        group,
        rules: Rules {
            read: pages.rules,
            incomplete: problem.as_ref().map(told),
        },
        lists,
        warnings: warning.into_iter().collect(),
        answers,
    });
    Reading {
        end: match problem {
            Some(error) => End::Unread(whole, error),
            None => End::Read(whole),
        },
        lists: fetched,
        warnings,
        odd: pages.odd,
    }
}

impl Reading {
    fn vanished(id: String, answers: Vec<RawAnswer>) -> Self {
        Self {
            end: End::Vanished(id, answers),
            lists: Vec::new(),
            warnings: Vec::new(),
            odd: BTreeSet::new(),
        }
    }
}

/// The lists that rules name: sources of what comes in, destinations of what goes out.
async fn fetch_lists(
    region: &Region,
    rules: &[Rule],
    fetched: &mut Vec<RawAnswer>,
    warnings: &mut Vec<String>,
) -> Lists {
    let mut wanted: BTreeSet<(Kind, &str)> = BTreeSet::new();
    for rule in rules {
        let is = |word: &str| {
            rule.direction
                .text()
                .is_some_and(|text| text.eq_ignore_ascii_case(word))
        };
        // A direction that is neither could be both.
        for (kind, field, decides) in [
            (Kind::Prefix, &rule.source_prefix_list_id, !is("egress")),
            (Kind::Prefix, &rule.dest_prefix_list_id, !is("ingress")),
            (Kind::Port, &rule.port_range_list_id, true),
        ] {
            if decides && let Field::Text(id) = field {
                wanted.insert((kind, id));
            }
        }
    }
    let mut lists = Lists::default();
    for (kind, id) in wanted {
        let list = region.lists.get(region, kind, id, fetched, warnings).await;
        let place = match kind {
            Kind::Prefix => &mut lists.prefix,
            Kind::Port => &mut lists.port,
        };
        place.insert(id.to_owned(), list);
    }
    lists
}

/// What keeps the rules from counting as all there, and what only deserves a warning.
fn doubt(group: &SecurityGroup, pages: &Pages) -> (Option<String>, Option<String>) {
    let read = pages.count();
    if let Some(id) = &pages.differing {
        let text = format!("rule {id} came twice with differing content");
        return (Some(text), None);
    }
    if pages.missing && group.rule_count != Some(0) {
        let text = match group.rule_count {
            Some(listed) => format!("no Permissions in an answer, and {listed} rules are listed"),
            None => "no Permissions in an answer, and no RuleCount in the listing".to_owned(),
        };
        return (Some(text), None);
    }
    let Some(listed) = group.rule_count else {
        let text = "the listing gives no RuleCount to hold the rules against".to_owned();
        return (None, Some(text));
    };
    if read >= listed {
        return (None, None);
    }
    let text = format!("{read} rules read, {listed} listed, after a fresh reading");
    let lists = pages.rules.iter().any(Rule::names_a_list);
    if read == 0 || (!group.is_classic() && !lists) {
        return (Some(text), None);
    }
    let why = if lists {
        "a rule with a prefix list or port list may count more than once"
    } else {
        "what RuleCount counts in the classic network is not known"
    };
    (None, Some(format!("{text}: {why}")))
}

fn ours(code: &str, message: &str) -> CallError {
    let mut error = failure_of_ours(code, message);
    error.action = ACTION.to_owned();
    error
}

/// A reason for a report: what the service answered, with its request id.
fn told(error: &CallError) -> String {
    let ours = error.code.starts_with(|c: char| c.is_ascii_lowercase());
    if ours && error.request_id.is_empty() && !error.code.starts_with("http-") {
        return match error.code.as_str() {
            "rules-missing" | "listed-twice" => error.message.clone(),
            code => format!("{}: {code}: {}", error.action, error.message),
        };
    }
    let mut text = format!("{}: {}: {}", error.action, error.code, error.message);
    if !error.request_id.is_empty() {
        text.push_str(&format!(" (request id {})", error.request_id));
    }
    text
}

/// All pages: one series in a VPC, one per NicType in the classic network.
async fn read_pages(
    region: &Region,
    group: &SecurityGroup,
    pages: &mut Pages,
    answers: &mut Vec<RawAnswer>,
) -> Result<(), Stopped> {
    let nics: &[Option<NicType>] = if group.is_classic() {
        // Internet first: a rule that both calls give is one of the public interface.
        &[Some(NicType::Internet), Some(NicType::Intranet)]
    } else {
        &[None]
    };
    for nic in nics {
        let mut token: Option<String> = None;
        let mut tokens: HashSet<String> = HashSet::new();
        loop {
            let mut params = BTreeMap::from([
                ("SecurityGroupId".to_owned(), group.id.clone()),
                ("Direction".to_owned(), "all".to_owned()),
                ("MaxResults".to_owned(), "1000".to_owned()),
            ]);
            if let Some(nic) = nic {
                params.insert("NicType".to_owned(), nic.as_str().to_owned());
            }
            if let Some(token) = token {
                params.insert("NextToken".to_owned(), token);
            }
            let decode = |body: &Bytes| wire::rules_page(body, &group.id);
            let page = match region.read(ACTION, params, decode).await {
                Ok(answer) => {
                    answers.extend(answer.raws);
                    answer.value
                }
                Err(mut failure) => {
                    answers.append(&mut failure.answers);
                    return Err(Stopped {
                        error: failure.error(),
                        gone: failure.code == GONE,
                    });
                }
            };
            match page.rules {
                None => pages.missing = true,
                Some(rules) => {
                    for mut rule in rules {
                        rule.asked_nic = *nic;
                        pages.take(rule);
                    }
                }
            }
            pages.odd.extend(page.odd);
            match page.next_token {
                None => break,
                Some(next) => {
                    if tokens.len() >= MOST_PAGES || !tokens.insert(next.clone()) {
                        let text = "the service gave the same NextToken twice, or page after page, \
                                    which would never end";
                        return Err(Stopped {
                            error: ours("paging-loop", text),
                            gone: false,
                        });
                    }
                    token = Some(next);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(vpc: &str, count: Option<u64>) -> SecurityGroup {
        SecurityGroup {
            id: "sg-1".to_owned(),
            vpc_id: vpc.to_owned(),
            rule_count: count,
            ..SecurityGroup::default()
        }
    }

    fn pages(ids: &[&str], list: bool) -> Pages {
        let mut pages = Pages::default();
        for id in ids {
            let mut rule = Rule {
                security_group_rule_id: Field::from(*id),
                ..Rule::default()
            };
            if list {
                rule.dest_prefix_list_id = Field::from("pl-1");
            }
            pages.take(rule);
        }
        pages
    }

    #[test]
    fn what_a_shortfall_means() {
        let incomplete = |group: &SecurityGroup, pages: &Pages| doubt(group, pages).0.is_some();
        let warned = |group: &SecurityGroup, pages: &Pages| doubt(group, pages).1.is_some();
        let vpc = group("vpc-1", Some(2));
        assert!(incomplete(&vpc, &pages(&["a"], false)));
        assert!(!incomplete(&vpc, &pages(&["a", "b"], false)));
        assert!(!incomplete(&vpc, &pages(&["a"], true)) && warned(&vpc, &pages(&["a"], true)));
        let classic = group("", Some(2));
        assert!(!incomplete(&classic, &pages(&["a"], false)));
        assert!(warned(&classic, &pages(&["a"], false)));
        assert!(incomplete(&classic, &pages(&[], false)));
        let unsaid = group("vpc-1", None);
        assert!(!incomplete(&unsaid, &pages(&[], false)) && warned(&unsaid, &pages(&[], false)));
        let mut missing = pages(&[], false);
        missing.missing = true;
        assert!(incomplete(&unsaid, &missing));
        assert!(!incomplete(&group("vpc-1", Some(0)), &missing));
    }

    #[test]
    fn rules_are_counted_by_id() {
        let same = pages(&["a", "a", "", ""], false);
        assert_eq!(same.count(), 2, "those without id by what they say");
        assert!(same.differing.is_none());
        let mut other = pages(&["a"], false);
        other.take(Rule {
            security_group_rule_id: Field::from("a"),
            policy: Field::from("Drop"),
            ..Rule::default()
        });
        assert_eq!(other.differing.as_deref(), Some("a"));
    }
}
