//! One region: the listing ahead, the groups behind it in its order, the coverage at the end.

use super::group::{self, End, Reading};
use super::listing::{Item, Listing, Seen};
use super::lists::ListCache;
use super::{Collected, Gone, Out, Request, Shared, Target, attached, expected};
use crate::cloud::call::{self, Effect};
use crate::cloud::endpoint::Service;
use crate::cloud::stop::Stop;
use crate::cloud::{Answer, CallFailure, Client, pacing, wire};
use crate::model::{
    AccountId, Attachments, CallError, GroupReading, RegionCoverage, RegionId, RegionStatus,
};
use bytes::Bytes;
use chrono::Utc;
use futures_util::{StreamExt, stream};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// Warnings of one region that are written out; a broken service could give one per group.
const WARNINGS: usize = 100;

/// What every call of a region needs.
pub(super) struct Region {
    pub(super) shared: Arc<Shared>,
    pub(super) id: RegionId,
    pub(super) host: Option<String>,
    pub(super) lists: ListCache,
    /// What was listed, once the listing has ended.
    pub(super) listed: Mutex<HashMap<u128, Seen>>,
}

impl Region {
    /// A region for reading single things, at its usual host.
    pub(super) fn alone(client: &Arc<Client>, account: &AccountId, region: &RegionId) -> Self {
        Self {
            shared: Arc::new(Shared::new(
                Arc::clone(client),
                Request::everything(account.clone()),
            )),
            id: region.clone(),
            host: None,
            lists: ListCache::default(),
            listed: Mutex::default(),
        }
    }

    /// A read of ECS in this region.
    pub(super) async fn read<T>(
        &self,
        action: &str,
        mut params: BTreeMap<String, String>,
        decode: impl Fn(&Bytes) -> Result<T, wire::BadAnswer>,
    ) -> Result<Answer<T>, Box<CallFailure>> {
        params.insert("RegionId".to_owned(), self.id.to_string());
        let request = call::Request {
            service: Service::Ecs,
            action: action.to_owned(),
            account: self.shared.request.account.clone(),
            region: self.id.to_string(),
            host: self.host.clone(),
            params,
            effect: Effect::Read,
        };
        self.shared.client.call(&request, decode).await
    }
}

/// An item of the listing, with its group read.
enum Step {
    Listed(Item),
    Read(Reading),
}

/// Scans a region and says how it went.
pub(super) async fn scan(shared: Arc<Shared>, target: Target, out: Out) -> Result<(), Gone> {
    let account = shared.request.account.clone();
    let before = shared.client.requests(&account, target.region.as_str());
    let region = Arc::new(Region {
        shared: Arc::clone(&shared),
        id: target.region.clone(),
        host: target.host,
        lists: ListCache::default(),
        listed: Mutex::default(),
    });
    let mut tally = Tally {
        coverage: RegionCoverage::new(account.clone(), target.region.clone()),
        odd: BTreeSet::new(),
        unread: BTreeSet::new(),
        more_warnings: 0,
        listing_failed: false,
    };
    for warning in target.warnings {
        tally.warn(warning);
    }
    let stop = shared.request.stop.clone();
    let attachments = if shared.request.attached {
        tokio::select! {
            biased;
            // The listing's turn comes next, and says why the region is not read.
            _ = stop.wait() => None,
            found = look_at_attached(&region, &mut tally, &out) => found?,
        }
    } else {
        None
    };
    let ahead = shared.client.clock_offset().unwrap_or(0);
    let began = Utc::now().timestamp().saturating_sub(ahead);
    let listing = Listing::new(Arc::clone(&region));
    let steps = stream::unfold(listing, |mut listing| async move {
        let items = listing.next().await?;
        Some((stream::iter(items), listing))
    })
    .flatten()
    .map(|item| {
        let region = Arc::clone(&region);
        async move {
            match item {
                Item::Read { group, twice } => Step::Read(group::read(&region, group, twice).await),
                listed => Step::Listed(listed),
            }
        }
    })
    .buffered(shared.request.groups_at_once.max(1));
    let mut steps = pin!(steps);
    loop {
        // What is being read when it is asked is dropped: the region says so, and is not read.
        let step = tokio::select! {
            biased;
            why = stop.wait() => {
                tally.listing_failed = true;
                tally.fail(Stop::error(&why));
                break;
            }
            step = steps.next() => step,
        };
        let Some(step) = step else { break };
        match step {
            Step::Listed(item) => listed(&region, item, &mut tally, &out).await?,
            Step::Read(reading) => read(reading, &mut tally, &out).await?,
        }
    }
    if shared.request.expected {
        let began_ms = began.saturating_mul(1000);
        let asked = tokio::select! {
            why = stop.wait(), if !tally.listing_failed => Some(why),
            done = compare(&region, &mut tally, &out, attachments.as_deref(), began_ms) => {
                done?;
                None
            }
        };
        if let Some(why) = asked {
            tally.coverage.expected_note = format!("the run was asked to stop ({why})");
            tally.fail(Stop::error(&why));
        }
    }
    let now = shared.client.requests(&account, target.region.as_str());
    let coverage = tally.finish(now.saturating_sub(before));
    if coverage.status == RegionStatus::Failed {
        shared.failed.store(true, Ordering::Relaxed);
    }
    out.send(Collected::Region(coverage)).await?;
    Ok(())
}

