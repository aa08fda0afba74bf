//! Every action of the cloud that the program may call, once: what it is called, what permission it
//! needs, what for and in which jobs.
//!
//! The client's advice, `check`, the policies in `deploy/ram/` and the simulated cloud's permissions all
//! read this table. They are facts about the service, shared with the simulated cloud on purpose: a
//! name that is wrong here is wrong for everyone, and the documentation is what it is held to.
//!
//! Source of the names: API metadata (aliyun/aliyun-openapi-meta, 2026-04) and help pages, read 2026-08.
//! The service puts most under `<product>:<Action>`; those of the Resource Directory stand under
//! `resourcemanager` (that of GetResourceDirectory is inferred from its neighbour).
//!
//! To add an action, add its line to [`ACTIONS`] with the jobs that call it, and run
//! `UPDATE_EXPECT=1 cargo nextest run -E 'test(/permissions/)'` to write the policies anew. To add a job
//! that needs permissions of its own, add a [`Task`].

use std::collections::BTreeMap;

/// A service, by the name its API goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Product {
    /// Elastic Compute Service.
    Ecs,
    /// Security Token Service.
    Sts,
    /// Cloud Config.
    Config,
    /// Resource Directory.
    ResourceDirectoryMaster,
    /// ActionTrail.
    ActionTrail,
    /// Key Management Service.
    Kms,
}

impl Product {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ecs => "Ecs",
            Self::Sts => "Sts",
            Self::Config => "Config",
            Self::ResourceDirectoryMaster => "ResourceDirectoryMaster",
            Self::ActionTrail => "Actiontrail",
            Self::Kms => "Kms",
        }
    }
}

/// What people let the program do; each has a policy of that name in `deploy/ram/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// `scan`, `plan`, `explain`, and `run` with mode `off` or `plan`.
    Scan,
    /// `run` with mode `revoke`, `apply`.
    Revoke,
    /// `run` with mode `narrow`.
    Narrow,
    /// `rollback`.
    Rollback,
    /// Every account of a scope beside one's own.
    Accounts,
    /// `[remediation] config_rule`.
    ConfigRule,
    /// Interfaces and instances: `reach` of findings, interfaces with several groups, `explain eni-...`.
    Attached,
    /// The listing held against Cloud Config's.
    Completeness,
    /// `[policy] attribution`.
    Attribution,
    /// `fc`: events of Cloud Config.
    Events,
    /// `[mail] password_secret`.
    MailSecret,
}

impl Task {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Scan,
        Self::Revoke,
        Self::Narrow,
        Self::Rollback,
        Self::Accounts,
        Self::ConfigRule,
        Self::Attached,
        Self::Completeness,
        Self::Attribution,
        Self::Events,
        Self::MailSecret,
    ];

    /// The stem of its policy's file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Revoke => "revoke",
            Self::Narrow => "narrow",
            Self::Rollback => "rollback",
            Self::Accounts => "accounts",
            Self::ConfigRule => "config-rule",
            Self::Attached => "attached",
            Self::Completeness => "completeness",
            Self::Attribution => "attribution",
            Self::Events => "events",
            Self::MailSecret => "mail-secret",
        }
    }

    /// Whether its policy suffices by itself; else it is attached beside one that does.
    pub fn stands_alone(self) -> bool {
        match self {
            Self::Scan | Self::Revoke | Self::Narrow | Self::Rollback => true,
            Self::Accounts
            | Self::ConfigRule
            | Self::Attached
            | Self::Completeness
            | Self::Attribution
            | Self::Events
            | Self::MailSecret => false,
        }
    }

    /// Whether a run is complete without it: then a missing permission is only told.
    pub fn is_optional(self) -> bool {
        match self {
            Self::Scan | Self::Revoke | Self::Narrow | Self::Rollback | Self::Accounts => false,
            // The run is complete, and nobody hears of it.
            Self::MailSecret => false,
            Self::ConfigRule
            | Self::Attached
            | Self::Completeness
            | Self::Attribution
            | Self::Events => true,
        }
    }
}

