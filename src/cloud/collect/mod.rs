//! A whole scope as a stream of group readings. Nothing of a group stays here once it is handed on;
//! what grows with the number of groups is 24 bytes a group, to know one that comes twice.
//!
//! | file | holds |
//! | --- | --- |
//! | `listing` | pages of groups, doubles, filters |
//! | `reading` | one group's rules and the lists they name |

mod listing;
mod reading;

pub use reading::read_group;

use super::call::{Client, Effect, Request as Call};
use super::endpoint::{Service, plausible_region};
use super::failure::CallFailure;
use super::wire;
use crate::model::{
    AccountId, CallError, GroupId, GroupReading, RawAnswer, RegionCoverage, RegionId, RegionStatus,
    SecurityGroup, Tag,
};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use listing::Listed;
use reading::{Lists, ReadEnd};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What to read.
#[derive(Clone, Debug)]
pub struct Request {
    /// The account that the client's keys are of.
    pub account: AccountId,
    /// `None`: all.
    pub regions: Option<Vec<RegionId>>,
    /// Left out, and said so.
    pub exclude_regions: Vec<RegionId>,
    /// `None`: every group.
    pub groups: Option<Vec<GroupId>>,
    /// Globs with `*`; where there are any, one must match the name.
    pub names: Vec<String>,
    /// All must be there.
    pub tags: Vec<Tag>,
    /// Left out, and said so.
    pub exclude_groups: Vec<GroupId>,
    /// Regions under way at once.
    pub regions_at_once: usize,
    /// Groups of one region under way at once.
    pub groups_at_once: usize,
}

/// What comes.
#[derive(Debug)]
pub enum Collected {
    /// Answers that are no single group's: regions, listings, lists, failures.
    Answers(Vec<RawAnswer>),
    /// A group, in the order of the listing.
    Group(Box<GroupReading>),
    /// A group that the scope leaves out.
    Excluded {
        /// Where.
        region: RegionId,
        /// Which.
        group: GroupId,
    },
    /// A group that came before comes again with differing content: no verdict on it stands.
    Conflict {
        /// Whose.
        account: AccountId,
        /// Where.
        region: RegionId,
        /// As it came the second time.
        group: SecurityGroup,
    },
    /// A region is done; last of its region.
    Region(RegionCoverage),
}

/// Regions of which each is read in the background while the receiver takes what comes. When the
/// receiver is dropped, the reading ends.
pub fn collect(client: Arc<Client>, request: Request) -> mpsc::Receiver<Collected> {
    // Each group holds its answers: a few dozen of them wait at most.
    let (sender, receiver) = mpsc::channel(32);
    tokio::spawn(async move {
        // The receiver is gone: nobody is left to be told.
        let _ = Collector {
            client,
            request,
            sender,
        }
        .run()
        .await;
    });
    receiver
}

/// The receiver is gone.
#[derive(Debug)]
struct Gone;

struct Collector {
    client: Arc<Client>,
    request: Request,
    sender: mpsc::Sender<Collected>,
}

/// One region's part.
struct Region<'c> {
    collector: &'c Collector,
    id: RegionId,
    warnings: Vec<String>,
}

impl Collector {
    async fn tell(&self, event: Collected) -> Result<(), Gone> {
        self.sender.send(event).await.map_err(|_| Gone)
    }

    async fn run(&self) -> Result<(), Gone> {
        let (regions, warning) = match self.regions().await? {
            Some(regions) => regions,
            None => return Ok(()),
        };
        let excluded: BTreeSet<&RegionId> = self.request.exclude_regions.iter().collect();
        let mut wanted = Vec::new();
        for id in regions {
            if excluded.contains(&id) {
                let mut coverage = RegionCoverage::new(self.request.account.clone(), id);
                coverage.status = RegionStatus::Skipped;
                self.tell(Collected::Region(coverage)).await?;
            } else {
                let warnings = warning.iter().cloned().collect();
                wanted.push(Region {
                    collector: self,
                    id,
                    warnings,
                });
            }
        }
        let running: FuturesUnordered<Pin<Box<dyn Future<Output = Result<(), Gone>> + Send + '_>>> =
            FuturesUnordered::new();
        let mut running = running;
        let mut waiting = wanted.into_iter();
        loop {
            while running.len() < self.request.regions_at_once.max(1) {
                let Some(region) = waiting.next() else { break };
                running.push(Box::pin(region.read()));
            }
            match running.next().await {
                Some(end) => end?,
                None => return Ok(()),
            }
        }
    }

