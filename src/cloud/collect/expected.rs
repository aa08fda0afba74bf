//! A region's groups by Cloud Config, against those that were listed: a RAM policy that names ids
//! shortens a listing without a word, and nothing else would show it.

use super::group::GONE;
use super::listing::{Seen, digest};
use super::region::Region;
use super::{Collected, Gone, Out};
use crate::cloud::call::{self, Effect};
use crate::cloud::endpoint::Service;
use crate::cloud::{CallFailure, Kind, pacing, wire};
use crate::model::{Attachments, CallError, Expected, GroupId};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, HashSet};

const LIST: &str = "ListDiscoveredResources";
const READ: &str = "DescribeSecurityGroupAttribute";

/// Groups found by reading them that are named; beyond, the run is INCOMPLETE all the same.
const MOST_UNLISTED: usize = 100;
/// Ids that are read to see whether they exist. Cloud Config lags by minutes, so those it keeps after
/// their group is gone are few; more than this are not a lag.
const MOST_PROBED: usize = 1000;

/// What the comparison came to.
pub(super) enum Outcome {
    /// Compared; the error where the listing was short.
    Compared(Expected, Option<CallError>),
    /// Not compared, and why.
    NotAsked(String),
}

/// Compares. `began_ms`: when the listing began, by the service's clock.
pub(super) async fn compare(
    region: &Region,
    out: &Out,
    listed: HashMap<u128, Seen>,
    began_ms: i64,
) -> Result<Outcome, Gone> {
    if let Some(why) = pacing::locked(&region.shared.config_refused).clone() {
        return Ok(Outcome::NotAsked(why));
    }
    let mut known: HashSet<u128> = HashSet::new();
    let mut missing: Vec<GroupId> = Vec::new();
    let (mut count, mut matched, mut newer) = (0u64, 0u64, 0u64);
    let mut token: Option<String> = None;
    let mut tokens: HashSet<u128> = HashSet::new();
    loop {
        let page = match page(region, token.take()).await {
            Ok(answer) => {
                out.send(Collected::Answers(answer.raws)).await?;
                answer.value
            }
            Err(mut failure) => {
                let answers = std::mem::take(&mut failure.answers);
                out.send(Collected::Answers(answers)).await?;
                let why = told(&failure);
                if let Kind::Forbidden | Kind::Service | Kind::NotFound = failure.kind {
                    // The same answer for every region: asked for once.
                    *pacing::locked(&region.shared.config_refused) = Some(why.clone());
                }
                return Ok(Outcome::NotAsked(why));
            }
        };
        for group in page.groups {
            let key = digest(&[&group.id]);
            if !known.insert(key) {
                continue;
            }
            count = count.saturating_add(1);
            if listed.contains_key(&key) {
                matched = matched.saturating_add(1);
                continue;
            }
            let id = GroupId::new(group.id);
            if region.shared.request.exclude_groups.contains(&id) {
                continue;
            }
            if group.created_ms.is_some_and(|made| made >= began_ms) {
                newer = newer.saturating_add(1);
                continue;
            }
            missing.push(id);
        }
        match page.next_token {
            None => break,
            Some(next) if tokens.insert(digest(&[&next])) => token = Some(next),
            Some(_) => {
                return Ok(Outcome::NotAsked(format!(
                    "{LIST}: the same NextToken twice, which would never end"
                )));
            }
        }
    }
    tracing::debug!(region = %region.id, count, newer, missing = missing.len(), "Cloud Config compared");
    let probed = probe(region, out, &missing).await?;
    let more = probed.more;
    // It exists by Cloud Config: a refusal does not deny it.
    let mut unlisted = probed.found;
    unlisted.extend(probed.refused);
    unlisted.sort();
    let listed = u64::try_from(listed.len()).unwrap_or(u64::MAX);
    let error = short(
        &unlisted,
        more,
        "Cloud Config lists, and which reading by id does not deny",
    );
    Ok(Outcome::Compared(
        Expected {
            source: Expected::CLOUD_CONFIG.to_owned(),
            count,
            missing: u64::try_from(missing.len()).unwrap_or(u64::MAX),
            surplus: listed.saturating_sub(matched),
            unlisted,
        },
        error,
    ))
}

/// What interfaces name that the listing does not have.
pub(super) struct ByInterfaces {
    /// Groups that can be read and were not listed: the listing is short.
    pub(super) short: Option<CallError>,
    /// Groups that can neither be read nor are denied: another account's, or hidden.
    pub(super) warning: Option<String>,
}

