//! Big worlds that are not stored: every group is made from the seed when it is asked for, and the
//! same each time. A group that someone changes is stored from then on.
//!
//! Ids say where a group stands (`sg-bp1seed` + account, region, index in hex), so one group costs
//! as much as its own rules, however many there are.

use super::rule::{Priority, Rule, Tag};
use super::world::{Account, Group, Region, Role, World, everything};

/// How big a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeedOptions {
    /// Groups in total, spread evenly over accounts and regions.
    pub groups: u64,
    /// Rules of each group, egress included; at least 1.
    pub rules: u32,
    /// Regions of each account, 1 to 255.
    pub regions: u8,
    /// Accounts, 1 to 255; the first manages the others, whose role `SgwardenAudit` it may assume.
    pub accounts: u8,
    /// Another seed, another world.
    pub seed: u64,
}

impl Default for SeedOptions {
    fn default() -> SeedOptions {
        SeedOptions {
            groups: 1000,
            rules: 20,
            regions: 2,
            accounts: 1,
            seed: 1,
        }
    }
}

const REGIONS: &[&str] = &[
    "cn-hangzhou",
    "cn-shanghai",
    "cn-beijing",
    "cn-shenzhen",
    "ap-southeast-1",
    "cn-hongkong",
    "eu-central-1",
    "us-west-1",
    "cn-qingdao",
    "cn-zhangjiakou",
    "cn-huhehaote",
    "cn-wulanchabu",
    "cn-heyuan",
    "cn-guangzhou",
    "cn-chengdu",
    "cn-nanjing",
    "cn-fuzhou",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-southeast-3",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "us-east-1",
    "eu-west-1",
    "me-east-1",
    "me-central-1",
    "na-south-1",
];

const PREFIX: &str = "sg-bp1seed";
/// In every seeded region: a prefix list that holds the internet.
const WORLD_LIST: &str = "pl-bp1seed00000000world";
const WORLD_LIST_NAME: &str = "partners";

/// What is wrong with a planted group.
const PLANTS: &[&str] = &[
    "ssh from 0.0.0.0/0",
    "rdp from 0.0.0.0/1 and 128.0.0.0/1",
    "rdp from ::/0",
    "ssh by a prefix list with 0.0.0.0/0",
    "tcp 1/65535 from 0.0.0.0/0",
    "every protocol from 0.0.0.0/0",
    "ssh from 47.96.0.0/11",
    "tcp 20/25 from 0.0.0.0/0",
];

