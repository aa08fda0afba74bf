//! From files, flags and environment to what a job needs.

use super::Global;
use super::exit::{Exit, Failure};
use super::secret::{self, JobClient};
use crate::cloud::credentials::{self, Credentials, Environment, Found};
use crate::cloud::{AccountRole, Client, Settings, sign};
use crate::config::address::Heartbeat;
use crate::config::line_of;
use crate::config::program::{self, Network, PasswordIn, Program, Relay, Signature, Site};
use crate::config::{Problem, Problems, Schedule, waivers};
use crate::deliver::{MailSettings, Password, webhook};
use crate::evidence::{Store, chain};
use crate::job::Tools;
use crate::model::Secret;
use crate::remedy::apply::Waits;
use crate::state::State;
use crate::storage::place::{BucketUrl, Protocol};
use crate::storage::{AccessKeys, Bucket, Keys, Place, Shelf};
use chrono::Utc;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The program's file where there is one.
const FILE: &str = "sgwarden.toml";

/// A scope of several accounts without a way into them.
pub(super) const NO_ROLE: &str = "[scope] accounts names other accounts, but sgwarden.toml has no [accounts] role to assume there";

/// The environment, once.
pub(super) fn environment() -> Environment {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Environment::new(variables, std::env::home_dir())
}

/// The program's configuration; flags win over the environment, that over the file.
pub(super) fn program(global: &Global) -> Result<Program, Failure> {
    let mut problems = Vec::new();
    let program = read_program(global, &mut problems);
    refuse(problems)?;
    program.ok_or_else(|| Failure::usage("no configuration"))
}

/// Both files: all problems of both at once.
pub(super) fn program_and_schedule(
    global: &Global,
    file: &Path,
) -> Result<(Program, Schedule), Failure> {
    let mut problems = Vec::new();
    let program = read_program(global, &mut problems);
    let base = program
        .as_ref()
        .map_or_else(|| base(global), |program| program.base.clone());
    let schedule = schedule(file, &base, program.as_ref());
    let schedule = schedule.map_err(|more| problems.extend(more)).ok();
    refuse(problems)?;
    match (program, schedule) {
        (Some(program), Some(schedule)) => Ok((program, schedule)),
        _ => Err(Failure::usage("no configuration")),
    }
}

/// One schedule with its packs and waivers, which lie relative to `base`, held against the program's
/// configuration where that is known.
pub(super) fn schedule(
    file: &Path,
    base: &Path,
    program: Option<&Program>,
) -> Result<Schedule, Vec<Problem>> {
    let mut problems = Vec::new();
    let schedule = read_schedule(file, base, &mut problems);
    held(file, schedule, program, problems)
}

/// Holds a schedule against the program's configuration.
fn held(
    file: &Path,
    schedule: Option<Schedule>,
    program: Option<&Program>,
    mut problems: Vec<Problem>,
) -> Result<Schedule, Vec<Problem>> {
    if let (Some(schedule), Some(program)) = (&schedule, program)
        && schedule.scope.accounts.needs_role()
        && program.role.is_none()
    {
        problems.push(at(file, &schedule.text, "scope.accounts", NO_ROLE));
    }
    if let (Some(schedule), Some(program)) = (&schedule, program)
        && !schedule.mails.is_empty()
        && program.mail.is_none()
    {
        problems.push(at(
            file,
            &schedule.text,
            "mail[0]",
            "sgwarden.toml has no [mail] to send by",
        ));
    }
    let mut schedule = schedule;
    if let (Some(schedule), Some(program)) = (&mut schedule, program) {
        resolve_hooks(file, program, schedule, &mut problems);
    }
    match schedule {
        Some(schedule) if problems.is_empty() => Ok(schedule),
        _ => Err(problems),
    }
}

/// Finds the files with the addresses of webhooks and heartbeat; each must hold one now, not when a run has ended.
pub(super) fn resolve_hooks(
    file: &Path,
    program: &Program,
    schedule: &mut Schedule,
    problems: &mut Vec<Problem>,
) {
    let text = &schedule.text;
    for (number, hook) in schedule.webhooks.iter_mut().enumerate() {
        hook.url_file = program.base.join(&hook.url_file);
        if let Err(what) = holds_address(&hook.url_file) {
            let key = format!("webhook[{number}].url_file");
            problems.push(at(file, text, &key, what));
        }
    }
    match &mut schedule.heartbeat {
        None => {}
        Some(Heartbeat::Url(url)) => {
            if let Err(why) = webhook::address(url.expose()) {
                problems.push(at(file, text, "heartbeat.url", why));
            }
        }
        Some(Heartbeat::File(url_file)) => {
            *url_file = program.base.join(&*url_file);
            if let Err(what) = holds_address(url_file) {
                problems.push(at(file, text, "heartbeat.url_file", what));
            }
        }
    }
}

