//! `fc`: serves Function Compute's custom runtime. Listens before anything else, takes one event at a
//! time, and does nothing after it has answered: the instance is frozen then.

use super::exit::{Exit, Failure};
use super::{Global, run, setup, show};
use crate::config::program::RoleKeys;
use crate::config::schedule::Accounts;
use crate::config::{Problem, Problems, Program, Schedule};
use crate::host::fc::{
    self, Control, CustomRule, Event, Headers, Payload, Resource, SECURITY_GROUP, Timer,
};
use crate::job::event::{Asked, Evaluation};
use crate::job::{self, Job, RunOutcome, Stop};
use crate::model::{AccountId, Trigger, TriggerResource};
use crate::policy::remediation::Mode;
use crate::report::view::visible;
use crate::state::events::Fired;
use bytes::Bytes;
use chrono::Utc;
use clap::Args;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Arguments of `fc`.
#[derive(Clone, Debug, Args)]
pub(super) struct Fc {
    /// What Cloud Config's events are judged under
    #[arg(long, value_name = "FILE", default_value = "schedules/config.toml")]
    schedule: PathBuf,
    /// Where the schedules lie that timers name
    #[arg(long, value_name = "DIR", default_value = "schedules")]
    folder: PathBuf,
    /// Listen there instead of on the platform's port
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

/// The platform's own default port.
const PORT: &str = "9000";

/// The largest event: the platform's limit for synchronous calls.
const LARGEST: usize = 32 << 20;

/// The last of the time that is kept back ([`fc::kept_back`]): nothing more is delivered in it, what became
/// of the letters is noted and the answer given.
fn to_answer(timeout: Duration) -> Duration {
    Duration::from_secs(5).min(timeout / 12)
}

/// What an invocation came to.
struct Answer {
    success: bool,
    body: Value,
}

impl Answer {
    fn no(why: impl Into<String>) -> Self {
        Self {
            success: false,
            body: json!({ "error": why.into() }),
        }
    }
}

struct Server {
    args: Fc,
    global: Global,
    /// One event at a time; held by the job that goes on.
    busy: Mutex<()>,
    going: std::sync::Mutex<Going>,
}

/// What goes on in the instance.
#[derive(Default)]
struct Going {
    /// What stops the job at hand.
    job: Option<Stop>,
    /// The platform is about to stop the instance: no further event is taken.
    ending: bool,
}

impl Fc {
    pub(super) async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let environment = setup::environment();
        let address = self.listen.clone().unwrap_or_else(|| {
            let port = environment.get("FC_CUSTOM_LISTEN_PORT").unwrap_or(PORT);
            format!("0.0.0.0:{port}")
        });
        // First of all: the platform gives an instance seconds to listen.
        let listener = TcpListener::bind(&address)
            .await
            .map_err(|why| Failure::start(format!("cannot listen on {address}: {why}")))?;
        let bound = listener
            .local_addr()
            .map_err(|why| Failure::start(format!("cannot listen on {address}: {why}")))?;
        show::line(&format!(
            "FunctionCompute sgwarden runtime inited. Listening on {bound}"
        ));
        let server = Arc::new(Server {
            args: self,
            global: global.clone(),
            busy: Mutex::new(()),
            going: std::sync::Mutex::default(),
        });
        loop {
            let (socket, _) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(why) => {
                    tracing::warn!(%why, "a connection was not accepted");
                    continue;
                }
            };
            let server = Arc::clone(&server);
            let serve = service_fn(move |request| {
                let server = Arc::clone(&server);
                async move {
                    // A task of its own: a caller that hangs up must not end a job in the middle of a change.
                    let served = tokio::spawn(async move { server.serve(request).await }).await;
                    Ok::<_, Infallible>(served.unwrap_or_else(|why| {
                        let answer =
                            Answer::no(format!("the invocation ended without an answer: {why}"));
                        tracing::error!("{}", answer.body);
                        respond(&answer)
                    }))
                }
            });
            tokio::spawn(async move {
                let served = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), serve)
                    .await;
                if let Err(why) = served {
                    tracing::debug!(%why, "a connection ended");
                }
            });
        }
    }
}