    /// The regions to read, and a warning where they could not be listed but were named.
    async fn regions(&self) -> Result<Option<(Vec<RegionId>, Option<String>)>, Gone> {
        let call = Call {
            service: Service::Ecs,
            action: "DescribeRegions".to_owned(),
            account: self.request.account.clone(),
            region: String::new(),
            params: BTreeMap::from([("AcceptLanguage".to_owned(), "en-US".to_owned())]),
            effect: Effect::Read,
        };
        let listed = match self.client.call(&call).await {
            Ok(answer) => match wire::regions(&answer.raw.body) {
                Ok(regions) => {
                    self.tell(Collected::Answers(answer.into_answers())).await?;
                    Ok(regions)
                }
                Err(why) => Err(self.client.bad_answer(&call, answer, &why.to_string())),
            },
            Err(failure) => Err(failure),
        };
        match (listed, &self.request.regions) {
            (Ok(regions), None) => {
                let mut ids = Vec::new();
                for region in regions {
                    if !plausible_region(&region.id) {
                        let error = CallError {
                            code: "odd-region".to_owned(),
                            message: "this id cannot be part of a host's name; it was not read"
                                .to_owned(),
                            request_id: String::new(),
                            action: call.action.clone(),
                        };
                        self.fail(RegionId::new(region.id), error).await?;
                        continue;
                    }
                    self.learn(&region);
                    ids.push(RegionId::new(region.id));
                }
                ids.sort();
                ids.dedup();
                Ok(Some((ids, None)))
            }
            (Ok(regions), Some(asked)) => {
                let mut ids = Vec::new();
                for id in asked {
                    match regions.iter().find(|region| region.id == id.as_str()) {
                        Some(region) => {
                            self.learn(region);
                            ids.push(id.clone());
                        }
                        None => {
                            let error = CallError {
                                code: "unknown-region".to_owned(),
                                message: "this account's list of regions does not have it; check its spelling, or enable it".to_owned(),
                                request_id: String::new(),
                                action: call.action.clone(),
                            };
                            self.fail(id.clone(), error).await?;
                        }
                    }
                }
                ids.sort();
                ids.dedup();
                Ok(Some((ids, None)))
            }
            (Err(mut failure), asked) => {
                let error = failure.error();
                self.tell(Collected::Answers(std::mem::take(&mut failure.answers)))
                    .await?;
                match asked {
                    None => {
                        self.fail(RegionId::new("*"), error).await?;
                        Ok(None)
                    }
                    Some(asked) => {
                        let warning = format!(
                            "the regions could not be listed ({}), so the default host was called",
                            error.code
                        );
                        Ok(Some((asked.clone(), Some(warning))))
                    }
                }
            }
        }
    }

    fn learn(&self, region: &wire::Region) {
        if !self.client.learn_host(&region.id, &region.endpoint) {
            tracing::warn!(region = %region.id, host = %region.endpoint, "not a host that may get our signature; the default host is called");
        }
    }

    async fn fail(&self, region: RegionId, error: CallError) -> Result<(), Gone> {
        let mut coverage = RegionCoverage::new(self.request.account.clone(), region);
        coverage.status = RegionStatus::Failed;
        coverage.error = Some(error);
        self.tell(Collected::Region(coverage)).await
    }
}

/// What comes of one entry of the listing, in its order.
enum Item {
    Read(Box<ReadEnd>),
    Excluded(GroupId),
    Conflict(SecurityGroup),
    /// The listing itself ended badly; nothing comes after it.
    Broken(Box<CallFailure>),
}

