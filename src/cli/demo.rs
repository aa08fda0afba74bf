//! `demo`: the whole job, twice, on the embedded simulated cloud, mail included. Needs no account,
//! no file, no network.

use super::exit::{Exit, Failure};
use super::{Global, show};
use crate::cloud::credentials::Credentials;
use crate::cloud::{Client, Settings};
use crate::config::{Problems, Schedule};
use crate::deliver::MailSettings;
use crate::evidence::Store;
use crate::job::{self, Job, RunOutcome, Tools};
use crate::remedy::apply::Waits;
use crate::sim::smtp::{Mode, Receiver, ReceiverOptions};
use crate::sim::{Cloud, Options, World};
use crate::state::State;
use chrono::Utc;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Folder for evidence, reports and mail
    #[arg(long, default_value = "sgwarden-demo", value_name = "DIR")]
    out: PathBuf,
    /// Add a region that may not be read, and see how the run says so
    #[arg(long)]
    unreadable_region: bool,
    /// Only read; revoke nothing
    #[arg(long)]
    read_only: bool,
    /// en, zh-CN or zh-TW
    #[arg(long, default_value = "en", value_name = "TAG", value_parser = ["en", "zh-CN", "zh-TW"])]
    language: String,
}

fn schedule(mode: &str, language: &str) -> String {
    format!(
        r#"# The demo's schedule.
cron = "0 2 * * 1"
timezone = "Asia/Taipei"

[policy]
packs = ["risky-ports"]
attribution = true

[remediation]
mode = "{mode}"
overbroad = "hold"
max_share = "100%"

[report]
formats = ["csv", "xlsx", "html", "json"]
language = "{language}"

[[mail]]
to = ["On call <oncall@example.com>"]
cc = ["Audit <audit@example.com>"]
reply_to = "owners@example.com"
attach = ["xlsx", "csv"]
"#
    )
}

impl Demo {
    pub(super) async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let world = if self.unreadable_region {
            World::demo_with_unreadable_region()
        } else {
            World::demo()
        };
        fresh(&self.out)?;
        let cloud = Cloud::start(world, Options::default())
            .await
            .map_err(|why| Failure::start(format!("cannot start the simulated cloud: {why}")))?;
        let relay = Receiver::start(Mode::Plain, ReceiverOptions::default())
            .await
            .map_err(|why| Failure::start(format!("cannot start the mail receiver: {why}")))?;
        let tools = self.tools(global, &cloud, &relay)?;
        let mode = if self.read_only { "off" } else { "revoke" };
        let text = schedule(mode, &self.language);
        let schedule = Schedule::read("demo.toml", "demo", &text)
            .map_err(|problems| Failure::usage(Problems(problems).to_string()))?;
        let job = |number: u32| Job {
            command: "demo".to_owned(),
            schedule: schedule.clone(),
            copies: Some(self.out.join(format!("reports-{number}"))),
        };
        show::heading(
            global,
            "First run: read, judge, revoke what must not be open, prove it",
        );
        let first = job::run(&job(1), &tools).await?;
        let first_exit = Exit::of(&first, None);
        show::demo_run(global, &first, first_exit);
        show::heading(global, "Second run: what is left");
        let second = job::run(&job(2), &tools).await?;
        let second_exit = Exit::of(&second, None);
        show::demo_run(global, &second, second_exit);
        let mails = keep_mail(&self.out, &relay)?;
        relay.stop().await;
        cloud.stop().await;
        self.answer(
            global,
            &[(first, first_exit), (second, second_exit)],
            &mails,
        );
        Ok(Exit::Done)
    }

    fn tools(&self, global: &Global, cloud: &Cloud, relay: &Receiver) -> Result<Tools, Failure> {
        let key = cloud
            .keys()
            .into_iter()
            .next()
            .ok_or_else(|| Failure::start("the demo's world has no key; this is a bug"))?;
        let credentials = Credentials::new(
            &key.access_key_id,
            &key.access_key_secret,
            key.security_token.as_deref(),
        )
        .map_err(|why| Failure::chain(Exit::NotStarted, &why))?;
        let settings = Settings {
            endpoint: Some(cloud.url()),
            ..Settings::default()
        };
        let client = Client::new(settings, credentials)
            .map_err(|why| Failure::chain(Exit::NotStarted, &why))?;
        let relay = MailSettings::new(
            &format!("smtp://{}?tls=none", relay.addr()),
            "Security group audit <sgwarden@example.com>",
            None,
            None,
        )
        .map_err(|why| Failure::start(why.to_string()))?;
        Ok(Tools {
            client: Arc::new(client),
            store: Store::new(self.out.join("evidence")),
            state: State::new(self.out.join("state")),
            relay: Some(relay),
            now: Utc::now,
            waits: Waits::default(),
            metadata: None,
            stop: crate::job::Stop::default(),
            progress: show::progress(global),
        })
    }

    fn answer(&self, global: &Global, runs: &[(RunOutcome, Exit)], mails: &[PathBuf]) {
        let mails: Vec<String> = mails
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let mut value = runs.last().map_or_else(
            || json!({}),
            |(outcome, exit)| show::outcome_json(outcome, *exit),
        );
        if let Some(object) = value.as_object_mut() {
            // The demo itself ends well whatever its runs found.
            object.insert("mail".to_owned(), json!(mails));
            object.insert(
                "runs".to_owned(),
                json!(
                    runs.iter()
                        .map(|(outcome, exit)| show::outcome_json(outcome, *exit))
                        .collect::<Vec<_>>()
                ),
            );
        }
        let mut lines = vec![String::new(), "Look at".to_owned()];
        for (number, (outcome, exit)) in runs.iter().enumerate() {
            lines.push(format!(
                "  run {}  {} (its own exit code: {})",
                number.saturating_add(1),
                outcome.sealed.run,
                exit.code()
            ));
            lines.extend(
                outcome
                    .copies
                    .iter()
                    .map(|path| format!("    report    {}", path.display())),
            );
            lines.push(format!("    evidence  {}", outcome.sealed.location));
        }
        lines.extend(mails.iter().map(|path| format!("  mail        {path}")));
        if let Some((outcome, _)) = runs.first() {
            lines.push(format!(
                "Check it with: sgwarden verify {}",
                outcome.sealed.location
            ));
        }
        show::answer(global, &value, &lines);
    }
}

