//! A whole scope, read: a stream of groups with their rules, in each region's listing order, with
//! every answer on the way.
//!
//! One task per region; in it the listing runs ahead of the reading by a page at most, so memory
//! holds a few groups and, per region, 32 bytes a group to notice one that comes twice, and where
//! it is looked at the counts of what uses each group.

mod attached;
mod expected;
mod group;
mod interface;
mod listing;
mod lists;
mod one;
mod region;
mod scope;

pub use interface::read_interface;
pub use one::{Unread, read_group};
pub use scope::glob;

use super::call::{self, Client, Effect};
use super::endpoint::Service;
use super::stop::Stop;
use super::wire;
use crate::model::{
    AccountId, Attachments, CallError, GroupId, GroupReading, RawAnswer, RegionCoverage, RegionId,
    RegionStatus, SecurityGroup, Tag, UnnamedRegions,
};
use bytes::Bytes;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// What to read.
#[derive(Clone, Debug)]
pub struct Request {
    /// The account that the client's keys belong to.
    pub account: AccountId,
    /// `None`: all that DescribeRegions lists, those sold out too.
    pub regions: Option<Vec<RegionId>>,
    /// Left out, and named in the coverage for that.
    pub exclude_regions: Vec<RegionId>,
    /// `None`: every group. One that no region lists fails the scope.
    pub groups: Option<Vec<GroupId>>,
    /// Globs over the name with `*` as the only wildcard; a group matches one of them, or there are none.
    pub names: Vec<String>,
    /// A group has all of them.
    pub tags: Vec<Tag>,
    /// Left out, and named for that.
    pub exclude_groups: Vec<GroupId>,
    /// Regions under way at once, at least 1.
    pub regions_at_once: usize,
    /// Groups of one region under way at once, at least 1.
    pub groups_at_once: usize,
    /// Whether what uses the groups is looked at.
    pub attached: bool,
    /// Whether the listing is held against Cloud Config's, where that may be read.
    pub expected: bool,
    /// Whether groups asked for by id may be gone: an event may be late. Else one that no region lists
    /// is a mistake of whoever asks.
    pub may_be_gone: bool,
    /// Once it is asked, nothing more is read: what was not is failed, by name.
    pub stop: Stop,
}

impl Request {
    /// Every group of an account and nothing beside, 8 regions and 8 groups of each at once.
    pub fn everything(account: AccountId) -> Self {
        Self {
            account,
            regions: None,
            exclude_regions: Vec::new(),
            groups: None,
            names: Vec::new(),
            tags: Vec::new(),
            exclude_groups: Vec::new(),
            regions_at_once: 8,
            groups_at_once: 8,
            attached: false,
            expected: false,
            may_be_gone: false,
            stop: Stop::default(),
        }
    }
}

/// What the reading brings, as it comes. Of one region: its [`Collected::Attached`] before any group,
/// groups in the listing's order, its [`Collected::Region`] last.
#[derive(Debug)]
pub enum Collected {
    /// Answers that belong to no one group: regions, listings, lists, failed attempts too.
    Answers(Vec<RawAnswer>),
    /// What uses the groups of a region, where it was looked at.
    Attached {
        /// Whose.
        account: AccountId,
        /// Where.
        region: RegionId,
        /// What.
        attachments: Arc<Attachments>,
    },
    /// Regions that are known of and that DescribeRegions does not name.
    Unnamed(UnnamedRegions),
    /// A group in scope.
    Group(Box<GroupReading>),
    /// A group left out by `exclude_groups`, where it was met.
    Excluded {
        /// Where.
        region: RegionId,
        /// Which.
        group: GroupId,
    },
    /// A group that was given already is listed again with differing content: nothing about it is
    /// certain, whatever was judged.
    Conflict {
        /// Whose.
        account: AccountId,
        /// Where.
        region: RegionId,
        /// The second entry.
        group: SecurityGroup,
    },
    /// A region is done. Region `*` stands for all: regions that could not be listed, or groups
    /// asked for that no region has.
    Region(RegionCoverage),
}

/// The receiver has gone: nothing is left to do.
struct Gone;

impl<T> From<mpsc::error::SendError<T>> for Gone {
    fn from(_: mpsc::error::SendError<T>) -> Self {
        Self
    }
}

type Out = mpsc::Sender<Collected>;

