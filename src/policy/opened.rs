//! Who opened a rule: the cloud's own history of calls, held against the rule as it is. Pure.
//!
//! Certain is only what one recorded call says in every field at the time when the rule was made. Equal
//! fields at another time prove nothing: authorising a rule that exists succeeds, and is recorded too.

use crate::exposure::reading::parse_port_range;
use crate::exposure::set::parse_cidr;
use crate::model::{
    Family, Field, GroupId, OpenedBy, Opening, OpeningEvent, Rule, Sureness, TrailEvent,
    Unanswered, UnknownReason,
};
use chrono::{DateTime, NaiveDateTime, SecondsFormat, TimeDelta, Utc};
use std::collections::BTreeMap;

/// How far the call's time and the rule's CreateTime may be apart. They are equal or a second apart in
/// every record that is public; a minute allows for clocks.
const SAME_TIME: TimeDelta = TimeDelta::seconds(60);
/// A rule made so soon after its group came with it.
const WITH_GROUP: TimeDelta = TimeDelta::seconds(10);
/// The Priority of rules that the platform makes with a group.
const SYSTEM_PRIORITY: u32 = 110;
/// Calls show after about ten minutes (help page "Quotas and limits"); the rest is margin.
pub const SHOWS_AFTER: TimeDelta = TimeDelta::minutes(15);
/// The history goes back 90 days; what an older time gives is not known, so stay an hour inside.
pub const KEPT: TimeDelta = TimeDelta::hours(90 * 24 - 1);

/// What the history answered to one question.
pub type Heard = Result<Vec<TrailEvent>, Unanswered>;

/// A rule of which is asked who opened it.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// Its group.
    pub group_id: &'a GroupId,
    /// The group's CreationTime.
    pub group_created: Option<DateTime<Utc>>,
    /// Whether the group lies in the classic network, where NicType counts.
    pub classic: bool,
    /// The rule as it is.
    pub rule: &'a Rule,
    /// All rules of the group: a call that made another one is not this one's.
    pub neighbours: &'a [Rule],
}

/// What the history says around the rule.
#[derive(Clone, Copy, Debug)]
pub struct History<'h> {
    /// AuthorizeSecurityGroup around its CreateTime.
    pub authorized: &'h Heard,
    /// ModifySecurityGroupRule since.
    pub modified: &'h Heard,
    /// CreateSecurityGroup around the group's CreationTime; `None`: not asked yet.
    pub group_made: Option<&'h Heard>,
}

/// A time as ECS gives it, with or without seconds.
pub fn time_of(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.with_timezone(&Utc));
    }
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%MZ")
        .ok()
        .map(|time| time.and_utc())
}

/// When a rule was made, where it says so.
pub fn created(rule: &Rule) -> Option<DateTime<Utc>> {
    time_of(rule.create_time.text()?)
}

/// Who opened it; `None`: the making of the group has to be asked for first.
pub fn opened_by(subject: &Subject<'_>, history: History<'_>) -> Option<OpenedBy> {
    let Some(made) = created(subject.rule).filter(|_| !subject.rule.id().is_empty()) else {
        return Some(unknown(UnknownReason::Unidentified, Vec::new(), ""));
    };
    let calls = match history.authorized {
        Ok(events) => calls_at(subject, made, events),
        Err(_) => Vec::new(),
    };
    let fits: Vec<&TrailEvent> = calls
        .iter()
        .filter(|call| {
            let mut entries = call.entries.iter();
            entries.any(|entry| says(entry, subject.rule, subject.classic))
        })
        .map(|call| call.event)
        .collect();
    let changes = match history.modified {
        Ok(events) => changes(subject, made, events),
        Err(why) => {
            // Even a call that fits may not be the last word.
            let mut out = unknown(why.reason, Vec::new(), &why.detail);
            out.created_by = only(&fits);
            return Some(out);
        }
    };
    let maker = || only(&fits).or_else(|| only(&makers_before(subject, &calls, &changes)));
    match changes.as_slice() {
        [] => {}
        [one] if agrees(one, subject) => {
            let mut out = by(one, Opening::Modified, Sureness::Certain);
            out.created_by = maker();
            return Some(out);
        }
        [one] => {
            let mut out = unknown(UnknownReason::ChangedSince, vec![shown(one)], "");
            out.created_by = maker();
            return Some(out);
        }
        several => {
            let events = several.iter().map(|event| shown(event)).collect();
            let mut out = unknown(UnknownReason::Ambiguous, events, "");
            out.created_by = maker();
            return Some(out);
        }
    }
    match fits.as_slice() {
        [one] => return Some(by(one, Opening::Authorized, Sureness::Certain)),
        [] => {}
        several => {
            let events = several.iter().map(|event| shown(event)).collect();
            return Some(unknown(UnknownReason::Ambiguous, events, ""));
        }
    }
    if let Err(why) = history.authorized {
        return Some(unknown(why.reason, Vec::new(), &why.detail));
    }
    if let Some(other) = made_otherwise(subject, made, &calls) {
        let mut out = unknown(UnknownReason::ChangedSince, Vec::new(), "");
        out.created_by = Some(shown(other));
        return Some(out);
    }
    if !came_with_group(subject, made) {
        return Some(unknown(UnknownReason::NoEvent, Vec::new(), ""));
    }
    Some(match history.group_made? {
        Err(why) => unknown(why.reason, Vec::new(), &why.detail),
        Ok(events) => match makers_of_group(subject, events).as_slice() {
            [one] => by(one, Opening::WithGroup, Sureness::Likely),
            [] => unknown(UnknownReason::NoEvent, Vec::new(), ""),
            several => {
                let events = several.iter().map(|event| shown(event)).collect();
                unknown(UnknownReason::Ambiguous, events, "")
            }
        },
    })
}

