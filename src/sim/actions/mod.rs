//! What each action is called, takes and needs, and where it is carried out.
//!
//! | file | actions |
//! | --- | --- |
//! | `groups` | DescribeRegions, DescribeSecurityGroups, DescribeSecurityGroupAttribute, DescribeSecurityGroupReferences |
//! | `lists` | prefix lists, port lists |
//! | `change` | Revoke, Authorize, Modify, both directions; TagResources |
//! | `validate` | what AuthorizeSecurityGroup demands of a rule |
//! | `machines` | DescribeInstances, DescribeNetworkInterfaces |
//! | `config` | ListDiscoveredResources, GetDiscoveredResource, PutEvaluations |
//! | `identity` | STS, the resource directory, StartConfigRuleEvaluation |
//! | `secrets` | GetSecretValue |
//! | `trail` | LookupEvents, and the recording of what it answers |
//!
//! Parameters are those of the reference; in strict mode any other is refused, so that a mistake of
//! the client shows where the real service would silently ignore it.

mod change;
mod config;
mod groups;
mod identity;
mod lists;
mod machines;
mod secrets;
pub(super) mod trail;
mod validate;

use std::collections::BTreeMap;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};

use super::auth::{Caller, Nonces, sha256_hex};
use super::faults::{Aim, Fault, FaultSet, Kind};
use super::wire::{Failure, Params};
use super::world::{Group, Region, World};
use crate::model::actions::ACTIONS;

/// One action.
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) product: &'static str,
    pub(super) version: &'static str,
    /// Prefix of the RAM action of one that the program never calls; empty: needs no permission.
    ram: &'static str,
    pub(super) regional: bool,
    pub(super) changes: bool,
    params: &'static [&'static str],
    run: fn(&Call<'_>, &mut State) -> Result<String, Failure>,
}

impl Spec {
    /// The permission that it asks for: by the table of facts that the whole program reads, else by
    /// the service's usual form.
    fn auth_action(&self) -> Option<String> {
        let listed = ACTIONS
            .iter()
            .find(|action| action.product.as_str() == self.product && action.name == self.name);
        match listed {
            Some(action) => action.ram.map(str::to_owned),
            None if self.ram.is_empty() => None,
            None => Some(format!("{}:{}", self.ram, self.name)),
        }
    }
}

