//! Bytes of an answer to nouns of the model. Pure, and nothing is made up: what the service did not
//! say is `None`, unset or an error, never a default.
//!
//! To add an action, add a function here and its sample to the fixtures.

mod attached;
mod directory;
mod discovered;
mod object;
mod rule;
mod secret;
mod trail;

pub use attached::{
    Instance, InstancesPage, Interface, InterfacesPage, instances_page, interfaces_page,
};
pub use directory::{Member, MembersPage, management_account, members_page};
pub use discovered::{
    Discovered, DiscoveredPage, SECURITY_GROUP, discovered_page, discovered_state,
};

pub(crate) use object::Object;
pub use secret::{SecretValue, secret_value};
pub use trail::{EventsPage, events_page};

use crate::model::{AccountId, Field, Identity, ListReading, Rule, SecurityGroup, Tag};
use object::items;
use rule::Wrapped;
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// An answer that is not what this action answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadAnswer(pub String);

impl BadAnswer {
    fn new(what: &str, error: &serde_json::Error) -> Self {
        Self(format!("{what}: {error}"))
    }
}

/// A region as DescribeRegions lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// `RegionId`
    pub id: String,
    /// `RegionEndpoint`, a host; empty where the service gives none.
    pub endpoint: String,
    /// `Status`: `available` or `soldOut`; groups live in both.
    pub status: String,
}

/// The regions of DescribeRegions' answer. Errs where there is no list.
pub fn regions(body: &[u8]) -> Result<Vec<Region>, BadAnswer> {
    let top = Object::parse(body)?;
    let list = top
        .wrapped_list("Regions", "Region")?
        .ok_or_else(|| BadAnswer("no Regions in the answer".to_owned()))?;
    items(list, "Regions")?
        .into_iter()
        .map(|raw| {
            let region = Object::of(raw, "Region")?;
            Ok(Region {
                id: region.required("RegionId")?,
                endpoint: region.text("RegionEndpoint")?,
                status: region.text("Status")?,
            })
        })
        .collect()
}

/// A page of DescribeSecurityGroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupsPage {
    /// In the service's order.
    pub groups: Vec<SecurityGroup>,
    /// `None` on the last page.
    pub next_token: Option<String>,
    /// `TotalCount`, which the service leaves out with tokens.
    pub total: Option<u64>,
    /// Names of fields that were of a type they never are.
    pub odd: BTreeSet<String>,
}

/// A page of DescribeSecurityGroups. Errs where there is no list: an empty listing must be said.
pub fn groups_page(body: &[u8]) -> Result<GroupsPage, BadAnswer> {
    let top = Object::parse(body)?;
    let list = top
        .wrapped_list("SecurityGroups", "SecurityGroup")?
        .ok_or_else(|| BadAnswer("no SecurityGroups in the answer".to_owned()))?;
    let mut odd = BTreeSet::new();
    let groups = items(list, "SecurityGroups")?
        .into_iter()
        .map(|raw| group(raw, &mut odd))
        .collect::<Result<_, _>>()?;
    Ok(GroupsPage {
        groups,
        next_token: next_token(&top)?,
        total: count(&top, "TotalCount", &mut odd)?,
        odd,
    })
}

fn next_token(top: &Object<'_>) -> Result<Option<String>, BadAnswer> {
    let token = top.text("NextToken")?;
    Ok(Some(token).filter(|token| !token.is_empty()))
}

fn count(
    object: &Object<'_>,
    key: &str,
    odd: &mut BTreeSet<String>,
) -> Result<Option<u64>, BadAnswer> {
    let field = object.field(key)?;
    let number = field.text().and_then(|text| text.parse().ok());
    if number.is_none() && !field.is_unset() {
        odd.insert(key.to_owned());
    }
    Ok(number)
}

fn group(raw: &RawValue, odd: &mut BTreeSet<String>) -> Result<SecurityGroup, BadAnswer> {
    let object = Object::of(raw, "SecurityGroup")?;
    let service_managed = match object.get("ServiceManaged").map(RawValue::get) {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(_) => {
            odd.insert("ServiceManaged".to_owned());
            None
        }
    };
    Ok(SecurityGroup {
        id: object.required("SecurityGroupId")?,
        name: object.text("SecurityGroupName")?,
        description: object.text("Description")?,
        kind: object.text("SecurityGroupType")?,
        vpc_id: object.text("VpcId")?,
        created: object.text("CreationTime")?,
        service_managed,
        rule_count: count(&object, "RuleCount", odd)?,
        tags: tags(&object)?,
    })
}

/// No `Tags` is no tags; a `Tags` of another shape errs, since tags protect groups.
fn tags(object: &Object<'_>) -> Result<Vec<Tag>, BadAnswer> {
    let Some(list) = object.wrapped_list("Tags", "Tag")? else {
        return Ok(Vec::new());
    };
    items(list, "Tags")?
        .into_iter()
        .map(|raw| {
            let tag = Object::of(raw, "Tag")?;
            Ok(Tag {
                key: tag.required("TagKey")?,
                value: tag.text("TagValue")?,
            })
        })
        .collect()
}

/// A page of DescribeSecurityGroupAttribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesPage {
    /// `None` where `Permissions` is missing or null, which is not the same as no rules.
    pub rules: Option<Vec<Rule>>,
    /// `None` on the last page.
    pub next_token: Option<String>,
    /// Names of keys we do not know, and of fields that were of a type they never are.
    pub odd: BTreeSet<String>,
}

/// The top of DescribeSecurityGroupAttribute's answer; serde refuses a key that comes twice.
#[derive(serde::Deserialize)]
struct RulesTop<'a> {
    #[serde(rename = "SecurityGroupId", borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(rename = "NextToken", borrow, default)]
    next_token: Option<&'a RawValue>,
    #[serde(rename = "Permissions", default)]
    permissions: Option<Wrapped>,
}

/// Text that may be unset; any other type of JSON errs.
fn text(raw: Option<&RawValue>, key: &str) -> Result<String, BadAnswer> {
    let field = match raw {
        None => Field::Unset,
        Some(raw) => object::field(raw).map_err(|error| BadAnswer::new(key, &error))?,
    };
    match field {
        Field::Unset => Ok(String::new()),
        Field::Text(text) => Ok(text.into()),
        Field::Alien(_) => Err(BadAnswer(format!("{key} is not text"))),
    }
}

/// A page of DescribeSecurityGroupAttribute. Errs where it speaks of another group.
pub fn rules_page(body: &[u8], group_id: &str) -> Result<RulesPage, BadAnswer> {
    // The one answer that is large: read in one pass.
    let body = std::str::from_utf8(body)
        .map_err(|error| BadAnswer(format!("the answer is not UTF-8: {error}")))?;
    let top: RulesTop<'_> =
        serde_json::from_str(body).map_err(|error| BadAnswer::new("the answer", &error))?;
    let id = text(top.id, "SecurityGroupId")?;
    if id.is_empty() {
        return Err(BadAnswer("no SecurityGroupId in the answer".to_owned()));
    }
    if id != group_id {
        return Err(BadAnswer(format!(
            "asked for {group_id}, and the answer speaks of {id}"
        )));
    }
    let mut odd = BTreeSet::new();
    let rules = top.permissions.and_then(|wrapped| wrapped.0).map(|rules| {
        for rule in rules.iter().filter(|rule| rule.odd) {
            odd.extend(rule.rule.unknown.iter().map(|(key, _)| key.clone()));
            odd.extend(
                rule.rule
                    .fields_typed()
                    .into_iter()
                    .filter(|(_, field)| matches!(field, Field::Alien(_)))
                    .map(|(name, _)| name.to_owned()),
            );
        }
        rules.into_iter().map(|rule| rule.rule).collect()
    });
    let next = text(top.next_token, "NextToken")?;
    Ok(RulesPage {
        rules,
        next_token: Some(next).filter(|token| !token.is_empty()),
        odd,
    })
}

/// The entries of a prefix list, from DescribePrefixListAttributes.
pub fn prefix_list(body: &[u8], list_id: &str) -> ListReading {
    let read = || -> Result<Vec<String>, BadAnswer> {
        let top = Object::parse(body)?;
        let id = top.text("PrefixListId")?;
        if !id.is_empty() && id != list_id {
            return Err(BadAnswer(format!(
                "asked for {list_id}, and the answer speaks of {id}"
            )));
        }
        whole(&top)?;
        entries(top.wrapped_list("Entries", "Entry")?, "Cidr")
    };
    read().map_err(|error| error.to_string())
}

/// Lists come all at once; one that goes on would be read in part.
fn whole(top: &Object<'_>) -> Result<(), BadAnswer> {
    match next_token(top)? {
        None => Ok(()),
        Some(_) => Err(BadAnswer("the list goes on, which no list does".to_owned())),
    }
}

/// The entries of a port list, from DescribePortRangeListEntries.
pub fn port_list(body: &[u8]) -> ListReading {
    let read = || -> Result<Vec<String>, BadAnswer> {
        let top = Object::parse(body)?;
        whole(&top)?;
        entries(top.get("Entries"), "PortRange")
    };
    read().map_err(|error| error.to_string())
}

/// Each entry's text; an entry without is its JSON, which nobody takes for an address or a range.
fn entries(list: Option<&RawValue>, key: &str) -> Result<Vec<String>, BadAnswer> {
    let Some(list) = list else {
        return Err(BadAnswer("no Entries in the answer".to_owned()));
    };
    items(list, "Entries")?
        .into_iter()
        .map(|raw| {
            if !raw.get().starts_with('{') {
                return Ok(raw.get().to_owned());
            }
            Ok(match Object::of(raw, "entry")?.field(key)? {
                Field::Text(text) => text.into(),
                Field::Alien(json) => json.into(),
                Field::Unset => raw.get().to_owned(),
            })
        })
        .collect()
}

/// GetCallerIdentity's answer.
pub fn identity(body: &[u8]) -> Result<Identity, BadAnswer> {
    let top = Object::parse(body)?;
    Ok(Identity {
        account: AccountId::new(top.required("AccountId")?),
        arn: top.required("Arn")?,
        kind: top.required("IdentityType")?,
        principal: top.text("PrincipalId")?,
    })
}
