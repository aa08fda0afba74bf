//! Reading regions and groups.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::faults::Kind;
use super::super::rule::{Priority, Rule, Tag};
use super::super::wire::{Failure, Obj, array, json_text};
use super::super::world::{Group, Place};
use super::{Call, Previous, State, unknown_group};

const LISTING_TOKEN: &str = "InValidParameter.NextToken";
/// The reference's spelling.
const ATTRIBUTE_TOKEN: &str = "InvalidParamter";

pub(super) fn describe_regions(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    if let Some(language) = call.get("AcceptLanguage")
        && !["zh-CN", "zh-TW", "en-US", "ja", "fr", "de", "ko"].contains(&language)
    {
        return Err(Failure::new(
            404,
            "InvalidAcceptLanguage.NotFound",
            "The specified AcceptLanguage does not exist.",
        ));
    }
    let mut out = String::new();
    let mut top = Obj::open(&mut out);
    top.text("RequestId", call.request_id);
    let regions = top.key("Regions");
    regions.push_str("{\"Region\":");
    let account = state.world.accounts.get(&call.caller.account);
    array(
        regions,
        account.into_iter().flat_map(|a| a.regions.values()),
        |out, region| {
            Obj::open(out)
                .text("RegionId", &region.id)
                .text("RegionEndpoint", &format!("ecs.{}.aliyuncs.com", region.id))
                .text("LocalName", &region.local_name)
                .text("Status", &region.status)
                .close();
        },
    );
    regions.push('}');
    top.close();
    Ok(out)
}

struct Filter<'a> {
    name: Option<&'a str>,
    vpc: Option<&'a str>,
    classic: Option<bool>,
    kind: Option<&'a str>,
    managed: Option<bool>,
    resource_group: Option<&'a str>,
    tags: Vec<(&'a str, Option<&'a str>)>,
    /// Ids that the caller may not see.
    unlisted: Vec<String>,
}

impl Filter<'_> {
    fn fits(&self, group: &Group) -> bool {
        !self.unlisted.contains(&group.security_group_id)
            && self.name.is_none_or(|n| n == group.security_group_name)
            && self.vpc.is_none_or(|v| v == group.vpc_id)
            && self.classic.is_none_or(|c| c == group.is_classic())
            && self.kind.is_none_or(|k| k == group.security_group_type)
            && self.managed.is_none_or(|m| m == group.service_managed)
            && self
                .resource_group
                .is_none_or(|r| r == group.resource_group_id)
            && self.tags.iter().all(|(key, value)| {
                group
                    .tags
                    .iter()
                    .any(|t| t.tag_key == *key && value.is_none_or(|v| v == t.tag_value))
            })
    }
}

fn filter<'a>(call: &Call<'a>, state: &State) -> Result<Filter<'a>, Failure> {
    let invalid = |name: &str, value: &str| {
        Failure::bad(
            &format!("InvalidParameter.{name}"),
            format!("The specified {name} {value} is not valid."),
        )
    };
    let classic = match call.get("NetworkType") {
        None => None,
        Some("classic") => Some(true),
        Some("vpc") => Some(false),
        Some(value) => return Err(invalid("NetworkType", value)),
    };
    let kind = call.get("SecurityGroupType");
    if let Some(value) = kind
        && !["normal", "enterprise"].contains(&value)
    {
        return Err(invalid("SecurityGroupType", value));
    }
    let managed = match call.get("ServiceManaged") {
        None => None,
        Some(value) if value.eq_ignore_ascii_case("true") => Some(true),
        Some(value) if value.eq_ignore_ascii_case("false") => Some(false),
        Some(value) => return Err(invalid("ServiceManaged", value)),
    };
    Ok(Filter {
        name: call.get("SecurityGroupName"),
        vpc: call.get("VpcId"),
        classic,
        kind,
        managed,
        resource_group: call.get("ResourceGroupId"),
        tags: call.tags(),
        unlisted: state.faults.ids(call.aim(), &Kind::Unlisted),
    })
}