type Run = fn(&Call<'_>, &mut State) -> Result<String, Failure>;

const fn ecs(name: &'static str, params: &'static [&'static str], run: Run) -> Spec {
    Spec {
        name,
        product: "Ecs",
        version: "2014-05-26",
        ram: "ecs",
        regional: true,
        changes: false,
        params,
        run,
    }
}

const fn other(
    name: &'static str,
    product: &'static str,
    version: &'static str,
    ram: &'static str,
    params: &'static [&'static str],
    run: Run,
) -> Spec {
    Spec {
        name,
        product,
        version,
        ram,
        regional: false,
        changes: false,
        params,
        run,
    }
}

const fn changing(mut spec: Spec) -> Spec {
    spec.changes = true;
    spec
}

const fn anywhere(mut spec: Spec) -> Spec {
    spec.regional = false;
    spec
}

const PERMISSIONS: &[&str] = &[
    "SecurityGroupId",
    "ClientToken",
    "Permissions.N.Policy",
    "Permissions.N.Priority",
    "Permissions.N.IpProtocol",
    "Permissions.N.PortRange",
    "Permissions.N.PortRangeListId",
    "Permissions.N.SourceCidrIp",
    "Permissions.N.Ipv6SourceCidrIp",
    "Permissions.N.SourceGroupId",
    "Permissions.N.SourceGroupOwnerAccount",
    "Permissions.N.SourceGroupOwnerId",
    "Permissions.N.SourcePrefixListId",
    "Permissions.N.SourcePortRange",
    "Permissions.N.DestCidrIp",
    "Permissions.N.Ipv6DestCidrIp",
    "Permissions.N.DestGroupId",
    "Permissions.N.DestGroupOwnerAccount",
    "Permissions.N.DestGroupOwnerId",
    "Permissions.N.DestPrefixListId",
    "Permissions.N.NicType",
    "Permissions.N.Description",
    // Of Revoke only; `change` refuses it elsewhere.
    "SecurityGroupRuleId.N",
];

const MODIFY: &[&str] = &[
    "SecurityGroupId",
    "SecurityGroupRuleId",
    "ClientToken",
    "Policy",
    "Priority",
    "IpProtocol",
    "PortRange",
    "PortRangeListId",
    "SourcePortRange",
    "SourceCidrIp",
    "Ipv6SourceCidrIp",
    "SourceGroupId",
    "SourcePrefixListId",
    "DestCidrIp",
    "Ipv6DestCidrIp",
    "DestGroupId",
    "DestPrefixListId",
    "Description",
];

const fn regional(mut spec: Spec) -> Spec {
    spec.regional = true;
    spec
}

const STS: &str = "2015-04-01";
const RD: &str = "2022-04-19";

static SPECS: &[Spec] = &[
    anywhere(ecs(
        "DescribeRegions",
        &["AcceptLanguage", "InstanceChargeType", "ResourceType"],
        groups::describe_regions,
    )),
    ecs(
        "DescribeSecurityGroups",
        &[
            "MaxResults",
            "NextToken",
            "SecurityGroupId",
            "SecurityGroupIds",
            "SecurityGroupName",
            "VpcId",
            "NetworkType",
            "SecurityGroupType",
            "ServiceManaged",
            "ResourceGroupId",
            "Tag.N.Key",
            "Tag.N.Value",
            "DryRun",
            // Known, and refused with an error of their own.
            "PageNumber",
            "PageSize",
        ],
        groups::describe_groups,
    ),
    ecs(
        "DescribeSecurityGroupAttribute",
        &[
            "SecurityGroupId",
            "Direction",
            "NicType",
            "MaxResults",
            "NextToken",
            "Attribute",
        ],
        groups::describe_attribute,
    ),
    ecs(
        "DescribeSecurityGroupReferences",
        &["SecurityGroupId.N"],
        groups::describe_references,
    ),
    ecs(
        "DescribePrefixLists",
        &[
            "AddressFamily",
            "PrefixListId.N",
            "PrefixListName",
            "Tag.N.Key",
            "Tag.N.Value",
            "ResourceGroupId",
            "MaxResults",
            "NextToken",
        ],
        lists::describe_prefix_lists,
    ),
    ecs(
        "DescribePrefixListAttributes",
        &["PrefixListId"],
        lists::describe_prefix_list,
    ),
    ecs(
        "DescribePortRangeLists",
        &[
            "PortRangeListId.N",
            "PortRangeListName",
            "Tag.N.Key",
            "Tag.N.Value",
            "MaxResults",
            "NextToken",
        ],
        lists::describe_port_lists,
    ),
    ecs(
        "DescribePortRangeListEntries",
        &["PortRangeListId"],
        lists::describe_port_list,
    ),
    changing(ecs("RevokeSecurityGroup", PERMISSIONS, change::revoke)),
    changing(ecs(
        "RevokeSecurityGroupEgress",
        PERMISSIONS,
        change::revoke,
    )),
    changing(ecs(
        "AuthorizeSecurityGroup",
        PERMISSIONS,
        change::authorize,
    )),
    changing(ecs(
        "AuthorizeSecurityGroupEgress",
        PERMISSIONS,
        change::authorize,
    )),
    changing(ecs("ModifySecurityGroupRule", MODIFY, change::modify)),
    changing(ecs("ModifySecurityGroupEgressRule", MODIFY, change::modify)),
    changing(ecs(
        "TagResources",
        &["ResourceType", "ResourceId.N", "Tag.N.Key", "Tag.N.Value"],
        change::tag_resources,
    )),
    ecs(
        "DescribeInstances",
        &["SecurityGroupId", "MaxResults", "NextToken", "InstanceIds"],
        machines::describe_instances,
    ),
    ecs(
        "DescribeNetworkInterfaces",
        &[
            "SecurityGroupId",
            "Type",
            "MaxResults",
            "NextToken",
            "NetworkInterfaceId.N",
        ],
        machines::describe_interfaces,
    ),
    other("GetCallerIdentity", "Sts", STS, "", &[], identity::who),
    other(
        "AssumeRole",
        "Sts",
        STS,
        "sts",
        &[
            "RoleArn",
            "RoleSessionName",
            "DurationSeconds",
            "Policy",
            "ExternalId",
            "SourceIdentity",
        ],
        identity::assume_role,
    ),
    other(
        "AssumeRoleWithOIDC",
        "Sts",
        STS,
        "",
        &[
            "OIDCProviderArn",
            "OIDCToken",
            "RoleArn",
            "RoleSessionName",
            "DurationSeconds",
            "Policy",
            // Of an unsigned call, which has no envelope of its own.
            "Format",
        ],
        identity::assume_role_with_oidc,
    ),
    other(
        "GenerateSessionAccessKey",
        "Sts",
        STS,
        "",
        &["DurationSeconds"],
        identity::generate_session_access_key,
    ),
    other(
        "GetResourceDirectory",
        "ResourceDirectoryMaster",
        RD,
        "resourcemanager",
        &[],
        identity::directory,
    ),
    other(
        "ListAccounts",
        "ResourceDirectoryMaster",
        RD,
        "resourcemanager",
        &["MaxResults", "NextToken", "IncludeTags"],
        identity::list_accounts,
    ),
    other(
        "StartConfigRuleEvaluation",
        "Config",
        "2020-09-07",
        "config",
        &["ConfigRuleId", "CompliancePackId", "RevertEvaluation"],
        identity::start_evaluation,
    ),
    other(
        "GetDiscoveredResource",
        "Config",
        "2020-09-07",
        "config",
        &["ResourceId", "ResourceType", "Region", "ComplianceOption"],
        config::get_discovered,
    ),
    other(
        "PutEvaluations",
        "Config",
        "2020-09-07",
        "config",
        &["ResultToken", "Evaluations", "DeleteMode"],
        config::put_evaluations,
    ),
    other(
        "ListDiscoveredResources",
        "Config",
        "2020-09-07",
        "config",
        &[
            "MaxResults",
            "NextToken",
            "Regions",
            "ResourceTypes",
            "ResourceDeleted",
            "ResourceId",
        ],
        config::list_discovered,
    ),
    // The real service knows the region by its host; here one endpoint serves all.
    regional(other(
        "LookupEvents",
        "Actiontrail",
        "2020-07-06",
        "actiontrail",
        &[
            "StartTime",
            "EndTime",
            "LookupAttribute.N.Key",
            "LookupAttribute.N.Value",
            "MaxResults",
            "NextToken",
            "Direction",
        ],
        trail::lookup,
    )),
    // Likewise regional by its host.
    regional(other(
        "GetSecretValue",
        "Kms",
        "2016-01-20",
        "kms",
        &[
            "SecretName",
            "VersionStage",
            "VersionId",
            "FetchExtendedConfig",
        ],
        secrets::get_value,
    )),
];

/// Whether an action is simulated.
pub(super) fn is_known(action: &str) -> bool {
    find(action).is_some()
}

pub(super) use identity::issue;

pub(super) fn find(action: &str) -> Option<&'static Spec> {
    SPECS.iter().find(|s| s.name == action)
}