impl Server {
    async fn serve(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let header = |name: &str| parts.headers.get(name)?.to_str().ok();
        let id = header("x-fc-request-id").map_or_else(String::new, visible);
        let word = match header("x-fc-control-path").map(str::trim) {
            Some("/initialize") => "Initialize",
            Some("/pre-stop") => "PreStop",
            Some(_) | None => "Invoke",
        };
        // Without these lines the platform's console shows no log of the invocation, refused or not.
        let log = |end: &str| {
            if !id.is_empty() {
                show::line(&format!("FC {word} {end} RequestId: {id}"));
            }
        };
        log("Start");
        let answer = match Headers::read(header) {
            Err(why) => Answer::no(why),
            Ok(headers) => match headers.control {
                Control::Invoke => self.invoke(&headers, body).await,
                Control::Initialize => self.initialize(),
                Control::PreStop => self.pre_stop().await,
            },
        };
        if !answer.success {
            tracing::error!(request_id = %id, "{}", answer.body);
        }
        log("End");
        respond(&answer)
    }

    /// Reads the configuration and the schedule of Cloud Config's events: a mistake in the package shows
    /// when the instance starts.
    fn initialize(&self) -> Answer {
        let mut problems = Vec::new();
        if let Err(failure) = setup::program(&self.global) {
            problems.push(failure.message);
        }
        if self.args.schedule.is_file()
            && let Err(failure) = setup::program_and_schedule(&self.global, &self.args.schedule)
        {
            problems.push(failure.message);
        }
        if problems.is_empty() {
            Answer {
                success: true,
                body: json!({ "ready": true }),
            }
        } else {
            Answer::no(problems.join("\n"))
        }
    }

    /// Asks the job that goes on to stop and waits for its end; whatever waits behind it is refused.
    async fn pre_stop(&self) -> Answer {
        {
            let mut going = self.going();
            going.ending = true;
            if let Some(stop) = &going.job {
                stop.ask("the instance is being stopped");
            }
        }
        let _ended = self.busy.lock().await;
        Answer {
            success: true,
            body: json!({ "stopped": true }),
        }
    }

    fn going(&self) -> std::sync::MutexGuard<'_, Going> {
        self.going
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What stops the job that begins now; none begins in an instance that is about to go.
    fn begin(&self, last: Option<Instant>) -> Result<Stop, Answer> {
        let mut going = self.going();
        if going.ending {
            return Err(Answer::no(
                "the instance is being stopped: the event was not taken, and nothing was read or changed; \
                 another instance will take it, send it again",
            ));
        }
        let stop = last.map_or_else(Stop::default, Stop::until);
        going.job = Some(stop.clone());
        Ok(stop)
    }

    async fn invoke(&self, headers: &Headers, body: Incoming) -> Answer {
        let arrived = Instant::now();
        let event = match Limited::new(body, LARGEST).collect().await {
            Ok(body) => Event::parse(&body.to_bytes()),
            Err(why) => Err(format!("the event could not be read: {why}")),
        };
        let event = match event {
            Ok(event) => event,
            Err(why) => return Answer::no(format!("{why}; nothing was changed")),
        };
        let _one = self.busy.lock().await;
        // Asked for with the lock held: what waited while the instance was stopped is refused too.
        let ends = |timeout: Duration| arrived + timeout.saturating_sub(to_answer(timeout));
        let stop = match self.begin(headers.timeout.map(ends)) {
            Ok(stop) => stop,
            Err(refused) => return refused,
        };
        let work = self.take(&event, headers, &stop);
        let answer = match headers.timeout {
            None => work.await,
            Some(timeout) => {
                let last = arrived + timeout.saturating_sub(fc::kept_back(timeout));
                let mut work = std::pin::pin!(work);
                tokio::select! {
                    // The time first: where there is none left, nothing is begun.
                    biased;
                    () = tokio::time::sleep_until(last) => {
                        stop.ask("the function's time-out is near");
                        work.await
                    }
                    answer = &mut work => answer,
                }
            }
        };
        self.going().job = None;
        match answer {
            Ok(answer) => answer,
            Err(failure) => Answer {
                success: false,
                body: json!({ "exit": failure.exit.code(), "error": failure.message }),
            },
        }
    }

