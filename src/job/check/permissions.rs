//! Each permission tried by the call that needs it, on ids that cannot exist: a refusal for want of
//! permission comes before one for want of the thing (Forbidden.RAM, NoPermission against the NotFound
//! codes), so any other answer says that the permission is there. With a policy scoped by resource that
//! says little, and of a change nothing more can be tried without making one: then it is "indicative".
//!
//! To add an action, give it its parameters in [`probe`]; one without stands in the answer as not tried.

use super::{Standing, Tried, Wanted};
use crate::cloud::call::{Effect, Request};
use crate::cloud::{CallFailure, Client, Kind, Service};
use crate::model::AccountId;
use crate::model::actions::{ACTIONS, Action, Product, Task};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Ids that no thing has: the service's own have letters and digits of its choice behind the region's code.
const GROUP: &str = "sg-0000000000000000check";
const RULE: &str = "sgr-0000000000000000check";
const PREFIX_LIST: &str = "pl-0000000000000000check";
const PORT_LIST: &str = "prl-0000000000000000check";
const CONFIG_RULE: &str = "cr-0000000000000000";
const TOKEN: &str = "sgwarden-check";

/// The parameters to try an action with, beside RegionId; `None`: there is no harmless way.
fn probe<'a>(action: &Action, region: &'a str) -> Option<Vec<(&'static str, &'a str)>> {
    Some(match (action.product, action.name) {
        (Product::Ecs, "DescribeRegions") => vec![("AcceptLanguage", "en-US")],
        (Product::Ecs, "DescribeSecurityGroups") => {
            vec![("SecurityGroupId", GROUP), ("MaxResults", "100")]
        }
        (Product::Ecs, "DescribeSecurityGroupAttribute") => vec![("SecurityGroupId", GROUP)],
        (Product::Ecs, "DescribePrefixListAttributes") => vec![("PrefixListId", PREFIX_LIST)],
        (Product::Ecs, "DescribePortRangeListEntries") => vec![("PortRangeListId", PORT_LIST)],
        (Product::Ecs, "DescribeInstances" | "DescribeNetworkInterfaces") => {
            vec![("MaxResults", "10")]
        }
        (Product::Ecs, "RevokeSecurityGroup") => {
            vec![("SecurityGroupId", GROUP), ("SecurityGroupRuleId.1", RULE)]
        }
        // A Drop of an address of no one, should the group exist against all expectation.
        (Product::Ecs, "AuthorizeSecurityGroup") => vec![
            ("SecurityGroupId", GROUP),
            ("Permissions.1.Policy", "drop"),
            ("Permissions.1.IpProtocol", "TCP"),
            ("Permissions.1.PortRange", "9/9"),
            ("Permissions.1.SourceCidrIp", "192.0.2.1/32"),
        ],
        (Product::Config, "ListDiscoveredResources") => vec![
            ("MaxResults", "1"),
            ("ResourceTypes", "ACS::ECS::SecurityGroup"),
        ],
        (Product::Config, "StartConfigRuleEvaluation") => vec![("ConfigRuleId", CONFIG_RULE)],
        (Product::Config, "GetDiscoveredResource") => vec![
            ("ResourceId", GROUP),
            ("ResourceType", "ACS::ECS::SecurityGroup"),
            ("Region", region),
        ],
        // No verdict at all, for a token that was never given out.
        (Product::Config, "PutEvaluations") => {
            vec![("ResultToken", TOKEN), ("Evaluations", "[]")]
        }
        (Product::ActionTrail, "LookupEvents") => vec![
            ("LookupAttribute.1.Key", "EventName"),
            ("LookupAttribute.1.Value", "AuthorizeSecurityGroup"),
            ("MaxResults", "1"),
        ],
        _ => return None,
    })
}

/// Tries all that is wanted: the directory, the way into each account, and in each the actions of its jobs.
pub(super) async fn try_all(
    client: &Arc<Client>,
    wanted: &Wanted,
    home: &AccountId,
    region: &str,
) -> Vec<Tried> {
    let mut out = Vec::new();
    let mut accounts: BTreeSet<AccountId> = wanted.accounts();
    if wanted.directory() {
        match client.directory().await {
            Ok(answer) => {
                let count = answer.value.len();
                for name in ["GetResourceDirectory", "ListAccounts"] {
                    let action = find(Product::ResourceDirectoryMaster, name);
                    out.push(granted(action, None, &format!("{count} accounts")));
                }
                accounts.extend(answer.value);
            }
            Err(failure) if failure.code.starts_with(NO_DIRECTORY) => {
                out.push(no_directory(home, &failure));
            }
            Err(failure) => {
                let action = find(Product::ResourceDirectoryMaster, &failure.action);
                let mut refused = refused(action, None, &failure);
                if failure.action == "ListAccounts" && failure.kind == Kind::Forbidden {
                    let todo = refused.todo.get_or_insert_default();
                    todo.push_str(ONLY_MANAGEMENT);
                }
                out.push(refused);
            }
        }
    }
    accounts.remove(home);
    let tasks = wanted.tasks(home, home);
    out.extend(account(client, &tasks, home, None, region).await);
    for other in &accounts {
        let assume = find(Product::Sts, "AssumeRole");
        match client.enter(other).await {
            Ok(answer) => {
                out.push(granted(assume, Some(other), &answer.value.arn));
                let tasks = wanted.tasks(other, home);
                out.extend(account(client, &tasks, other, Some(other), region).await);
            }
            Err(failure) => out.push(refused(assume, Some(other), &failure)),
        }
    }
    out
}

/// The answer of GetResourceDirectory in an account that is in none.
const NO_DIRECTORY: &str = "EntityNotExists.ResourceDirectory";