fn check_group_id(id: &str) -> Result<(), Failure> {
    if id.starts_with("sg-") {
        return Ok(());
    }
    Err(Failure::bad(
        "InvalidSecurityGroupId.Malformed",
        format!("The specified SecurityGroupId {id} is malformed."),
    ))
}

/// The groups asked for by id; `None`: all.
fn wanted_ids(call: &Call<'_>) -> Result<Option<BTreeSet<String>>, Failure> {
    let mut ids = BTreeSet::new();
    let mut asked = false;
    if let Some(id) = call.get("SecurityGroupId") {
        asked = true;
        ids.insert(id.to_owned());
    }
    if let Some(text) = call.get("SecurityGroupIds") {
        asked = true;
        match serde_json::from_str::<Vec<String>>(text) {
            Ok(list) if list.len() <= 100 => ids.extend(list),
            _ => {
                return Err(Failure::bad(
                    "InvalidSecurityGroupId.Malformed",
                    "SecurityGroupIds is not a JSON array of at most 100 ids.",
                ));
            }
        }
    }
    for id in &ids {
        check_group_id(id)?;
    }
    Ok(asked.then_some(ids))
}

pub(super) fn describe_groups(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    if call.get("PageNumber").is_some() || call.get("PageSize").is_some() {
        return Err(Failure::bad(
            "NotSupported.PageNumberAndPageSize",
            "PageNumber and PageSize are not supported, use MaxResults and NextToken.",
        ));
    }
    if call
        .get("DryRun")
        .is_some_and(|v| v.eq_ignore_ascii_case("true"))
    {
        return Err(Failure::bad(
            "DryRunOperation",
            "Request validation has been passed with DryRun flag set.",
        ));
    }
    let max = call.max_results(1, 100, 10, false)?;
    let filter = filter(call, state)?;
    let ids = wanted_ids(call)?;
    let region = call.region(state)?;
    let start = match call.place(LISTING_TOKEN)? {
        None => region.first_place(),
        Some(place) => parse_place(&place)?,
    };
    let mut page: Vec<Group> = Vec::new();
    let mut next = None;
    if let Some(ids) = ids {
        // By id there is one page at most: a hundred ids, and a token is only given above MaxResults.
        let after = match &start {
            Place::After(id) => id.as_str(),
            Place::Seeded(_) => "",
        };
        for id in ids.into_iter().filter(|id| id.as_str() > after) {
            let Some(group) = region.group(&id).filter(|g| filter.fits(g)) else {
                continue;
            };
            if page.len() == max {
                next = page
                    .last()
                    .map(|g| Place::After(g.security_group_id.clone()));
                break;
            }
            page.push(group.into_owned());
        }
    } else {
        region.visit(start.clone(), |place, head| {
            if !filter.fits(head) {
                return true;
            }
            if page.len() == max {
                next = Some(place);
                return false;
            }
            page.push(head.clone());
            true
        });
    }
    let mut token = next.map(|p| call.token_to(&place_text(&p)));
    if token.is_none()
        && let Some(fault) = call.strike(state, |k| matches!(k, Kind::GroupTwice { .. }))
    {
        repeat_group(call, state, &fault, &mut page);
    }
    if call.strike(state, |k| *k == Kind::RepeatToken).is_some() {
        let asked = call.get("NextToken").map(str::to_owned);
        token = asked
            .or(token)
            .or_else(|| Some(call.token_to(&place_text(&start))));
    }
    Ok(listing(call, &page, &token.unwrap_or_default()))
}

fn repeat_group(
    call: &Call<'_>,
    state: &State,
    fault: &super::super::faults::Fault,
    page: &mut Vec<Group>,
) {
    let Ok(region) = call.region(state) else {
        return;
    };
    let mut target = fault.id.clone();
    if target.is_none() {
        region.visit(region.first_place(), |_, group| {
            target = Some(group.security_group_id.clone());
            false
        });
    }
    let Some(group) = target.and_then(|id| region.group(&id)) else {
        return;
    };
    let mut again = group.into_owned();
    if fault.kind == (Kind::GroupTwice { differing: true }) {
        again.rule_count = Some(again.listed_rule_count() + 1);
    }
    page.push(again);
}

