//! Network interfaces and instances: no more of them than whom they belong to and whether an address
//! of the internet is on them.

use super::object::{Object, field, items};
use super::{BadAnswer, next_token};
use crate::model::{Field, GroupId};
use std::net::Ipv6Addr;

/// A network interface, as far as it counts here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// `NetworkInterfaceId`
    pub id: String,
    /// `SecurityGroupIds`, sorted, each once.
    pub groups: Vec<GroupId>,
    /// `InstanceId`; empty where it is attached to none.
    pub instance: String,
    /// Not `Secondary`.
    pub primary: bool,
    /// It has an elastic IPv4 address, on whichever of its private ones.
    pub public: bool,
    /// It has an IPv6 address or prefix that is not private to begin with.
    pub ipv6: bool,
}

/// A page of DescribeNetworkInterfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfacesPage {
    /// In the service's order.
    pub interfaces: Vec<Interface>,
    /// `None` on the last page.
    pub next_token: Option<String>,
}

/// An instance, as far as it counts here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// `InstanceId`
    pub id: String,
    /// `SecurityGroupIds`, those of its primary interface; sorted, each once.
    pub groups: Vec<GroupId>,
    /// It has a public address of its own or an elastic one.
    pub public: bool,
    /// It lies in the classic network, where there are no interfaces to list.
    pub classic: bool,
}

/// A page of DescribeInstances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstancesPage {
    /// In the service's order.
    pub instances: Vec<Instance>,
    /// `None` on the last page.
    pub next_token: Option<String>,
}

/// A page of DescribeNetworkInterfaces. Errs where there is no list, or an interface does not say
/// its groups: what uses a group must be said.
pub fn interfaces_page(body: &[u8]) -> Result<InterfacesPage, BadAnswer> {
    let top = Object::parse(body)?;
    let list = top
        .wrapped_list("NetworkInterfaceSets", "NetworkInterfaceSet")?
        .ok_or_else(|| BadAnswer("no NetworkInterfaceSets in the answer".to_owned()))?;
    let interfaces = items(list, "NetworkInterfaceSets")?
        .into_iter()
        .map(|raw| {
            let item = Object::of(raw, "NetworkInterfaceSet")?;
            let mut public = has_public_ip(&item)?;
            for one in list_of(&item, "PrivateIpSets", "PrivateIpSet")? {
                public |= has_public_ip(&one)?;
            }
            let mut ipv6 = false;
            for one in list_of(&item, "Ipv6Sets", "Ipv6Set")? {
                ipv6 |= may_be_public(&one.text("Ipv6Address")?);
            }
            for one in list_of(&item, "Ipv6PrefixSets", "Ipv6PrefixSet")? {
                let prefix = one.text("Ipv6Prefix")?;
                ipv6 |= may_be_public(prefix.split('/').next().unwrap_or_default());
            }
            Ok(Interface {
                id: item.required("NetworkInterfaceId")?,
                groups: groups(&item)?,
                instance: item.text("InstanceId")?,
                primary: !item.text("Type")?.eq_ignore_ascii_case("Secondary"),
                public,
                ipv6,
            })
        })
        .collect::<Result<_, BadAnswer>>()?;
    Ok(InterfacesPage {
        interfaces,
        next_token: next_token(&top)?,
    })
}

/// A page of DescribeInstances. Errs as [`interfaces_page`] does.
pub fn instances_page(body: &[u8]) -> Result<InstancesPage, BadAnswer> {
    let top = Object::parse(body)?;
    let list = top
        .wrapped_list("Instances", "Instance")?
        .ok_or_else(|| BadAnswer("no Instances in the answer".to_owned()))?;
    let instances = items(list, "Instances")?
        .into_iter()
        .map(|raw| {
            let item = Object::of(raw, "Instance")?;
            let elastic = match item.get("EipAddress") {
                None => String::new(),
                Some(raw) => Object::of(raw, "EipAddress")?.text("IpAddress")?,
            };
            let own = texts(&item, "PublicIpAddress", "IpAddress")?.unwrap_or_default();
            Ok(Instance {
                id: item.required("InstanceId")?,
                groups: groups(&item)?,
                public: !elastic.is_empty() || own.iter().any(|address| !address.is_empty()),
                classic: item
                    .text("InstanceNetworkType")?
                    .eq_ignore_ascii_case("classic"),
            })
        })
        .collect::<Result<_, BadAnswer>>()?;
    Ok(InstancesPage {
        instances,
        next_token: next_token(&top)?,
    })
}