/// SplitMix64's last step: one number from several.
fn mix(parts: &[u64]) -> u64 {
    let mut x: u64 = 0x9e37_79b9_7f4a_7c15;
    for part in parts {
        x = (x ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^= x >> 31;
    }
    x
}

/// The generated groups of one region.
#[derive(Debug, Clone)]
pub(super) struct SeededRegion {
    seed: u64,
    rules: u32,
    account: u8,
    region: u8,
    pub(super) count: u64,
}

impl SeededRegion {
    fn id(&self, index: u64) -> String {
        format!("{PREFIX}{:02x}{:02x}{index:08x}", self.account, self.region)
    }

    pub(super) fn index_of(&self, id: &str) -> Option<u64> {
        let rest = id.strip_prefix(PREFIX)?;
        let place = format!("{:02x}{:02x}", self.account, self.region);
        let digits = rest.strip_prefix(place.as_str())?;
        let index = u64::from_str_radix(digits, 16).ok()?;
        (index < self.count && self.id(index) == id).then_some(index)
    }

    fn roll(&self, index: u64, what: u64) -> u64 {
        let place = u64::from(self.account) << 8 | u64::from(self.region);
        mix(&[self.seed, place, index, what])
    }

    /// The kind of exposure planted here, in one group of a hundred.
    fn plant(&self, index: u64) -> Option<usize> {
        let roll = self.roll(index, 1);
        if !roll.is_multiple_of(100) {
            return None;
        }
        let kinds = PLANTS.len() as u64;
        let kind = usize::try_from((roll / 100) % kinds).unwrap_or(0);
        // Two halves need two ingress rules beside the egress rule.
        Some(if kind == 1 && self.rules < 3 { 0 } else { kind })
    }

    /// The group without its rules, but with their number.
    pub(super) fn head(&self, index: u64) -> Group {
        let roll = self.roll(index, 2);
        let names = ["web", "app", "db", "batch", "gateway", "数据", "cache"];
        let name = names[usize::try_from(roll % 7).unwrap_or(0)];
        let mut group = Group::new(&self.id(index), &format!("{name}-{index:06}"));
        group.vpc_id = format!("vpc-bp1seed{:04x}", roll >> 16 & 0xff);
        group.ecs_count = u32::try_from(roll >> 24 & 7).unwrap_or(0);
        let owners = ["web", "platform", "data", "ops"];
        group.tags = vec![Tag {
            tag_key: "owner".into(),
            tag_value: owners[usize::try_from(roll >> 32 & 3).unwrap_or(0)].into(),
        }];
        if roll >> 36 & 1 == 0 {
            group.tags.push(Tag {
                tag_key: "env".into(),
                tag_value: "prod".into(),
            });
        }
        group.rule_count = Some(i64::from(self.rules));
        let by_group = (0..self.rules).filter(|j| self.kind(index, *j) == Some(2));
        group.group_to_group_rule_count = i64::try_from(by_group.count()).ok();
        group
    }

    pub(super) fn group(&self, index: u64) -> Group {
        let mut group = self.head(index);
        group.permissions = (0..self.rules).map(|j| self.rule(index, j)).collect();
        group.rule_count = None;
        group.group_to_group_rule_count = None;
        group
    }

    /// Which harmless rule stands at a place that nothing else takes.
    fn kind(&self, index: u64, place: u32) -> Option<u64> {
        let taken = place < 2 || place + 1 == self.rules;
        (!taken).then(|| self.roll(index, 100 + u64::from(place)) % 7)
    }

    fn rule(&self, index: u64, place: u32) -> Rule {
        let roll = self.roll(index, 100 + u64::from(place)) >> 8;
        let byte = |shift: u32| roll >> shift & 0xff;
        let office = |shift| format!("47.{}.{}.{}/32", 96 + (roll & 15), byte(shift), byte(12));
        let mut rule = match (self.plant(index), self.kind(index, place)) {
            (_, None) if place + 1 == self.rules && place > 0 => {
                Rule::egress("ALL", "-1/-1", "0.0.0.0/0")
            }
            (Some(plant), None) => match (plant, place) {
                (0, 0) => Rule::ingress("TCP", "22/22", "0.0.0.0/0").described("临时"),
                (1, 0) => Rule::ingress("TCP", "3389/3389", "0.0.0.0/1"),
                (1, _) => Rule::ingress("TCP", "3389/3389", "128.0.0.0/1"),
                (2, 0) => Rule::ingress("TCP", "3389/3389", "::/0"),
                (3, 0) => {
                    let mut rule = Rule::ingress("TCP", "22/22", WORLD_LIST);
                    rule.source_prefix_list_name = WORLD_LIST_NAME.into();
                    rule
                }
                (4, 0) => Rule::ingress("TCP", "1/65535", "0.0.0.0/0"),
                (5, 0) => Rule::ingress("ALL", "-1/-1", "0.0.0.0/0"),
                (6, 0) => Rule::ingress("TCP", "22/22", "47.96.0.0/11"),
                (7, 0) => Rule::ingress("TCP", "20/25", "0.0.0.0/0"),
                _ => Rule::ingress("TCP", "443/443", "0.0.0.0/0").described("https"),
            },
            (None, None) if place == 0 => {
                Rule::ingress("TCP", "443/443", "0.0.0.0/0").described("https")
            }
            (None, None) => Rule::ingress("TCP", "80/80", "0.0.0.0/0").described("http"),
            (_, Some(0)) => Rule::ingress("TCP", "22/22", &office(20)).described("办公"),
            (_, Some(1)) => {
                let source = format!("10.{}.{}.0/24", byte(20), place % 256);
                Rule::ingress("TCP", "3389/3389", &source)
            }
            (_, Some(2)) => {
                let neighbour = roll % self.count.max(1);
                let mut rule = Rule::ingress("TCP", "3306/3306", &self.id(neighbour));
                rule.description = format!("db {place}");
                rule
            }
            (_, Some(3)) => {
                let source = format!("10.{}.{}.0/24", byte(20), place % 256);
                Rule::ingress("UDP", "53/53", &source)
            }
            (_, Some(4)) => {
                let port = 8000 + place;
                Rule::ingress("TCP", &format!("{port}/{port}"), "0.0.0.0/0")
            }
            (_, Some(5)) => {
                let source = format!("172.16.{}.0/24", place % 256);
                Rule::ingress("TCP", "5432/5432", &source)
            }
            (_, Some(_)) => {
                // Behind everything else: drops what nobody lets in anyway.
                let source = format!("{}.0.0.0/8", 50 + place % 50);
                let mut rule = Rule::ingress("TCP", "22/22", &source).drops();
                rule.priority = Priority::Number(100);
                rule
            }
        };
        rule.security_group_rule_id = format!(
            "sgr-bp1seed{:02x}{:02x}{index:08x}{place:03x}",
            self.account, self.region
        );
        rule
    }
}

impl World {
    /// A world made from a seed.
    pub fn seeded(options: SeedOptions) -> World {
        let mut world = World::default();
        let accounts = options.accounts.max(1);
        let regions = options.regions.max(1);
        let cells = u64::from(accounts) * u64::from(regions);
        let first = account_id(0);
        let mut cell = 0;
        for a in 0..accounts {
            let id = account_id(a);
            let one = World::single(&id, &[]);
            let mut account = one.accounts.into_values().next().unwrap_or_default();
            account.name = format!("account-{a}");
            account.roles.push(Role {
                name: "SgwardenAudit".into(),
                id: format!("3000000000000{a:05}"),
                trust: vec![first.clone()],
                external_id: None,
                max_session: 3600,
                allow: everything(),
                deny: Vec::new(),
            });
            for r in 0..regions {
                let share = options.groups / cells + u64::from(cell < options.groups % cells);
                cell += 1;
                let region = region(options, a, r, share);
                account.regions.insert(region.id.clone(), region);
            }
            world.accounts.insert(id, account);
        }
        if accounts > 1 {
            world.directory = Some(first);
        }
        world
    }

    /// Every group with a planted exposure that has not been changed since: account, region, group, what.
    pub fn planted(&self) -> Vec<(String, String, String, String)> {
        let mut found = Vec::new();
        for account in self.accounts.values() {
            planted_in(account, &mut found);
        }
        found
    }
}

fn planted_in(account: &Account, found: &mut Vec<(String, String, String, String)>) {
    for region in account.regions.values() {
        let Some(seeded) = &region.seeded else {
            continue;
        };
        for index in 0..seeded.count {
            let Some(plant) = seeded.plant(index) else {
                continue;
            };
            let id = seeded.id(index);
            if region.groups.contains_key(&id) || region.gone.contains(&id) {
                continue;
            }
            let what = PLANTS.get(plant).copied().unwrap_or_default();
            found.push((account.id.clone(), region.id.clone(), id, what.into()));
        }
    }
}

fn account_id(index: u8) -> String {
    format!("10000000000{:05}", u32::from(index) + 1)
}

fn region(options: SeedOptions, account: u8, index: u8, count: u64) -> Region {
    let name = REGIONS
        .get(usize::from(index))
        .map_or_else(|| format!("cn-sim-{index}"), |r| (*r).to_owned());
    let mut region = Region::new(&name);
    let list = super::rule::PrefixList::new(WORLD_LIST, WORLD_LIST_NAME, &["0.0.0.0/0"]);
    region.prefix_lists.insert(WORLD_LIST.into(), list);
    region.rule_quota = 200.max(usize::try_from(options.rules).unwrap_or(200) + 20);
    region.seeded = Some(SeededRegion {
        seed: options.seed,
        rules: options.rules.max(1),
        account,
        region: index,
        count,
    });
    region
}