    async fn take(&self, event: &Event, headers: &Headers, stop: &Stop) -> Result<Answer, Failure> {
        let mut program = setup::program(&self.global)?;
        program.on_function_compute();
        program.keys = headers.keys.as_ref().map(|keys| RoleKeys {
            id: keys.id.clone(),
            secret: keys.secret.clone(),
            token: keys.token.clone(),
        });
        match event {
            Event::Timer(timer) => self.timer(&program, timer, headers, stop).await,
            Event::Remediation(resources) => {
                self.remediation(&program, resources, headers, stop).await
            }
            Event::CustomRule(rule) => self.custom_rule(&program, rule, headers, stop).await,
        }
    }

    async fn timer(
        &self,
        program: &Program,
        timer: &Timer,
        headers: &Headers,
        stop: &Stop,
    ) -> Result<Answer, Failure> {
        let schedule = match &timer.payload {
            Payload::Named(name) => {
                let file = self.args.folder.join(format!("{name}.toml"));
                packaged(&file, program)?
            }
            Payload::Text(text) => read(setup::schedule_text(&timer.name, text, program))?,
        };
        // Two functions may share a state and a trigger's name: what is asked for tells them apart.
        let asked_for = match &timer.payload {
            Payload::Named(name) => name.clone(),
            Payload::Text(text) => crate::evidence::format::sha256(text.as_bytes()).to_string(),
        };
        let key = format!("{}-{asked_for}", timer.name);
        let taken = async {
            refuse_lost_state(program, &schedule)?;
            let state = setup::state(program)?;
            let fired = state.fired(&key, &timer.time)?;
            if !matches!(fired, Fired::Answered(_)) {
                state.note_fired(&key, &timer.time, "")?;
            }
            Ok((state, fired))
        };
        let (state, fired) = self.first(program, &schedule, stop, taken).await?;
        match fired {
            Fired::Answered(answer) => {
                let before: Value = serde_json::from_str(&answer).unwrap_or(Value::String(answer));
                return Ok(Answer {
                    success: before["exit"] == Exit::Done.code(),
                    body: json!({ "repeated": true, "trigger": timer.name, "time": timer.time,
                        "answer": before }),
                });
            }
            // Whatever took it died: what it changed is settled by the journal, the rest is due.
            Fired::Unfinished | Fired::Never => {}
        }
        let job = Job {
            command: "run".to_owned(),
            schedule,
            copies: None,
        };
        let asked = Asked {
            trigger: Trigger {
                kind: "timer".to_owned(),
                name: timer.name.clone(),
                time: Some(timer.time.clone()),
                request_id: headers.request_id.clone(),
                resources: Vec::new(),
            },
            evaluation: None,
        };
        let (answer, outcome) = self.job(program, &job, &asked, stop).await?;
        // Of one that was cut short the rest is due: the event stays unfinished, and may come again.
        if !outcome.cut_short()
            && let Err(why) = state.note_fired(&key, &timer.time, &answer.body.to_string())
        {
            // The run is sealed and told, and this is its answer; should the event come again, it runs again.
            tracing::error!(why = %Failure::from(why).message, "the answer to the event was not kept");
        }
        let exit = Exit::of(&outcome, None).code();
        job::heartbeat(&job.schedule, exit, stop).await;
        Ok(answer)
    }

    /// What a job needs before it begins: where that fails the run could not start, and its people are told.
    /// Of a job that begins it is the job itself that tells.
    async fn first<T>(
        &self,
        program: &Program,
        schedule: &Schedule,
        stop: &Stop,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let done = work.await;
        if let Err(failure) = &done
            && failure.exit == Exit::NotStarted
        {
            let none = job::NoReport::not_started(&failure.message);
            run::tell(&self.global, program, schedule, none, stop).await;
        }
        done
    }

