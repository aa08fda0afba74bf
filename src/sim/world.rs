//! The state of the simulated cloud: accounts, users, regions, groups. Edited by the actions and by tests.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::faults::Fault;
use super::rule::{PortList, PrefixList, Rule, Tag};
use super::secret::KmsSecret;
use super::seed::SeededRegion;
use super::trail::Event;

/// A security group with its rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Group {
    /// `sg-...`.
    pub security_group_id: String,
    /// Its name, possibly empty.
    #[serde(default)]
    pub security_group_name: String,
    /// User text.
    #[serde(default)]
    pub description: String,
    /// `normal` or `enterprise`.
    #[serde(default = "normal")]
    pub security_group_type: String,
    /// Empty: classic network.
    #[serde(default = "default_vpc")]
    pub vpc_id: String,
    /// UTC, with seconds.
    #[serde(default = "creation_time")]
    pub creation_time: String,
    /// `rg-...`.
    #[serde(default = "resource_group")]
    pub resource_group_id: String,
    /// Owned by a cloud service.
    #[serde(default)]
    pub service_managed: bool,
    /// That service's id.
    #[serde(default, rename = "ServiceID")]
    pub service_id: i64,
    /// `Accept` or `Drop`.
    #[serde(default = "accept")]
    pub inner_access_policy: String,
    /// Interfaces, as the listing says.
    #[serde(default)]
    pub ecs_count: u32,
    /// As the listing says.
    #[serde(default)]
    pub available_instance_amount: u32,
    /// Its tags.
    #[serde(default, deserialize_with = "super::rule::tags")]
    pub tags: Vec<Tag>,
    /// Its rules, both directions.
    #[serde(default, deserialize_with = "super::rule::permissions")]
    pub permissions: Vec<Rule>,
    /// `sgsp-...`.
    #[serde(default)]
    pub snapshot_policy_ids: Vec<String>,
    /// What the listing says in place of the true number of rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_count: Option<i64>,
    /// Likewise for rules with a group as peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_to_group_rule_count: Option<i64>,
}

impl Group {
    /// An empty VPC group.
    pub fn new(id: &str, name: &str) -> Group {
        Group {
            security_group_id: id.into(),
            security_group_name: name.into(),
            description: String::new(),
            security_group_type: normal(),
            vpc_id: default_vpc(),
            creation_time: creation_time(),
            resource_group_id: resource_group(),
            service_managed: false,
            service_id: 0,
            inner_access_policy: accept(),
            ecs_count: 0,
            available_instance_amount: 6000,
            tags: Vec::new(),
            permissions: Vec::new(),
            snapshot_policy_ids: Vec::new(),
            rule_count: None,
            group_to_group_rule_count: None,
        }
    }

    /// A group from JSON in the service's field names (see the `worldfile` module).
    ///
    /// # Errors
    /// Says what serde did not understand.
    pub fn from_json(text: &str) -> Result<Group, String> {
        serde_json::from_str(text).map_err(|e| format!("group: {e}"))
    }

    /// The same group with one more rule.
    pub fn with(mut self, rule: Rule) -> Group {
        self.permissions.push(rule);
        self
    }

    /// Whether it lies in the classic network.
    pub fn is_classic(&self) -> bool {
        self.vpc_id.is_empty()
    }

    /// What the listing says.
    pub fn listed_rule_count(&self) -> i64 {
        self.rule_count
            .unwrap_or(i64::try_from(self.permissions.len()).unwrap_or(i64::MAX))
    }

    pub(super) fn listed_group_rules(&self) -> i64 {
        self.group_to_group_rule_count.unwrap_or_else(|| {
            let n = self
                .permissions
                .iter()
                .filter(|r| !r.source_group_id.is_empty() || !r.dest_group_id.is_empty())
                .count();
            i64::try_from(n).unwrap_or(i64::MAX)
        })
    }

    /// Its rules without ids, times and names of what they point at, sorted: equal before a change
    /// and after its undoing.
    pub fn state(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.permissions.iter().map(Rule::state_line).collect();
        lines.sort();
        lines
    }
}