fn groups(item: &Object<'_>) -> Result<Vec<GroupId>, BadAnswer> {
    let ids = texts(item, "SecurityGroupIds", "SecurityGroupId")?
        .ok_or_else(|| BadAnswer("no SecurityGroupIds in an item".to_owned()))?;
    let mut groups: Vec<GroupId> = ids.into_iter().map(GroupId::new).collect();
    groups.sort();
    groups.dedup();
    Ok(groups)
}

/// `outer.inner[]` of texts; `None` where there is none.
fn texts(item: &Object<'_>, outer: &str, inner: &str) -> Result<Option<Vec<String>>, BadAnswer> {
    let Some(list) = item.wrapped_list(outer, inner)? else {
        return Ok(None);
    };
    items(list, outer)?
        .into_iter()
        .map(
            |raw| match field(raw).map_err(|error| BadAnswer::new(inner, &error))? {
                Field::Text(text) => Ok(text.into()),
                Field::Unset | Field::Alien(_) => Err(BadAnswer(format!("{inner} is not text"))),
            },
        )
        .collect::<Result<_, _>>()
        .map(Some)
}

/// `outer.inner[]` of objects; none where it is not there.
fn list_of<'a>(item: &Object<'a>, outer: &str, inner: &str) -> Result<Vec<Object<'a>>, BadAnswer> {
    match item.wrapped_list(outer, inner)? {
        None => Ok(Vec::new()),
        Some(list) => items(list, outer)?
            .into_iter()
            .map(|raw| Object::of(raw, inner))
            .collect(),
    }
}

fn has_public_ip(item: &Object<'_>) -> Result<bool, BadAnswer> {
    match item.get("AssociatedPublicIp") {
        None => Ok(false),
        Some(raw) => Ok(!Object::of(raw, "AssociatedPublicIp")?
            .text("PublicIpAddress")?
            .is_empty()),
    }
}

/// Whether an IPv6 address may be one of the internet; one that does not parse may.
fn may_be_public(address: &str) -> bool {
    if address.is_empty() {
        return false;
    }
    address.parse::<Ipv6Addr>().map_or(true, |address| {
        !address.is_unique_local() && !address.is_unicast_link_local()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_an_error_and_not_an_unused_group() {
        for body in [
            r#"{"RequestId":"r"}"#,
            r#"{"NetworkInterfaceSets":null}"#,
            r#"{"NetworkInterfaceSets":{"NetworkInterfaceSet":[{"NetworkInterfaceId":"eni-1"}]}}"#,
            r#"{"NetworkInterfaceSets":{"NetworkInterfaceSet":[{"SecurityGroupIds":{"SecurityGroupId":[]}}]}}"#,
            r#"{"NetworkInterfaceSets":{"NetworkInterfaceSet":[{"NetworkInterfaceId":"eni-1","SecurityGroupIds":{"SecurityGroupId":[1.5,null]}}]}}"#,
        ] {
            assert!(interfaces_page(body.as_bytes()).is_err(), "{body}");
        }
        assert!(instances_page(br#"{"Instances":{"Instance":[{"InstanceId":"i-1"}]}}"#).is_err());
    }

    #[test]
    fn ipv6_addresses_that_may_be_public() {
        for (address, may) in [
            ("2408:4005::9", true),
            ("fd00::1", false),
            ("fe80::1", false),
            ("", false),
            ("odd", true),
        ] {
            assert_eq!(may_be_public(address), may, "{address}");
        }
    }
}