/// A group before its last change.
pub(super) struct Previous {
    pub(super) group: Group,
    at: Instant,
    reads: u32,
}

/// All that a running server remembers.
#[derive(Default)]
pub(super) struct State {
    pub(super) world: World,
    pub(super) faults: FaultSet,
    pub(super) nonces: Nonces,
    pub(super) calls: BTreeMap<String, u64>,
    pub(super) changing_calls: u64,
    /// Calls of (account, region, action) in a minute.
    /// LookupEvents of an account in a second.
    lookups: BTreeMap<String, (i64, u32)>,
    pub(super) throttle: BTreeMap<(String, String, &'static str), (i64, u32)>,
    /// What each ClientToken was used for.
    tokens: BTreeMap<(String, &'static str, String), String>,
    previous: BTreeMap<(String, String, String), Previous>,
}

/// A call that was let in.
pub(super) struct Call<'a> {
    pub(super) spec: &'static Spec,
    pub(super) params: &'a Params,
    pub(super) caller: &'a Caller,
    pub(super) request_id: &'a str,
    pub(super) user_agent: &'a str,
    pub(super) now: DateTime<Utc>,
    pub(super) strict: bool,
    /// The host that was called.
    pub(super) host: &'a str,
    /// How long a session lasts, whatever is asked for.
    pub(super) session_life: Option<chrono::Duration>,
}

impl<'a> Call<'a> {
    /// A parameter that is set; an empty one is not.
    fn get(&self, name: &str) -> Option<&'a str> {
        self.params
            .get(name)
            .map(String::as_str)
            .filter(|v| !v.is_empty())
    }