fn normal() -> String {
    "normal".into()
}

fn default_vpc() -> String {
    "vpc-bp1sim000000000000aaa".into()
}

fn creation_time() -> String {
    "2024-03-05T02:11:09Z".into()
}

fn resource_group() -> String {
    "rg-acfmsim00000000".into()
}

fn accept() -> String {
    "Accept".into()
}

/// A region of one account.
#[derive(Debug, Clone, Default)]
pub struct Region {
    /// `cn-hangzhou`.
    pub id: String,
    /// Shown by DescribeRegions.
    pub local_name: String,
    /// `available` or `soldOut`.
    pub status: String,
    /// Rules that a group may hold, both directions; the service's default is 200.
    pub rule_quota: usize,
    /// Prefix lists by id.
    pub prefix_lists: BTreeMap<String, PrefixList>,
    /// Port lists by id.
    pub port_lists: BTreeMap<String, PortList>,
    /// Secrets of KMS by name.
    pub secrets: BTreeMap<String, KmsSecret>,
    /// Network interfaces: objects in the service's field names, laid over a full template.
    pub interfaces: Vec<Map<String, Value>>,
    /// Instances, likewise.
    pub instances: Vec<Map<String, Value>>,
    /// Groups that are stored: all of them, or those of a seeded region that were changed.
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) gone: BTreeSet<String>,
    pub(super) seeded: Option<SeededRegion>,
}

/// Where a listing goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// At this generated group.
    Seeded(u64),
    /// After this stored group; empty: at the first.
    After(String),
}

impl Region {
    /// An empty region.
    pub fn new(id: &str) -> Region {
        Region {
            id: id.into(),
            local_name: id.into(),
            status: "available".into(),
            rule_quota: 200,
            ..Region::default()
        }
    }

    /// A group as it is now, generated or stored.
    pub fn group(&self, id: &str) -> Option<Cow<'_, Group>> {
        if self.gone.contains(id) {
            return None;
        }
        if let Some(group) = self.groups.get(id) {
            return Some(Cow::Borrowed(group));
        }
        let seeded = self.seeded.as_ref()?;
        seeded.index_of(id).map(|i| Cow::Owned(seeded.group(i)))
    }

    /// The same to be changed; a generated group is stored from now on.
    pub fn group_mut(&mut self, id: &str) -> Option<&mut Group> {
        if self.gone.contains(id) {
            return None;
        }
        if !self.groups.contains_key(id) {
            let seeded = self.seeded.as_ref()?;
            let group = seeded.group(seeded.index_of(id)?);
            self.groups.insert(id.into(), group);
        }
        self.groups.get_mut(id)
    }

    /// Deletes a group; whether there was one.
    pub fn remove_group(&mut self, id: &str) -> bool {
        let known = self.group(id).is_some();
        self.groups.remove(id);
        if known && self.is_seeded(id) {
            self.gone.insert(id.into());
        }
        known
    }

    /// How many groups there are.
    pub(super) fn count(&self) -> usize {
        let seeded = self.seeded.as_ref().map_or(0, |s| s.count);
        let generated = usize::try_from(seeded).unwrap_or(usize::MAX);
        let stored = self.groups.keys().filter(|id| !self.is_seeded(id)).count();
        generated
            .saturating_sub(self.gone.len())
            .saturating_add(stored)
    }

    /// Ids of all groups, in the order of the listing.
    pub fn group_ids(&self) -> Vec<String> {
        let mut ids = Vec::new();
        self.visit(self.first_place(), |_, group| {
            ids.push(group.security_group_id.clone());
            true
        });
        ids
    }

    fn is_seeded(&self, id: &str) -> bool {
        self.seeded
            .as_ref()
            .is_some_and(|s| s.index_of(id).is_some())
    }

    pub(super) fn first_place(&self) -> Place {
        match self.seeded {
            Some(_) => Place::Seeded(0),
            None => Place::After(String::new()),
        }
    }

    /// Walks the listing from a place: heads only (generated groups come without rules, with their
    /// number). The visitor is told where each group stands and ends the walk with `false`.
    pub(super) fn visit(&self, from: Place, mut visitor: impl FnMut(Place, &Group) -> bool) {
        let mut after = String::new();
        match from {
            Place::Seeded(first) => {
                if let Some(seeded) = &self.seeded {
                    for i in first..seeded.count {
                        let head = seeded.head(i);
                        let id = &head.security_group_id;
                        if self.gone.contains(id) {
                            continue;
                        }
                        let group = self.groups.get(id).unwrap_or(&head);
                        if !visitor(Place::Seeded(i), group) {
                            return;
                        }
                    }
                }
            }
            Place::After(id) => after = id,
        }
        use std::ops::Bound::{Excluded, Unbounded};
        let mut last = after.clone();
        for (id, group) in self.groups.range((Excluded(after), Unbounded)) {
            if self.is_seeded(id) {
                continue;
            }
            if !visitor(
                Place::After(std::mem::replace(&mut last, id.clone())),
                group,
            ) {
                return;
            }
        }
    }
}

