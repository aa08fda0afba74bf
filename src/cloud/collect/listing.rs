//! Pages of groups: followed by token, filtered, doubles noticed.

use super::{Collector, Gone};
use crate::cloud::call::{Effect, Request as Call};
use crate::cloud::endpoint::Service;
use crate::cloud::failure::CallFailure;
use crate::cloud::wire::{self, GroupsPage};
use crate::model::{AccountId, GroupId, RawAnswer, RegionId, SecurityGroup};
use futures_util::Stream;
use sha2::Digest as _;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// The largest page (API reference, DescribeSecurityGroups).
const PAGE: &str = "100";
/// The most ids of one filter.
const IDS: usize = 100;

/// One entry of a listing.
pub(super) enum Listed {
    Group(SecurityGroup),
    Excluded(GroupId),
    /// A group that came before, with differing content.
    Conflict(SecurityGroup),
    Broken(Box<CallFailure>),
    Gone,
}

struct State<'c> {
    collector: &'c Collector,
    region: &'c RegionId,
    /// Filters still to be listed; one without ids where every group is wanted.
    filters: VecDeque<Vec<String>>,
    filter: Option<Vec<String>>,
    token: Option<String>,
    tokens: HashSet<u128>,
    waiting: VecDeque<Listed>,
    seen: HashMap<u128, u64>,
    over: bool,
}

/// The region's groups in scope, page by page.
pub(super) fn listing<'c>(
    collector: &'c Collector,
    region: &'c RegionId,
) -> impl Stream<Item = Listed> + 'c {
    let filters = match &collector.request.groups {
        None => VecDeque::from([Vec::new()]),
        Some(ids) => ids
            .chunks(IDS)
            .map(|ids| ids.iter().map(|id| id.as_str().to_owned()).collect())
            .collect(),
    };
    let state = State {
        collector,
        region,
        filters,
        filter: None,
        token: None,
        tokens: HashSet::new(),
        waiting: VecDeque::new(),
        seen: HashMap::new(),
        over: false,
    };
    futures_util::stream::unfold(state, |mut state| async move {
        let entry = state.next().await?;
        Some((entry, state))
    })
}

impl State<'_> {
    async fn next(&mut self) -> Option<Listed> {
        loop {
            if let Some(entry) = self.waiting.pop_front() {
                return Some(entry);
            }
            if self.over {
                return None;
            }
            if self.filter.is_none() {
                self.filter = Some(self.filters.pop_front()?);
                self.token = None;
                self.tokens.clear();
            }
            let ids = self.filter.clone().unwrap_or_default();
            match self.page(&ids).await {
                Ok(()) => {}
                Err(PageEnd::Gone) => {
                    self.over = true;
                    return Some(Listed::Gone);
                }
                Err(PageEnd::Failed(failure)) => {
                    self.over = true;
                    return Some(Listed::Broken(failure));
                }
            }
        }
    }

    async fn page(&mut self, ids: &[String]) -> Result<(), PageEnd> {
        let request = &self.collector.request;
        let call = page_call(&request.account, self.region, ids, self.token.as_deref());
        let (page, answers) = fetch(self.collector, &call).await?;
        self.collector
            .tell(super::Collected::Answers(answers))
            .await
            .map_err(|Gone| PageEnd::Gone)?;
        for key in page.odd {
            tracing::warn!(region = %self.region, key, "a group's field is of a type it never had");
        }
        for group in page.groups {
            self.take(group);
        }
        match page.next_token {
            None => self.filter = None,
            Some(token) => {
                if !self.tokens.insert(hash128(&token)) {
                    let failure = loop_failure(self.collector, &call, self.region);
                    return Err(PageEnd::Failed(failure));
                }
                self.token = Some(token);
            }
        }
        Ok(())
    }

    fn take(&mut self, group: SecurityGroup) {
        let request = &self.collector.request;
        if request
            .exclude_groups
            .iter()
            .any(|id| id.as_str() == group.id)
        {
            if self.seen.insert(hash128(&group.id), 0).is_none() {
                self.waiting
                    .push_back(Listed::Excluded(GroupId::new(group.id)));
            }
            return;
        }
        let named =
            request.names.is_empty() || request.names.iter().any(|glob| matches(glob, &group.name));
        let tagged = request.tags.iter().all(|tag| group.tags.contains(tag));
        if !named || !tagged {
            return;
        }
        let content = hash64(&format!("{group:?}"));
        match self.seen.insert(hash128(&group.id), content) {
            None => self.waiting.push_back(Listed::Group(group)),
            Some(before) if before == content => {}
            Some(_) => self.waiting.push_back(Listed::Conflict(group)),
        }
    }
}