    fn need(&self, name: &str) -> Result<&'a str, Failure> {
        self.get(name).ok_or_else(|| Failure::missing(name))
    }

    pub(super) fn region_id(&self) -> &'a str {
        self.get("RegionId").unwrap_or_default()
    }

    /// The group or list that is asked for.
    pub(super) fn id(&self) -> Option<&'a str> {
        if self.spec.name == "DescribeSecurityGroups" {
            return None;
        }
        ["SecurityGroupId", "PrefixListId", "PortRangeListId"]
            .iter()
            .find_map(|name| self.get(name))
    }

    pub(super) fn aim(&self) -> Aim<'a> {
        Aim {
            action: self.spec.name,
            account: &self.caller.account,
            region: self.region_id(),
            id: self.id(),
        }
    }

    fn region<'s>(&self, state: &'s State) -> Result<&'s Region, Failure> {
        state
            .world
            .region(&self.caller.account, self.region_id())
            .ok_or_else(unknown_region)
    }

    fn region_mut<'s>(&self, state: &'s mut State) -> Result<&'s mut Region, Failure> {
        state
            .world
            .region_mut(&self.caller.account, self.region_id())
            .ok_or_else(unknown_region)
    }

    /// Strikes a fault of this action, if one is set.
    fn strike(&self, state: &mut State, wanted: impl Fn(&Kind) -> bool) -> Option<Fault> {
        state.faults.strike(self.aim(), wanted)
    }

    /// `Name.1`, `Name.2`, ... in order of their numbers.
    fn list(&self, name: &str) -> Vec<&'a str> {
        let mut found: Vec<(u32, &str)> = self
            .params
            .iter()
            .filter_map(|(key, value)| {
                let index = key.strip_prefix(name)?.strip_prefix('.')?.parse().ok()?;
                Some((index, value.as_str()))
            })
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, v)| v).collect()
    }

    /// `Name.1.Field`, ... by number.
    fn structs(&self, name: &str) -> Vec<BTreeMap<&'a str, &'a str>> {
        let mut found: BTreeMap<u32, BTreeMap<&str, &str>> = BTreeMap::new();
        for (key, value) in self.params {
            let Some(rest) = key.strip_prefix(name).and_then(|r| r.strip_prefix('.')) else {
                continue;
            };
            let Some((index, field)) = rest.split_once('.') else {
                continue;
            };
            if let Ok(index) = index.parse() {
                let entry = found.entry(index).or_default();
                if !value.is_empty() {
                    entry.insert(field, value);
                }
            }
        }
        found.into_values().collect()
    }

    fn tags(&self) -> Vec<(&'a str, Option<&'a str>)> {
        self.structs("Tag")
            .into_iter()
            .filter_map(|t| Some((*t.get("Key")?, t.get("Value").copied())))
            .collect()
    }

    /// MaxResults within its bounds: outside it is refused, or clamped where the reference says so.
    fn max_results(
        &self,
        low: usize,
        high: usize,
        default: usize,
        clamp: bool,
    ) -> Result<usize, Failure> {
        let Some(text) = self.get("MaxResults") else {
            return Ok(default);
        };
        match text.parse::<usize>() {
            Ok(n) if (low..=high).contains(&n) => Ok(n),
            Ok(n) if clamp && n > high => Ok(high),
            _ => Err(Failure::bad(
                "InvalidParameter.MaxResults",
                format!("MaxResults {text} is not within {low} to {high}."),
            )),
        }
    }

    /// What a token is bound to: caller, action, and every parameter but the paging.
    fn token_seal(&self) -> String {
        let mut text = format!("{} {}", self.caller.account, self.spec.name);
        for (name, value) in self.params {
            // Version 1 signs in the query: what differs from call to call is no part of the question.
            let of_this_call = matches!(
                name.as_str(),
                "NextToken" | "MaxResults" | "Timestamp" | "SignatureNonce" | "Signature"
            );
            if !of_this_call {
                text.push_str(&format!("&{name}={value}"));
            }
        }
        sha256_hex(text.as_bytes()).chars().take(8).collect()
    }

    fn token_to(&self, place: &str) -> String {
        let text = format!("{}{place}", self.token_seal());
        format!("AAAAA{}", URL_SAFE_NO_PAD.encode(text))
    }

    /// Where the token of this call leads; `None` without one. A token that was not made for this
    /// very question is refused with `code`.
    fn place(&self, code: &str) -> Result<Option<String>, Failure> {
        let Some(token) = self.get("NextToken") else {
            return Ok(None);
        };
        token
            .strip_prefix("AAAAA")
            .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|text| {
                text.strip_prefix(&self.token_seal())
                    .map(|place| Some(place.to_owned()))
            })
            .ok_or_else(|| Failure::bad(code, "The specified NextToken is not valid."))
    }

    /// Offset paging: the start and the token to go on with, of a list of `len`.
    fn offsets(&self, len: usize, max: usize) -> Result<(usize, usize, String), Failure> {
        const CODE: &str = "InvalidParameter.NextToken";
        let start = match self.place(CODE)? {
            None => 0,
            Some(place) => place
                .parse()
                .map_err(|_| Failure::bad(CODE, "The specified NextToken is not valid."))?,
        };
        let start: usize = start.min(len);
        let end = start.saturating_add(max).min(len);
        let token = if end < len {
            self.token_to(&end.to_string())
        } else {
            String::new()
        };
        Ok((start, end, token))
    }
}

