//! Changing groups: Revoke, Authorize, Modify of both directions, and tags.

use std::collections::BTreeSet;

use super::super::faults::Kind;
use super::super::rule::{Priority, Rule, Tag};
use super::super::wire::{Failure, only_request_id};
use super::super::world::Group;
use super::validate::{self, Fields};
use super::{Call, State, unknown_group};

/// What a change asks, in one text, to tell a retry from another change.
fn fingerprint(call: &Call<'_>) -> String {
    let mut text = String::new();
    for (name, value) in call.params {
        let envelope = super::COMMON.contains(&name.as_str());
        if name != "ClientToken" && !envelope {
            text.push_str(&format!("{name}={value}\n"));
        }
    }
    text
}

/// `Some` where this very change was carried out before: it is answered again, and not done again.
fn repeated(call: &Call<'_>, state: &State) -> Result<bool, Failure> {
    let Some(token) = call.get("ClientToken") else {
        return Ok(false);
    };
    if token.len() > 64 || !token.is_ascii() {
        return Err(Failure::bad(
            "InvalidParameter.ClientToken",
            "ClientToken is not at most 64 ASCII characters.",
        ));
    }
    match state.tokens.get(&token_key(call, token)) {
        None => Ok(false),
        Some(done) if *done == fingerprint(call) => Ok(true),
        Some(_) => Err(Failure::bad(
            "IdempotentParameterMismatch",
            "The request uses the same ClientToken as a previous, but non-identical request.",
        )),
    }
}

fn token_key(call: &Call<'_>, token: &str) -> (String, &'static str, String) {
    (call.caller.account.clone(), call.spec.name, token.into())
}

fn done(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    if let Some(token) = call.get("ClientToken") {
        state
            .tokens
            .insert(token_key(call, token), fingerprint(call));
    }
    Ok(only_request_id(call.request_id))
}

fn is_ingress(call: &Call<'_>) -> bool {
    !call.spec.name.contains("Egress")
}

/// The group to change, as it is; refused where a cloud service owns it.
fn target(call: &Call<'_>, state: &State) -> Result<Group, Failure> {
    let id = call.need("SecurityGroupId")?;
    let group = call.region(state)?.group(id).ok_or_else(unknown_group)?;
    if group.service_managed {
        return Err(Failure::new(
            403,
            "InvalidOperation.ResourceManagedByCloudProduct",
            "The security group has been managed by another cloud product.",
        ));
    }
    Ok(group.into_owned())
}

/// Stores the changed rules, keeping the state before.
fn store(call: &Call<'_>, state: &mut State, before: &Group, rules: Vec<Rule>) {
    if rules == before.permissions {
        return;
    }
    call.remember(state, before);
    if let Ok(region) = call.region_mut(state)
        && let Some(group) = region.group_mut(&before.security_group_id)
    {
        group.permissions = rules;
    }
}

pub(super) fn revoke(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    if repeated(call, state)? {
        return Ok(only_request_id(call.request_id));
    }
    let ids = call.list("SecurityGroupRuleId");
    let permissions = call.structs("Permissions");
    if !ids.is_empty() && !permissions.is_empty() {
        return Err(Failure::bad(
            "InvalidParam.Permissions",
            "Rule ids and permissions cannot be given together.",
        ));
    }
    if ids.is_empty() && permissions.is_empty() {
        return Err(Failure::missing("Permissions"));
    }
    if ids.len() > 100 || permissions.len() > 100 {
        return Err(Failure::bad(
            "InvalidParam.Permissions",
            "At most 100 rules can be revoked at once.",
        ));
    }
    let group = target(call, state)?;
    let ingress = is_ingress(call);
    let doomed = if ids.is_empty() {
        let mut doomed = BTreeSet::new();
        for fields in &permissions {
            doomed.extend(matching(&group, ingress, fields));
        }
        doomed
    } else {
        by_ids(&group, ingress, &ids)?
    };
    if call.strike(state, |k| *k == Kind::RevokeNothing).is_some() {
        return done(call, state);
    }
    let partial = call.strike(state, |k| *k == Kind::RevokePartial).is_some();
    let half = doomed.len() / 2;
    let doomed: BTreeSet<usize> = match partial {
        true => doomed.into_iter().take(half).collect(),
        false => doomed,
    };
    let (gone, kept): (Vec<_>, Vec<_>) = group
        .permissions
        .iter()
        .cloned()
        .enumerate()
        .partition(|(i, _)| doomed.contains(i));
    let mut rules: Vec<Rule> = kept.into_iter().map(|(_, r)| r).collect();
    if partial {
        store(call, state, &group, rules);
        return Err(Failure::new(
            500,
            "InternalError",
            "The request processing has failed due to some unknown error.",
        ));
    }
    if call.strike(state, |k| *k == Kind::ReAdd).is_some() {
        for (_, mut rule) in gone {
            rule.security_group_rule_id = state.world.new_rule_id();
            rules.push(rule);
        }
    }
    store(call, state, &group, rules);
    done(call, state)
}