    async fn job(
        &self,
        program: &Program,
        job: &Job,
        asked: &Asked,
        stop: &Stop,
    ) -> Result<(Answer, RunOutcome), Failure> {
        let (outcome, unsaid) =
            run::whole_for(&self.global, program, job, Some(asked), stop).await?;
        let exit = Exit::of(&outcome, None);
        let mut body = show::outcome_json(&outcome, exit);
        if let Some(trigger) = &outcome.record.header.trigger {
            body["resources"] = json!(trigger.resources);
        }
        if let Some(error) = &unsaid {
            body["error"] = json!(format!(
                "Cloud Config did not take the verdicts: {}: {} (request id {})",
                error.code, error.message, error.request_id
            ));
        }
        let answer = Answer {
            success: exit == Exit::Done && unsaid.is_none(),
            body,
        };
        Ok((answer, outcome))
    }

    /// The schedule that Cloud Config's events are judged under.
    fn events_schedule(&self, program: &Program) -> Result<Schedule, Failure> {
        packaged(&self.args.schedule, program)
    }

    async fn remediation(
        &self,
        program: &Program,
        resources: &[Resource],
        headers: &Headers,
        stop: &Stop,
    ) -> Result<Answer, Failure> {
        let schedule = self.events_schedule(program)?;
        let own = async {
            refuse_lost_state(program, &schedule)?;
            own_account(program).await
        };
        let own = self.first(program, &schedule, stop, own).await?;
        // A job for each rule and region: an id counts in the region that it was named with.
        let mut by_rule: BTreeMap<(&str, &str), Vec<&Resource>> = BTreeMap::new();
        for resource in resources {
            let key = (resource.rule.as_str(), resource.region.as_str());
            by_rule.entry(key).or_default().push(resource);
        }
        let mut runs = Vec::new();
        let mut success = true;
        for ((rule, _), resources) in by_rule {
            let mut schedule = schedule.clone();
            // One group of one group read is a whole share: a limit made for whole estates.
            schedule.remediation.max_share_percent = 100;
            schedule.remediation.config_rule = Some(rule.to_owned());
            let trigger = trigger_of("remediation", rule, headers, &resources);
            let Some(schedule) = narrowed(schedule, &own, &resources) else {
                runs.push(json!({ "resources": left_alone(trigger, &own) }));
                continue;
            };
            let job = Job {
                command: "run".to_owned(),
                schedule,
                copies: None,
            };
            let asked = Asked {
                trigger,
                evaluation: None,
            };
            let (answer, _) = self.job(program, &job, &asked, stop).await?;
            success &= answer.success;
            runs.push(answer.body);
        }
        Ok(Answer {
            success,
            body: json!({ "event": "remediation", "runs": runs }),
        })
    }

    async fn custom_rule(
        &self,
        program: &Program,
        rule: &CustomRule,
        headers: &Headers,
        stop: &Stop,
    ) -> Result<Answer, Failure> {
        let mut schedule = self.events_schedule(program)?;
        // Asked for a verdict, nothing is changed.
        schedule.remediation.mode = Mode::Off;
        schedule.scope.accounts = Accounts::Own;
        let resources: Vec<&Resource> = rule.resource.iter().collect();
        if rule.resource.is_some() {
            let own = own_account(program);
            let own = self.first(program, &schedule, stop, own).await?;
            schedule = narrowed(schedule.clone(), &own, &resources).unwrap_or_else(|| {
                // Not a group: a run over nothing keeps the event and the answer to it in evidence.
                schedule.scope.regions = Some(Vec::new());
                schedule.scope.groups = Some(Vec::new());
                schedule
            });
        }
        let job = Job {
            command: "run".to_owned(),
            schedule,
            copies: None,
        };
        let asked = Asked {
            trigger: trigger_of("custom-rule", "", headers, &resources),
            evaluation: Some(Evaluation {
                token: rule.token.clone(),
                ordering: rule.ordering,
                whole: rule.resource.is_none(),
            }),
        };
        let (mut answer, _) = self.job(program, &job, &asked, stop).await?;
        answer.body["event"] = json!("custom-rule");
        Ok(answer)
    }
}

/// A schedule of the function's own files. Whoever reads its letters has no such path.
fn packaged(file: &Path, program: &Program) -> Result<Schedule, Failure> {
    let schedule = read(setup::schedule(file, &program.base, Some(program)))?;
    Ok(Schedule {
        file: None,
        ..schedule
    })
}