impl Region<'_> {
    async fn read(self) -> Result<(), Gone> {
        let Self {
            collector,
            id,
            warnings,
        } = self;
        let request = &collector.request;
        let account = request.account.as_str();
        let before = collector.client.requests(account, id.as_str());
        let lists = Lists::new(collector, &id);
        let mut coverage = RegionCoverage::new(request.account.clone(), id.clone());
        coverage.warnings = warnings;
        let listing = listing::listing(collector, &id);
        let items = listing.map(|entry| {
            let lists = &lists;
            async move {
                match entry {
                    Listed::Group(group) => Ok(Item::Read(Box::new(lists.read(group).await?))),
                    Listed::Excluded(group) => Ok(Item::Excluded(group)),
                    Listed::Conflict(group) => Ok(Item::Conflict(group)),
                    Listed::Broken(failure) => Ok(Item::Broken(failure)),
                    Listed::Gone => Err(Gone),
                }
            }
        });
        let mut items = Box::pin(items.buffered(request.groups_at_once.max(1)));
        let mut seen_warnings: BTreeSet<String> = coverage.warnings.iter().cloned().collect();
        while let Some(item) = items.next().await {
            match item? {
                Item::Read(end) => {
                    account_for(&mut coverage, &mut seen_warnings, &end);
                    match *end {
                        ReadEnd::Vanished { answers, .. } => {
                            collector.tell(Collected::Answers(answers)).await?;
                        }
                        ReadEnd::Read { reading, .. } => {
                            collector.tell(Collected::Group(reading)).await?;
                        }
                    }
                }
                Item::Excluded(group) => {
                    collector
                        .tell(Collected::Excluded {
                            region: id.clone(),
                            group,
                        })
                        .await?;
                }
                Item::Conflict(group) => {
                    let warning = format!("{} is listed twice with differing content", group.id);
                    warn(&mut coverage, &mut seen_warnings, warning);
                    collector
                        .tell(Collected::Conflict {
                            account: request.account.clone(),
                            region: id.clone(),
                            group,
                        })
                        .await?;
                }
                Item::Broken(mut failure) => {
                    coverage.status = RegionStatus::Failed;
                    coverage.error.get_or_insert_with(|| failure.error());
                    let answers = std::mem::take(&mut failure.answers);
                    collector.tell(Collected::Answers(answers)).await?;
                }
            }
        }
        drop(items);
        for warning in lists.warnings().await {
            warn(&mut coverage, &mut seen_warnings, warning);
        }
        let now = collector.client.requests(account, id.as_str());
        coverage.requests = now.saturating_sub(before);
        collector.tell(Collected::Region(coverage)).await
    }
}

/// Warnings of one region; a page of coverage is no log.
const MOST_WARNINGS: usize = 200;

fn warn(coverage: &mut RegionCoverage, seen: &mut BTreeSet<String>, warning: String) {
    if seen.len() < MOST_WARNINGS && seen.insert(warning.clone()) {
        coverage.warnings.push(warning);
    }
}

fn account_for(coverage: &mut RegionCoverage, seen: &mut BTreeSet<String>, end: &ReadEnd) {
    coverage.groups_listed = coverage.groups_listed.saturating_add(1);
    match end {
        ReadEnd::Vanished { .. } => {
            coverage.groups_vanished = coverage.groups_vanished.saturating_add(1);
        }
        ReadEnd::Read {
            reading,
            failure,
            odd,
        } => {
            let listed = reading.group.rule_count.unwrap_or(0);
            coverage.rules_listed = coverage.rules_listed.saturating_add(listed);
            let read = u64::try_from(reading.rules.read.len()).unwrap_or(u64::MAX);
            coverage.rules_read = coverage.rules_read.saturating_add(read);
            if reading.rules.incomplete.is_none() {
                coverage.groups_read = coverage.groups_read.saturating_add(1);
            }
            for warning in &reading.warnings {
                warn(coverage, seen, format!("{}: {warning}", reading.group.id));
            }
            for key in odd {
                warn(
                    coverage,
                    seen,
                    format!(
                        "a rule's field {key} is new to this version, or of a type it never had"
                    ),
                );
            }
            if let Some(error) = failure {
                coverage.status = RegionStatus::Failed;
                coverage.error.get_or_insert_with(|| error.clone());
            }
        }
    }
}