/// Optional: where the permission is missing the reports say "not looked at".
async fn look_at_attached(
    region: &Region,
    tally: &mut Tally,
    out: &Out,
) -> Result<Option<Arc<Attachments>>, Gone> {
    let (attachments, problem) = attached::read(region, out).await?;
    if let Some(error) = problem {
        let id = match error.request_id.as_str() {
            "" => String::new(),
            id => format!(" (request id {id})"),
        };
        tally.warn(format!(
            "what uses the groups could not be looked at in full: {}: {}{id}: {}",
            error.action, error.code, error.message
        ));
    }
    let attachments = attachments.map(Arc::new);
    if let Some(attachments) = &attachments {
        out.send(Collected::Attached {
            account: region.shared.request.account.clone(),
            region: region.id.clone(),
            attachments: Arc::clone(attachments),
        })
        .await?;
    }
    Ok(attachments)
}

/// Holds what was listed against what interfaces name and Cloud Config lists, where the listing is
/// meant to be whole.
async fn compare(
    region: &Region,
    tally: &mut Tally,
    out: &Out,
    attachments: Option<&Attachments>,
    began_ms: i64,
) -> Result<(), Gone> {
    let listed = std::mem::take(&mut *pacing::locked(&region.listed));
    let note = &mut tally.coverage.expected_note;
    if region.shared.request.groups.is_some() {
        "the scope names groups by id".clone_into(note);
        return Ok(());
    }
    if tally.listing_failed {
        "the listing did not come to its end".clone_into(note);
        return Ok(());
    }
    let mut short = Vec::new();
    if let Some(attachments) = attachments {
        let found = expected::by_interfaces(region, out, &listed, attachments).await?;
        found.warning.into_iter().for_each(|text| tally.warn(text));
        short.extend(found.short);
    }
    match expected::compare(region, out, listed, began_ms).await? {
        expected::Outcome::Compared(expected, problem) => {
            tally.coverage.expected = Some(expected);
            short.extend(problem);
        }
        expected::Outcome::NotAsked(why) => tally.coverage.expected_note = why,
    }
    for error in short {
        // The coverage has one error, and every group is to be named.
        if tally.coverage.error.is_some() {
            tally.warn(error.message.clone());
        }
        tally.fail(error);
    }
    Ok(())
}

