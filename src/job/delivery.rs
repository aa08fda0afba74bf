//! The last stretch of a job: letters and messages composed, kept in the outbox, sent.

use super::{Error, Stop, Tools};
use crate::config::address::Heartbeat;
use crate::config::schedule::{MailConfig, Schedule, WebhookConfig};
use crate::deliver::mail::{self, Attached};
use crate::deliver::webhook;
use crate::deliver::{MailSettings, Message, Patience, Receipt};
use crate::evidence::store::read_record;
use crate::evidence::{self, SealedRun, Store, Waiting};
use crate::model::{Artifact, DeliverySettings, RunId, RunRecord};
use crate::report::part::part;
use crate::report::{self, Format, letter};
use crate::state::{State, outbox};
use chrono::{DateTime, Utc};
use std::path::Path;
use std::time::Duration;

/// The time that a run has for one receiver: once it is asked to stop, little.
fn patience(stop: &Stop) -> Patience {
    Patience::new(stop.listener(), stop.last())
}

/// Reading the password: KMS has 30 seconds of these, finding the keys to ask it with the rest.
const OPENING: Duration = Duration::from_secs(120);

/// The relay while letters are sent: a password that is kept elsewhere is read once, when the first letter
/// is ready, and forgotten with this.
struct Open<'r> {
    relay: &'r MailSettings,
    patience: Patience,
    opened: Option<Result<MailSettings, String>>,
}

impl<'r> Open<'r> {
    fn new(relay: &'r MailSettings, patience: Patience) -> Self {
        Self {
            relay,
            patience,
            opened: None,
        }
    }

    /// Sends a letter; where the password cannot be read it is not sent.
    async fn send(&mut self, message: &mut Message, now: fn() -> DateTime<Utc>) -> Vec<Receipt> {
        if let Some(why) = self.patience.over() {
            return mail::not_tried(self.relay, message, &format!("not tried: {why}"), now);
        }
        let opened = match self.opened.take() {
            Some(opened) => opened,
            None => {
                let opening = self.patience.bound(OPENING, self.relay.opened()).await;
                opening.unwrap_or_else(|| {
                    let why = self.patience.over();
                    let why = why.unwrap_or_else(|| "nobody answers".to_owned());
                    Err(format!("the relay's password was not read: {why}"))
                })
            }
        };
        let receipts = match self.opened.insert(opened) {
            Ok(relay) => mail::send(relay, message, &mut self.patience, now).await,
            Err(why) => return mail::not_tried(self.relay, message, why, now),
        };
        if !receipts.iter().any(Receipt::accepted)
            && let Some(Ok(relay)) = &mut self.opened
        {
            // It took nothing in all the time that a dead one is waited for: that is not spent again.
            *relay = relay.for_one_try();
        }
        receipts
    }
}

/// What a run tells: composed, and in the outbox before any of it is sent, so that `resend` has all of it
/// whatever becomes of this process.
#[derive(Default)]
pub(super) struct Outgoing {
    letters: Vec<outbox::Waiting>,
    posts: Vec<outbox::WaitingPost>,
    /// What could not be composed or kept.
    lost: Vec<Receipt>,
}

/// Composes what is wanted, each recipient's part of it, and keeps it in the outbox.
pub(super) fn keep(
    schedule: &Schedule,
    tools: &Tools,
    record: &RunRecord,
    sealed: &SealedRun,
    artifacts: &[Artifact],
) -> Outgoing {
    let mut out = Outgoing::default();
    for (at, config) in schedule.mails.iter().enumerate() {
        let Some(relay) = &tools.relay else { break };
        match keep_letter((at, config), relay, tools, record, sealed, artifacts) {
            Ok(letter) => out.letters.extend(letter),
            Err(why) => out.lost.push(not_sent(&why, (tools.now)())),
        }
    }
    for (at, config) in schedule.webhooks.iter().enumerate() {
        match keep_post((at, config), tools, record, sealed) {
            Ok(post) => out.posts.extend(post),
            Err(why) => out.lost.push(not_sent(&why, (tools.now)())),
        }
    }
    out
}

impl Outgoing {
    /// Sends all of it; what is not accepted stays in the outbox.
    pub(super) async fn send(self, tools: &Tools, run: &RunId) -> Vec<Receipt> {
        let mut receipts = self.lost;
        let mut open = tools
            .relay
            .as_ref()
            .map(|relay| Open::new(relay, patience(&tools.stop)));
        for mut waiting in self.letters {
            let Some(open) = &mut open else { break };
            let got = open.send(&mut waiting.message, tools.now).await;
            if let Err(why) = tools.state.settle_letter(run, waiting, &got) {
                receipts.push(not_sent(&why.into(), (tools.now)()));
            }
            receipts.extend(got);
        }
        for waiting in self.posts {
            let mut patience = patience(&tools.stop);
            let receipt = webhook::send(&waiting.post, &mut patience, tools.now).await;
            if let Err(why) = tools.state.settle_post(run, &waiting, &receipt) {
                receipts.push(not_sent(&why.into(), (tools.now)()));
            }
            receipts.push(receipt);
        }
        receipts
    }
}

