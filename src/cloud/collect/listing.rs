//! Every page of a region's DescribeSecurityGroups, as items to work off in order.

use super::region::Region;
use super::{failure_of_ours, scope};
use crate::cloud::wire::{self, GroupsPage};
use crate::cloud::{Answer, CallFailure, pacing};
use crate::model::{CallError, GroupId, RawAnswer, SecurityGroup};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// The action.
pub(super) const ACTION: &str = "DescribeSecurityGroups";

/// Ids in one `SecurityGroupIds`, by the SDK's text.
const IDS_AT_ONCE: usize = 100;

/// Pages in a row without a new group, after which the service is not believed to end.
const IDLE_PAGES: u32 = 100;

/// A step of the listing.
pub(super) enum Item {
    /// A page arrived.
    Page {
        answers: Vec<RawAnswer>,
        total: Option<u64>,
        odd: BTreeSet<String>,
    },
    /// A group to read; `twice`: the page had it twice with differing content.
    Read { group: SecurityGroup, twice: bool },
    /// A group left out by name.
    Excluded(GroupId),
    /// A group that was given before, with other content.
    Conflict(SecurityGroup),
    /// The listing ends here, unfinished.
    Failed(CallError, Vec<RawAnswer>),
}

/// What is kept of a group that was listed.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    content: u64,
    meant: bool,
}

/// Where the listing stands.
pub(super) struct Listing {
    region: Arc<Region>,
    /// Filters by id still to ask for; one `None` where every group is meant.
    filters: VecDeque<Option<String>>,
    token: Option<String>,
    /// Hashes of the tokens of this filter.
    tokens: HashSet<u128>,
    seen: HashMap<u128, Seen>,
    idle: u32,
}

impl Listing {
    pub(super) fn new(region: Arc<Region>) -> Self {
        let filters = match &region.shared.request.groups {
            None => VecDeque::from([None]),
            Some(ids) => ids
                .chunks(IDS_AT_ONCE)
                .map(|ids| Some(serde_json::json!(ids).to_string()))
                .collect(),
        };
        Self {
            region,
            filters,
            token: None,
            tokens: HashSet::new(),
            seen: HashMap::new(),
            idle: 0,
        }
    }

    /// The next page's items; `None` after the last.
    pub(super) async fn next(&mut self) -> Option<Vec<Item>> {
        let Some(filter) = self.filters.front().cloned() else {
            // Ended: what was listed is wanted for comparison.
            *pacing::locked(&self.region.listed) = std::mem::take(&mut self.seen);
            return None;
        };
        let mut params = BTreeMap::from([("MaxResults".to_owned(), "100".to_owned())]);
        if let Some(ids) = filter {
            params.insert("SecurityGroupIds".to_owned(), ids);
        }
        if let Some(token) = &self.token {
            params.insert("NextToken".to_owned(), token.clone());
        }
        match page(&self.region, params).await {
            Err(mut failure) => {
                self.filters.clear();
                let answers = std::mem::take(&mut failure.answers);
                Some(vec![Item::Failed(failure.error(), answers)])
            }
            Ok(answer) => Some(self.items(answer)),
        }
    }

    fn items(&mut self, answer: Answer<GroupsPage>) -> Vec<Item> {
        let page = answer.value;
        let mut items = Vec::with_capacity(page.groups.len() + 2);
        items.push(Item::Page {
            answers: answer.raws,
            total: page.total,
            odd: page.odd,
        });
        let before = self.seen.len();
        self.sort(page.groups, &mut items);
        self.idle = if self.seen.len() > before {
            0
        } else {
            self.idle + 1
        };
        let problem = match &page.next_token {
            Some(token) if !self.tokens.insert(digest(&[token.as_str()])) => {
                Some("the service gave the same NextToken twice, which would never end")
            }
            Some(_) if self.idle >= IDLE_PAGES => {
                Some("the service gave page after page without a new group")
            }
            Some(_) | None => None,
        };
        if let Some(message) = problem {
            self.filters.clear();
            let mut error = failure_of_ours("paging-loop", message);
            error.action = ACTION.to_owned();
            items.push(Item::Failed(error, Vec::new()));
        } else if page.next_token.is_none() {
            self.filters.pop_front();
            self.tokens.clear();
        }
        self.token = page.next_token;
        items
    }