/// An access key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessKey {
    /// `LTAI...`.
    pub id: String,
    /// Its secret (invented).
    pub secret: String,
    /// `false`: refused as inactive.
    #[serde(default = "yes")]
    pub active: bool,
}

fn yes() -> bool {
    true
}

/// A RAM user, or the account itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Its name.
    pub name: String,
    /// The account itself: allowed everything but AssumeRole.
    #[serde(default)]
    pub root: bool,
    /// `200000000000000001`.
    #[serde(default = "user_id")]
    pub id: String,
    /// Allowed actions: `ecs:Describe*`, `*`.
    #[serde(default = "everything")]
    pub allow: Vec<String>,
    /// Denied actions, stronger than `allow`.
    #[serde(default)]
    pub deny: Vec<String>,
    /// Its keys.
    #[serde(default)]
    pub keys: Vec<AccessKey>,
}

fn user_id() -> String {
    "200000000000000001".into()
}

pub(super) fn everything() -> Vec<String> {
    vec!["*".into()]
}

/// A role that others assume.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Its name, compared without case.
    pub name: String,
    /// `300000000000000001`.
    #[serde(default = "role_id")]
    pub id: String,
    /// Accounts, and ARNs of OIDC providers, that may assume it.
    #[serde(default)]
    pub trust: Vec<String>,
    /// Demanded of whoever assumes it.
    #[serde(default)]
    pub external_id: Option<String>,
    /// Longest session, seconds.
    #[serde(default = "hour")]
    pub max_session: i64,
    /// Allowed actions.
    #[serde(default = "everything")]
    pub allow: Vec<String>,
    /// Denied actions.
    #[serde(default)]
    pub deny: Vec<String>,
}

fn role_id() -> String {
    "300000000000000001".into()
}

fn hour() -> i64 {
    3600
}

/// What Cloud Config knows of an account's groups: all of them, but for what stands here.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discovery {
    /// Whether the account has Cloud Config.
    #[serde(default = "yes")]
    pub set_up: bool,
    /// By region, ids of groups that are gone and that it still calls existing.
    #[serde(default)]
    pub lags: BTreeMap<String, Vec<String>>,
    /// Ids of groups that it has not seen yet.
    #[serde(default)]
    pub behind: BTreeSet<String>,
}

impl Default for Discovery {
    fn default() -> Discovery {
        Discovery {
            set_up: true,
            lags: BTreeMap::new(),
            behind: BTreeSet::new(),
        }
    }
}

/// An account.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// 16 digits.
    pub id: String,
    /// Shown by the resource directory.
    pub name: String,
    /// Who may call.
    pub users: Vec<User>,
    /// What may be assumed.
    pub roles: Vec<Role>,
    /// Regions by id.
    pub regions: BTreeMap<String, Region>,
    /// What Cloud Config knows.
    pub config: Discovery,
}

/// A session made by AssumeRole.
#[derive(Debug, Clone)]
pub struct Session {
    /// `STS.…`.
    pub access_key_id: String,
    /// Its secret.
    pub access_key_secret: String,
    /// Its token.
    pub security_token: String,
    /// Account of the role.
    pub account: String,
    /// Name of the role.
    pub role: String,
    /// RoleSessionName.
    pub name: String,
    /// End of its life, by the server's clock.
    pub expires: DateTime<Utc>,
}