fn holds_address(file: &Path) -> Result<(), String> {
    let address = std::fs::read_to_string(file)
        .map_err(|why| why.to_string())
        .and_then(|text| webhook::address(&text));
    match address {
        Ok(_) => Ok(()),
        Err(why) => Err(format!("{}: {why}", file.display())),
    }
}

pub(super) fn refuse(mut problems: Vec<Problem>) -> Result<(), Failure> {
    if problems.is_empty() {
        return Ok(());
    }
    problems.sort();
    Err(Failure::usage(Problems(problems).to_string()))
}

/// What was found wrong with a key of a file that was read before.
fn at(file: &Path, text: &str, key: &str, what: impl Into<String>) -> Problem {
    Problem {
        file: file.display().to_string(),
        line: line_of(text, key),
        key: key.to_owned(),
        what: what.into(),
    }
}

fn whole(file: &Path, what: impl Into<String>) -> Problem {
    Problem {
        file: file.display().to_string(),
        line: 0,
        key: String::new(),
        what: what.into(),
    }
}

/// The folder that paths of the configuration are relative to.
pub(super) fn base(global: &Global) -> PathBuf {
    let folder = global.config.as_deref().and_then(Path::parent);
    match folder {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// A schedule that an event carries, by the name of its trigger.
pub(super) fn schedule_text(
    name: &str,
    text: &str,
    program: &Program,
) -> Result<Schedule, Vec<Problem>> {
    let file = PathBuf::from(format!("the event of {name}"));
    let mut problems = Vec::new();
    let schedule = read_text(&file, name, text, &program.base, &mut problems);
    held(&file, schedule, Some(program), problems)
}

fn read_schedule(file: &Path, base: &Path, problems: &mut Vec<Problem>) -> Option<Schedule> {
    let name = file
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    match std::fs::read_to_string(file) {
        Ok(text) => {
            let schedule = read_text(file, &name, &text, base, problems)?;
            let file = Some(file.display().to_string());
            Some(Schedule { file, ..schedule })
        }
        Err(why) => {
            problems.push(whole(file, format!("cannot be read: {why}")));
            None
        }
    }
}

fn read_text(
    file: &Path,
    name: &str,
    text: &str,
    base: &Path,
    problems: &mut Vec<Problem>,
) -> Option<Schedule> {
    match Schedule::read_in(base, &file.display().to_string(), name, text) {
        Ok(mut schedule) => match waivers::attach(&mut schedule, base) {
            Ok(()) => return Some(schedule),
            Err(more) => problems.extend(more),
        },
        Err(more) => {
            problems.extend(more);
            problems.extend(waivers::problems_of(text, base));
        }
    }
    None
}

fn read_program(global: &Global, problems: &mut Vec<Problem>) -> Option<Program> {
    let here = PathBuf::from(".");
    let mut out = match &global.config {
        Some(file) => read_program_file(file, problems),
        None if Path::new(FILE).is_file() => read_program_file(Path::new(FILE), problems),
        None => Some(Program::defaults(&here)),
    }?;
    if let Some(relay) = &out.mail {
        // The password is looked at when there is something to send; the rest must be right now.
        let unused = Some(Password::Known(Secret::new("unused")));
        if let Err(why) = MailSettings::new(&relay.url, &relay.from, unused, None) {
            problems.push(of_mail(global, why.key, why.what));
        }
    }
    let environment = environment();
    let endpoint = match &global.endpoint {
        Some(url) => Some(("--endpoint", url.as_str())),
        None => environment
            .get("SGWARDEN_ENDPOINT")
            .map(|url| ("SGWARDEN_ENDPOINT", url)),
    };
    if let Some((name, url)) = endpoint {
        match program::endpoint(url) {
            Ok(url) => out.endpoint = Some(url),
            Err(why) => problems.push(whole(Path::new(name), why)),
        }
    }
    if let Some(url) = &global.store {
        match Place::parse(url, &here) {
            Ok(place) => {
                out.store = place;
                out.said.store = true;
            }
            Err(why) => problems.push(whole(Path::new("--store"), why)),
        }
    }
    Some(out)
}

/// What is wrong with a key of `[mail]`. The file is read again for its line: a mistake is rare.
fn of_mail(global: &Global, key: &str, what: String) -> Problem {
    let file = global.config.clone().unwrap_or_else(|| PathBuf::from(FILE));
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    at(&file, &text, &format!("mail.{key}"), what)
}

fn read_program_file(file: &Path, problems: &mut Vec<Problem>) -> Option<Program> {
    let base = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    match std::fs::read_to_string(file) {
        Ok(text) => match Program::read(&file.display().to_string(), &text, &base) {
            Ok(program) => return Some(program),
            Err(more) => problems.extend(more),
        },
        Err(why) => problems.push(whole(file, format!("cannot be read: {why}"))),
    }
    None
}

/// The store.
pub(super) fn store(program: &Program) -> Result<Store, Failure> {
    match &program.store {
        Place::Folder(folder) => Ok(Store::new(folder)),
        Place::Bucket(url) => Ok(Store::in_bucket(bucket(program, url)?, &program.spool)),
    }
}

/// In which store nothing was found, and what made it that one.
pub(super) fn looked(global: &Global, store: &Store) -> String {
    let by = match (&global.store, &global.config) {
        (Some(_), _) => "of --store".to_owned(),
        (None, Some(file)) => format!("of {}", file.display()),
        (None, None) if Path::new(FILE).is_file() => format!("of {FILE} here"),
        (None, None) => format!("no {FILE} was read"),
    };
    format!(
        "looked in {} ({by}); --config or --store names another",
        store.named()
    )
}

/// A place as named files, to try whether it can be written.
pub(super) fn shelf(program: &Program, place: &Place) -> Result<Shelf, Failure> {
    match place {
        Place::Folder(folder) => Ok(Shelf::Folder(folder.clone())),
        Place::Bucket(url) => Ok(Shelf::Bucket(bucket(program, url)?)),
    }
}

/// The state.
pub(super) fn state(program: &Program) -> Result<State, Failure> {
    match &program.state {
        Place::Folder(folder) => Ok(State::new(folder)),
        Place::Bucket(url) => Ok(State::in_bucket(bucket(program, url)?)),
    }
}

/// A bucket, with the keys of the job's own chain. One that speaks S3 may be another company's:
/// there the keys that its own tools use are taken first.
fn bucket(program: &Program, url: &BucketUrl) -> Result<Bucket, Failure> {
    let mut url = url.clone();
    if url.protocol == Protocol::Oss && url.region.is_none() {
        url.region = Some(program.home_region.clone());
    }
    let environment = environment();
    let aws = |name: &str| environment.get(name).map(ToOwned::to_owned);
    let keys: Keys = match (aws("AWS_ACCESS_KEY_ID"), aws("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) if url.protocol == Protocol::S3 => {
            let keys = AccessKeys {
                id,
                secret,
                token: aws("AWS_SESSION_TOKEN"),
            };
            Arc::new(move || {
                let keys = keys.clone();
                Box::pin(async move { Ok(keys) })
            })
        }
        _ => chain_keys(program),
    };
    Bucket::open(url, keys).map_err(|why| Failure::chain(Exit::NotStarted, &why))
}

/// The chain's keys, looked for when the first are needed and renewed before they end.
fn chain_keys(program: &Program) -> Keys {
    let program = Arc::new(program.clone());
    let found: Arc<tokio::sync::OnceCell<credentials::Keyring>> = Arc::default();
    Arc::new(move || {
        let (program, found) = (Arc::clone(&program), Arc::clone(&found));
        Box::pin(async move {
            let look = async || match find_keys(&program).await {
                Ok(found) => Ok(found.keys),
                Err(why) => Err(why.message),
            };
            let keys = found.get_or_try_init(look).await?;
            let keys = keys.current().await.map_err(|why| why.to_string())?;
            let key = keys.key();
            Ok(AccessKeys {
                id: key.id.to_owned(),
                secret: key.secret.to_owned(),
                token: key.token.map(ToOwned::to_owned),
            })
        })
    })
}

/// All that a job needs.
pub(super) async fn tools(
    global: &Global,
    program: &Program,
    mails: bool,
) -> Result<Tools, Failure> {
    let jobs = JobClient::default();
    let relay = match &program.mail {
        Some(relay) if mails => Some(mail_settings(global, program, relay, &jobs)?),
        _ => None,
    };
    let client = Arc::new(client(program).await?);
    // Nobody has asked for one before.
    let _ = jobs.set(Arc::clone(&client));
    Ok(Tools {
        client,
        store: store(program)?,
        state: state(program)?,
        relay,
        now: Utc::now,
        waits: Waits::default(),
        metadata: own_metadata(program),
        stop: crate::job::Stop::default(),
        progress: super::show::progress(global),
    })
}

/// The instance's metadata, unless every service is elsewhere or the user forbids it.
fn own_metadata(program: &Program) -> Option<String> {
    let disabled = environment().says_true("ALIBABA_CLOUD_ECS_METADATA_DISABLED");
    (program.endpoint.is_none() && !disabled).then(|| crate::cloud::metadata::ADDRESS.to_owned())
}

/// The keys of the source that won.
pub(super) async fn find_keys(program: &Program) -> Result<Found, Failure> {
    if let Some(keys) = &program.keys {
        let keys = Credentials::new(&keys.id, &keys.secret, keys.token.as_deref())
            .map_err(|why| Failure::chain(Exit::NotStarted, &why))?;
        return Ok(Found {
            keys: keys.into(),
            source: "the invocation's headers".to_owned(),
            passed_over: Vec::new(),
        });
    }
    let context = credentials::Context {
        environment: environment(),
        settings: settings(program),
        metadata: own_metadata(program),
        now: Utc::now,
    };
    let found = credentials::find(program.profile.as_deref(), context)
        .await
        .map_err(|why| Failure::chain(Exit::NotStarted, &why))?;
    for reason in &found.passed_over {
        tracing::warn!(%reason, "a source of credentials is broken and was passed over");
    }
    tracing::info!(
        source = %found.source, key = found.keys.at_hand().access_key_id(), expires = ?found.keys.expires(),
        "credentials"
    );
    Ok(found)
}

/// The client, with the credentials that won.
pub(super) async fn client(program: &Program) -> Result<Client, Failure> {
    let found = find_keys(program).await?;
    Client::new(settings(program), found.keys).map_err(|why| Failure::chain(Exit::NotStarted, &why))
}

pub(super) fn settings(program: &Program) -> Settings {
    use crate::cloud::settings;
    Settings {
        endpoint: program.endpoint.clone(),
        site: match program.site {
            Site::China => settings::Site::China,
            Site::International => settings::Site::International,
        },
        network: match program.network {
            Network::Public => settings::Network::Public,
            Network::Vpc => settings::Network::Vpc,
        },
        home_region: program.home_region.clone(),
        role: program.role.clone().map(|name| AccountRole {
            name,
            external_id: program.external_id.clone(),
        }),
        signature: match program.signature {
            Signature::V3 => sign::Version::V3,
            Signature::V1 => sign::Version::V1,
        },
        max_in_flight: program.max_in_flight,
        ..Settings::default()
    }
}

/// The relay's password in the environment, which goes before what the configuration says.
pub(super) const PASSWORD: &str = "SGWARDEN_SMTP_PASSWORD";

/// The relay, its password and its CA. One in KMS is read by whoever sends, with `client`.
pub(super) fn mail_settings(
    global: &Global,
    program: &Program,
    relay: &Relay,
    client: &JobClient,
) -> Result<MailSettings, Failure> {
    let mistake = |key: &str, what: String| Failure::usage(of_mail(global, key, what).to_string());
    let read = |key: &str, file: &Path| {
        std::fs::read(file).map_err(|why| mistake(key, format!("{}: {why}", file.display())))
    };
    let environment = environment();
    let password = match (environment.get(PASSWORD), &relay.password) {
        (Some(password), _) => Some(Password::Known(Secret::new(password))),
        (None, Some(PasswordIn::File(file))) => {
            let text = String::from_utf8(read("password_file", file)?).map_err(|_| {
                mistake("password_file", format!("{}: is not text", file.display()))
            })?;
            let text = text.trim_end_matches(['\r', '\n']);
            Some(Password::Known(Secret::new(text)))
        }
        (None, Some(PasswordIn::Secret(name))) => {
            Some(Password::Kept(secret::ask(program, name, client)))
        }
        (None, None) => None,
    };
    let ca = match &relay.ca_file {
        Some(file) => Some(read("ca_file", file)?),
        None => None,
    };
    MailSettings::new(&relay.url, &relay.from, password, ca)
        .map_err(|why| mistake(why.key, why.what))
}

/// A stored run held against its own hashes and, where it is of this store, against what the state
/// remembers of its seal: whoever acts on a run believes only what was sealed.
pub(super) fn as_sealed(
    program: &Program,
    store: &Store,
    folder: &Path,
) -> Result<chain::Report, Failure> {
    let name = folder
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let remembered = match name {
        Some(name) if store.holds(folder) => state(program)?.recall_sealed(&name)?,
        _ => chain::Remembered::NotAtHand,
    };
    Ok(chain::verify(folder, &remembered)?)
}
