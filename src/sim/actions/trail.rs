//! ActionTrail: the history of calls. Every changing call made here is recorded, refused ones too; what
//! happened before is seeded. Reads are in the real history as well and are left out of this one: a big
//! world is read a million times.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Duration, NaiveDateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::super::auth::Principal;
use super::super::trail::Event;
use super::super::wire::Failure;
use super::{COMMON, Call, State};

/// Calls of one account in a second, the console's included (reference: "2", unit not shown).
const A_SECOND: u32 = 2;
const DAYS: i64 = 90;

/// Keys of LookupAttribute, with the event's own name of what they look at.
const KEYS: [(&str, &str); 11] = [
    ("ServiceName", "serviceName"),
    ("EventName", "eventName"),
    ("User", "userIdentity/userName"),
    ("EventId", "eventId"),
    ("ResourceType", "resourceType"),
    ("ResourceName", "resourceName"),
    ("EventRW", "eventRW"),
    ("EventAccessKeyId", "userIdentity/accessKeyId"),
    ("SourceIpAddress", "sourceIpAddress"),
    ("EventType", "eventType"),
    ("PrincipalId", "userIdentity/principalId"),
];

fn invalid(name: &str, why: &str) -> Failure {
    Failure::bad(
        &format!("InvalidParameter.{name}"),
        format!("The specified parameter {name} is not valid: {why}."),
    )
}

/// LookupEvents.
pub(super) fn lookup(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    let second = call.now.timestamp();
    let counted = state
        .lookups
        .entry(call.caller.account.clone())
        .or_insert((second, 0));
    if counted.0 != second {
        *counted = (second, 0);
    }
    counted.1 = counted.1.saturating_add(1);
    if counted.1 > A_SECOND {
        return Err(Failure::bad(
            "Throttling.User",
            "Request was denied due to user flow control.",
        ));
    }
    let (start, end) = window(call)?;
    let wanted = attributes(call)?;
    let max = call.max_results(1, 50, 20, false)?;
    let forward = match call.get("Direction") {
        None | Some("BACKWARD") => false,
        Some("FORWARD") => true,
        Some(_) => return Err(invalid("Direction", "FORWARD or BACKWARD")),
    };
    let shown_until = call.now - state.world.trail_delay;
    let mut found: Vec<&Event> = state
        .world
        .trail
        .iter()
        .filter(|event| {
            event.account == call.caller.account
                && event.region == call.region_id()
                && event.time >= start
                && event.time <= end
                && event.time <= shown_until
                && wanted.iter().all(|(path, value)| is(event, path, value))
        })
        .collect();
    found.sort_by_key(|event| event.time);
    if !forward {
        found.reverse();
    }
    let from = place(call)?.min(found.len());
    let to = from.saturating_add(max).min(found.len());
    let page: Vec<&Map<String, Value>> = found
        .get(from..to)
        .unwrap_or(&[])
        .iter()
        .map(|event| &event.body)
        .collect();
    let mut answer = json!({
        "RequestId": call.request_id,
        "StartTime": seconds(start),
        "EndTime": seconds(end),
        "Events": page,
    });
    if to < found.len() {
        answer["NextToken"] = json!(token(call, to));
    }
    Ok(answer.to_string())
}

