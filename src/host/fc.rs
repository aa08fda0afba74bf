//! What Function Compute's custom runtime says and wants to hear: requests told apart by the
//! platform's own header, events by their shape, answers with both of their signals. Pure: `cli/fc.rs`
//! listens, `job` does the work.
//!
//! Source: help pages "Custom runtime", "Timer trigger", "Custom remediation" and their official samples,
//! read 2026-08.
//!
//! To add a kind of event, add it to [`Event`] and say in [`Event::parse`] what it is known by.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// What the platform asks for; never told by the path, which a caller may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// An event.
    Invoke,
    /// Once per instance, where an initializer is set.
    Initialize,
    /// Before an instance goes.
    PreStop,
}

/// The platform's headers of one request.
#[derive(Clone)]
pub struct Headers {
    /// `x-fc-request-id`
    pub request_id: String,
    /// What is asked for.
    pub control: Control,
    /// The function's time-out.
    pub timeout: Option<Duration>,
    /// Keys of the function's role, where it has one: for this request only.
    pub keys: Option<HeaderKeys>,
}

/// Temporary keys out of the headers.
#[derive(Clone, PartialEq, Eq)]
pub struct HeaderKeys {
    /// AccessKey id.
    pub id: String,
    /// AccessKey secret.
    pub secret: String,
    /// The session's token.
    pub token: Option<String>,
}

impl std::fmt::Debug for HeaderKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeaderKeys").finish_non_exhaustive()
    }
}

impl Headers {
    /// Reads them. `header` gives a header's value by its name in small letters.
    ///
    /// # Errors
    /// It is not the platform's, or asks for something that is not served.
    pub fn read<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Result<Self, String> {
        let text = |name: &str| header(name).map(str::trim).filter(|text| !text.is_empty());
        let request_id = text("x-fc-request-id")
            .ok_or("no x-fc-request-id: the request is not Function Compute's")?
            .to_owned();
        let control = match text("x-fc-control-path") {
            Some("/invoke") => Control::Invoke,
            Some("/initialize") => Control::Initialize,
            Some("/pre-stop") => Control::PreStop,
            Some("/http-invoke") => {
                return Err(
                    "an HTTP trigger called: this job takes events only; remove that trigger"
                        .to_owned(),
                );
            }
            Some(other) => return Err(format!("x-fc-control-path \"{other}\" is not served")),
            None => {
                return Err(
                    "no x-fc-control-path: the request is not Function Compute's".to_owned(),
                );
            }
        };
        let timeout = match text("x-fc-function-timeout") {
            None => None,
            // A day is the most a function may run.
            Some(seconds) => match seconds.parse::<u64>() {
                Ok(number @ 0..=86_400) => Some(Duration::from_secs(number)),
                _ => {
                    return Err(format!(
                        "x-fc-function-timeout \"{seconds}\" is not a number of seconds up to 86400"
                    ));
                }
            },
        };
        let keys = match (text("x-fc-access-key-id"), text("x-fc-access-key-secret")) {
            (Some(id), Some(secret)) => Some(HeaderKeys {
                id: id.to_owned(),
                secret: secret.to_owned(),
                token: text("x-fc-security-token").map(ToOwned::to_owned),
            }),
            (None, None) => None,
            _ => return Err("half a key in the headers: id and secret come together".to_owned()),
        };
        Ok(Self {
            request_id,
            control,
            timeout,
            keys,
        })
    }
}

/// Time kept back from the function's own: to verify the group at hand, to seal, to send, to mail.
/// Two readings after a change may take 90 seconds; a short function keeps a third.
pub fn kept_back(timeout: Duration) -> Duration {
    Duration::from_secs(150).min(timeout / 3)
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Of a timer trigger.
    Timer(Timer),
    /// Cloud Config calls its remediation: resources it found non-compliant.
    Remediation(Vec<Resource>),
    /// Cloud Config asks for a verdict.
    CustomRule(CustomRule),
}

/// A timer's event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// `triggerTime`, UTC to the second: the same one is one run.
    pub time: String,
    /// `triggerName`
    pub name: String,
    /// What to run.
    pub payload: Payload,
}

/// What a timer carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The name of a schedule in `./schedules`.
    Named(String),
    /// A schedule's text.
    Text(String),
}

/// A resource of a remediation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// `accountId`
    pub account: String,
    /// `regionId`
    pub region: String,
    /// `resourceId`
    pub id: String,
    /// `resourceType`
    pub kind: String,
    /// `configRuleId`
    pub rule: String,
}

/// What a custom rule is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomRule {
    /// `resultToken`, which the verdict goes back with.
    pub token: String,
    /// `orderingTimestamp`, milliseconds.
    pub ordering: i64,
    /// One resource; `None`: the evaluation of a whole account, on its own schedule.
    pub resource: Option<Resource>,
}

/// The resource type of security groups.
pub const SECURITY_GROUP: &str = "ACS::ECS::SecurityGroup";