/// A token that an OIDC provider vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcToken {
    /// ARN of the provider.
    pub provider: String,
    /// The token, whatever it says.
    pub token: String,
    /// Whose it is.
    pub subject: String,
}

/// A user's RSA key pair: its public half, and under what id it is known.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPair {
    /// What a call that is signed with the private half names as AccessKeyId.
    pub id: String,
    /// Whose it is.
    pub account: String,
    /// The name of the user.
    #[serde(default = "auditor")]
    pub user: String,
    /// PEM, `PUBLIC KEY`.
    pub public_key: String,
}

fn auditor() -> String {
    "auditor".into()
}

/// A session's key made by GenerateSessionAccessKey: it has no token.
#[derive(Debug, Clone)]
pub struct SessionKey {
    /// Its secret.
    pub secret: String,
    /// Account of the user.
    pub account: String,
    /// Name of the user.
    pub user: String,
    /// End of its life, by the server's clock.
    pub expires: DateTime<Utc>,
}

/// Everything the simulated cloud knows.
#[derive(Debug, Clone)]
pub struct World {
    /// Accounts by id.
    pub accounts: BTreeMap<String, Account>,
    /// Sessions by access key id.
    pub sessions: BTreeMap<String, Session>,
    /// Management account of the resource directory, if there is one; its members are all accounts.
    pub directory: Option<String>,
    /// Faults that are set when the server starts.
    pub faults: Vec<Fault>,
    /// Whether two rules that differ only in Priority are two (true), or the second is a silent no-op.
    pub priority_is_identity: bool,
    /// Whether this is the international site, where Cloud Config has another host.
    pub international: bool,
    /// Tokens that AssumeRoleWithOIDC takes.
    pub oidc_tokens: Vec<OidcToken>,
    /// Key pairs that GenerateSessionAccessKey takes signatures of.
    pub key_pairs: Vec<KeyPair>,
    /// Session keys by access key id.
    pub session_keys: BTreeMap<String, SessionKey>,
    /// Rules asked for evaluation by StartConfigRuleEvaluation, in order.
    pub evaluations: Vec<String>,
    /// ActionTrail's history.
    pub trail: Vec<Event>,
    /// How long after a call it shows; the service takes about ten minutes.
    pub trail_delay: chrono::Duration,
    /// Tokens that PutEvaluations takes, each with the evaluations that came with it.
    pub verdicts: BTreeMap<String, Vec<serde_json::Value>>,
    pub(super) next_id: u64,
}

impl Default for World {
    fn default() -> World {
        World {
            accounts: BTreeMap::new(),
            sessions: BTreeMap::new(),
            directory: None,
            faults: Vec::new(),
            priority_is_identity: true,
            international: false,
            oidc_tokens: Vec::new(),
            key_pairs: Vec::new(),
            session_keys: BTreeMap::new(),
            evaluations: Vec::new(),
            trail: Vec::new(),
            trail_delay: chrono::Duration::minutes(10),
            verdicts: BTreeMap::new(),
            next_id: 1,
        }
    }
}

impl World {
    /// One account with one user of all rights and these regions.
    pub fn single(account: &str, regions: &[&str]) -> World {
        let mut world = World::default();
        let user = User {
            name: "auditor".into(),
            root: false,
            id: user_id(),
            allow: everything(),
            deny: Vec::new(),
            keys: vec![AccessKey {
                id: format!("LTAI-sim-{account}"),
                secret: format!("sim-secret-of-{account}"),
                active: true,
            }],
        };
        world.accounts.insert(
            account.into(),
            Account {
                id: account.into(),
                name: account.into(),
                users: vec![user],
                roles: Vec::new(),
                regions: regions
                    .iter()
                    .map(|r| ((*r).to_owned(), Region::new(r)))
                    .collect(),
                config: Discovery::default(),
            },
        );
        world
    }