/// A call at the time when the rule was made, with the rules it speaks of.
struct Call<'e> {
    event: &'e TrailEvent,
    entries: Vec<BTreeMap<String, String>>,
}

/// The calls of the group at the time when the rule was made.
fn calls_at<'e>(
    subject: &Subject<'_>,
    made: DateTime<Utc>,
    events: &'e [TrailEvent],
) -> Vec<Call<'e>> {
    events
        .iter()
        .filter(|event| {
            event.error_code.is_empty()
                && event.params.get("SecurityGroupId").map(String::as_str)
                    == Some(subject.group_id.as_str())
                && (event.time - made).abs() <= SAME_TIME
        })
        .map(|event| Call {
            event,
            entries: entries(&event.params),
        })
        .collect()
}

fn only(events: &[&TrailEvent]) -> Option<OpeningEvent> {
    match events {
        [one] => Some(shown(one)),
        _ => None,
    }
}

/// Calls that made what the changes then made the rule.
fn makers_before<'e>(
    subject: &Subject<'_>,
    calls: &[Call<'e>],
    changes: &[&TrailEvent],
) -> Vec<&'e TrailEvent> {
    let mut in_order: Vec<&&TrailEvent> = changes.iter().collect();
    in_order.sort_by_key(|event| event.time);
    let becomes = |entry: &BTreeMap<String, String>| {
        let mut entry = entry.clone();
        for change in &in_order {
            lay_over(&mut entry, change);
        }
        says(&entry, subject.rule, subject.classic)
    };
    calls
        .iter()
        .filter(|call| call.entries.iter().any(becomes))
        .map(|call| call.event)
        .collect()
}

/// The one call with an entry that is no rule of the group any more, where the rule is the only one of
/// that time that no call explains: else any of them could have come of it.
fn made_otherwise<'e>(
    subject: &Subject<'_>,
    made: DateTime<Utc>,
    calls: &[Call<'e>],
) -> Option<&'e TrailEvent> {
    let direction = subject.rule.direction.shown();
    let at_the_time = |rule: &&Rule| {
        rule.direction.shown().eq_ignore_ascii_case(direction)
            && created(rule).is_some_and(|time| (time - made).abs() <= SAME_TIME)
    };
    let explained = |rule: &Rule| {
        let mut entries = calls.iter().flat_map(|call| &call.entries);
        entries.any(|entry| says(entry, rule, subject.classic))
    };
    let unexplained = subject
        .neighbours
        .iter()
        .filter(at_the_time)
        .filter(|rule| !explained(rule))
        .count();
    if unexplained > 1 {
        return None;
    }
    let is_gone = |entry: &BTreeMap<String, String>| {
        let mut rules = subject.neighbours.iter();
        !rules.any(|rule| says(entry, rule, subject.classic))
    };
    let mut left = calls.iter().filter(|call| call.entries.iter().any(is_gone));
    match (left.next(), left.next()) {
        (Some(one), None) => Some(one.event),
        _ => None,
    }
}

/// Lays what a change set over an entry.
fn lay_over(entry: &mut BTreeMap<String, String>, change: &TrailEvent) {
    for name in DECIDING {
        if let Some(value) = change.params.get(name).filter(|value| !value.is_empty()) {
            entry.insert(name.to_owned(), value.clone());
        }
    }
}