/// The file that says a folder is a demo's own.
const MARK: &str = ".sgwarden-demo";
/// What a demo writes.
const PARTS: [&str; 5] = ["evidence", "state", "reports-1", "reports-2", "mail"];

/// Each demo begins with an empty state: its world is new, and a rule of the last demo has not come
/// back. What an earlier demo left goes; what is somebody else's is not touched.
fn fresh(out: &Path) -> Result<(), Failure> {
    let failed = |doing: &str, path: &Path, why: std::io::Error| {
        Failure::start(format!("cannot {doing} {}: {why}", path.display()))
    };
    let mark = out.join(MARK);
    for part in PARTS {
        let path = out.join(part);
        if !path.exists() {
            continue;
        }
        if !mark.is_file() {
            return Err(Failure::usage(format!(
                "{} is there and is not a demo's: name another folder with --out",
                path.display()
            )));
        }
        std::fs::remove_dir_all(&path).map_err(|why| failed("remove", &path, why))?;
    }
    std::fs::create_dir_all(out).map_err(|why| failed("create", out, why))?;
    std::fs::write(&mark, "").map_err(|why| failed("write", &mark, why))
}

/// Writes each letter that the receiver took as `.eml`.
fn keep_mail(out: &Path, relay: &Receiver) -> Result<Vec<PathBuf>, Failure> {
    let folder = out.join("mail");
    let failed = |path: &Path, why: std::io::Error| {
        Failure::start(format!("cannot write {}: {why}", path.display()))
    };
    std::fs::create_dir_all(&folder).map_err(|why| failed(&folder, why))?;
    let mut seen: Vec<Vec<u8>> = Vec::new();
    let mut paths = Vec::new();
    for message in relay.messages() {
        // One transaction a recipient: the same letter comes once for each.
        if seen.contains(&message.data) {
            continue;
        }
        let path = folder.join(format!("letter-{}.eml", paths.len().saturating_add(1)));
        std::fs::write(&path, &message.data).map_err(|why| failed(&path, why))?;
        paths.push(path);
        seen.push(message.data);
    }
    Ok(paths)
}