/// Reads groups by id that an interface uses and the listing does not have: interfaces were listed
/// before it began, so that none of them is new.
pub(super) async fn by_interfaces(
    region: &Region,
    out: &Out,
    listed: &HashMap<u128, Seen>,
    attachments: &Attachments,
) -> Result<ByInterfaces, Gone> {
    let missing: Vec<GroupId> = attachments
        .groups
        .keys()
        .filter(|id| {
            !listed.contains_key(&digest(&[id.as_str()]))
                && !region.shared.request.exclude_groups.contains(id)
        })
        .cloned()
        .collect();
    let probed = probe(region, out, &missing).await?;
    let warning = (!probed.refused.is_empty()).then(|| {
        format!(
            "interfaces use {}, which the listing does not have and which may not be read: a group \
             of another account or of a cloud service, or one that the identity may not see",
            named(&probed.refused, probed.more)
        )
    });
    Ok(ByInterfaces {
        short: short(
            &probed.found,
            probed.more && !probed.found.is_empty(),
            "an interface uses and which can be read by id",
        ),
        warning,
    })
}

/// What reading by id says of groups that were not listed.
#[derive(Default)]
struct Probed {
    /// They answer.
    found: Vec<GroupId>,
    /// They could not be read, and nobody says that they do not exist.
    refused: Vec<GroupId>,
    /// There are others, which were not read.
    more: bool,
}

/// Reads groups by id. Only "there is no such group" says that one is gone.
async fn probe(region: &Region, out: &Out, missing: &[GroupId]) -> Result<Probed, Gone> {
    let mut probed = Probed::default();
    for (at, id) in missing.iter().enumerate() {
        if probed.found.len() + probed.refused.len() == MOST_UNLISTED || at == MOST_PROBED {
            probed.more = true;
            break;
        }
        let params = BTreeMap::from([
            ("SecurityGroupId".to_owned(), id.to_string()),
            ("Direction".to_owned(), "all".to_owned()),
            ("MaxResults".to_owned(), "10".to_owned()),
        ]);
        let decode = |body: &Bytes| wire::rules_page(body, id.as_str());
        let answers = match region.read(READ, params, decode).await {
            Ok(answer) => {
                probed.found.push(id.clone());
                answer.raws
            }
            Err(mut failure) => {
                if failure.code != GONE {
                    probed.refused.push(id.clone());
                }
                std::mem::take(&mut failure.answers)
            }
        };
        out.send(Collected::Answers(answers)).await?;
    }
    Ok(probed)
}

/// The first ids, and that there are more.
fn named(ids: &[GroupId], more: bool) -> String {
    if ids.is_empty() {
        return format!("more than {MOST_PROBED} groups");
    }
    let first: Vec<&str> = ids.iter().take(10).map(GroupId::as_str).collect();
    let rest = match (ids.len().saturating_sub(first.len()), more) {
        (0, false) => String::new(),
        (0, true) => " and others that were not looked for".to_owned(),
        (n, false) => format!(" and {n} more"),
        (n, true) => format!(" and {n} more, and others that were not looked for"),
    };
    format!("{}{rest}", first.join(", "))
}

fn short(unlisted: &[GroupId], more: bool, by: &str) -> Option<CallError> {
    if unlisted.is_empty() && !more {
        return None;
    }
    let mut error = super::failure_of_ours(
        "groups-unlisted",
        &format!(
            "the listing does not have {}, which {by}: the identity may not see every group (a RAM \
             policy that names ids)",
            named(unlisted, more)
        ),
    );
    error.action = super::listing::ACTION.to_owned();
    Some(error)
}

async fn page(
    region: &Region,
    token: Option<String>,
) -> Result<crate::cloud::Answer<wire::DiscoveredPage>, Box<CallFailure>> {
    let mut params = BTreeMap::from([
        ("MaxResults".to_owned(), "100".to_owned()),
        ("Regions".to_owned(), region.id.to_string()),
        ("ResourceTypes".to_owned(), wire::SECURITY_GROUP.to_owned()),
        ("ResourceDeleted".to_owned(), "1".to_owned()),
    ]);
    if let Some(token) = token {
        params.insert("NextToken".to_owned(), token);
    }
    let request = call::Request {
        service: Service::Config,
        action: LIST.to_owned(),
        account: region.shared.request.account.clone(),
        // Not a regional service: the region is whose evidence the answer is.
        region: region.id.to_string(),
        host: None,
        params,
        effect: Effect::Read,
    };
    let decode = |body: &Bytes| wire::discovered_page(body, region.id.as_str());
    region.shared.client.call(&request, decode).await
}

fn told(failure: &CallFailure) -> String {
    let mut text = format!("{}: {}: {}", failure.action, failure.code, failure.reason());
    if !failure.request_id.is_empty() {
        text.push_str(&format!(" (request id {})", failure.request_id));
    }
    text
}