fn keep_letter(
    (at, config): (usize, &MailConfig),
    relay: &MailSettings,
    tools: &Tools,
    record: &RunRecord,
    sealed: &SealedRun,
    artifacts: &[Artifact],
) -> Result<Option<outbox::Waiting>, Error> {
    let settings = DeliverySettings {
        location: sealed.location.clone(),
        manifest_sha256: sealed.manifest_sha256.clone(),
    };
    // Whoever has a route gets a record, and reports, in which nothing else stands.
    let part = config.route.as_ref().map(|route| part(record, route));
    let told = part.as_ref().unwrap_or(record);
    if !letter::wanted(config.when.as_str(), told) {
        return Ok(None);
    }
    let number = at.saturating_add(1);
    let mut letter = letter::letter(told, &settings)?;
    let own = match &part {
        Some(part) => report::render(part, &formats(config))?,
        None => Vec::new(),
    };
    let artifacts = if part.is_some() { &own } else { artifacts };
    let (attachments, left_off) = mail::fitting(attachments(config, told, artifacts));
    if !left_off.is_empty() {
        let note = letter::left_off(record, &left_off, &settings.location);
        letter.text.push_str(&note);
    }
    let draft = mail::Draft {
        subject: &letter.subject,
        text: &letter.text,
        html: &letter.html,
        to: &config.to,
        cc: &config.cc,
        reply_to: config.reply_to.as_deref(),
        id: &format!("{}.{number}", record.header.run),
        date: (tools.now)(),
        attachments,
    };
    let message = mail::compose(relay, &draft).map_err(Error::Letter)?;
    Ok(Some(tools.state.put_letter(
        &record.header.run,
        number,
        message,
    )?))
}

fn formats(config: &MailConfig) -> Vec<Format> {
    let names = config.attach.iter();
    names.filter_map(|name| Format::parse(name)).collect()
}

fn attachments<'a>(
    config: &MailConfig,
    record: &RunRecord,
    artifacts: &'a [Artifact],
) -> Vec<Attached<'a>> {
    // `findings-20261124.csv`: old clients show long or non-ASCII names as ATT00001.
    let date: String = record
        .header
        .times
        .started
        .chars()
        .filter(char::is_ascii_digit)
        .take(8)
        .collect();
    // A file that holds a part says so in its name: a CSV has no other place for it.
    let part = if record.part.is_some() { "-part" } else { "" };
    artifacts
        .iter()
        .filter_map(|artifact| {
            let (stem, extension) = artifact.name.rsplit_once('.')?;
            config
                .attach
                .iter()
                .any(|wanted| wanted == extension)
                .then(|| Attached {
                    name: format!("{stem}-{date}{part}.{extension}"),
                    media_type: artifact.media_type,
                    bytes: &artifact.bytes,
                })
        })
        .collect()
}

/// Sends sealed runs that wait on this host to their store, which was away, oldest first; then their
/// journals are closed, which had what the store did not. One that cannot be read keeps no other from being
/// sent: it is told. `only`: that run and no other.
///
/// # Errors
/// One could not be sent: it waits on.
pub fn send_waiting(
    store: &Store,
    state: &State,
    only: Option<&RunId>,
) -> Result<Vec<RunId>, Error> {
    let mut sent = Vec::new();
    for waiting in store.waiting()? {
        let sealed = match waiting {
            Waiting::Sealed(sealed) => sealed,
            Waiting::Unreadable(folder, why) => {
                unreadable(&folder, &why);
                continue;
            }
        };
        if only.is_some_and(|run| *run != sealed.run) {
            continue;
        }
        let record = match read_record(&sealed.folder) {
            Ok((record, _)) => record,
            // What is left of a run whose removal was cut short: the store has it whole.
            Err(_) if store.is_sent(&sealed)? => {
                store.clear(&sealed)?;
                tracing::warn!(run = %sealed.run, folder = %sealed.folder.display(),
                    "the store has this run, and only a part of it was left here: removed");
                continue;
            }
            Err(why) => {
                unreadable(&sealed.folder, &why);
                continue;
            }
        };
        store.publish(&sealed)?;
        super::change::close_journals(state, &record)?;
        sent.push(sealed.run);
    }
    Ok(sent)
}

