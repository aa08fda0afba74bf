//! One security group rule, prefix list and port list as the service holds them, under its own field names.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `Priority` as it is put on the wire: a number in most answers, text in old ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Priority {
    /// A JSON number, the normal case.
    Number(i64),
    /// Text, whatever it says.
    Text(String),
}

impl Priority {
    /// The integer it stands for, if it is one.
    pub fn value(&self) -> Option<i64> {
        match self {
            Priority::Number(n) => Some(*n),
            Priority::Text(text) => text.parse().ok(),
        }
    }
}

/// A rule. Fields carry the service's names in PascalCase; a field left out of the JSON has the
/// value the service would show for a plain ingress rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct Rule {
    /// `sgr-...`; empty: one is given when the rule joins a world.
    pub security_group_rule_id: String,
    /// `ingress` or `egress`.
    pub direction: String,
    /// `TCP`, `UDP`, `ICMP`, `GRE`, `ALL`, a number.
    pub ip_protocol: String,
    /// `22/22`, `-1/-1`, empty beside a port list.
    pub port_range: String,
    /// Smaller first.
    pub priority: Priority,
    /// `Accept` or `Drop`.
    pub policy: String,
    /// `intranet` in a VPC; which card in the classic network.
    pub nic_type: String,
    /// User text.
    pub description: String,
    /// UTC, with seconds.
    pub create_time: String,
    /// IPv4 CIDR or bare address.
    pub source_cidr_ip: String,
    /// IPv6 CIDR or bare address.
    pub ipv6_source_cidr_ip: String,
    /// Group whose members are the source.
    pub source_group_id: String,
    /// Its name.
    pub source_group_name: String,
    /// Its account, empty for one's own.
    pub source_group_owner_account: String,
    /// Prefix list as the source.
    pub source_prefix_list_id: String,
    /// Its name.
    pub source_prefix_list_name: String,
    /// Limit on the source port.
    pub source_port_range: String,
    /// Destination (a limit in ingress, the peer in egress).
    pub dest_cidr_ip: String,
    /// Likewise for IPv6.
    pub ipv6_dest_cidr_ip: String,
    /// Egress peer group.
    pub dest_group_id: String,
    /// Its name.
    pub dest_group_name: String,
    /// Its account.
    pub dest_group_owner_account: String,
    /// Egress peer prefix list.
    pub dest_prefix_list_id: String,
    /// Its name.
    pub dest_prefix_list_name: String,
    /// Port list, in place of a port range.
    pub port_range_list_id: String,
    /// Its name.
    pub port_range_list_name: String,
    /// Values put over the fields in answers only: `{"Policy": null}`, `{"Priority": "x"}`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub overrides: Map<String, Value>,
    /// Fields left out of answers: `["SecurityGroupRuleId"]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<String>,
}

impl Default for Rule {
    fn default() -> Rule {
        let none = String::new;
        Rule {
            security_group_rule_id: none(),
            direction: "ingress".into(),
            ip_protocol: "TCP".into(),
            port_range: none(),
            priority: Priority::Number(1),
            policy: "Accept".into(),
            nic_type: "intranet".into(),
            description: none(),
            create_time: "2024-03-05T02:11:10Z".into(),
            source_cidr_ip: none(),
            ipv6_source_cidr_ip: none(),
            source_group_id: none(),
            source_group_name: none(),
            source_group_owner_account: none(),
            source_prefix_list_id: none(),
            source_prefix_list_name: none(),
            source_port_range: none(),
            dest_cidr_ip: none(),
            ipv6_dest_cidr_ip: none(),
            dest_group_id: none(),
            dest_group_name: none(),
            dest_group_owner_account: none(),
            dest_prefix_list_id: none(),
            dest_prefix_list_name: none(),
            port_range_list_id: none(),
            port_range_list_name: none(),
            overrides: Map::new(),
            absent: Vec::new(),
        }
    }
}