impl Event {
    /// Reads an event by its shape.
    ///
    /// # Errors
    /// It is none of those that are known; says what was looked for.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let value: Value =
            serde_json::from_slice(body).map_err(|why| format!("the event is not JSON ({why})"))?;
        match &value {
            Value::Array(resources) => remediation(resources),
            Value::Object(keys) if keys.contains_key("resultToken") => custom_rule(&value),
            Value::Object(keys) if keys.contains_key("triggerTime") && keys.contains_key("triggerName") => {
                timer(value)
            }
            Value::Object(keys) if keys.contains_key("resourceId") && keys.contains_key("configRuleId") => {
                remediation(std::slice::from_ref(&value))
            }
            Value::Object(keys) if keys.contains_key("eventType") => Err(
                "a notice of Cloud Config by message service: it asks for nothing; bind the function as the rule's remediation".to_owned(),
            ),
            _ => Err(
                "the event is none of: a timer's (triggerTime, triggerName, payload), Cloud Config's remediation (an array), Cloud Config's custom rule (resultToken)"
                    .to_owned(),
            ),
        }
    }

    /// In a word, for logs and answers.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Timer(_) => "timer",
            Self::Remediation(_) => "remediation",
            Self::CustomRule(_) => "custom-rule",
        }
    }
}

fn timer(value: Value) -> Result<Event, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Typed {
        trigger_time: String,
        trigger_name: String,
        #[serde(default)]
        payload: Value,
    }
    let typed: Typed =
        serde_json::from_value(value).map_err(|why| format!("the timer's event: {why}"))?;
    let time = chrono::DateTime::parse_from_rfc3339(&typed.trigger_time)
        .map_err(|why| format!("triggerTime \"{}\": {why}", typed.trigger_time))?
        .with_timezone(&chrono::Utc)
        .to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    if !is_name(&typed.trigger_name) {
        return Err(format!(
            "triggerName \"{}\" must be of letters, digits, - and _",
            typed.trigger_name
        ));
    }
    // JSON in JSON: the payload is a text, whatever it holds.
    let text = match typed.payload {
        Value::String(text) => text,
        Value::Null => String::new(),
        _ => return Err("payload must be a text: the name of a schedule, or its TOML".to_owned()),
    };
    Ok(Event::Timer(Timer {
        time,
        name: typed.trigger_name,
        payload: payload(text.trim())?,
    }))
}

fn payload(text: &str) -> Result<Payload, String> {
    const FORMS: &str = "the payload must be the name of a schedule in ./schedules, {\"schedule\":\"NAME\"}, or a schedule's TOML";
    if text.is_empty() {
        return Err(format!("the payload is empty: {FORMS}"));
    }
    if is_name(text) {
        return Ok(Payload::Named(text.to_owned()));
    }
    if !text.starts_with('{') {
        return Ok(Payload::Text(text.to_owned()));
    }
    let keys: BTreeMap<String, String> =
        serde_json::from_str(text).map_err(|why| format!("{FORMS}: {why}"))?;
    if let Some(odd) = keys.keys().find(|key| *key != "schedule") {
        return Err(format!("payload: unknown key \"{odd}\": {FORMS}"));
    }
    match keys.get("schedule") {
        Some(name) if is_name(name) => Ok(Payload::Named(name.clone())),
        Some(name) => Err(format!(
            "payload: \"{name}\" is no schedule's name: {FORMS}"
        )),
        None => Err(FORMS.to_owned()),
    }
}