enum PageEnd {
    Gone,
    Failed(Box<CallFailure>),
}

fn page_call(account: &AccountId, region: &RegionId, ids: &[String], token: Option<&str>) -> Call {
    let mut params = BTreeMap::from([
        ("RegionId".to_owned(), region.as_str().to_owned()),
        ("MaxResults".to_owned(), PAGE.to_owned()),
    ]);
    if !ids.is_empty() {
        // A list of plain ids: quoting is all there is to JSON here.
        let quoted: Vec<String> = ids.iter().map(|id| format!("\"{id}\"")).collect();
        params.insert(
            "SecurityGroupIds".to_owned(),
            format!("[{}]", quoted.join(",")),
        );
    }
    if let Some(token) = token {
        params.insert("NextToken".to_owned(), token.to_owned());
    }
    Call {
        service: Service::Ecs,
        action: "DescribeSecurityGroups".to_owned(),
        account: account.clone(),
        region: region.as_str().to_owned(),
        params,
        effect: Effect::Read,
    }
}

async fn fetch(
    collector: &Collector,
    call: &Call,
) -> Result<(GroupsPage, Vec<RawAnswer>), PageEnd> {
    let answer = collector.client.call(call).await.map_err(PageEnd::Failed)?;
    match wire::groups_page(&answer.raw.body) {
        Ok(page) => Ok((page, answer.into_answers())),
        Err(why) => Err(PageEnd::Failed(collector.client.bad_answer(
            call,
            answer,
            &why.to_string(),
        ))),
    }
}

fn loop_failure(collector: &Collector, call: &Call, region: &RegionId) -> Box<CallFailure> {
    Box::new(CallFailure {
        kind: crate::cloud::Kind::BadAnswer,
        fate: crate::cloud::Fate::Unknown,
        code: "paging-loop".to_owned(),
        message: "the service gave a page's token that it had given before; what comes after is not known".to_owned(),
        request_id: String::new(),
        action: call.action.clone(),
        ram_prefix: call.service.ram_prefix(),
        account: collector.request.account.clone(),
        region: region.as_str().to_owned(),
        host: String::new(),
        status: None,
        attempts: 1,
        advice: None,
        answers: Vec::new(),
    })
}

/// One group's entry, freshly listed; `None`: it is not listed any more.
pub(super) async fn relist(
    client: &crate::cloud::Client,
    account: &AccountId,
    region: &RegionId,
    id: &str,
    answers: &mut Vec<RawAnswer>,
) -> Result<Option<SecurityGroup>, Box<CallFailure>> {
    let call = page_call(account, region, &[id.to_owned()], None);
    let answer = client.call(&call).await?;
    match wire::groups_page(&answer.raw.body) {
        Ok(page) => {
            answers.extend(answer.into_answers());
            Ok(page.groups.into_iter().find(|group| group.id == id))
        }
        Err(why) => Err(client.bad_answer(&call, answer, &why.to_string())),
    }
}

fn digest(text: &str) -> [u8; 32] {
    sha2::Sha256::digest(text.as_bytes()).into()
}

fn hash128(text: &str) -> u128 {
    digest(text)
        .iter()
        .take(16)
        .fold(0, |sum, byte| (sum << 8) | u128::from(*byte))
}

fn hash64(text: &str) -> u64 {
    digest(text)
        .iter()
        .take(8)
        .fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

/// Whether a glob with `*` matches.
fn matches(glob: &str, text: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(first) = parts.next() else {
        return false;
    };
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => {
                rest = rest
                    .get(at.saturating_add(part.len())..)
                    .unwrap_or_default()
            }
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (glob, text, want) in [
            ("web-*", "web-1", true),
            ("web-*", "my-web-1", false),
            ("*", "", true),
            ("web", "web", true),
            ("web", "web1", false),
            ("*-prod-*", "a-prod-b", true),
            ("a*a", "a", false),
            ("办公*", "办公入口", true),
        ] {
            assert_eq!(matches(glob, text), want, "{glob} {text}");
        }
    }
}