impl Rule {
    /// An ingress Accept of Priority 1. `source` is a CIDR of either family, a group (`sg-...`) or
    /// a prefix list (`pl-...`); `ports` is a range, or a port list (`prl-...`).
    pub fn ingress(protocol: &str, ports: &str, source: &str) -> Rule {
        let mut rule = Rule {
            ip_protocol: protocol.into(),
            ..Rule::default()
        };
        if ports.starts_with("prl-") {
            rule.port_range_list_id = ports.into();
        } else {
            rule.port_range = ports.into();
        }
        if source.starts_with("sg-") {
            rule.source_group_id = source.into();
        } else if source.starts_with("pl-") {
            rule.source_prefix_list_id = source.into();
        } else if source.contains(':') {
            rule.ipv6_source_cidr_ip = source.into();
        } else {
            rule.source_cidr_ip = source.into();
        }
        rule
    }

    /// An egress Accept of Priority 1 towards an IPv4 CIDR.
    pub fn egress(protocol: &str, ports: &str, destination: &str) -> Rule {
        Rule {
            direction: "egress".into(),
            ip_protocol: protocol.into(),
            port_range: ports.into(),
            dest_cidr_ip: destination.into(),
            ..Rule::default()
        }
    }

    /// The same rule as a Drop.
    pub fn drops(mut self) -> Rule {
        self.policy = "Drop".into();
        self
    }

    /// The same rule at another Priority.
    pub fn at(mut self, priority: i64) -> Rule {
        self.priority = Priority::Number(priority);
        self
    }

    /// The same rule with a description.
    pub fn described(mut self, text: &str) -> Rule {
        self.description = text.into();
        self
    }

    /// A rule from JSON in the service's field names.
    ///
    /// # Errors
    /// Says what serde did not understand.
    pub fn from_json(text: &str) -> Result<Rule, String> {
        serde_json::from_str(text).map_err(|e| format!("rule: {e}"))
    }

    pub(super) fn is_ingress(&self) -> bool {
        self.direction.eq_ignore_ascii_case("ingress")
    }

    /// Every field that decides or is shown, without id, times and the names of what it points at.
    pub(super) fn state_line(&self) -> String {
        let priority = match &self.priority {
            Priority::Number(n) => n.to_string(),
            Priority::Text(t) => t.clone(),
        };
        let fields = [
            self.direction.to_ascii_lowercase(),
            self.policy.to_ascii_lowercase(),
            priority,
            self.ip_protocol.to_ascii_uppercase(),
            self.port_range.clone(),
            self.port_range_list_id.clone(),
            self.nic_type.clone(),
            self.source_cidr_ip.clone(),
            self.ipv6_source_cidr_ip.clone(),
            self.source_group_id.clone(),
            self.source_group_owner_account.clone(),
            self.source_prefix_list_id.clone(),
            self.source_port_range.clone(),
            self.dest_cidr_ip.clone(),
            self.ipv6_dest_cidr_ip.clone(),
            self.dest_group_id.clone(),
            self.dest_prefix_list_id.clone(),
            self.description.clone(),
        ];
        fields.join("|")
    }

    /// What the service compares to tell whether a rule exists already.
    pub(super) fn identity(&self, with_priority: bool) -> String {
        let mut bare = self.clone();
        bare.description.clear();
        if !with_priority {
            bare.priority = Priority::Number(0);
        }
        if bare.source_port_range == "-1/-1" {
            bare.source_port_range.clear();
        }
        bare.state_line()
    }
}

/// `TagKey`, `TagValue`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Tag {
    /// The key.
    pub tag_key: String,
    /// The value, possibly empty.
    #[serde(default)]
    pub tag_value: String,
}

/// One entry of a prefix list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct PrefixEntry {
    /// A CIDR of the list's family.
    pub cidr: String,
    /// User text.
    #[serde(default)]
    pub description: String,
}

/// A prefix list with its entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct PrefixList {
    /// `pl-...`.
    pub prefix_list_id: String,
    /// Its name.
    #[serde(default)]
    pub prefix_list_name: String,
    /// `IPv4` or `IPv6`.
    #[serde(default = "ipv4")]
    pub address_family: String,
    /// 1 to 200.
    #[serde(default = "twenty")]
    pub max_entries: u32,
    /// User text.
    #[serde(default)]
    pub description: String,
    /// UTC, without seconds.
    #[serde(default = "list_time")]
    pub creation_time: String,
    /// Its tags.
    #[serde(default, deserialize_with = "tags")]
    pub tags: Vec<Tag>,
    /// What it holds.
    #[serde(default, deserialize_with = "prefix_entries")]
    pub entries: Vec<PrefixEntry>,
}