/// Whether a text can be a schedule's or a trigger's name, and part of a file's.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// A text, or a number as text: account ids come as either.
fn id(value: &Value, key: &str) -> Option<String> {
    match value.get(key)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn resource(value: &Value, rule: Option<String>) -> Result<Resource, String> {
    let need = |key: &str| id(value, key).ok_or_else(|| format!("no {key}"));
    Ok(Resource {
        account: need("accountId")?,
        region: need("regionId")?,
        id: need("resourceId")?,
        kind: need("resourceType")?,
        rule: match rule {
            Some(rule) => rule,
            None => need("configRuleId")?,
        },
    })
}

fn remediation(resources: &[Value]) -> Result<Event, String> {
    if resources.is_empty() {
        return Err("the remediation names no resource".to_owned());
    }
    let mut out: Vec<Resource> = Vec::new();
    for (at, value) in resources.iter().enumerate() {
        let read = resource(value, None).map_err(|why| {
            format!(
                "resource {} of the remediation: {why}",
                at.saturating_add(1)
            )
        })?;
        if !out.contains(&read) {
            out.push(read);
        }
    }
    Ok(Event::Remediation(out))
}

fn custom_rule(value: &Value) -> Result<Event, String> {
    let fail = |why: &str| format!("the custom rule's event: {why}");
    let token = id(value, "resultToken").ok_or_else(|| fail("resultToken is empty"))?;
    let ordering = value
        .get("orderingTimestamp")
        .and_then(Value::as_i64)
        .ok_or_else(|| fail("no orderingTimestamp"))?;
    // An object, or one as text: both are met.
    let invoking = match value.get("invokingEvent") {
        Some(Value::String(text)) => {
            serde_json::from_str(text).map_err(|why| fail(&format!("invokingEvent: {why}")))?
        }
        Some(Value::Object(keys)) => Value::Object(keys.clone()),
        _ => return Err(fail("no invokingEvent")),
    };
    let message = id(&invoking, "messageType").unwrap_or_default();
    let item = match invoking.get("configurationItem") {
        Some(Value::String(text)) if !text.is_empty() => {
            serde_json::from_str(text).map_err(|why| fail(&format!("configurationItem: {why}")))?
        }
        Some(item @ Value::Object(_)) => item.clone(),
        _ => Value::Null,
    };
    let resource = if item.get("resourceId").is_some_and(|id| !id.is_null()) {
        Some(resource(&item, Some(String::new())).map_err(|why| fail(&why))?)
    } else if message == "ScheduledNotification" {
        None
    } else {
        return Err(fail(&format!(
            "messageType \"{message}\" without a configurationItem"
        )));
    };
    Ok(Event::CustomRule(CustomRule {
        token,
        ordering,
        resource,
    }))
}

/// The two signals of an answer: the status, and the platform's own header with the same number.
pub fn status(success: bool) -> u16 {
    if success { 200 } else { 404 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(value: &Value) -> Result<Event, String> {
        Event::parse(value.to_string().as_bytes())
    }

    #[test]
    fn events_are_known_by_their_shape() {
        let timer =
            json!({"triggerTime":"2022-08-03T13:52:30Z","triggerName":"timer","payload":"weekly"});
        assert_eq!(
            event(&timer),
            Ok(Event::Timer(Timer {
                time: "2022-08-03T13:52:30Z".into(),
                name: "timer".into(),
                payload: Payload::Named("weekly".into()),
            }))
        );
        let inner = json!({"triggerTime":"2022-08-03T13:52:30Z","triggerName":"t","payload":"{\"schedule\":\"weekly\"}"});
        let Ok(Event::Timer(inner)) = event(&inner) else {
            panic!("no timer")
        };
        assert_eq!(inner.payload, Payload::Named("weekly".into()));
        let group = json!({"accountId":1234567890123456u64,"regionId":"cn-hangzhou","resourceId":"sg-1",
            "resourceType":SECURITY_GROUP,"configRuleId":"cr-1","more":true});
        let Ok(Event::Remediation(list)) = event(&json!([group, group])) else {
            panic!("no remediation")
        };
        assert_eq!(list.len(), 1, "twice the same is one");
        assert_eq!(list[0].account, "1234567890123456");
        assert_eq!(event(&group).map(|e| e.kind()), Ok("remediation"));
        let rule = json!({"orderingTimestamp":1,"resultToken":"t","ruleParameters":{},
            "invokingEvent":{"messageType":"ScheduledNotification","configurationItem":null}});
        assert!(matches!(
            event(&rule),
            Ok(Event::CustomRule(CustomRule { resource: None, .. }))
        ));
    }

    #[test]
    fn what_is_no_event_of_ours_says_so() {
        for (value, part) in [
            (json!({"hello":1}), "none of"),
            (json!([]), "no resource"),
            (json!([{"accountId":"1"}]), "no regionId"),
            (json!({"eventType":"ResourceCompliance"}), "message service"),
            (
                json!({"triggerTime":"yesterday","triggerName":"t","payload":"x"}),
                "triggerTime",
            ),
            (
                json!({"triggerTime":"2022-08-03T13:52:30Z","triggerName":"t","payload":""}),
                "empty",
            ),
            (
                json!({"triggerTime":"2022-08-03T13:52:30Z","triggerName":"../t","payload":"x"}),
                "triggerName",
            ),
            (
                json!({"triggerTime":"2022-08-03T13:52:30Z","triggerName":"t","payload":"{\"schedul\":\"x\"}"}),
                "unknown key",
            ),
            (
                json!({"resultToken":"t","orderingTimestamp":1,"invokingEvent":{"messageType":"X"}}),
                "without a configurationItem",
            ),
        ] {
            let why = event(&value).expect_err(&value.to_string());
            assert!(why.contains(part), "{value}: {why}");
        }
    }

    #[test]
    fn the_header_decides_and_not_the_path() {
        let read = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.to_vec();
            Headers::read(move |name| {
                pairs
                    .iter()
                    .find(|(n, _)| *n == name)
                    .map(|(_, value)| *value)
            })
        };
        let id = ("x-fc-request-id", "1-2");
        let headers = read(&[
            id,
            ("x-fc-control-path", "/invoke"),
            ("x-fc-function-timeout", "600"),
        ])
        .expect("the platform's");
        assert_eq!(headers.control, Control::Invoke);
        assert_eq!(headers.timeout, Some(Duration::from_secs(600)));
        assert!(headers.keys.is_none());
        for pairs in [
            &[("x-fc-control-path", "/invoke")][..],
            &[id],
            &[id, ("x-fc-control-path", "/http-invoke")],
            &[
                id,
                ("x-fc-control-path", "/invoke"),
                ("x-fc-access-key-id", "a"),
            ],
        ] {
            assert!(read(pairs).is_err(), "{pairs:?}");
        }
    }
}