fn place_text(place: &Place) -> String {
    match place {
        Place::Seeded(i) => format!("s{i}"),
        Place::After(id) => format!("x{id}"),
    }
}

fn parse_place(text: &str) -> Result<Place, Failure> {
    let bad = || Failure::bad(LISTING_TOKEN, "The specified NextToken is not valid.");
    match text.split_at_checked(1) {
        Some(("s", index)) => Ok(Place::Seeded(index.parse().map_err(|_| bad())?)),
        Some(("x", id)) => Ok(Place::After(id.into())),
        _ => Err(bad()),
    }
}

fn listing(call: &Call<'_>, page: &[Group], token: &str) -> String {
    let mut out = String::with_capacity(600 * page.len() + 200);
    let mut top = Obj::open(&mut out);
    top.text("RequestId", call.request_id)
        .text("RegionId", call.region_id())
        .text("NextToken", token);
    let groups = top.key("SecurityGroups");
    groups.push_str("{\"SecurityGroup\":");
    array(groups, page, |out, group| {
        let mut item = Obj::open(out);
        item.text("SecurityGroupId", &group.security_group_id)
            .text("SecurityGroupName", &group.security_group_name)
            .text("Description", &group.description)
            .text("SecurityGroupType", &group.security_group_type)
            .text("VpcId", &group.vpc_id)
            .text("CreationTime", &group.creation_time)
            .number("EcsCount", group.ecs_count)
            .number("AvailableInstanceAmount", group.available_instance_amount)
            .text("ResourceGroupId", &group.resource_group_id)
            .boolean("ServiceManaged", group.service_managed)
            .number("ServiceID", group.service_id)
            .number("RuleCount", group.listed_rule_count())
            .number("GroupToGroupRuleCount", group.listed_group_rules());
        let tags = item.key("Tags");
        tags.push_str("{\"Tag\":");
        write_tags(tags, &group.tags);
        tags.push('}');
        item.close();
    });
    groups.push('}');
    top.close();
    out
}

/// An array of TagKey, TagValue.
pub(super) fn write_tags(out: &mut String, tags: &[Tag]) {
    array(out, tags, |out, tag| {
        Obj::open(out)
            .text("TagKey", &tag.tag_key)
            .text("TagValue", &tag.tag_value)
            .close();
    });
}