/// Later calls that changed what the rule lets in.
fn changes<'e>(
    subject: &Subject<'_>,
    made: DateTime<Utc>,
    events: &'e [TrailEvent],
) -> Vec<&'e TrailEvent> {
    let of = |event: &TrailEvent, name: &str, value: &str| {
        event.params.get(name).is_some_and(|said| said == value)
    };
    events
        .iter()
        .filter(|event| {
            event.error_code.is_empty()
                && of(event, "SecurityGroupId", subject.group_id.as_str())
                && of(event, "SecurityGroupRuleId", subject.rule.id())
                && event.time >= made - SAME_TIME
                && DECIDING.iter().any(|name| is_set(&event.params, name))
        })
        .collect()
}

/// Fields of a change that decide what is let in.
const DECIDING: [&str; 13] = [
    "SourceCidrIp",
    "Ipv6SourceCidrIp",
    "SourceGroupId",
    "SourcePrefixListId",
    "PortRange",
    "PortRangeListId",
    "IpProtocol",
    "Policy",
    "Priority",
    "SourcePortRange",
    "DestCidrIp",
    "Ipv6DestCidrIp",
    "DestPrefixListId",
];

fn is_set(entry: &BTreeMap<String, String>, name: &str) -> bool {
    entry.get(name).is_some_and(|value| !value.is_empty())
}

/// Whether every field that a change set is as the rule has it.
fn agrees(event: &TrailEvent, subject: &Subject<'_>) -> bool {
    // The rule's own fields, with the change's laid over them, must be the rule.
    let mut entry = subject.rule.field_map();
    lay_over(&mut entry, event);
    says(&entry, subject.rule, subject.classic)
}

/// The rules that a call speaks of: `Permissions.N.Field`, or the old flat form.
fn entries(params: &BTreeMap<String, String>) -> Vec<BTreeMap<String, String>> {
    let mut by_number: BTreeMap<u32, BTreeMap<String, String>> = BTreeMap::new();
    for (key, value) in params {
        let Some((number, field)) = key
            .strip_prefix("Permissions.")
            .and_then(|rest| rest.split_once('.'))
        else {
            continue;
        };
        if let Ok(number) = number.parse() {
            by_number
                .entry(number)
                .or_default()
                .insert(field.to_owned(), value.clone());
        }
    }
    if by_number.is_empty() {
        return vec![params.clone()];
    }
    by_number.into_values().collect()
}

/// Whether an entry of a call says exactly the rule: what it leaves out has the service's default.
fn says(entry: &BTreeMap<String, String>, rule: &Rule, classic: bool) -> bool {
    let get = |name: &str| entry.get(name).map_or("", String::as_str);
    let same = |name: &str, field: &Field| get(name) == field.shown();
    let without_case = |name: &str, field: &Field, default: &str| {
        or(get(name), default).eq_ignore_ascii_case(or(field.shown(), default))
    };
    let network = |name: &str, family: Family, field: &Field| {
        let (asked, is) = (get(name), field.shown());
        asked == is
            || match (parse_cidr(family, asked), parse_cidr(family, is)) {
                (Some(asked), Some(is)) => asked == is,
                _ => false,
            }
    };
    let priority = {
        let number = |text: &str| or(text, "1").parse::<u32>().ok();
        let asked = number(get("Priority"));
        asked.is_some() && asked == number(rule.priority.shown())
    };
    let source_ports =
        or(get("SourcePortRange"), "-1/-1") == or(rule.source_port_range.shown(), "-1/-1");
    let nic = !classic || {
        let asked = rule.asked_nic.map_or("internet", |nic| nic.as_str());
        or(get("NicType"), "internet") == or(rule.nic_type.shown(), asked)
    };
    without_case("IpProtocol", &rule.ip_protocol, "")
        && without_case("Policy", &rule.policy, "accept")
        && priority
        && ports(entry, rule)
        && source_ports
        && network("SourceCidrIp", Family::Ipv4, &rule.source_cidr_ip)
        && network("Ipv6SourceCidrIp", Family::Ipv6, &rule.ipv6_source_cidr_ip)
        && same("SourceGroupId", &rule.source_group_id)
        && same("SourcePrefixListId", &rule.source_prefix_list_id)
        && network("DestCidrIp", Family::Ipv4, &rule.dest_cidr_ip)
        && network("Ipv6DestCidrIp", Family::Ipv6, &rule.ipv6_dest_cidr_ip)
        && same("DestGroupId", &rule.dest_group_id)
        && same("DestPrefixListId", &rule.dest_prefix_list_id)
        && nic
}

