//! World files: a whole simulated cloud in JSON.
//!
//! ```json
//! {
//!   "accounts": [{
//!     "id": "1234567890123456",
//!     "name": "company",
//!     "users": [{"name": "auditor", "allow": ["ecs:Describe*"], "deny": [], "root": false,
//!                "keys": [{"id": "LTAI-sim", "secret": "not-a-secret", "active": true}]}],
//!     "roles": [{"name": "SgwardenAudit", "trust": ["1000000000000001"], "external_id": null,
//!                "max_session": 3600, "allow": ["*"], "deny": []}],
//!     "config": {"set_up": true, "lags": {"cn-hangzhou": ["sg-gone"]}, "behind": ["sg-1"]},
//!     "regions": [{
//!       "id": "cn-hangzhou", "status": "available", "local_name": "华东1（杭州）", "rule_quota": 200,
//!       "groups": [{
//!         "SecurityGroupId": "sg-1", "SecurityGroupName": "web", "VpcId": "vpc-1",
//!         "Permissions": {"Permission": [
//!           {"IpProtocol": "TCP", "PortRange": "22/22", "SourceCidrIp": "0.0.0.0/0"}]}}],
//!       "prefix_lists": [{"PrefixListId": "pl-1", "Entries": [{"Cidr": "0.0.0.0/0"}]}],
//!       "port_lists": [{"PortRangeListId": "prl-1", "Entries": [{"PortRange": "22/22"}]}],
//!       "secrets": [{"SecretName": "sgwarden-smtp", "SecretData": "opens-nothing"}],
//!       "interfaces": [{"NetworkInterfaceId": "eni-1", "SecurityGroupIds": {"SecurityGroupId": ["sg-1"]}}],
//!       "instances": [{"InstanceId": "i-1"}]
//!     }]
//!   }],
//!   "directory": "1234567890123456",
//!   "key_pairs": [{"id": "TMP.sim", "account": "1234567890123456", "user": "auditor",
//!                  "public_key": "-----BEGIN PUBLIC KEY-----..."}],
//!   "priority_is_identity": true,
//!   "international": false,
//!   "faults": ["DescribeSecurityGroups@cn-shanghai=Forbidden.RAM"]
//! }
//! ```
//!
//! Groups, rules, lists, secrets, interfaces and instances are written in the service's own field names; what
//! is left out has the value the service shows for a plain one (an ingress Accept of TCP at Priority
//! 1 in a VPC). `Permissions`, `Tags` and `Entries` may be plain lists or wrapped as the service
//! wraps them. `VpcId: ""` is the classic network. A rule also takes `Overrides` (values put over its
//! fields in answers only, whatever they are: `{"Priority": null}`) and `Absent` (fields left out of
//! answers). `RuleCount` of a group overrides the true number in the listing. An account without
//! `users` gets one, `auditor`, that may do everything, with the key `LTAI-sim-ACCOUNT` and the
//! secret `sim-secret-of-ACCOUNT`. Cloud Config (`config`) knows every group beside those it lags
//! behind, and still has those it `lags` about. Unknown keys are errors.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::auth::rsa_public_key;
use super::faults::Fault;
use super::rule::{PortList, PrefixList};
use super::secret::KmsSecret;
use super::world::{Account, Discovery, Group, KeyPair, Region, Role, User, World};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileWorld {
    accounts: Vec<FileAccount>,
    #[serde(default)]
    directory: Option<String>,
    #[serde(default)]
    key_pairs: Vec<KeyPair>,
    #[serde(default = "yes")]
    priority_is_identity: bool,
    #[serde(default)]
    international: bool,
    #[serde(default)]
    faults: Vec<String>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileAccount {
    id: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    users: Vec<User>,
    #[serde(default)]
    roles: Vec<Role>,
    #[serde(default)]
    config: Discovery,
    #[serde(default)]
    regions: Vec<FileRegion>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRegion {
    id: String,
    #[serde(default = "available")]
    status: String,
    #[serde(default)]
    local_name: Option<String>,
    #[serde(default = "quota")]
    rule_quota: usize,
    #[serde(default)]
    groups: Vec<Group>,
    #[serde(default)]
    prefix_lists: Vec<PrefixList>,
    #[serde(default)]
    port_lists: Vec<PortList>,
    #[serde(default)]
    secrets: Vec<KmsSecret>,
    #[serde(default)]
    interfaces: Vec<Map<String, Value>>,
    #[serde(default)]
    instances: Vec<Map<String, Value>>,
}

fn available() -> String {
    "available".into()
}

fn quota() -> usize {
    200
}

impl World {
    /// Reads a world file.
    ///
    /// # Errors
    /// Says what is not understood, with line and column where it is JSON or a name, or which id is
    /// there twice.
    pub fn from_json(text: &str) -> Result<World, String> {
        let file: FileWorld = serde_json::from_str(text).map_err(|e| format!("world file: {e}"))?;
        let mut world = World {
            directory: file.directory,
            priority_is_identity: file.priority_is_identity,
            international: file.international,
            ..World::default()
        };
        for fault in &file.faults {
            let fault = Fault::parse(fault).map_err(|e| format!("world file: {e}"))?;
            world.faults.push(fault);
        }
        for account in file.accounts {
            add_account(&mut world, account)?;
        }
        if let Some(master) = &world.directory
            && !world.accounts.contains_key(master)
        {
            return Err(format!(
                "world file: directory names the account {master}, which is not there"
            ));
        }
        for pair in file.key_pairs {
            let account = world.accounts.get(&pair.account);
            if !account.is_some_and(|a| a.users.iter().any(|user| user.name == pair.user)) {
                return Err(format!(
                    "world file: key pair {} names the user {} of account {}, who is not there",
                    pair.id, pair.user, pair.account
                ));
            }
            if rsa_public_key(&pair.public_key).is_none() {
                return Err(format!(
                    "world file: key pair {} has no RSA key as PEM, `PUBLIC KEY`, in public_key",
                    pair.id
                ));
            }
            world.key_pairs.push(pair);
        }
        Ok(world)
    }
}

fn add_account(world: &mut World, file: FileAccount) -> Result<(), String> {
    let id = file.id;
    let mut account = Account {
        name: file.name.unwrap_or_else(|| id.clone()),
        roles: file.roles,
        users: file.users,
        config: file.config,
        ..World::single(&id, &[])
            .accounts
            .into_values()
            .next()
            .unwrap_or_default()
    };
    if account.users.is_empty() {
        let single = World::single(&id, &[]).accounts.into_values().next();
        account.users = single.map(|a| a.users).unwrap_or_default();
    }
    let mut groups = Vec::new();
    for region in file.regions {
        let name = region.id.clone();
        let mut made = Region::new(&name);
        made.status = region.status;
        made.local_name = region.local_name.unwrap_or_else(|| name.clone());
        made.rule_quota = region.rule_quota;
        made.interfaces = region.interfaces;
        made.instances = region.instances;
        for list in region.prefix_lists {
            made.prefix_lists.insert(list.prefix_list_id.clone(), list);
        }
        for list in region.port_lists {
            made.port_lists
                .insert(list.port_range_list_id.clone(), list);
        }
        for secret in region.secrets {
            let secret_name = secret.secret_name.clone();
            if made.secrets.insert(secret_name.clone(), secret).is_some() {
                return Err(format!(
                    "world file: secret {secret_name} is twice in {name}"
                ));
            }
        }
        let mut seen = BTreeSet::new();
        for group in region.groups {
            if !seen.insert(group.security_group_id.clone()) {
                return Err(format!(
                    "world file: group {} is twice in {name}",
                    group.security_group_id
                ));
            }
            groups.push((name.clone(), group));
        }
        if account.regions.insert(name.clone(), made).is_some() {
            return Err(format!(
                "world file: region {name} is twice in account {id}"
            ));
        }
    }
    if world.accounts.insert(id.clone(), account).is_some() {
        return Err(format!("world file: account {id} is there twice"));
    }
    for (region, group) in groups {
        world.add_group(&id, &region, group);
    }
    Ok(())
}