pub(super) fn describe_attribute(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    let id = call.need("SecurityGroupId")?;
    check_group_id(id)?;
    let direction = match call.get("Direction") {
        None => None,
        Some(d) if d.eq_ignore_ascii_case("all") => None,
        Some(d) if d.eq_ignore_ascii_case("ingress") => Some(true),
        Some(d) if d.eq_ignore_ascii_case("egress") => Some(false),
        Some(d) => {
            return Err(Failure::bad(
                ATTRIBUTE_TOKEN,
                format!("The specified Direction {d} is not valid."),
            ));
        }
    };
    if let Some(attribute) = call.get("Attribute")
        && attribute != "snapshotPolicyIds"
    {
        return Err(Failure::bad(
            "InvalidParameter.AttributeNotSupported",
            "The specified Attribute is not supported.",
        ));
    }
    let max = call.max_results(10, 1000, 500, false)?;
    if call.strike(state, |k| *k == Kind::Vanish).is_some() {
        call.region_mut(state)?.remove_group(id);
    }
    let stale = call.stale(state, id);
    let region = call.region(state)?;
    let mut group = match stale {
        Some(group) => group,
        None => region.group(id).ok_or_else(unknown_group)?.into_owned(),
    };
    let nic = match (group.is_classic(), call.get("NicType")) {
        (true, None | Some("internet")) => Some("internet"),
        (true, Some("intranet")) => Some("intranet"),
        (false, None | Some("intranet")) => None,
        (_, Some(other)) => {
            return Err(Failure::bad(
                "InvalidNicType.ValueNotSupported",
                format!("The specified NicType {other} is not supported here."),
            ));
        }
    };
    group.permissions.retain(|r| {
        direction.is_none_or(|ingress| ingress == r.is_ingress())
            && nic.is_none_or(|n| n == r.nic_type)
    });
    let start = match call.place(ATTRIBUTE_TOKEN)? {
        None => 0,
        Some(place) => place
            .parse()
            .map_err(|_| Failure::bad(ATTRIBUTE_TOKEN, "The specified NextToken is not valid."))?,
    };
    let start: usize = start.min(group.permissions.len());
    let end = start.saturating_add(max).min(group.permissions.len());
    let last = end == group.permissions.len();
    let mut page = group.permissions.get(start..end).unwrap_or(&[]).to_vec();
    let mut token = if last {
        String::new()
    } else {
        call.token_to(&end.to_string())
    };
    if last {
        if let Some(fault) = call.strike(state, |k| matches!(k, Kind::ShortPage(_)))
            && let Kind::ShortPage(n) = fault.kind
        {
            page.truncate(page.len().saturating_sub(n));
        }
        if call.strike(state, |k| *k == Kind::RuleTwice).is_some()
            && let Some(mut again) = page.first().cloned()
        {
            again.priority = Priority::Number(again.priority.value().unwrap_or(1) + 1);
            page.push(again);
        }
    }
    if call.strike(state, |k| *k == Kind::RepeatToken).is_some() {
        token = match call.get("NextToken") {
            Some(asked) => asked.into(),
            None if token.is_empty() => call.token_to(&start.to_string()),
            None => token,
        };
    }
    let null = call.strike(state, |k| {
        matches!(k, Kind::PermissionsNull | Kind::PermissionsMissing)
    });
    let permissions = match null.map(|f| f.kind) {
        Some(Kind::PermissionsNull) => Rules::Null,
        Some(_) => Rules::Missing,
        None => Rules::These(&page),
    };
    Ok(attribute(call, &group, &permissions, &token))
}

enum Rules<'a> {
    These(&'a [Rule]),
    Null,
    Missing,
}

fn attribute(call: &Call<'_>, group: &Group, rules: &Rules<'_>, token: &str) -> String {
    let mut out = String::with_capacity(1024);
    let mut top = Obj::open(&mut out);
    top.text("RequestId", call.request_id)
        .text("RegionId", call.region_id())
        .text("SecurityGroupId", &group.security_group_id)
        .text("SecurityGroupName", &group.security_group_name)
        .text("Description", &group.description)
        .text("VpcId", &group.vpc_id)
        .text("InnerAccessPolicy", &group.inner_access_policy)
        .text("NextToken", token);
    match rules {
        Rules::These(page) => {
            let permissions = top.key("Permissions");
            permissions.reserve(800 * page.len());
            permissions.push_str("{\"Permission\":");
            array(permissions, *page, write_rule);
            permissions.push('}');
        }
        Rules::Null => top.key("Permissions").push_str("null"),
        Rules::Missing => {}
    }
    let snapshots = top.key("SnapshotPolicyIds");
    snapshots.push_str("{\"SnapshotPolicyId\":");
    let asked = call.get("Attribute").is_some();
    let ids = group.snapshot_policy_ids.iter().filter(|_| asked);
    array(snapshots, ids, |out, id| json_text(out, id));
    snapshots.push('}');
    top.close();
    out
}

fn write_rule(out: &mut String, rule: &Rule) {
    if rule.overrides.is_empty() && rule.absent.is_empty() {
        return write_plain_rule(out, rule);
    }
    let mut text = String::new();
    write_plain_rule(&mut text, rule);
    let mut value: Value = serde_json::from_str(&text).unwrap_or_default();
    if let Some(map) = value.as_object_mut() {
        map.extend(rule.overrides.clone());
        map.retain(|name, _| !rule.absent.contains(name));
    }
    out.push_str(&value.to_string());
}

