//! ActionTrail's history, asked sparingly: one call at a time, half a second apart, with a budget of
//! calls, of pages and of time. Whatever goes wrong is an answer of its own and fails nothing.
//!
//! Source of the pace: help page "Quotas and limits" (2 a second, shared with the console; whether per
//! account or per region is not said, so it is kept per account), read 2026-08.

use super::call::{Client, Effect, Request};
use super::endpoint::Service;
use super::failure::{CallFailure, Kind};
use super::stop::Stop;
use super::wire::{self, EventsPage};
use crate::model::{AccountId, RawAnswer, RegionId, TrailEvent, Unanswered, UnknownReason};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// The least time between two calls.
const GAP: Duration = Duration::from_millis(500);
/// Calls of one run: at two a second they take two minutes.
const MOST_CALLS: u32 = 240;
/// Pages of one question, 50 events each.
const MOST_PAGES: u32 = 20;
/// All questions of one run together.
const MOST_TIME: Duration = Duration::from_secs(180);
/// One call with its retries: a region's host that is blocked must not hold up the run.
const ONE_CALL: Duration = Duration::from_secs(30);

/// What is asked: calls of one name in a stretch of time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// Where: each region answers for its own events only.
    pub region: RegionId,
    /// Such as `AuthorizeSecurityGroup`. One condition a call, since whether two are honoured is not
    /// sure; the rest is sifted here.
    pub event: &'static str,
    /// From then.
    pub from: DateTime<Utc>,
    /// Until then.
    pub to: DateTime<Utc>,
}

/// One account's history, being asked.
pub struct Trail<'c> {
    client: &'c Arc<Client>,
    account: AccountId,
    stop: Stop,
    calls: u32,
    next: Option<Instant>,
    end: Instant,
    /// No permission is of the whole account; the rest is of a region.
    denied: Option<Unanswered>,
    failed: BTreeMap<RegionId, Unanswered>,
    answers: Vec<RawAnswer>,
}

impl<'c> Trail<'c> {
    /// Whose history it asks.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// With a fresh budget.
    pub fn new(client: &'c Arc<Client>, account: AccountId, stop: Stop) -> Self {
        Self {
            client,
            account,
            stop,
            calls: 0,
            next: None,
            end: Instant::now() + MOST_TIME,
            denied: None,
            failed: BTreeMap::new(),
            answers: Vec::new(),
        }
    }

    /// Every answer so far, for the evidence.
    pub fn take_answers(&mut self) -> Vec<RawAnswer> {
        std::mem::take(&mut self.answers)
    }

    /// The events of ECS that answer a question, each once.
    ///
    /// # Errors
    /// Not all of them could be read: then "no such event" is not known either.
    pub async fn ask(&mut self, question: &Question) -> Result<Vec<TrailEvent>, Unanswered> {
        let region = question.region.as_str();
        if !self.client.has_actiontrail(region) {
            return Err(unanswered(
                UnknownReason::NoEndpoint,
                &format!("no ActionTrail host of {region} is known"),
            ));
        }
        let known = self.denied.as_ref();
        if let Some(why) = known.or_else(|| self.failed.get(&question.region)) {
            return Err(why.clone());
        }
        let mut events = Vec::new();
        let mut seen = BTreeSet::new();
        let mut token: Option<String> = None;
        let mut tokens = BTreeSet::new();
        for _ in 0..MOST_PAGES {
            let page = self.page(question, token.as_deref()).await?;
            if page.unreadable > 0 {
                return Err(unanswered(
                    UnknownReason::CallFailed,
                    &format!("{} events could not be read", page.unreadable),
                ));
            }
            for event in page.events {
                // ENS has actions of like names; a doubtful filter is done again here.
                let meant = event.service == "Ecs"
                    && event.name == question.event
                    && (event.region.is_empty() || event.region == region);
                if meant && seen.insert(event.id.clone()) {
                    events.push(event);
                }
            }
            token = page.next_token;
            match &token {
                None => return Ok(events),
                Some(token) if !tokens.insert(token.clone()) => {
                    return Err(unanswered(
                        UnknownReason::CallFailed,
                        "LookupEvents goes in a circle: a NextToken came twice",
                    ));
                }
                Some(_) => {}
            }
        }
        Err(unanswered(
            UnknownReason::BudgetSpent,
            &format!("more than {MOST_PAGES} pages of {}", question.event),
        ))
    }

    async fn page(
        &mut self,
        question: &Question,
        token: Option<&str>,
    ) -> Result<EventsPage, Unanswered> {
        if let Some(why) = self.stop.asked() {
            return Err(unanswered(
                UnknownReason::BudgetSpent,
                &format!("the run was asked to stop ({why})"),
            ));
        }
        if self.calls >= MOST_CALLS || Instant::now() >= self.end {
            return Err(unanswered(
                UnknownReason::BudgetSpent,
                &format!(
                    "the run asks {MOST_CALLS} times and {} s at most",
                    MOST_TIME.as_secs()
                ),
            ));
        }
        if let Some(next) = self.next {
            sleep_until(next).await;
        }
        self.next = Some(Instant::now() + GAP);
        self.calls = self.calls.saturating_add(1);
        let time = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        // The window is fixed: a token is good for the very same question only. RegionId is not among
        // the action's own parameters; the host decides. It tells a configured endpoint which is meant.
        let mut params = BTreeMap::from([
            ("RegionId".to_owned(), question.region.to_string()),
            ("LookupAttribute.1.Key".to_owned(), "EventName".to_owned()),
            (
                "LookupAttribute.1.Value".to_owned(),
                question.event.to_owned(),
            ),
            ("StartTime".to_owned(), time(question.from)),
            ("EndTime".to_owned(), time(question.to)),
            ("MaxResults".to_owned(), "50".to_owned()),
        ]);
        if let Some(token) = token {
            params.insert("NextToken".to_owned(), token.to_owned());
        }
        let request = Request {
            service: Service::ActionTrail,
            action: "LookupEvents".to_owned(),
            account: self.account.clone(),
            region: question.region.to_string(),
            host: None,
            params,
            effect: Effect::Read,
        };
        let call = self.client.call(&request, |body| wire::events_page(body));
        let why = match timeout(ONE_CALL, call).await {
            Ok(Ok(answer)) => {
                self.answers.extend(answer.raws);
                return Ok(answer.value);
            }
            Ok(Err(mut failure)) => {
                self.answers.append(&mut failure.answers);
                self.refused(&failure)
            }
            Err(_) => unanswered(
                UnknownReason::CallFailed,
                &format!("no answer within {} s", ONE_CALL.as_secs()),
            ),
        };
        if why.reason == UnknownReason::NoPermission {
            self.denied = Some(why.clone());
        } else {
            self.failed.insert(question.region.clone(), why.clone());
        }
        Err(why)
    }

    fn refused(&self, failure: &CallFailure) -> Unanswered {
        let reason = match failure.kind {
            Kind::Forbidden => UnknownReason::NoPermission,
            Kind::Throttled
            | Kind::Clock { .. }
            | Kind::Credentials
            | Kind::NotFound
            | Kind::Silent
            | Kind::Connect
            | Kind::BadAnswer
            | Kind::Service => UnknownReason::CallFailed,
        };
        unanswered(reason, &failure.to_string())
    }
}

fn unanswered(reason: UnknownReason, detail: &str) -> Unanswered {
    Unanswered {
        reason,
        detail: detail.to_owned(),
    }
}