fn unreadable(folder: &Path, why: &evidence::Error) {
    tracing::warn!(folder = %folder.display(), why = %super::said(why),
        "a run that waits here for its store cannot be read and is not sent: find out what happened to it, then \
         move the folder elsewhere");
}

fn keep_post(
    (at, config): (usize, &WebhookConfig),
    tools: &Tools,
    record: &RunRecord,
    sealed: &SealedRun,
) -> Result<Option<outbox::WaitingPost>, Error> {
    let part = config.route.as_ref().map(|route| part(record, route));
    let told = part.as_ref().unwrap_or(record);
    if !letter::wanted(config.when.as_str(), told) {
        return Ok(None);
    }
    let number = at.saturating_add(1);
    let said = webhook::Said {
        text: &letter::message(told, &sealed.location),
        run: record.header.run.as_str(),
        schedule: &record.header.schedule,
        ending: ending(record),
    };
    let post = webhook::Post {
        kind: config.kind,
        url_file: config.url_file.clone(),
        id: format!("{}.hook-{number}", record.header.run),
        body: webhook::body(config.kind, &said),
    };
    Ok(Some(tools.state.put_post(
        &record.header.run,
        number,
        post,
    )?))
}

/// Names what a run before left in the outbox: its process may have ended before it could say so.
pub(super) fn name_what_waits(state: &State, run: &RunId) {
    let letters = state.waiting(run.as_str()).map(|waiting| waiting.len());
    let posts = state
        .waiting_posts(run.as_str())
        .map(|waiting| waiting.len());
    let waiting = letters.unwrap_or(0).saturating_add(posts.unwrap_or(0));
    if waiting > 0 {
        tracing::warn!(%run, waiting, "not all that it told was delivered: sgwarden resend {run}");
    }
}

/// How a run ended, delivery left aside: one word for programs that read messages.
fn ending(record: &RunRecord) -> &'static str {
    if record.changes.iter().any(crate::model::Change::is_broken) {
        "not_verified"
    } else if !record.header.complete {
        "incomplete"
    } else {
        "complete"
    }
}

/// Sends what waits in the outbox of a run: letters with the same bytes and Message-ID, messages as
/// they were.
///
/// # Errors
/// The state cannot be used, or letters wait and there is no relay.
pub async fn resend(
    state: &State,
    relay: Option<&MailSettings>,
    run: &RunId,
    now: fn() -> DateTime<Utc>,
) -> Result<Vec<Receipt>, Error> {
    let mut receipts = Vec::new();
    let letters = state.waiting(run.as_str())?;
    if relay.is_none() && !letters.is_empty() {
        return Err(Error::Refused(
            "letters wait, and sgwarden.toml has no [mail] to send by".to_owned(),
        ));
    }
    let mut open = relay.map(|relay| Open::new(relay, Patience::endless()));
    for mut waiting in letters {
        let Some(open) = &mut open else { break };
        let got = open.send(&mut waiting.message, now).await;
        state.settle_letter(run, waiting, &got)?;
        receipts.extend(got);
    }
    for waiting in state.waiting_posts(run.as_str())? {
        let receipt = webhook::send(&waiting.post, &mut Patience::endless(), now).await;
        state.settle_post(run, &waiting, &receipt)?;
        receipts.push(receipt);
    }
    Ok(receipts)
}

/// Tells the schedule's watchman, in the time that the run has, that it ended 0, 1 or 3. That it was not
/// heard is logged and fails nothing: silence is the alarm.
pub async fn heartbeat(schedule: &crate::config::Schedule, exit: u8, stop: &Stop) {
    let Some(heartbeat) = schedule
        .heartbeat
        .as_ref()
        .filter(|_| matches!(exit, 0 | 1 | 3))
    else {
        return;
    };
    let mut patience = patience(stop);
    let called = match patience.over() {
        Some(_) => None,
        None => patience.bound(CALLING, call(heartbeat, exit)).await,
    };
    let late = || {
        patience
            .over()
            .unwrap_or_else(|| "no answer in time".to_owned())
    };
    let told = called.unwrap_or_else(|| Err(late()));
    if let Err(why) = told {
        tracing::warn!(%why, "the heartbeat was not heard");
    }
}

async fn call(heartbeat: &Heartbeat, exit: u8) -> Result<(), String> {
    match heartbeat {
        Heartbeat::Url(url) => webhook::heartbeat(url.expose(), exit).await,
        Heartbeat::File(file) => {
            let of_file = |why: String| format!("{}: {why}", file.display());
            let url = std::fs::read_to_string(file).map_err(|why| of_file(why.to_string()))?;
            webhook::heartbeat(&url, exit).await.map_err(of_file)
        }
    }
}