fn by_ids(group: &Group, ingress: bool, ids: &[&str]) -> Result<BTreeSet<usize>, Failure> {
    let mut seen = BTreeSet::new();
    let mut doomed = BTreeSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(Failure::bad(
                "InvalidParam.SecurityGroupRuleIdRepeated",
                format!("The rule id {id} is given twice."),
            ));
        }
        let found = group.permissions.iter().position(|r| {
            r.security_group_rule_id == *id && !id.is_empty() && r.is_ingress() == ingress
        });
        let Some(index) = found else {
            let code = if ingress {
                "InvalidParam.SecurityGroupRuleId"
            } else {
                "InvalidSecurityGroupRule.RuleNotExist"
            };
            return Err(Failure::bad(
                code,
                format!("The specified rule {id} does not exist in this direction of the group."),
            ));
        };
        doomed.insert(index);
    }
    Ok(doomed)
}

/// Rules that the fields name. Priority is not compared (reference 3.4): two rules that differ only
/// in it both go.
fn matching(group: &Group, ingress: bool, fields: &Fields<'_>) -> Vec<usize> {
    let get = |name: &str| fields.get(name).copied().unwrap_or_default();
    let [cidr, ipv6, group_id, prefix] = validate::peer_fields(ingress).map(get);
    let policy = if get("Policy").is_empty() {
        "accept"
    } else {
        get("Policy")
    };
    let nic = match (get("NicType"), group.is_classic()) {
        ("", true) => "internet",
        ("", false) => "intranet",
        (other, _) => other,
    };
    let hits = |rule: &Rule| {
        let own = if ingress {
            [
                &rule.source_cidr_ip,
                &rule.ipv6_source_cidr_ip,
                &rule.source_group_id,
                &rule.source_prefix_list_id,
            ]
        } else {
            [
                &rule.dest_cidr_ip,
                &rule.ipv6_dest_cidr_ip,
                &rule.dest_group_id,
                &rule.dest_prefix_list_id,
            ]
        };
        rule.is_ingress() == ingress
            && rule.ip_protocol.eq_ignore_ascii_case(get("IpProtocol"))
            && rule.port_range == get("PortRange")
            && rule.port_range_list_id == get("PortRangeListId")
            && rule.policy.eq_ignore_ascii_case(policy)
            && rule.nic_type == nic
            && own[0] == cidr
            && own[1] == ipv6
            && (own[2] == group_id || !cidr.is_empty())
            && (own[3] == prefix || !cidr.is_empty() || !group_id.is_empty())
    };
    let all = group.permissions.iter().enumerate();
    all.filter(|(_, r)| hits(r)).map(|(i, _)| i).collect()
}

pub(super) fn authorize(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    if repeated(call, state)? {
        return Ok(only_request_id(call.request_id));
    }
    if call.strict && !call.list("SecurityGroupRuleId").is_empty() {
        return Err(Failure::bad(
            "UnsupportedParameter",
            format!(
                "The parameter SecurityGroupRuleId is not supported by {}.",
                call.spec.name
            ),
        ));
    }
    let permissions = call.structs("Permissions");
    if permissions.is_empty() {
        return Err(Failure::missing("Permissions"));
    }
    if permissions.len() > 100 {
        return Err(Failure::bad(
            "InvalidParam.Permissions",
            "At most 100 rules can be added at once.",
        ));
    }
    let group = target(call, state)?;
    let ingress = is_ingress(call);
    let with_priority = state.world.priority_is_identity;
    let mut asked = BTreeSet::new();
    let mut rules = group.permissions.clone();
    let known: BTreeSet<String> = rules.iter().map(|r| r.identity(with_priority)).collect();
    for fields in &permissions {
        let mut rule = validate::rule(call, &state.world, &group, ingress, fields)?;
        let identity = rule.identity(with_priority);
        if !asked.insert(identity.clone()) {
            return Err(Failure::bad(
                "InvalidParam.DuplicatePermissions",
                "The same rule is given twice.",
            ));
        }
        if known.contains(&identity) {
            continue;
        }
        rule.security_group_rule_id = state.world.new_rule_id();
        rules.push(rule);
    }
    if rules.len() > group.permissions.len() {
        let quota = call.region(state)?.rule_quota;
        if rules.len() > quota {
            return Err(Failure::new(
                403,
                "AuthorizationLimitExceed",
                "The limit of authorization records in the security group reaches.",
            ));
        }
        let by_group = |list: &[Rule]| {
            let named = |r: &&Rule| !r.source_group_id.is_empty() || !r.dest_group_id.is_empty();
            list.iter().filter(named).count()
        };
        let named = by_group(&rules);
        if named > 20 && named > by_group(&group.permissions) {
            return Err(Failure::bad(
                "AuthorizedGroupRule.LimitExceed",
                "At most 20 rules of a group can name groups.",
            ));
        }
    }
    if call
        .strike(state, |k| *k == Kind::AuthorizePartial)
        .is_some()
    {
        let added = rules.len() - group.permissions.len();
        rules.truncate(group.permissions.len() + added / 2);
        store(call, state, &group, rules);
        return Err(Failure::new(
            500,
            "InternalError",
            "The request processing has failed due to some unknown error.",
        ));
    }
    store(call, state, &group, rules);
    done(call, state)
}