/// What no permission is enough for.
const ONLY_MANAGEMENT: &str = "; it is answered only to the directory's management account and to members that it made \
     delegated administrators: in another account put accounts = \"self\", or the accounts' ids as a list, into \
     [scope]";

/// No permission is missing there: there is nothing to list.
fn no_directory(home: &AccountId, failure: &CallFailure) -> Tried {
    Tried::missing(
        "accounts",
        "the resource directory",
        format!("account {home} is in none: {failure}"),
        "put accounts = \"self\", or the accounts' ids as a list, into [scope] of the schedules that say \
         \"resource-directory\"; or use credentials of the directory's management account, or of a member that \
         it made a delegated administrator",
    )
}

fn find(product: Product, name: &str) -> Option<&'static Action> {
    crate::model::actions::find(product, name)
}

/// The actions of an account's jobs; `shown`: it is named in each line. The ways into accounts are tried
/// by going them.
async fn account(
    client: &Arc<Client>,
    tasks: &BTreeSet<Task>,
    account: &AccountId,
    shown: Option<&AccountId>,
    region: &str,
) -> Vec<Tried> {
    let mut out = Vec::new();
    for action in ACTIONS {
        let is_wanted = action.tasks.iter().any(|task| tasks.contains(task));
        if action.ram.is_none() || !is_wanted {
            continue;
        }
        let not_tried = |why: &str| Tried {
            part: "permission",
            what: name(Some(action), shown),
            standing: Standing::NotTried,
            found: format!("needed to {}; {why}", action.purpose),
            todo: None,
        };
        let Some(params) = probe(action, region) else {
            out.push(not_tried("there is no harmless way to try it"));
            continue;
        };
        if action.product == Product::ActionTrail && !client.has_actiontrail(region) {
            let why = format!("no ActionTrail host of {region} is known");
            out.push(not_tried(&why));
            continue;
        }
        let service = Service::of(action.product);
        // DescribeRegions has no region of its own.
        let is_regional = matches!(action.product, Product::Ecs | Product::ActionTrail)
            && action.name != "DescribeRegions";
        let mut params: BTreeMap<String, String> = params
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        if is_regional {
            params.insert("RegionId".to_owned(), region.to_owned());
        }
        let mut form = BTreeMap::new();
        if action.name == "PutEvaluations" {
            // The one action that takes its parameters in the body.
            std::mem::swap(&mut params, &mut form);
        }
        let request = Request {
            service,
            action: action.name.to_owned(),
            account: account.clone(),
            region: if is_regional {
                region.to_owned()
            } else {
                String::new()
            },
            host: None,
            params,
            effect: if action.changes {
                Effect::Change
            } else {
                Effect::Read
            },
        };
        out.push(
            match client.call_with_form(&request, &form, |_| Ok(())).await {
                Ok(_) if action.changes => indicative(action, shown, "not refused"),
                Ok(_) => granted(Some(action), shown, "answered"),
                Err(failure) => match failure.kind {
                    // The service looked, and did not find: so it let us look.
                    Kind::NotFound => indicative(action, shown, &failure.code),
                    Kind::Service if is_of_the_thing(&failure.code) => {
                        indicative(action, shown, &failure.code)
                    }
                    // Before or after it looked at the permission: nobody says.
                    Kind::Service => Tried {
                        part: "permission",
                        what: name(Some(action), shown),
                        standing: Standing::NotTried,
                        found: format!("to {}: {failure}; that says nothing of it", action.purpose),
                        todo: None,
                    },
                    _ => refused(Some(action), shown, &failure),
                },
            },
        );
    }
    out
}

/// Whether a refusal is for want of the thing that was asked for.
fn is_of_the_thing(code: &str) -> bool {
    ["NotFound", "NotExist", "NotEnabled"]
        .iter()
        .any(|word| code.contains(word))
        || [
            "InvalidParam.SecurityGroupRuleId",
            "InvalidParameter.ResultToken",
        ]
        .contains(&code)
}

fn name(action: Option<&Action>, account: Option<&AccountId>) -> String {
    let ram = action.and_then(|action| action.ram).unwrap_or("unknown");
    match account {
        Some(account) => format!("{ram} in account {account}"),
        None => ram.to_owned(),
    }
}

fn purpose(action: Option<&Action>) -> &'static str {
    action.map_or("", |action| action.purpose)
}

fn granted(action: Option<&Action>, account: Option<&AccountId>, found: &str) -> Tried {
    Tried::works(
        "permission",
        name(action, account),
        format!("to {}: {found}", purpose(action)),
    )
}

fn indicative(action: &Action, account: Option<&AccountId>, code: &str) -> Tried {
    Tried {
        part: "permission",
        what: name(Some(action), account),
        standing: Standing::Indicative,
        found: format!(
            "to {}: tried on an id that cannot exist, answered {code}",
            action.purpose
        ),
        todo: None,
    }
}

fn refused(action: Option<&Action>, account: Option<&AccountId>, failure: &CallFailure) -> Tried {
    let optional = action.is_some_and(|action| action.tasks.iter().all(|task| task.is_optional()));
    Tried {
        part: "permission",
        what: name(action, account),
        standing: if optional {
            Standing::Optional
        } else {
            Standing::Missing
        },
        found: format!("to {}: {failure}", purpose(action)),
        todo: Some(match failure.kind {
            Kind::Forbidden => match &failure.advice {
                Some(advice) => advice.clone(),
                None => "grant it".to_owned(),
            },
            _ => failure
                .advice
                .clone()
                .unwrap_or_else(|| "it could not be tried; try again".to_owned()),
        }),
    }
}