fn seconds(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Both times or neither, the last 7 days where neither; 90 days at most, and none older.
fn window(call: &Call<'_>) -> Result<(DateTime<Utc>, DateTime<Utc>), Failure> {
    let time = |name: &str| -> Result<Option<DateTime<Utc>>, Failure> {
        let Some(text) = call.get(name) else {
            return Ok(None);
        };
        NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%SZ")
            .map(|time| Some(time.and_utc()))
            .map_err(|_| invalid(name, "YYYY-MM-DDThh:mm:ssZ"))
    };
    let (start, end) = match (time("StartTime")?, time("EndTime")?) {
        (None, None) => (call.now - Duration::days(7), call.now),
        (Some(start), Some(end)) => (start, end),
        (Some(_), None) => return Err(Failure::missing("EndTime")),
        (None, Some(_)) => return Err(Failure::missing("StartTime")),
    };
    if start >= end || end - start > Duration::days(DAYS) {
        return Err(invalid("EndTime", "after StartTime, by 90 days at most"));
    }
    // What the service answers here is not known; refusing shows a client that relies on it.
    if call.now - start > Duration::days(DAYS) {
        return Err(invalid("StartTime", "within the last 90 days"));
    }
    Ok((start, end))
}

/// Conditions, joined by AND; the same key twice: the second counts; a third is ignored.
fn attributes(call: &Call<'_>) -> Result<Vec<(&'static str, String)>, Failure> {
    let mut out: Vec<(&'static str, String)> = Vec::new();
    for fields in call.structs("LookupAttribute").into_iter().take(2) {
        let (Some(key), Some(value)) = (fields.get("Key"), fields.get("Value")) else {
            return Err(invalid("LookupAttribute", "a Key and a Value"));
        };
        let Some((_, path)) = KEYS.iter().find(|(name, _)| name == key) else {
            return Err(invalid("LookupAttribute", "one of the documented keys"));
        };
        out.retain(|(known, _)| known != path);
        out.push((path, (*value).to_owned()));
    }
    Ok(out)
}

fn is(event: &Event, path: &str, value: &str) -> bool {
    let pointer = format!("/{path}");
    let body = &event.body;
    let said = match path.split_once('/') {
        Some((outer, inner)) => body.get(outer).and_then(|o| o.get(inner)),
        None => body.get(pointer.trim_start_matches('/')),
    };
    let Some(text) = said.and_then(Value::as_str) else {
        return false;
    };
    // Several types by `;`, several ids by `,`.
    match path {
        "resourceType" | "resourceName" => text.split([';', ',']).any(|part| part == value),
        _ => text == value,
    }
}

/// Opaque, long, with the characters that are awkward in a query, and good for this question only.
fn token(call: &Call<'_>, to: usize) -> String {
    let mut text = format!("{}|{to}|", call.token_seal());
    while text.len() < 170 {
        text.push('~');
        text.push('?');
    }
    let mut out = String::from("CAES+/");
    let _ = write!(out, "{}", STANDARD.encode(text));
    out
}

fn place(call: &Call<'_>) -> Result<usize, Failure> {
    let Some(token) = call.get("NextToken") else {
        return Ok(0);
    };
    token
        .strip_prefix("CAES+/")
        .and_then(|text| STANDARD.decode(text).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| {
            let rest = text.strip_prefix(&call.token_seal())?.strip_prefix('|')?;
            rest.split('|').next()?.parse().ok()
        })
        .ok_or_else(|| invalid("NextToken", "one of this very question"))
}

/// Notes a changing call of ECS, as it was sent.
pub(in super::super) fn record(call: &Call<'_>, state: &mut State, failed: Option<&Failure>) {
    if !call.spec.changes || call.spec.product != "Ecs" {
        return;
    }
    let mut params = Map::new();
    for (name, value) in call.params {
        if !COMMON.contains(&name.as_str()) {
            params.insert(name.clone(), json!(value));
        }
    }
    let host = format!("ecs.{}.aliyuncs.com", call.region_id());
    for (name, value) in [
        ("AcsProduct", "Ecs"),
        ("AcsHost", &host),
        ("HostId", &host),
        ("RequestId", call.request_id),
    ] {
        params.insert(name.to_owned(), json!(value));
    }
    let mut event = Event::new(
        &call.caller.account,
        call.region_id(),
        call.now,
        call.spec.name,
        call.request_id,
    )
    .by(identity(call, state))
    .with("sourceIpAddress", "127.0.0.1")
    .with("userAgent", call.user_agent)
    .asking(params);
    if let Some(failed) = failed {
        event = event
            .with("errorCode", &failed.code)
            .with("errorMessage", &failed.message);
        event.body.remove("responseElements");
    }
    state.world.trail.push(event);
}

fn identity(call: &Call<'_>, state: &State) -> Value {
    let account = &call.caller.account;
    match &call.caller.principal {
        // Only calls that need no identity are let in so, and none of them changes anything.
        Principal::Nobody | Principal::KeyPair { .. } => json!({"type": "unknown"}),
        Principal::Root => json!({
            "type": "root-account", "principalId": account, "accountId": account,
            "userName": "root",
        }),
        Principal::User { name, id } => json!({
            "type": "ram-user", "principalId": id, "accountId": account, "userName": name,
        }),
        Principal::Role { name, session } => {
            let roles = state.world.accounts.get(account).map(|a| &a.roles);
            let id = roles
                .and_then(|roles| roles.iter().find(|r| r.name.eq_ignore_ascii_case(name)))
                .map(|role| role.id.clone())
                .unwrap_or_default();
            json!({
                "type": "assumed-role", "principalId": format!("{id}:{session}"),
                "accountId": account,
                "userName": format!("{}:{session}", name.to_ascii_lowercase()),
            })
        }
    }
}