fn read(schedule: Result<Schedule, Vec<Problem>>) -> Result<Schedule, Failure> {
    schedule.map_err(|problems| Failure::usage(Problems(problems).to_string()))
}

/// The account of the invocation's keys.
async fn own_account(program: &Program) -> Result<String, Failure> {
    let client = setup::client(program).await?;
    let who = client
        .caller_identity()
        .await
        .map_err(|why| Failure::start(format!("cannot start: {why}")))?;
    Ok(who.value.account.as_str().to_owned())
}

fn trigger_of(kind: &str, name: &str, headers: &Headers, resources: &[&Resource]) -> Trigger {
    Trigger {
        kind: kind.to_owned(),
        name: name.to_owned(),
        time: Some(Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true)),
        request_id: headers.request_id.clone(),
        resources: resources
            .iter()
            .map(|resource| TriggerResource {
                account: AccountId::new(resource.account.clone()),
                region: resource.region.clone(),
                id: resource.id.clone(),
                kind: resource.kind.clone(),
                config: None,
                outcome: String::new(),
            })
            .collect(),
    }
}

/// The schedule for these groups only, within its own regions; `None` where none of them is one.
fn narrowed(mut schedule: Schedule, own: &str, resources: &[&Resource]) -> Option<Schedule> {
    let groups: Vec<&&Resource> = resources
        .iter()
        .filter(|resource| resource.kind == SECURITY_GROUP && resource.account == own)
        .filter(|resource| crate::config::program::is_region(&resource.region))
        .filter(|resource| {
            let regions = &schedule.scope.regions;
            regions
                .as_ref()
                .is_none_or(|ids| ids.contains(&resource.region))
        })
        .collect();
    if groups.is_empty() {
        return None;
    }
    let sorted = |of: fn(&Resource) -> &String| {
        let mut ids: Vec<String> = groups.iter().map(|resource| of(resource).clone()).collect();
        ids.sort();
        ids.dedup();
        ids
    };
    // Cloud Config speaks of the account that the function is in.
    schedule.scope.accounts = Accounts::Own;
    schedule.scope.may_be_gone = true;
    schedule.scope.regions = Some(sorted(|resource| &resource.region));
    schedule.scope.groups = Some(sorted(|resource| &resource.id));
    Some(schedule)
}

/// Resources of which none is read.
fn left_alone(trigger: Trigger, own: &str) -> Vec<Value> {
    trigger
        .resources
        .into_iter()
        .map(|resource| {
            let why = if resource.account.as_str() != own {
                "left alone: it is of another account than the function's role"
            } else if resource.kind == SECURITY_GROUP {
                "left alone: its region is not in the schedule's scope"
            } else {
                "left alone: not a security group"
            };
            json!({ "account": resource.account, "region": resource.region, "id": resource.id,
                "kind": resource.kind, "outcome": why })
        })
        .collect()
}

/// A state that goes with the instance loses the journal: nothing may be changed on it.
fn refuse_lost_state(program: &Program, schedule: &Schedule) -> Result<(), Failure> {
    if schedule.remediation.mode.changes()
        && program.state.folder().is_some()
        && !program.said.state
    {
        return Err(Failure::start(
            "the state would be a folder of this instance, which goes with it, and the schedule may change \
             things: set storage.state to oss://BUCKET/PREFIX in sgwarden.toml (or to a file: of a disk that \
             stays)",
        ));
    }
    Ok(())
}

fn respond(answer: &Answer) -> Response<Full<Bytes>> {
    let status = fc::status(answer.success);
    let body = Full::new(Bytes::from(answer.body.to_string()));
    let mut response = Response::new(body);
    // Both signals: without the header the platform takes every answer for a success.
    if let Ok(code) = hyper::StatusCode::from_u16(status) {
        *response.status_mut() = code;
    }
    let headers = response.headers_mut();
    headers.insert("x-fc-status", hyper::header::HeaderValue::from(status));
    headers.insert(
        hyper::header::CONTENT_TYPE,
        hyper::header::HeaderValue::from_static("application/octet-stream"),
    );
    response
}