/// What the tasks of one collection share.
struct Shared {
    client: Arc<Client>,
    request: Request,
    /// Groups asked for by id that some region listed.
    found: Mutex<BTreeSet<GroupId>>,
    failed: AtomicBool,
    /// Why Cloud Config may not be asked, once it has said so.
    config_refused: Mutex<Option<String>>,
}

/// Reads the scope. The channel is bounded: who does not receive stops the reading; who drops the
/// receiver ends it. Must be called inside a tokio runtime.
pub fn collect(client: Arc<Client>, request: Request) -> mpsc::Receiver<Collected> {
    let (out, receiver) = mpsc::channel(32);
    let shared = Arc::new(Shared::new(client, request));
    tokio::spawn(async move {
        let watch = out.clone();
        tokio::select! {
            () = watch.closed() => {}
            _done_or_gone = everything(shared, out) => {}
        }
    });
    receiver
}

/// A region to scan.
struct Target {
    region: RegionId,
    host: Option<String>,
    warnings: Vec<String>,
}

async fn everything(shared: Arc<Shared>, out: Out) -> Result<(), Gone> {
    let stop = shared.request.stop.clone();
    // Asked before the regions are known: `*` stands for them all.
    let mut targets = tokio::select! {
        biased;
        why = stop.wait() => {
            let coverage = shared.failed_region(RegionId::from("*"), Stop::error(&why));
            out.send(Collected::Region(coverage)).await?;
            return Ok(());
        }
        targets = targets(&shared, &out) => targets?,
    };
    let mut tasks: JoinSet<Result<(), Gone>> = JoinSet::new();
    let mut running: HashMap<tokio::task::Id, RegionId> = HashMap::new();
    loop {
        while tasks.len() < shared.request.regions_at_once.max(1)
            && let Some(target) = targets.pop_front()
        {
            let region = target.region.clone();
            let task = tasks.spawn(region::scan(Arc::clone(&shared), target, out.clone()));
            running.insert(task.id(), region);
        }
        match tasks.join_next_with_id().await {
            None => break,
            Some(Ok((id, result))) => {
                running.remove(&id);
                result?;
            }
            Some(Err(error)) => {
                let region = running.remove(&error.id());
                let region = region.unwrap_or_else(|| RegionId::from("*"));
                let problem = failure_of_ours("internal", "a bug: the region's task panicked");
                out.send(Collected::Region(shared.failed_region(region, problem)))
                    .await?;
            }
        }
    }
    unknown_groups(&shared, &out).await
}

impl Shared {
    fn new(client: Arc<Client>, request: Request) -> Self {
        Self {
            client,
            request,
            found: Mutex::default(),
            failed: AtomicBool::new(false),
            config_refused: Mutex::default(),
        }
    }

    fn failed_region(&self, region: RegionId, error: CallError) -> RegionCoverage {
        self.failed.store(true, Ordering::Relaxed);
        let mut coverage = RegionCoverage::new(self.request.account.clone(), region);
        coverage.status = RegionStatus::Failed;
        coverage.error = Some(error);
        coverage
    }
}

/// An error that no answer of the service stands behind.
fn failure_of_ours(code: &str, message: &str) -> CallError {
    CallError {
        code: code.to_owned(),
        message: message.to_owned(),
        request_id: String::new(),
        action: String::new(),
    }
}

/// Asked for by id and listed nowhere: a misspelt id must not look like a clean group.
async fn unknown_groups(shared: &Shared, out: &Out) -> Result<(), Gone> {
    let Some(asked) = &shared.request.groups else {
        return Ok(());
    };
    if shared.request.may_be_gone || shared.failed.load(Ordering::Relaxed) {
        return Ok(());
    }
    let unknown: Vec<String> = {
        let found = super::pacing::locked(&shared.found);
        asked
            .iter()
            .filter(|group| !found.contains(group))
            .map(GroupId::to_string)
            .collect()
    };
    if unknown.is_empty() {
        return Ok(());
    }
    let problem = failure_of_ours(
        "unknown-group",
        &format!(
            "asked for and listed in no region of the scope: {}",
            unknown.join(", ")
        ),
    );
    let coverage = shared.failed_region(RegionId::from("*"), problem);
    out.send(Collected::Region(coverage)).await?;
    Ok(())
}