impl PrefixList {
    /// A list of these CIDRs; the family is that of the first.
    pub fn new(id: &str, name: &str, cidrs: &[&str]) -> PrefixList {
        let v6 = cidrs.first().is_some_and(|c| c.contains(':'));
        PrefixList {
            prefix_list_id: id.into(),
            prefix_list_name: name.into(),
            address_family: if v6 { "IPv6" } else { "IPv4" }.into(),
            max_entries: twenty(),
            description: String::new(),
            creation_time: list_time(),
            tags: Vec::new(),
            entries: cidrs
                .iter()
                .map(|c| PrefixEntry {
                    cidr: (*c).into(),
                    description: String::new(),
                })
                .collect(),
        }
    }
}

/// One entry of a port list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct PortEntry {
    /// `a/b`.
    pub port_range: String,
    /// User text.
    #[serde(default)]
    pub description: String,
}

/// A port list with its entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct PortList {
    /// `prl-...`.
    pub port_range_list_id: String,
    /// Its name.
    #[serde(default)]
    pub port_range_list_name: String,
    /// 1 to 2000.
    #[serde(default = "twenty")]
    pub max_entries: u32,
    /// User text.
    #[serde(default)]
    pub description: String,
    /// UTC, without seconds.
    #[serde(default = "list_time")]
    pub creation_time: String,
    /// Its tags.
    #[serde(default, deserialize_with = "tags")]
    pub tags: Vec<Tag>,
    /// What it holds.
    #[serde(default)]
    pub entries: Vec<PortEntry>,
}

impl PortList {
    /// A list of these ranges.
    pub fn new(id: &str, name: &str, ranges: &[&str]) -> PortList {
        PortList {
            port_range_list_id: id.into(),
            port_range_list_name: name.into(),
            max_entries: twenty(),
            description: String::new(),
            creation_time: list_time(),
            tags: Vec::new(),
            entries: ranges
                .iter()
                .map(|r| PortEntry {
                    port_range: (*r).into(),
                    description: String::new(),
                })
                .collect(),
        }
    }
}

fn ipv4() -> String {
    "IPv4".into()
}

fn twenty() -> u32 {
    20
}

fn list_time() -> String {
    "2024-02-20T07:11Z".into()
}

/// The two ways a list may be written in a world file: as the service wraps it, or plain.
#[derive(Deserialize)]
#[serde(untagged)]
enum Wrapped<T, W> {
    Plain(Vec<T>),
    Wrapped(W),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TagWrap {
    tag: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct EntryWrap {
    entry: Vec<PrefixEntry>,
}

pub(super) fn tags<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<Tag>, D::Error> {
    Ok(match Wrapped::<Tag, TagWrap>::deserialize(d)? {
        Wrapped::Plain(list) => list,
        Wrapped::Wrapped(w) => w.tag,
    })
}

fn prefix_entries<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<PrefixEntry>, D::Error> {
    Ok(match Wrapped::<PrefixEntry, EntryWrap>::deserialize(d)? {
        Wrapped::Plain(list) => list,
        Wrapped::Wrapped(w) => w.entry,
    })
}

/// `Permissions` plain or wrapped. By hand, so that a mistake inside one rule is named.
pub(super) fn permissions<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<Rule>, D::Error> {
    let mut value = Value::deserialize(d)?;
    let list = match &mut value {
        Value::Object(map) => map.get_mut("Permission").map(Value::take),
        Value::Array(_) => Some(value.take()),
        _ => None,
    };
    let Some(Value::Array(list)) = list else {
        return Err(serde::de::Error::custom(
            "Permissions is neither a list nor {\"Permission\": [..]}",
        ));
    };
    list.into_iter()
        .enumerate()
        .map(|(i, v)| {
            serde_json::from_value(v)
                .map_err(|e| serde::de::Error::custom(format!("Permissions[{i}]: {e}")))
        })
        .collect()
}