fn unknown_region() -> Failure {
    Failure::new(
        404,
        "InvalidRegionId.NotFound",
        "The specified RegionId does not exist.",
    )
}

fn unknown_group() -> Failure {
    Failure::new(
        404,
        "InvalidSecurityGroupId.NotFound",
        "The specified SecurityGroupId does not exist.",
    )
}

/// Parameters of V1 that belong to the envelope.
const COMMON: &[&str] = &[
    "Action",
    "Version",
    "Format",
    "AccessKeyId",
    "Signature",
    "SignatureMethod",
    "SignatureNonce",
    "SignatureVersion",
    "SignatureType",
    "Timestamp",
    "SecurityToken",
];

fn check_params(call: &Call<'_>, v3: bool) -> Result<(), Failure> {
    for name in call.params.keys() {
        let pattern: Vec<&str> = name
            .split('.')
            .map(|part| {
                let number = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
                if number { "N" } else { part }
            })
            .collect();
        let pattern = pattern.join(".");
        let known = (!v3 && COMMON.contains(&name.as_str()))
            || (call.spec.regional && name == "RegionId")
            || call.spec.params.contains(&pattern.as_str());
        if !known {
            return Err(Failure::bad(
                "UnsupportedParameter",
                format!(
                    "The parameter {name} is not supported by {}.",
                    call.spec.name
                ),
            ));
        }
    }
    Ok(())
}

/// Parameters, region and permission, in this order.
pub(super) fn admit(call: &Call<'_>, state: &State, v3: bool) -> Result<(), Failure> {
    if call.spec.product == "Config" {
        config::at_its_host(&state.world, call.host)?;
    }
    if call.strict {
        check_params(call, v3)?;
    }
    if call.spec.regional {
        call.need("RegionId")?;
        call.region(state)?;
    }
    identity::by_the_right_kind_of_key(call)?;
    let Some(auth_action) = call.spec.auth_action() else {
        return Ok(());
    };
    let root_assumes =
        call.spec.name == "AssumeRole" && call.caller.principal == super::auth::Principal::Root;
    if call.caller.may(&auth_action) && !root_assumes {
        return Ok(());
    }
    Err(identity::denied(call, &auth_action))
}

/// Carries an admitted call out.
pub(super) fn run(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    (call.spec.run)(call, state)
}