/// One action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// Whose.
    pub product: Product,
    /// Such as `DescribeRegions`.
    pub name: &'static str,
    /// The RAM action that grants it, such as `ecs:DescribeRegions`; `None`: it needs no permission.
    pub ram: Option<&'static str>,
    /// What for, after "to".
    pub purpose: &'static str,
    /// The jobs that call it.
    pub tasks: &'static [Task],
    /// On what a policy grants it: the narrowest that works for every group and role.
    pub resource: &'static str,
    /// Whether it changes something.
    pub changes: bool,
    /// Whether what it answers is a secret: nothing of such an answer is kept or shown.
    pub secret: bool,
}

const ANY: &str = "*";
const GROUPS: &str = "acs:ecs:*:*:securitygroup/*";
/// The role of `[accounts] role` in the documentation; who names theirs otherwise edits the policy.
const ROLES: &str = "acs:ram:*:*:role/SgwardenAudit";
/// The secret of `[mail] password_secret` in the documentation; likewise.
const SECRET: &str = "acs:kms:*:*:secret/sgwarden-smtp";

/// Everything that reads groups.
const LISTING: &[Task] = &[Task::Scan, Task::Revoke, Task::Narrow];
/// Everything that reads one group.
const READING: &[Task] = &[Task::Scan, Task::Revoke, Task::Narrow, Task::Rollback];

const fn read(
    product: Product,
    name: &'static str,
    ram: &'static str,
    tasks: &'static [Task],
    purpose: &'static str,
) -> Action {
    Action {
        product,
        name,
        ram: Some(ram),
        purpose,
        tasks,
        resource: ANY,
        changes: false,
        secret: false,
    }
}

const fn change(
    name: &'static str,
    ram: &'static str,
    tasks: &'static [Task],
    purpose: &'static str,
) -> Action {
    Action {
        product: Product::Ecs,
        name,
        ram: Some(ram),
        purpose,
        tasks,
        resource: GROUPS,
        changes: true,
        secret: false,
    }
}

const fn free(name: &'static str, tasks: &'static [Task], purpose: &'static str) -> Action {
    Action {
        product: Product::Sts,
        name,
        ram: None,
        purpose,
        tasks,
        resource: ANY,
        changes: false,
        secret: false,
    }
}

