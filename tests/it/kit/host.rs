//! A bastion host in a temporary folder, and a simulated cloud beside it: the program is run as a
//! user runs it, over real HTTP.

use serde_json::Value;
use sgwarden::cloud::credentials::Credentials;
use sgwarden::cloud::{Client, Settings};
use sgwarden::config::Schedule;
use sgwarden::evidence::Store;
use sgwarden::job::{Job, RunOutcome, Tools};
use sgwarden::remedy::apply::Waits;
use sgwarden::sim::{Cloud, Group, Options, Rule, World};
use sgwarden::state::State;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

pub(crate) const ACCOUNT: &str = "1234567890123456";
pub(crate) const REGION: &str = "cn-hangzhou";

/// What a run of the program left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Its answer, of `--json`.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|why| panic!("{why}: {}\n{}", self.stdout, self.stderr))
    }
}

/// A host and its cloud.
pub(crate) struct Host {
    pub(crate) cloud: Cloud,
    pub(crate) dir: TempDir,
    pub(crate) environment: Vec<(String, String)>,
}

/// Groups of one region, each with rules.
pub(crate) fn world(groups: &[(&str, Vec<Rule>)]) -> World {
    let mut world = World::single(ACCOUNT, &[REGION]);
    for (id, rules) in groups {
        let mut group = Group::new(id, &format!("name of {id}"));
        group.permissions = rules.clone();
        world.add_group(ACCOUNT, REGION, group);
    }
    world
}

/// SSH from everywhere.
pub(crate) fn ssh_open() -> Rule {
    Rule::ingress("TCP", "22/22", "0.0.0.0/0")
}

impl Host {
    pub(crate) async fn new(world: World) -> Self {
        Self::with(world, Options::default()).await
    }

    pub(crate) async fn with(world: World, options: Options) -> Self {
        let cloud = Cloud::start(world, options)
            .await
            .expect("the cloud starts");
        let key = cloud.keys().remove(0);
        let environment = vec![
            ("SGWARDEN_ENDPOINT".to_owned(), cloud.url()),
            ("ALIBABA_CLOUD_ACCESS_KEY_ID".to_owned(), key.access_key_id),
            (
                "ALIBABA_CLOUD_ACCESS_KEY_SECRET".to_owned(),
                key.access_key_secret,
            ),
        ];
        Self {
            cloud,
            dir: TempDir::new().expect("a folder"),
            environment,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sgwarden"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.dir.path());
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        command
    }

    /// Runs the program in the host's folder, with nothing but its environment.
    pub(crate) async fn run(&self, args: &[&str]) -> Ran {
        let mut command = self.command(args);
        let output = tokio::task::spawn_blocking(move || command.output())
            .await
            .expect("no panic")
            .expect("the program starts");
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Waits until the cloud was asked for that action.
    pub(crate) async fn called(&self, action: &str) {
        while !self.cloud.calls().contains_key(action) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, child: &std::process::Child, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &child.id().to_string()])
            .status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{name}");
    }

    /// Tools on this host, with waits that a test can afford.
    pub(crate) fn tools(&self) -> Tools {
        let key = self.cloud.keys().remove(0);
        let credentials =
            Credentials::new(&key.access_key_id, &key.access_key_secret, None).expect("keys");
        let settings = Settings {
            endpoint: Some(self.cloud.url()),
            ..Settings::default()
        };
        Tools {
            client: Arc::new(Client::new(settings, credentials).expect("a client")),
            store: Store::new(self.path("evidence")),
            state: State::new(self.path("state")),
            relay: None,
            now: chrono::Utc::now,
            waits: Waits {
                first: Duration::from_millis(1050),
                longest: Duration::from_millis(1050),
                deadline: Duration::from_millis(3500),
            },
            metadata: None,
            stop: sgwarden::job::Stop::default(),
            progress: Arc::new(|_| {}),
        }
    }

    /// A job in this process: mode revoke, no reports, plus the lines given of `[remediation]`.
    pub(crate) fn job(&self, remediation: &str) -> Job {
        let text = format!(
            "[remediation]\nmode = \"revoke\"\nmax_share = \"100%\"\n{remediation}\n[report]\nformats = [\"csv\"]\n"
        );
        let schedule = Schedule::read("test.toml", "test", &text).expect("a schedule");
        Job {
            command: "run".to_owned(),
            schedule,
            copies: None,
        }
    }

    pub(crate) async fn revoke(&self, remediation: &str) -> RunOutcome {
        sgwarden::job::run(&self.job(remediation), &self.tools())
            .await
            .expect("a sealed run")
    }

    /// Lines of every journal so far: how far a run has come.
    pub(crate) fn journal_lines(&self) -> usize {
        std::fs::read_dir(self.path("state/journal"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|file| {
                std::fs::read_to_string(file.path())
                    .unwrap_or_default()
                    .lines()
                    .count()
            })
            .sum()
    }

    /// The rule ids of a group as the cloud has them.
    pub(crate) fn rules(&self, group: &str) -> Vec<String> {
        self.cloud.with_world(|world| {
            world
                .group(ACCOUNT, REGION, group)
                .map(|group| {
                    group
                        .permissions
                        .iter()
                        .map(|r| r.security_group_rule_id.clone())
                        .collect()
                })
                .unwrap_or_default()
        })
    }
}
