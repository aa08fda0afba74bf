//! One call in ActionTrail's history, under the service's own field names.

use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use serde_json::{Map, Value, json};

/// A recorded call.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Whose history it is in.
    pub account: String,
    /// Which region answers for it.
    pub region: String,
    /// When, in whole seconds.
    pub time: DateTime<Utc>,
    /// As LookupEvents answers it.
    pub body: Map<String, Value>,
}

impl Event {
    /// A successful call of ECS by nobody in particular.
    pub fn new(account: &str, region: &str, time: DateTime<Utc>, name: &str, id: &str) -> Event {
        let time = time.trunc_subsecs(0);
        let body = json!({
            "eventId": id, "requestId": id, "eventName": name,
            "eventTime": time.to_rfc3339_opts(SecondsFormat::Secs, true),
            "eventSource": format!("ecs.{region}.aliyuncs.com"),
            "eventType": "ApiCall", "eventCategory": "Management", "eventRW": "Write",
            "eventVersion": 1, "apiVersion": "2014-05-26", "acsRegion": region, "isGlobal": false,
            "serviceName": "Ecs", "sourceIpAddress": "203.0.113.9",
            "userAgent": "AlibabaCloud (linux; amd64) Golang/1.21.5 Core/0.01 TeaDSL/1",
            "responseElements": {"RequestId": id},
            "additionalEventData": {"Scheme": "https"},
        });
        Event {
            account: account.into(),
            region: region.into(),
            time,
            body: match body {
                Value::Object(map) => map,
                _ => Map::new(),
            },
        }
    }

    /// The same by that `userIdentity`.
    pub fn by(mut self, identity: Value) -> Event {
        self.body.insert("userIdentity".into(), identity);
        self
    }

    /// The same by a RAM user.
    pub fn by_user(self, name: &str) -> Event {
        let identity = json!({
            "type": "ram-user", "principalId": "200000000000000002", "accountId": self.account,
            "accessKeyId": "LTAI-sim-of-somebody", "userName": name,
        });
        self.by(identity)
    }

    /// The same by a session of a role.
    pub fn by_role(self, role: &str, session: &str) -> Event {
        let identity = json!({
            "type": "assumed-role", "principalId": format!("300000000000000002:{session}"),
            "accountId": self.account, "accessKeyId": "STS.sim-of-somebody",
            "userName": format!("{}:{session}", role.to_ascii_lowercase()),
        });
        self.by(identity)
    }

    /// The same with one field more, or another.
    pub fn with(mut self, field: &str, value: &str) -> Event {
        self.body.insert(field.into(), json!(value));
        self
    }

    /// The same with these `requestParameters`.
    pub fn asking(mut self, params: Map<String, Value>) -> Event {
        self.body
            .insert("requestParameters".into(), Value::Object(params));
        self
    }

    /// The same with these `requestParameters`, all text.
    pub fn with_params(self, params: &[(&str, &str)]) -> Event {
        let pairs = params.iter().map(|(k, v)| ((*k).to_owned(), json!(v)));
        self.asking(pairs.collect())
    }
}