    /// A region of an account.
    pub fn region(&self, account: &str, region: &str) -> Option<&Region> {
        self.accounts.get(account)?.regions.get(region)
    }

    /// The same to be changed.
    pub fn region_mut(&mut self, account: &str, region: &str) -> Option<&mut Region> {
        self.accounts.get_mut(account)?.regions.get_mut(region)
    }

    /// A group as it is now.
    pub fn group(&self, account: &str, region: &str, id: &str) -> Option<Cow<'_, Group>> {
        self.region(account, region)?.group(id)
    }

    /// The same to be changed. Rules pushed here without an id stay without one: use [`World::add_rule`].
    pub fn group_mut(&mut self, account: &str, region: &str, id: &str) -> Option<&mut Group> {
        self.region_mut(account, region)?.group_mut(id)
    }

    /// Puts a group into a region (both are made where they do not exist); rules without an id get one.
    pub fn add_group(&mut self, account: &str, region: &str, mut group: Group) {
        for rule in &mut group.permissions {
            self.name_rule(rule);
        }
        let account = self
            .accounts
            .entry(account.into())
            .or_insert_with(|| Account {
                id: account.into(),
                name: account.into(),
                ..Account::default()
            });
        let region = account
            .regions
            .entry(region.into())
            .or_insert_with(|| Region::new(region));
        region.gone.remove(&group.security_group_id);
        region.groups.insert(group.security_group_id.clone(), group);
    }

    /// Adds a rule to a group and answers its id; `None` if there is no such group.
    pub fn add_rule(
        &mut self,
        account: &str,
        region: &str,
        group: &str,
        mut rule: Rule,
    ) -> Option<String> {
        self.group(account, region, group)?;
        self.name_rule(&mut rule);
        let id = rule.security_group_rule_id.clone();
        self.group_mut(account, region, group)?
            .permissions
            .push(rule);
        Some(id)
    }

    /// Removes a rule behind everyone's back; whether it was there.
    pub fn remove_rule(&mut self, account: &str, region: &str, group: &str, rule: &str) -> bool {
        let Some(group) = self.group_mut(account, region, group) else {
            return false;
        };
        let before = group.permissions.len();
        group
            .permissions
            .retain(|r| r.security_group_rule_id != rule);
        group.permissions.len() != before
    }

    /// Puts a secret into a region that is there, in place of one of its name.
    pub fn add_secret(&mut self, account: &str, region: &str, secret: KmsSecret) {
        if let Some(region) = self.region_mut(account, region) {
            region.secrets.insert(secret.secret_name.clone(), secret);
        }
    }

    /// [`Group::state`] of one group.
    pub fn group_state(&self, account: &str, region: &str, id: &str) -> Option<Vec<String>> {
        self.group(account, region, id).map(|g| g.state())
    }

    /// SHA-256 over the state of every group: equal when nothing changed but ids and times.
    pub fn state_digest(&self) -> String {
        let mut hash = Sha256::new();
        for (account, held) in &self.accounts {
            for (name, region) in &held.regions {
                for id in region.group_ids() {
                    hash.update(format!("{account}/{name}/{id}\n"));
                    for line in region.group(&id).map(|g| g.state()).unwrap_or_default() {
                        hash.update(line);
                        hash.update("\n");
                    }
                }
            }
        }
        super::auth::hex(&hash.finalize())
    }

    /// Ends every session at once.
    pub fn expire_sessions(&mut self) {
        for key in self.session_keys.values_mut() {
            key.expires = DateTime::<Utc>::UNIX_EPOCH;
        }
        for session in self.sessions.values_mut() {
            session.expires = DateTime::<Utc>::UNIX_EPOCH;
        }
    }

    pub(super) fn name_rule(&mut self, rule: &mut Rule) {
        if rule.security_group_rule_id.is_empty() {
            rule.security_group_rule_id = self.new_rule_id();
        }
    }

    pub(super) fn new_rule_id(&mut self) -> String {
        format!("sgr-bp1sim{:014x}", self.new_number())
    }

    pub(super) fn new_number(&mut self) -> u64 {
        let n = self.next_id;
        self.next_id += 1;
        n
    }
}