pub(super) fn modify(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    if repeated(call, state)? {
        return Ok(only_request_id(call.request_id));
    }
    let id = call.need("SecurityGroupRuleId")?;
    let group = target(call, state)?;
    let ingress = is_ingress(call);
    let index = by_ids(&group, ingress, &[id])?.into_iter().next();
    let Some(old) = index.and_then(|i| group.permissions.get(i)) else {
        return Err(unknown_group());
    };
    let priority = match &old.priority {
        Priority::Number(n) => n.to_string(),
        Priority::Text(text) => text.clone(),
    };
    let current = [
        ("Policy", old.policy.as_str()),
        ("Priority", &priority),
        ("IpProtocol", &old.ip_protocol),
        ("PortRange", &old.port_range),
        ("PortRangeListId", &old.port_range_list_id),
        ("SourcePortRange", &old.source_port_range),
        ("SourceCidrIp", &old.source_cidr_ip),
        ("Ipv6SourceCidrIp", &old.ipv6_source_cidr_ip),
        ("SourceGroupId", &old.source_group_id),
        ("SourceGroupOwnerAccount", &old.source_group_owner_account),
        ("SourcePrefixListId", &old.source_prefix_list_id),
        ("DestCidrIp", &old.dest_cidr_ip),
        ("Ipv6DestCidrIp", &old.ipv6_dest_cidr_ip),
        ("DestGroupId", &old.dest_group_id),
        ("DestPrefixListId", &old.dest_prefix_list_id),
        ("NicType", &old.nic_type),
        ("Description", &old.description),
    ];
    let mut fields: Fields<'_> = current.into_iter().filter(|(_, v)| !v.is_empty()).collect();
    let peers = validate::peer_fields(ingress);
    for (name, value) in current {
        let Some(asked) = call.get(name) else {
            continue;
        };
        let other_kind = value.is_empty() || !validate::same_kind(value, asked);
        if peers.contains(&name) && other_kind {
            return Err(Failure::bad(
                "InvalidParam.SourceIp",
                "The type of the source of a rule cannot be changed.",
            ));
        }
        fields.insert(name, asked);
    }
    let mut rule = validate::rule(call, &state.world, &group, ingress, &fields)?;
    rule.security_group_rule_id = id.into();
    rule.create_time = old.create_time.clone();
    let mut rules = group.permissions.clone();
    if let Some(place) = index.and_then(|i| rules.get_mut(i)) {
        *place = rule;
    }
    store(call, state, &group, rules);
    done(call, state)
}

pub(super) fn tag_resources(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    if !call
        .need("ResourceType")?
        .eq_ignore_ascii_case("securitygroup")
    {
        return Err(Failure::bad(
            "InvalidParameter.ResourceType",
            "Only security groups are simulated.",
        ));
    }
    let ids = call.list("ResourceId");
    let tags = call.tags();
    if ids.is_empty() || ids.len() > 50 {
        return Err(Failure::missing("ResourceId"));
    }
    if tags.is_empty() || tags.len() > 20 {
        return Err(Failure::missing("Tag"));
    }
    for (key, value) in &tags {
        let long = |text: &str| text.chars().count() > 128 || text.contains("://");
        if long(key)
            || value.is_some_and(long)
            || key.starts_with("aliyun")
            || key.starts_with("acs:")
        {
            return Err(Failure::bad(
                "InvalidTagKey.Malformed",
                format!("The specified tag {key} is not valid."),
            ));
        }
    }
    for id in &ids {
        call.region(state)?.group(id).ok_or_else(unknown_group)?;
    }
    for id in ids {
        let Some(group) = call.region_mut(state)?.group_mut(id) else {
            continue;
        };
        for (key, value) in &tags {
            group.tags.retain(|t| t.tag_key != *key);
            group.tags.push(Tag {
                tag_key: (*key).into(),
                tag_value: value.unwrap_or_default().into(),
            });
        }
    }
    Ok(only_request_id(call.request_id))
}