fn or<'t>(text: &'t str, default: &'t str) -> &'t str {
    if text.is_empty() { default } else { text }
}

fn ports(entry: &BTreeMap<String, String>, rule: &Rule) -> bool {
    let get = |name: &str| entry.get(name).map_or("", String::as_str);
    if !rule.port_range_list_id.is_unset() || is_set(entry, "PortRangeListId") {
        return get("PortRangeListId") == rule.port_range_list_id.shown();
    }
    let portless = ["icmp", "icmpv6", "gre", "all"]
        .iter()
        .any(|name| rule.ip_protocol.shown().eq_ignore_ascii_case(name));
    let default = if portless { "-1/-1" } else { "" };
    let (asked, is) = (
        or(get("PortRange"), default),
        or(rule.port_range.shown(), default),
    );
    asked == is
        || match (parse_port_range(asked), parse_port_range(is)) {
            (Some(asked), Some(is)) => asked == is,
            _ => false,
        }
}

fn came_with_group(subject: &Subject<'_>, made: DateTime<Utc>) -> bool {
    let system = subject.rule.priority.shown().parse() == Ok(SYSTEM_PRIORITY);
    subject
        .group_created
        .is_some_and(|group| system || (made - group).abs() <= WITH_GROUP)
}

fn makers_of_group<'e>(subject: &Subject<'_>, events: &'e [TrailEvent]) -> Vec<&'e TrailEvent> {
    // The id is only in what was answered.
    let group = subject.group_id.as_str();
    events
        .iter()
        .filter(|event| {
            event.error_code.is_empty()
                && event
                    .answered
                    .get("SecurityGroupId")
                    .is_some_and(|id| id == group)
        })
        .collect()
}

fn unknown(reason: UnknownReason, events: Vec<OpeningEvent>, detail: &str) -> OpenedBy {
    OpenedBy {
        sureness: Sureness::Unknown,
        how: None,
        reason: Some(reason),
        events,
        created_by: None,
        detail: detail.to_owned(),
    }
}

/// By that call, unless a service made it: then no person is recorded.
fn by(event: &TrailEvent, how: Opening, sureness: Sureness) -> OpenedBy {
    let service = is_service(event);
    OpenedBy {
        sureness: if service { Sureness::Unknown } else { sureness },
        how: Some(how),
        reason: service.then_some(UnknownReason::ByService),
        events: vec![shown(event)],
        created_by: None,
        detail: String::new(),
    }
}

fn is_service(event: &TrailEvent) -> bool {
    event.identity.kind == "system"
        || event.kind == "AliyunServiceEvent"
        || event.source == "Internal"
        || event
            .identity
            .user
            .to_ascii_lowercase()
            .starts_with("aliyunservicerolefor")
}

/// A call as reports show it.
pub fn shown(event: &TrailEvent) -> OpeningEvent {
    OpeningEvent {
        event_id: event.id.clone(),
        action: event.name.clone(),
        time: event.time.to_rfc3339_opts(SecondsFormat::Secs, true),
        principal: event.identity.user.clone(),
        principal_type: event.identity.kind.clone(),
        principal_id: event.identity.principal.clone(),
        account: event.identity.account.clone(),
        access_key_id: event.identity.access_key.clone(),
        source: event.source.clone(),
        tool: tool(&event.user_agent),
        user_agent: event.user_agent.clone(),
    }
}

/// What a user agent says it is, in a few words; else the text itself. Anybody can write one.
pub fn tool(user_agent: &str) -> String {
    let version = |mark: &str| {
        let (_, rest) = user_agent.split_once(mark)?;
        rest.split_whitespace().next().map(str::to_owned)
    };
    if let Some(version) = version("HashiCorp-Terraform/") {
        return format!("Terraform {version}");
    }
    if let Some(version) = version("Aliyun-CLI/") {
        return format!("Alibaba Cloud CLI {version}");
    }
    if user_agent.contains(".console.aliyun.com") || user_agent.contains("AliyunConsole") {
        return "console".to_owned();
    }
    if user_agent.starts_with("AlibabaCloud (") {
        let language = user_agent
            .split_once(") ")
            .and_then(|(_, rest)| rest.split_whitespace().next());
        if let Some(language) = language {
            return format!("SDK {language}");
        }
    }
    if user_agent.ends_with(".aliyuncs.com") && !user_agent.contains(char::is_whitespace) {
        return format!("service {user_agent}");
    }
    user_agent.to_owned()
}