/// The table.
pub static ACTIONS: &[Action] = &[
    free(
        "GetCallerIdentity",
        &Task::ALL,
        "know whose credentials these are",
    ),
    read(
        Product::Ecs,
        "DescribeRegions",
        "ecs:DescribeRegions",
        LISTING,
        "list the account's regions",
    ),
    read(
        Product::Ecs,
        "DescribeSecurityGroups",
        "ecs:DescribeSecurityGroups",
        READING,
        "list a region's groups",
    ),
    read(
        Product::Ecs,
        "DescribeSecurityGroupAttribute",
        "ecs:DescribeSecurityGroupAttribute",
        READING,
        "read a group's rules",
    ),
    read(
        Product::Ecs,
        "DescribePrefixListAttributes",
        "ecs:DescribePrefixListAttributes",
        READING,
        "read the prefix lists that rules name",
    ),
    read(
        Product::Ecs,
        "DescribePortRangeListEntries",
        "ecs:DescribePortRangeListEntries",
        READING,
        "read the port lists that rules name",
    ),
    read(
        Product::Ecs,
        "DescribeNetworkInterfaces",
        "ecs:DescribeNetworkInterfaces",
        &[Task::Attached],
        "know what uses the groups",
    ),
    read(
        Product::Ecs,
        "DescribeInstances",
        "ecs:DescribeInstances",
        &[Task::Attached],
        "know which of it has a public address",
    ),
    change(
        "RevokeSecurityGroup",
        "ecs:RevokeSecurityGroup",
        // A rollback takes away what came in a narrowed rule's place.
        &[Task::Revoke, Task::Narrow, Task::Rollback],
        "revoke a rule",
    ),
    change(
        "AuthorizeSecurityGroup",
        "ecs:AuthorizeSecurityGroup",
        &[Task::Narrow, Task::Rollback],
        "put a rule back, or a narrower one in its place",
    ),
    read(
        Product::ResourceDirectoryMaster,
        "GetResourceDirectory",
        "resourcemanager:GetResourceDirectory",
        &[Task::Accounts],
        "know the management account of the resource directory",
    ),
    read(
        Product::ResourceDirectoryMaster,
        "ListAccounts",
        "resourcemanager:ListAccounts",
        &[Task::Accounts],
        "list the accounts of the resource directory",
    ),
    Action {
        resource: ROLES,
        secret: true,
        ..read(
            Product::Sts,
            "AssumeRole",
            "sts:AssumeRole",
            &[Task::Accounts],
            "assume the role in another account",
        )
    },
    Action {
        secret: true,
        ..free(
            "AssumeRoleWithOIDC",
            &[],
            "get a session for an OIDC token: the role's own trust policy decides",
        )
    },
    // No page says which permission it would want.
    Action {
        secret: true,
        ..free(
            "GenerateSessionAccessKey",
            &[],
            "get a session for a signature by an RSA key pair",
        )
    },
    Action {
        changes: true,
        ..read(
            Product::Config,
            "StartConfigRuleEvaluation",
            "config:StartConfigRuleEvaluation",
            &[Task::ConfigRule],
            "have Cloud Config look again after a change",
        )
    },
    read(
        Product::Config,
        "ListDiscoveredResources",
        "config:ListDiscoveredResources",
        &[Task::Completeness],
        "hold the listing of groups against Cloud Config's",
    ),
    read(
        Product::ActionTrail,
        "LookupEvents",
        "actiontrail:LookupEvents",
        &[Task::Attribution],
        "look up who opened a rule",
    ),
    read(
        Product::Config,
        "GetDiscoveredResource",
        "config:GetDiscoveredResource",
        &[Task::Events],
        "keep what Cloud Config knew of a resource that it sent",
    ),
    Action {
        changes: true,
        ..read(
            Product::Config,
            "PutEvaluations",
            "config:PutEvaluations",
            &[Task::Events],
            "hand verdicts back to a custom rule of Cloud Config",
        )
    },
    Action {
        resource: SECRET,
        secret: true,
        ..read(
            Product::Kms,
            "GetSecretValue",
            "kms:GetSecretValue",
            &[Task::MailSecret],
            "read the relay's password",
        )
    },
];

/// The action's line.
pub fn find(product: Product, name: &str) -> Option<&'static Action> {
    ACTIONS
        .iter()
        .find(|action| action.product == product && action.name == name)
}

/// The permission that an action needs; of one that is not listed, by the service's usual form.
pub fn permission(product: Product, name: &str) -> Option<String> {
    match find(product, name) {
        Some(action) => action.ram.map(str::to_owned),
        None => Some(format!("{}:{name}", product.as_str().to_lowercase())),
    }
}

/// The actions that a task calls, in the table's order.
pub fn of(task: Task) -> impl Iterator<Item = &'static Action> {
    ACTIONS
        .iter()
        .filter(move |action| action.tasks.contains(&task))
}

/// The RAM policy that lets a task be done and nothing else, as JSON.
pub fn policy(task: Task) -> String {
    let mut by_resource: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for action in of(task) {
        if let Some(ram) = action.ram {
            by_resource.entry(action.resource).or_default().push(ram);
        }
    }
    let statements: Vec<serde_json::Value> = by_resource
        .into_iter()
        .map(|(resource, actions)| {
            serde_json::json!({ "Effect": "Allow", "Action": actions, "Resource": resource })
        })
        .collect();
    let policy = serde_json::json!({ "Version": "1", "Statement": statements });
    // Indented by hand-readers' custom; the alternate form of a JSON value cannot fail.
    format!("{policy:#}\n")
}
