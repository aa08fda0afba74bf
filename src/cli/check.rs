//! `check`: tries what a job will need, changes nothing, says what is missing and what to do about it.

use super::exit::{Exit, Failure};
use super::folder::FOLDER;
use super::secret::JobClient;
use super::{Global, setup, show};
use crate::cloud::Client;
use crate::config::program::{PasswordIn, Program, Relay};
use crate::config::{Problems, Schedule};
use crate::deliver::MailSettings;
use crate::deliver::probe::probe;
use crate::job::check::{self, Standing, Tried, Wanted};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Folder of the schedules whose needs are tried
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

impl Check {
    pub(super) async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let program = setup::program(global)?;
        if let Some(folder) = &self.folder
            && let Err(why) = std::fs::read_dir(folder)
        {
            return Err(Failure::usage(format!(
                "the folder of schedules {} cannot be read: {why}",
                folder.display()
            )));
        }
        let folder = self.folder.unwrap_or_else(|| PathBuf::from(FOLDER));
        let (schedules, of_schedules) = read_schedules(&folder, &program);
        let wanted = Wanted::of(&schedules);
        let tools = setup::tools(global, &program, false).await?;
        let (identity, mut tried) = check::cloud(&tools, &wanted, &program.home_region)
            .await
            .map_err(|why| Failure::start(format!("cannot start: {why}")))?;
        let store = setup::shelf(&program, &program.store)?;
        tried.extend(check::evidence("store", &store));
        let state = setup::shelf(&program, &program.state)?;
        tried.push(check::storage("state", &state));
        let mails = schedules.iter().any(|schedule| !schedule.mails.is_empty());
        tried.extend(mail(global, &program, &tools.client, mails).await);
        tried.extend(check::hooks(&schedules).await);
        tried.extend(of_schedules);
        let missing = tried
            .iter()
            .filter(|tried| tried.standing == Standing::Missing)
            .count();
        let exit = if missing == 0 {
            Exit::Done
        } else {
            Exit::Difference
        };
        let value = json!({
            "exit": exit.code(),
            "missing": missing,
            "identity": identity,
            "tried": tried.iter().map(|tried| json!({
                "part": tried.part,
                "what": tried.what,
                "standing": tried.standing.as_str(),
                "found": tried.found,
                "todo": tried.todo,
            })).collect::<Vec<_>>(),
        });
        show::answer(global, &value, &lines(&tried, missing));
        Ok(exit)
    }
}

fn lines(tried: &[Tried], missing: usize) -> Vec<String> {
    let mut out = Vec::new();
    for tried in tried {
        let one_line = |text: &str| text.replace(['\n', '\r'], " ");
        out.push(format!(
            "{:<10}  {:<11}  {}: {}",
            tried.standing.as_str(),
            tried.part,
            tried.what,
            one_line(&tried.found)
        ));
        if let Some(todo) = &tried.todo {
            out.push(format!("{:25}to do: {}", "", one_line(todo)));
        }
    }
    out.push(match missing {
        0 => "nothing is missing".to_owned(),
        1 => "1 thing is missing".to_owned(),
        more => format!("{more} things are missing"),
    });
    out
}

/// Every schedule of the folder, and a line for each; one that is broken says all that is wrong.
fn read_schedules(folder: &Path, program: &Program) -> (Vec<Schedule>, Vec<Tried>) {
    let mut files: Vec<PathBuf> = match std::fs::read_dir(folder) {
        Ok(entries) => entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "toml")
            })
            .collect(),
        Err(why) => {
            let nothing = Tried {
                part: "schedule",
                what: folder.display().to_string(),
                standing: Standing::NotTried,
                found: format!("there are none: {why}"),
                todo: None,
            };
            return (Vec::new(), vec![nothing]);
        }
    };
    files.sort();
    let mut schedules = Vec::new();
    let mut tried = Vec::new();
    for file in files {
        let shown = file.display().to_string();
        match setup::schedule(&file, &program.base, Some(program)) {
            Ok(schedule) => {
                let mode = schedule.remediation.mode.as_str();
                tried.push(Tried::works("schedule", shown, format!("mode {mode}")));
                schedules.push(schedule);
            }
            Err(problems) => {
                tried.push(Tried::missing(
                    "schedule",
                    shown,
                    Problems(problems).to_string().replace('\n', "; "),
                    "correct the file",
                ));
            }
        }
    }
    (schedules, tried)
}

/// The relay, step by step, where one is configured.
async fn mail(global: &Global, program: &Program, client: &Client, is_wanted: bool) -> Vec<Tried> {
    let Some(relay) = &program.mail else {
        let standing = Tried {
            part: "mail",
            what: "relay".to_owned(),
            standing: Standing::NotTried,
            found: "sgwarden.toml has no [mail]".to_owned(),
            todo: None,
        };
        return if is_wanted {
            Vec::new()
        } else {
            vec![standing]
        };
    };
    let settings = match setup::mail_settings(global, program, relay, &JobClient::default()) {
        Ok(settings) => settings,
        Err(why) => {
            return vec![Tried::missing(
                "mail",
                "settings",
                why.message,
                "correct [mail] in sgwarden.toml",
            )];
        }
    };
    let (mut out, settings) = with_secret(relay, settings, client).await;
    let is_unread = settings.is_to_be_asked_for();
    let steps = match is_unread {
        true => probe(&settings.without_login()).await,
        false => probe(&settings).await,
    };
    let is_reached = steps.iter().all(|step| step.todo.is_none());
    out.extend(steps.into_iter().map(|step| match step.todo {
        None => Tried::works("mail", step.name, step.found),
        Some(todo) => Tried::missing("mail", step.name, step.found, todo),
    }));
    if is_unread && is_reached {
        out.push(Tried {
            part: "mail",
            what: "login".to_owned(),
            standing: Standing::NotTried,
            found: "the password could not be read".to_owned(),
            todo: None,
        });
    }
    out
}

/// Reads the password where KMS keeps it, with a line for that.
async fn with_secret(
    relay: &Relay,
    settings: MailSettings,
    client: &Client,
) -> (Vec<Tried>, MailSettings) {
    let Some(PasswordIn::Secret(name)) = &relay.password else {
        return (Vec::new(), settings);
    };
    if !settings.is_to_be_asked_for() {
        let found = format!("{} goes before the KMS secret {name}", setup::PASSWORD);
        let unused = Tried {
            part: "mail",
            what: "secret".to_owned(),
            standing: Standing::NotTried,
            found,
            todo: None,
        };
        return (vec![unused], settings);
    }
    match check::secret(client, name).await {
        (tried, Some(password)) => (tried, settings.with_password(password)),
        (tried, None) => (tried, settings),
    }
}