fn write_plain_rule(out: &mut String, rule: &Rule) {
    let mut item = Obj::open(out);
    item.text("SecurityGroupRuleId", &rule.security_group_rule_id)
        .text("Direction", &rule.direction)
        .text("IpProtocol", &rule.ip_protocol)
        .text("PortRange", &rule.port_range);
    match &rule.priority {
        Priority::Number(n) => item.number("Priority", *n),
        Priority::Text(text) => item.text("Priority", text),
    };
    item.text("Policy", &rule.policy)
        .text("NicType", &rule.nic_type)
        .text("Description", &rule.description)
        .text("CreateTime", &rule.create_time)
        .text("SourceCidrIp", &rule.source_cidr_ip)
        .text("Ipv6SourceCidrIp", &rule.ipv6_source_cidr_ip)
        .text("SourceGroupId", &rule.source_group_id)
        .text("SourceGroupName", &rule.source_group_name)
        .text("SourceGroupOwnerAccount", &rule.source_group_owner_account)
        .text("SourcePrefixListId", &rule.source_prefix_list_id)
        .text("SourcePrefixListName", &rule.source_prefix_list_name)
        .text("SourcePortRange", &rule.source_port_range)
        .text("DestCidrIp", &rule.dest_cidr_ip)
        .text("Ipv6DestCidrIp", &rule.ipv6_dest_cidr_ip)
        .text("DestGroupId", &rule.dest_group_id)
        .text("DestGroupName", &rule.dest_group_name)
        .text("DestGroupOwnerAccount", &rule.dest_group_owner_account)
        .text("DestPrefixListId", &rule.dest_prefix_list_id)
        .text("DestPrefixListName", &rule.dest_prefix_list_name)
        .text("PortRangeListId", &rule.port_range_list_id)
        .text("PortRangeListName", &rule.port_range_list_name)
        .close();
}

impl Call<'_> {
    fn key(&self, group: &str) -> (String, String, String) {
        (
            self.caller.account.clone(),
            self.region_id().to_owned(),
            group.to_owned(),
        )
    }

    /// Keeps a group as it is, before it is changed.
    pub(super) fn remember(&self, state: &mut State, group: &Group) {
        let previous = Previous {
            group: group.clone(),
            at: std::time::Instant::now(),
            reads: 0,
        };
        state
            .previous
            .insert(self.key(&group.security_group_id), previous);
    }

    /// The group as it was before its last change, where a fault says that readings are behind.
    fn stale(&self, state: &mut State, id: &str) -> Option<Group> {
        let key = self.key(id);
        let (age, reads) = {
            let previous = state.previous.get(&key)?;
            (previous.at.elapsed(), previous.reads)
        };
        self.strike(state, |kind| match kind {
            Kind::Stale { reads: n, within } => {
                n.is_some_and(|n| reads < n) || within.is_some_and(|w| age < w)
            }
            _ => false,
        })?;
        let previous = state.previous.get_mut(&key)?;
        previous.reads += 1;
        Some(previous.group.clone())
    }
}

pub(super) fn describe_references(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    let ids = call.list("SecurityGroupId");
    if ids.is_empty() || ids.len() > 10 {
        return Err(Failure::missing("SecurityGroupId"));
    }
    let region = call.region(state)?;
    let mut out = String::new();
    let mut top = Obj::open(&mut out);
    top.text("RequestId", call.request_id);
    let references = top.key("SecurityGroupReferences");
    references.push_str("{\"SecurityGroupReference\":");
    let all = region.group_ids();
    array(references, ids, |out, id| {
        let users: Vec<&String> = all
            .iter()
            .filter(|other| {
                region.group(other).is_some_and(|g| {
                    let mut rules = g.permissions.iter();
                    rules.any(|r| r.source_group_id == id || r.dest_group_id == id)
                })
            })
            .collect();
        let mut item = Obj::open(out);
        item.text("SecurityGroupId", id);
        let list = item.key("ReferencingSecurityGroups");
        list.push_str("{\"ReferencingSecurityGroup\":");
        array(list, users, |out, user| {
            Obj::open(out)
                .text("AliUid", &call.caller.account)
                .text("SecurityGroupId", user)
                .close();
        });
        list.push('}');
        item.close();
    });
    references.push('}');
    top.close();
    Ok(out)
}