/// Calling the watchman, tries and waits between them: it has its own, shorter limits.
const CALLING: Duration = Duration::from_secs(120);

/// Logs what was not accepted: an answer as JSON has no room for why, and on Function Compute there is no
/// other.
pub(super) fn log_lost(run: &RunId, receipts: &[Receipt]) {
    for lost in receipts.iter().filter(|receipt| !receipt.accepted()) {
        let why = lost.undelivered(run.as_str());
        tracing::error!(recipient = %lost.recipient, "not delivered: {why}");
    }
}

/// A letter that could not even be composed or kept.
pub(super) fn not_sent(why: &Error, now: DateTime<Utc>) -> Receipt {
    let mut told = why.to_string();
    if let Some(cause) = std::error::Error::source(why) {
        told.push_str(": ");
        told.push_str(&cause.to_string());
    }
    Receipt {
        recipient: "everyone".to_owned(),
        relay: String::new(),
        message_id: String::new(),
        at: now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        reply: None,
        error: Some(told),
        tries: 0,
    }
}

/// Why there is no report of a run.
#[derive(Clone, Copy, Debug)]
pub struct NoReport<'a> {
    /// In words.
    pub why: &'a str,
    /// The run, where it had begun to change something.
    pub begun: Option<&'a RunId>,
}

impl<'a> NoReport<'a> {
    /// It never began to change anything.
    pub fn not_started(why: &'a str) -> Self {
        Self { why, begun: None }
    }
}

/// Tells every recipient of a schedule that its run could not start, or that its evidence could not be kept:
/// silence would look like peace. There is no run, so nothing is kept in the outbox.
pub async fn not_started(
    relay: Option<&MailSettings>,
    schedule: &crate::config::Schedule,
    none: NoReport<'_>,
    stop: &Stop,
    now: fn() -> DateTime<Utc>,
) -> Vec<Receipt> {
    let (mails, hooks) = (&schedule.mails, &schedule.webhooks);
    let schedule = &schedule.name;
    let date = now();
    let why = none.why;
    let (word, ending) = match none.begun {
        Some(_) => ("EVIDENCE NOT KEPT", "evidence_not_kept"),
        None => ("NOT STARTED", "not_started"),
    };
    let subject = format!("[sgwarden] {word} {schedule} - {}", date.format("%Y-%m-%d"));
    let text = match none.begun {
        Some(run) => format!(
            "Run {run} of schedule {schedule} had begun to change something, and its evidence could not be \
             kept.\n\n{why}\n\nThere is no report of this run. The journal in the state has every change \
             (journal/{run}.jsonl), and the next run settles them and puts them into evidence.\n"
        ),
        None => format!(
            "The run of schedule {schedule} could not start, or its evidence could not be kept.\n\n{why}\n\n\
             There is no report of this run. Where it had begun to change anything, the journal in the \
             state has every change, and the next run puts them into evidence.\n"
        ),
    };
    let html = format!(
        "<html><body><p style=\"font-family:Arial,sans-serif;white-space:pre-wrap\">{}</p></body></html>",
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
    );
    let mut receipts = Vec::new();
    for (at, config) in hooks.iter().enumerate() {
        let said = webhook::Said {
            text: &format!("{subject}\n{text}"),
            run: none.begun.map_or("", RunId::as_str),
            schedule,
            ending,
        };
        let post = webhook::Post {
            kind: config.kind,
            url_file: config.url_file.clone(),
            id: format!(
                "{}-{schedule}-not-started.hook-{}",
                date.format("%Y%m%dT%H%M%SZ"),
                at.saturating_add(1)
            ),
            body: webhook::body(config.kind, &said),
        };
        receipts.push(webhook::send(&post, &mut patience(stop), now).await);
    }
    let Some(relay) = relay else { return receipts };
    let mut open = Open::new(relay, patience(stop));
    for (at, config) in mails.iter().enumerate() {
        let draft = mail::Draft {
            subject: &subject,
            text: &text,
            html: &html,
            to: &config.to,
            cc: &config.cc,
            reply_to: config.reply_to.as_deref(),
            id: &format!(
                "{}-{schedule}-not-started.{}",
                date.format("%Y%m%dT%H%M%SZ"),
                at.saturating_add(1)
            ),
            date,
            attachments: Vec::new(),
        };
        match mail::compose(relay, &draft) {
            Ok(mut message) => receipts.extend(open.send(&mut message, now).await),
            Err(why) => receipts.push(Receipt {
                recipient: config.to.join(", "),
                ..not_sent(&Error::Letter(why), now())
            }),
        }
    }
    receipts
}
