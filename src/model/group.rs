//! What the cloud said about one security group, before anyone judged it.

use super::{AccountId, GroupId, RegionId};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One field of an answer. Empty string, null and absent are the same: unset. A JSON number is the
/// text of its literal. Anything else (boolean, array, object) is kept so that it can be reported.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Field {
    /// Empty, null or absent.
    #[default]
    Unset,
    /// A string, or a number's literal.
    Text(Box<str>),
    /// JSON of a type this field never has; the text is that JSON.
    Alien(Box<str>),
}

impl Field {
    /// The text, where it is text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Unset | Self::Alien(_) => None,
        }
    }

    /// What a person should see: the text, nothing, or the odd JSON.
    pub fn shown(&self) -> &str {
        match self {
            Self::Unset => "",
            Self::Text(text) | Self::Alien(text) => text,
        }
    }

    /// Whether nothing was said.
    pub fn is_unset(&self) -> bool {
        matches!(self, Self::Unset)
    }
}

impl From<&str> for Field {
    fn from(text: &str) -> Self {
        if text.is_empty() {
            Self::Unset
        } else {
            Self::Text(text.into())
        }
    }
}

/// A tag of a group.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Tag {
    /// `TagKey`
    pub key: String,
    /// `TagValue`
    pub value: String,
}

/// A group as DescribeSecurityGroups lists it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SecurityGroup {
    /// `SecurityGroupId`
    pub id: String,
    /// `SecurityGroupName`; may be empty, and is an attacker's text.
    pub name: String,
    /// `Description`; likewise.
    pub description: String,
    /// `SecurityGroupType`: `normal` or `enterprise`
    pub kind: String,
    /// `VpcId`; empty in the classic network.
    pub vpc_id: String,
    /// `CreationTime`
    pub created: String,
    /// `ServiceManaged`; `None` where the service did not say so as a boolean.
    pub service_managed: Option<bool>,
    /// `RuleCount`, both directions; `None` where the service did not say.
    pub rule_count: Option<u64>,
    /// `Tags.Tag[]`
    pub tags: Vec<Tag>,
}

impl SecurityGroup {
    /// Whether it lies in the classic network, where NicType counts.
    pub fn is_classic(&self) -> bool {
        self.vpc_id.is_empty()
    }
}

/// The two interfaces of the classic network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NicType {
    /// The public one.
    Internet,
    /// The private one.
    Intranet,
}

impl NicType {
    /// As requests spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Internet => "internet",
            Self::Intranet => "intranet",
        }
    }
}

/// One rule as DescribeSecurityGroupAttribute gives it, nothing interpreted. Field names are the
/// service's in snake case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[expect(missing_docs, reason = "the service's own field names")]
pub struct Rule {
    pub security_group_rule_id: Field,
    pub direction: Field,
    pub policy: Field,
    pub priority: Field,
    pub ip_protocol: Field,
    pub port_range: Field,
    pub port_range_list_id: Field,
    pub port_range_list_name: Field,
    pub source_cidr_ip: Field,
    pub ipv6_source_cidr_ip: Field,
    pub source_group_id: Field,
    pub source_group_name: Field,
    pub source_group_owner_account: Field,
    pub source_prefix_list_id: Field,
    pub source_prefix_list_name: Field,
    pub source_port_range: Field,
    pub dest_cidr_ip: Field,
    pub ipv6_dest_cidr_ip: Field,
    pub dest_group_id: Field,
    pub dest_group_name: Field,
    pub dest_group_owner_account: Field,
    pub dest_prefix_list_id: Field,
    pub dest_prefix_list_name: Field,
    pub nic_type: Field,
    pub description: Field,
    pub create_time: Field,
    /// Keys we do not know, with their JSON, where they say anything: reported by name.
    pub unknown: Vec<(String, String)>,
    /// The NicType the call asked for; `None` in a VPC, where none is asked.
    pub asked_nic: Option<NicType>,
}

impl Rule {
    /// The rule's id, or empty: answers from before 2022 have none.
    pub fn id(&self) -> &str {
        self.security_group_rule_id.shown()
    }