async fn listed(region: &Region, item: Item, tally: &mut Tally, out: &Out) -> Result<(), Gone> {
    let event = match item {
        Item::Page {
            answers,
            total,
            odd,
        } => {
            // A total of a filtered listing says nothing about the region.
            if region.shared.request.groups.is_none() {
                tally.coverage.groups_total = total.or(tally.coverage.groups_total);
            }
            tally.odd("DescribeSecurityGroups", odd);
            Collected::Answers(answers)
        }
        Item::Excluded(group) => Collected::Excluded {
            region: region.id.clone(),
            group,
        },
        Item::Conflict(group) => {
            let mut error = super::failure_of_ours(
                "listed-twice",
                &format!("{} is listed twice with differing content", group.id),
            );
            error.action = super::listing::ACTION.to_owned();
            tally.fail(error);
            if tally.unread.insert(group.id.clone()) {
                let read = &mut tally.coverage.groups_read;
                *read = read.saturating_sub(1);
            }
            Collected::Conflict {
                account: region.shared.request.account.clone(),
                region: region.id.clone(),
                group,
            }
        }
        Item::Failed(error, answers) => {
            tally.listing_failed = true;
            tally.fail(error);
            Collected::Answers(answers)
        }
        // Read by the stream before it comes here.
        Item::Read { .. } => return Ok(()),
    };
    if matches!(&event, Collected::Answers(answers) if answers.is_empty()) {
        return Ok(());
    }
    out.send(event).await?;
    Ok(())
}

async fn read(reading: Reading, tally: &mut Tally, out: &Out) -> Result<(), Gone> {
    if !reading.lists.is_empty() {
        out.send(Collected::Answers(reading.lists)).await?;
    }
    for warning in reading.warnings {
        tally.warn(warning);
    }
    tally.odd("DescribeSecurityGroupAttribute", reading.odd);
    let coverage = &mut tally.coverage;
    coverage.groups_listed = coverage.groups_listed.saturating_add(1);
    let event = match reading.end {
        End::Vanished(id, answers) => {
            coverage.groups_vanished = coverage.groups_vanished.saturating_add(1);
            tally.unread.insert(id);
            Collected::Answers(answers)
        }
        End::Read(group) => {
            coverage.groups_read = coverage.groups_read.saturating_add(1);
            tally.count(&group);
            Collected::Group(group)
        }
        End::Unread(group, error) => {
            tally.count(&group);
            tally.unread.insert(group.group.id.clone());
            tally.fail(error);
            Collected::Group(group)
        }
    };
    out.send(event).await?;
    Ok(())
}

/// The coverage as it grows.
struct Tally {
    coverage: RegionCoverage,
    odd: BTreeSet<(&'static str, String)>,
    /// Groups that were not read in full, or vanished: as many as are reported so.
    unread: BTreeSet<String>,
    more_warnings: u64,
    /// The listing ended before its end.
    listing_failed: bool,
}

impl Tally {
    fn count(&mut self, group: &GroupReading) {
        let listed = group.group.rule_count.unwrap_or(0);
        let read = u64::try_from(group.rules.read.len()).unwrap_or(u64::MAX);
        self.coverage.rules_listed = self.coverage.rules_listed.saturating_add(listed);
        self.coverage.rules_read = self.coverage.rules_read.saturating_add(read);
    }

    fn fail(&mut self, error: CallError) {
        self.coverage.status = RegionStatus::Failed;
        if self.coverage.error.is_none() {
            self.coverage.error = Some(error);
        }
    }

    fn warn(&mut self, warning: String) {
        if self.coverage.warnings.len() < WARNINGS {
            self.coverage.warnings.push(warning);
        } else {
            self.more_warnings = self.more_warnings.saturating_add(1);
        }
    }

    /// Once per name, so that a new field of the service is one line and not one per rule.
    fn odd(&mut self, action: &'static str, names: BTreeSet<String>) {
        for name in names {
            // Names are the service's; a broken one could make up thousands.
            if self.odd.len() < WARNINGS && self.odd.insert((action, name.clone())) {
                self.warn(format!(
                    "{action} answers `{name}`, which this program does not know (the key, or a \
                     value of that type): it was not read"
                ));
            }
        }
    }

    fn finish(mut self, requests: u64) -> RegionCoverage {
        if self.more_warnings > 0 {
            let more = format!("and {} more warnings", self.more_warnings);
            self.coverage.warnings.push(more);
        }
        self.coverage.requests = requests;
        self.coverage
    }
}