    /// Sorts a page's groups: to read, left out, met before.
    fn sort(&mut self, groups: Vec<SecurityGroup>, items: &mut Vec<Item>) {
        let request = &self.region.shared.request;
        // Where the page's own groups stand among the items.
        let mut here: BTreeMap<u128, usize> = BTreeMap::new();
        for group in groups {
            let id = GroupId::new(group.id.clone());
            if request.groups.as_ref().is_some_and(|ids| ids.contains(&id)) {
                pacing::locked(&self.region.shared.found).insert(id.clone());
            }
            let key = digest(&[&group.id]);
            let now = Seen {
                content: content(&group),
                meant: scope::is_meant(request, &group),
            };
            let first = self.seen.get(&key).copied();
            if request.exclude_groups.contains(&id) {
                if first.is_none() {
                    self.seen.insert(key, now);
                    items.push(Item::Excluded(id));
                }
                continue;
            }
            match first {
                None => {
                    self.seen.insert(key, now);
                    if now.meant {
                        here.insert(key, items.len());
                        items.push(Item::Read {
                            group,
                            twice: false,
                        });
                    }
                }
                Some(first) if first.content == now.content => {}
                Some(first) if first.meant => {
                    match here.get(&key).and_then(|at| items.get_mut(*at)) {
                        Some(Item::Read { twice, .. }) => *twice = true,
                        Some(_) | None => items.push(Item::Conflict(group)),
                    }
                }
                // Its first entry was out of scope.
                Some(_) if now.meant => {
                    self.seen.insert(key, now);
                    items.push(Item::Read { group, twice: true });
                }
                Some(_) => {}
            }
        }
    }
}

async fn page(
    region: &Region,
    params: BTreeMap<String, String>,
) -> Result<Answer<GroupsPage>, Box<CallFailure>> {
    let decode = |body: &Bytes| wire::groups_page(body);
    region.read(ACTION, params, decode).await
}

/// A fresh listing of one group: its entry, or `None` where it is gone.
pub(super) async fn one(
    region: &Region,
    id: &str,
    answers: &mut Vec<RawAnswer>,
) -> Result<Option<SecurityGroup>, CallError> {
    let params = BTreeMap::from([
        ("MaxResults".to_owned(), "100".to_owned()),
        ("SecurityGroupId".to_owned(), id.to_owned()),
    ]);
    match page(region, params).await {
        Err(failure) => {
            answers.extend(failure.answers.iter().cloned());
            Err(failure.error())
        }
        Ok(answer) => {
            answers.extend(answer.raws);
            let more = answer.value.next_token.is_some();
            let found = answer.value.groups.into_iter().find(|group| group.id == id);
            if found.is_none() && more {
                let mut error = failure_of_ours(
                    "bad-answer",
                    "a listing of one group goes on and does not begin with it",
                );
                error.action = ACTION.to_owned();
                return Err(error);
            }
            Ok(found)
        }
    }
}

/// 128 bits of SHA-256 over the parts, each with its length: 2^64 groups would be needed for a chance collision.
pub(super) fn digest(parts: &[&str]) -> u128 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    digest
        .iter()
        .take(16)
        .fold(0, |sum, byte| (sum << 8) | u128::from(*byte))
}

/// 64 bits over all that is known of a listing's entry.
fn content(group: &SecurityGroup) -> u64 {
    let managed = format!("{:?} {:?}", group.service_managed, group.rule_count);
    let mut parts = vec![
        group.id.as_str(),
        &group.name,
        &group.description,
        &group.kind,
        &group.vpc_id,
        &group.created,
        &managed,
    ];
    for tag in &group.tags {
        parts.push(&tag.key);
        parts.push(&tag.value);
    }
    u64::try_from(digest(&parts) >> 64).unwrap_or(u64::MAX)
}