    /// Every known field that is set, under the service's own name, in a fixed order.
    pub fn fields(&self) -> Vec<(&'static str, &str)> {
        self.fields_typed()
            .into_iter()
            .filter(|(_, field)| !field.is_unset())
            .map(|(name, field)| (name, field.shown()))
            .collect()
    }

    /// Every known field, under the service's own name, in a fixed order.
    pub fn fields_typed(&self) -> [(&'static str, &Field); 26] {
        [
            ("SecurityGroupRuleId", &self.security_group_rule_id),
            ("Direction", &self.direction),
            ("Policy", &self.policy),
            ("Priority", &self.priority),
            ("IpProtocol", &self.ip_protocol),
            ("PortRange", &self.port_range),
            ("PortRangeListId", &self.port_range_list_id),
            ("PortRangeListName", &self.port_range_list_name),
            ("SourceCidrIp", &self.source_cidr_ip),
            ("Ipv6SourceCidrIp", &self.ipv6_source_cidr_ip),
            ("SourceGroupId", &self.source_group_id),
            ("SourceGroupName", &self.source_group_name),
            ("SourceGroupOwnerAccount", &self.source_group_owner_account),
            ("SourcePrefixListId", &self.source_prefix_list_id),
            ("SourcePrefixListName", &self.source_prefix_list_name),
            ("SourcePortRange", &self.source_port_range),
            ("DestCidrIp", &self.dest_cidr_ip),
            ("Ipv6DestCidrIp", &self.ipv6_dest_cidr_ip),
            ("DestGroupId", &self.dest_group_id),
            ("DestGroupName", &self.dest_group_name),
            ("DestGroupOwnerAccount", &self.dest_group_owner_account),
            ("DestPrefixListId", &self.dest_prefix_list_id),
            ("DestPrefixListName", &self.dest_prefix_list_name),
            ("NicType", &self.nic_type),
            ("Description", &self.description),
            ("CreateTime", &self.create_time),
        ]
    }

    /// A rule of fields under the service's own names; names it does not know are dropped.
    pub fn from_fields(fields: &BTreeMap<String, String>) -> Self {
        let of = |name: &str| {
            fields
                .get(name)
                .map_or(Field::Unset, |text| Field::from(text.as_str()))
        };
        Self {
            security_group_rule_id: of("SecurityGroupRuleId"),
            direction: of("Direction"),
            policy: of("Policy"),
            priority: of("Priority"),
            ip_protocol: of("IpProtocol"),
            port_range: of("PortRange"),
            port_range_list_id: of("PortRangeListId"),
            port_range_list_name: of("PortRangeListName"),
            source_cidr_ip: of("SourceCidrIp"),
            ipv6_source_cidr_ip: of("Ipv6SourceCidrIp"),
            source_group_id: of("SourceGroupId"),
            source_group_name: of("SourceGroupName"),
            source_group_owner_account: of("SourceGroupOwnerAccount"),
            source_prefix_list_id: of("SourcePrefixListId"),
            source_prefix_list_name: of("SourcePrefixListName"),
            source_port_range: of("SourcePortRange"),
            dest_cidr_ip: of("DestCidrIp"),
            ipv6_dest_cidr_ip: of("Ipv6DestCidrIp"),
            dest_group_id: of("DestGroupId"),
            dest_group_name: of("DestGroupName"),
            dest_group_owner_account: of("DestGroupOwnerAccount"),
            dest_prefix_list_id: of("DestPrefixListId"),
            dest_prefix_list_name: of("DestPrefixListName"),
            nic_type: of("NicType"),
            description: of("Description"),
            create_time: of("CreateTime"),
            unknown: Vec::new(),
            asked_nic: None,
        }
    }

    /// Its fields as a map.
    pub fn field_map(&self) -> BTreeMap<String, String> {
        let mut map: BTreeMap<String, String> = self
            .fields()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        if let Some(nic) = self.asked_nic {
            // Unset is the interface that was asked for.
            map.entry("NicType".to_owned())
                .or_insert_with(|| nic.as_str().to_owned());
        }
        map
    }

    /// The source as a person would name it: the first that is set, in the order rules are read.
    pub fn source_shown(&self) -> String {
        let cidrs = [&self.source_cidr_ip, &self.ipv6_source_cidr_ip];
        let set: Vec<&str> = cidrs
            .into_iter()
            .filter(|field| !field.is_unset())
            .map(Field::shown)
            .collect();
        if !set.is_empty() {
            return set.join(" + ");
        }
        for field in [&self.source_group_id, &self.source_prefix_list_id] {
            if !field.is_unset() {
                return field.shown().to_owned();
            }
        }
        String::new()
    }

    /// The ports as a person would name them: the range, else the port list's id.
    pub fn ports_shown(&self) -> &str {
        if self.port_range.is_unset() {
            self.port_range_list_id.shown()
        } else {
            self.port_range.shown()
        }
    }

    /// Whether the rule names a prefix list or a port list, in either direction.
    pub fn names_a_list(&self) -> bool {
        !self.source_prefix_list_id.is_unset()
            || !self.dest_prefix_list_id.is_unset()
            || !self.port_range_list_id.is_unset()
    }
}

/// A prefix list or port list: its entries' texts, or why they could not be had. An entry that is
/// not text is its JSON, which no reader of entries takes for an address.
pub type ListReading = Result<Vec<String>, String>;

/// The lists that a group's rules name, by id. A list that is named and not here was not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// `pl-...` to the entries' `Cidr`
    pub prefix: BTreeMap<String, Arc<ListReading>>,
    /// `prl-...` to the entries' `PortRange`
    pub port: BTreeMap<String, Arc<ListReading>>,
}