/// The regions to scan. Those that are not scanned are told to `out` here.
async fn targets(shared: &Shared, out: &Out) -> Result<VecDeque<Target>, Gone> {
    let request = &shared.request;
    let asked = call::Request {
        service: Service::Ecs,
        action: "DescribeRegions".to_owned(),
        account: request.account.clone(),
        region: String::new(),
        host: None,
        params: BTreeMap::from([("AcceptLanguage".to_owned(), "en-US".to_owned())]),
        effect: Effect::Read,
    };
    let decode = |body: &Bytes| wire::regions(body);
    let (known, problem) = match shared.client.call(&asked, decode).await {
        Ok(answer) => {
            out.send(Collected::Answers(answer.raws)).await?;
            let mut known: BTreeMap<RegionId, String> = BTreeMap::new();
            let mut order = Vec::new();
            for region in answer.value {
                let id = RegionId::new(region.id);
                if let Entry::Vacant(place) = known.entry(id) {
                    order.push(place.key().clone());
                    place.insert(region.endpoint);
                }
            }
            (Some((known, order)), None)
        }
        Err(mut failure) => {
            out.send(Collected::Answers(std::mem::take(&mut failure.answers)))
                .await?;
            (None, Some(failure))
        }
    };
    if request.expected
        && request.regions.is_none()
        && let Some((known, _)) = &known
    {
        let unnamed = super::regions::unnamed(|id| known.contains_key(&RegionId::from(id)));
        let regions: Vec<RegionId> = unnamed.map(RegionId::from).collect();
        if !regions.is_empty() {
            out.send(Collected::Unnamed(UnnamedRegions {
                account: request.account.clone(),
                regions,
                list: super::regions::AS_OF.to_owned(),
            }))
            .await?;
        }
    }
    let wanted: Vec<RegionId> = match (&request.regions, &known) {
        (Some(regions), _) => {
            let mut seen = BTreeSet::new();
            let once = regions.iter().filter(|region| seen.insert(*region));
            once.cloned().collect()
        }
        (None, Some((_, order))) => order.clone(),
        (None, None) => Vec::new(),
    };
    if request.regions.is_none() && wanted.is_empty() {
        let error = match &problem {
            Some(failure) => failure.error(),
            None => failure_of_ours("no-regions", "DescribeRegions lists no region at all"),
        };
        let coverage = shared.failed_region(RegionId::from("*"), error);
        out.send(Collected::Region(coverage)).await?;
        return Ok(VecDeque::new());
    }
    for region in &request.exclude_regions {
        let mut coverage = RegionCoverage::new(request.account.clone(), region.clone());
        coverage.status = RegionStatus::Skipped;
        if let Some((known, _)) = &known
            && !known.contains_key(region)
        {
            coverage
                .warnings
                .push("excluded, but DescribeRegions does not list it".to_owned());
        }
        out.send(Collected::Region(coverage)).await?;
    }
    let mut targets = VecDeque::new();
    for region in wanted {
        if request.exclude_regions.contains(&region) {
            continue;
        }
        let mut warnings = Vec::new();
        let mut host = None;
        match &known {
            Some((known, _)) => match known.get(&region) {
                Some(endpoint) if endpoint.is_empty() => {}
                Some(endpoint) if shared.client.takes_host(endpoint) => {
                    host = Some(endpoint.clone());
                }
                Some(endpoint) => warnings.push(format!(
                    "DescribeRegions names the host `{endpoint}`, which is not one of ECS: the \
                     region's usual host is called"
                )),
                None => {
                    let problem = failure_of_ours(
                        "unknown-region",
                        "DescribeRegions does not list this region for the account: it is \
                         misspelt, or not enabled",
                    );
                    let coverage = shared.failed_region(region, problem);
                    out.send(Collected::Region(coverage)).await?;
                    continue;
                }
            },
            None => {
                if let Some(failure) = &problem {
                    warnings.push(format!("regions could not be listed: {failure}"));
                }
            }
        }
        if !super::endpoint::plausible_region(region.as_str()) {
            let problem = failure_of_ours("unknown-region", "this is not a region's id");
            let coverage = shared.failed_region(region, problem);
            out.send(Collected::Region(coverage)).await?;
            continue;
        }
        targets.push_back(Target {
            region,
            host,
            warnings,
        });
    }
    Ok(targets)
}