/// A group's rules, both directions, distinct by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// In the order the service gave them.
    pub read: Vec<Rule>,
    /// Why they are not all there; such a group is undetermined under every check.
    pub incomplete: Option<String>,
}

/// One answer of the service, byte for byte, as evidence keeps it.
#[derive(Clone, Debug)]
pub struct RawAnswer {
    /// When it had arrived.
    pub time: DateTime<Utc>,
    /// The account it speaks of.
    pub account: AccountId,
    /// The region asked; empty for calls that are not regional.
    pub region: String,
    /// Such as `DescribeSecurityGroupAttribute`.
    pub action: String,
    /// The request's parameters: no signature, no key, no token of credentials.
    pub params: BTreeMap<String, String>,
    /// The HTTP status.
    pub status: u16,
    /// The service's request id, or empty.
    pub request_id: String,
    /// The body as received.
    pub body: bytes::Bytes,
}

/// All that a verdict on one group is made from.
#[derive(Clone, Debug)]
pub struct GroupReading {
    /// Whose group it is.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionId,
    /// The listing's entry.
    pub group: SecurityGroup,
    /// The rules.
    pub rules: Rules,
    /// The lists that the rules name.
    pub lists: Lists,
    /// What was odd about the reading and decides nothing by itself.
    pub warnings: Vec<String>,
    /// The answers with the rules in them (and a fresh listing, where one was needed).
    pub answers: Vec<RawAnswer>,
}

impl GroupReading {
    /// The group's id.
    pub fn id(&self) -> GroupId {
        GroupId::new(self.group.id.clone())
    }

    /// Why the first list that could not be read could not, of those that decide what comes in.
    pub fn unread_list(&self) -> Option<&String> {
        let is_egress = |rule: &Rule| {
            let word = rule.direction.text();
            word.is_some_and(|word| word.eq_ignore_ascii_case("egress"))
        };
        self.rules
            .read
            .iter()
            .filter(|rule| !is_egress(rule))
            .find_map(|rule| {
                let prefix = self.lists.prefix.get(rule.source_prefix_list_id.shown());
                let port = self.lists.port.get(rule.port_range_list_id.shown());
                let mut lists = prefix.into_iter().chain(port);
                lists.find_map(|list| list.as_ref().as_ref().err())
            })
    }
}
