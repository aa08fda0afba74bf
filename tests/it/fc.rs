//! Behind Function Compute and Cloud Config: the program serves the custom runtime as the platform calls
//! it, with keys in headers, evidence and state in a bucket.

use crate::kit::host::{ACCOUNT, Host, REGION, ssh_open, world};
use crate::kit::s3::S3;
use crate::permissions::{grant_all, permissions};
use serde_json::{Value, json};
use sgwarden::model::actions::Task;
use sgwarden::sim::{Group, Rule, World};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

const EVENTS: &str =
    "[remediation]\nmode = \"revoke\"\nmax_changes = 5\n[report]\nformats = [\"csv\"]\n";

/// The runtime, as the platform starts it.
pub(crate) struct Runtime {
    child: Child,
    url: String,
    keys: [(String, String); 2],
    /// What it printed after its first line.
    pub(crate) lines: Arc<Mutex<Vec<String>>>,
    /// What it logged.
    pub(crate) logged: Arc<Mutex<Vec<String>>>,
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Runtime {
    pub(crate) fn start(host: &Host) -> Self {
        let mut command = host.command(&["fc", "--listen", "127.0.0.1:0"]);
        // The keys are in the headers of each request, and nowhere else.
        let mut keys = [String::new(), String::new()];
        for (name, value) in &host.environment {
            match name.as_str() {
                "ALIBABA_CLOUD_ACCESS_KEY_ID" => keys[0].clone_from(value),
                "ALIBABA_CLOUD_ACCESS_KEY_SECRET" => keys[1].clone_from(value),
                _ => continue,
            }
            command.env_remove(name);
        }
        let mut child = command
            .env("FC_FUNCTION_NAME", "sgwarden")
            .env("FC_REGION", REGION)
            .env("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let logged = collected(BufReader::new(child.stderr.take().expect("a pipe")));
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut first = String::new();
        out.read_line(&mut first).expect("its first line");
        let address = first.trim().rsplit(' ').next().expect("an address");
        let lines = collected(out);
        let [id, secret] = keys;
        Self {
            url: format!("http://{address}"),
            child,
            keys: [
                ("x-fc-access-key-id".to_owned(), id),
                ("x-fc-access-key-secret".to_owned(), secret),
            ],
            lines,
            logged,
        }
    }

    pub(crate) async fn send(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> (u16, Value) {
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::new();
        let mut request = client.post(format!("{}{path}", self.url)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        assert_eq!(
            response
                .headers()
                .get("x-fc-status")
                .and_then(|v| v.to_str().ok()),
            Some(status.to_string().as_str()),
            "both signals say the same"
        );
        let text = response.text().await.expect("a body");
        let body = serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text}"));
        (status, body)
    }

    pub(crate) async fn invoke(&self, event: &Value) -> (u16, Value) {
        self.invoke_as("1-67a59f35-150c1267", "900", event).await
    }

    /// The same as that request, of a function with that time-out in seconds.
    pub(crate) async fn invoke_as(&self, id: &str, timeout: &str, event: &Value) -> (u16, Value) {
        let mut headers = vec![
            ("x-fc-request-id", id),
            ("x-fc-control-path", "/invoke"),
            ("x-fc-function-timeout", timeout),
        ];
        for (name, value) in &self.keys {
            headers.push((name, value));
        }
        self.send("/invoke", &headers, event.to_string()).await
    }
}

/// Lines as they come.
fn collected(from: impl std::io::BufRead + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = lines.clone();
    std::thread::spawn(move || {
        for line in from.lines().map_while(Result::ok) {
            kept.lock().expect("unpoisoned").push(line);
        }
    });
    lines
}

fn open_rule(port: &str) -> Rule {
    Rule::ingress("TCP", port, "0.0.0.0/0")
}

/// The tutorial's groups: an exposed one with a rule on 8080 beside, a managed one, a clean one.
fn tutorial() -> World {
    let mut start = world(&[
        ("sg-exposed", vec![ssh_open(), open_rule("8080/8080")]),
        (
            "sg-clean",
            vec![Rule::ingress("TCP", "22/22", "10.0.0.0/8")],
        ),
        ("sg-other", vec![ssh_open()]),
    ]);
    let mut managed = Group::new("sg-managed", "of a service").with(ssh_open());
    managed.service_managed = true;
    start.add_group(ACCOUNT, REGION, managed);
    start
        .accounts
        .get_mut(ACCOUNT)
        .expect("the account")
        .config
        .set_up = true;
    start
}

/// Everything in buckets, with a spool of its own: the one of an instance is `/tmp/sgwarden`, and here
/// other tests have that too.
fn on(s3: &S3) -> String {
    format!("{}spool = \"file:spool\"\n", s3.toml())
}

pub(crate) async fn host(s3: &S3) -> Host {
    let mut host = Host::new(tutorial()).await;
    host.environment.extend(S3::environment());
    host.write("sgwarden.toml", &on(s3));
    host.write("schedules/config.toml", EVENTS);
    host.write("schedules/weekly.toml", EVENTS);
    host
}

pub(crate) fn resource(id: &str, kind: &str) -> Value {
    json!({"accountId": 1_234_567_890_123_456_u64, "regionId": REGION, "resourceId": id,
        "resourceType": kind, "configRuleId": "cr-risky"})
}

pub(crate) const GROUP: &str = "ACS::ECS::SecurityGroup";

#[tokio::test(flavor = "multi_thread")]
async fn the_tutorials_own_event_revokes_the_right_rule_and_no_other() {
    let s3 = S3::start();
    let host = host(&s3).await;
    let runtime = Runtime::start(&host);
    let event = json!([
        resource("sg-exposed", GROUP),
        resource("sg-managed", GROUP),
        resource("sg-clean", GROUP),
        resource("sg-absent", GROUP),
        resource("i-instance", "ACS::ECS::Instance"),
    ]);
    let (status, answer) = runtime.invoke(&event).await;
    assert_eq!(status, 200, "{answer:#}");
    let run = &answer["runs"][0];
    assert_eq!(run["changes"], json!({ "verified": 1 }), "{answer:#}");
    let outcome = |id: &str| {
        let resources = run["resources"].as_array().expect("a list");
        let found = resources.iter().find(|r| r["id"] == id);
        found.expect("named")["outcome"]
            .as_str()
            .expect("a text")
            .to_owned()
    };
    assert!(
        outcome("sg-exposed").contains("verified"),
        "{}",
        outcome("sg-exposed")
    );
    assert!(outcome("sg-managed").contains("manages it"));
    assert!(outcome("sg-clean").contains("not exposed"));
    assert!(outcome("sg-absent").contains("no such group"));
    assert!(outcome("i-instance").contains("not a security group"));

    let ports = host.cloud.with_world(|w| {
        let group = w.group(ACCOUNT, REGION, "sg-exposed").expect("there");
        group
            .permissions
            .iter()
            .map(|r| r.port_range.clone())
            .collect::<Vec<_>>()
    });
    assert_eq!(ports, ["8080/8080"], "what was never risky survives");
    for untouched in ["sg-managed", "sg-clean", "sg-other"] {
        assert_eq!(host.rules(untouched).len(), 1, "{untouched}");
    }
    assert_eq!(
        host.cloud.with_world(|w| w.evaluations.clone()),
        ["cr-risky"]
    );

    let path = s3.path(&format!(
        "evidence/audit/runs/{}/manifest.json",
        run["run"].as_str().expect("a run")
    ));
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(path).expect("evidence")).expect("JSON");
    assert_eq!(manifest["trigger"]["kind"], "remediation");
    assert_eq!(manifest["trigger"]["resources"][0]["config"], "exists");
    assert!(
        manifest["trigger"]["resources"][3]["config"]
            .as_str()
            .is_some_and(|said| said.starts_with("not told")),
        "{manifest:#}"
    );
    let verified = host.run(&["verify", "--all"]).await;
    assert_eq!(verified.code, 0, "{}", verified.stdout);

    // An event of another account is none of ours, whatever id it names.
    let mut foreign = resource("sg-other", GROUP);
    foreign["accountId"] = json!("9999999999999999");
    let (status, answer) = runtime.invoke(&json!([foreign])).await;
    assert_eq!(status, 200, "{answer:#}");
    assert!(
        answer.to_string().contains("of another account"),
        "{answer:#}"
    );
    assert_eq!(host.rules("sg-other").len(), 1);
    runtime.lines.lock().expect("unpoisoned").clear();

    // The platform repeats events: the second finds nothing to do.
    let (status, again) = runtime.invoke(&event).await;
    assert_eq!(status, 200, "{again:#}");
    assert_eq!(again["runs"][0]["changes"], json!({}));
    let lines = runtime.lines.lock().expect("unpoisoned").clone();
    assert_eq!(
        lines,
        [
            "FC Invoke Start RequestId: 1-67a59f35-150c1267",
            "FC Invoke End RequestId: 1-67a59f35-150c1267",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_is_one_run_per_time_and_names_its_schedule_or_carries_it() {
    let s3 = S3::start();
    let host = host(&s3).await;
    let runtime = Runtime::start(&host);
    let at = |time: &str, payload: &str| json!({"triggerTime": time, "triggerName": "monday", "payload": payload});
    let (status, first) = runtime.invoke(&at("2026-11-23T02:00:00Z", "weekly")).await;
    assert_eq!(status, 200, "{first:#}");
    assert_eq!(
        first["changes"]["verified"], 2,
        "the whole estate: {first:#}"
    );
    let (status, again) = runtime.invoke(&at("2026-11-23T02:00:00Z", "weekly")).await;
    assert_eq!(status, 200, "{again:#}");
    assert_eq!(again["repeated"], true);
    assert_eq!(again["answer"]["run"], first["run"]);
    let text = "[scope]\nregions = [\"cn-hangzhou\"]\n[report]\nformats = [\"csv\"]\n";
    let (status, carried) = runtime.invoke(&at("2026-11-30T02:00:00Z", text)).await;
    assert_eq!(status, 200, "{carried:#}");
    assert!(
        carried["run"]
            .as_str()
            .is_some_and(|run| run.contains("-monday-"))
    );
    let (status, answer) = runtime.invoke(&at("2026-12-07T02:00:00Z", "monthly")).await;
    assert_eq!(status, 404);
    assert!(
        answer["error"]
            .as_str()
            .is_some_and(|why| why.contains("monthly.toml")),
        "{answer}"
    );
    let (status, answer) = runtime
        .invoke(&at("2026-12-07T02:00:00Z", "cronn = 1"))
        .await;
    assert_eq!(status, 404);
    assert!(
        answer["error"]
            .as_str()
            .is_some_and(|why| why.contains("did you mean \"cron\"")),
        "{answer}"
    );
}

/// What the runtime answers to one timer's event that names a schedule.
pub(crate) async fn one_timer(host: &Host, schedule: &str) -> Value {
    let runtime = Runtime::start(host);
    let event = json!({"triggerTime": "2026-11-23T02:00:00Z", "triggerName": "monday", "payload": schedule});
    runtime.invoke(&event).await.1
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_config_gets_our_verdicts_back() {
    let s3 = S3::start();
    let host = host(&s3).await;
    host.cloud.with_world(|w| {
        for token in ["t-one", "t-all"] {
            w.verdicts.insert(token.to_owned(), Vec::new());
        }
    });
    let runtime = Runtime::start(&host);
    let item = json!({"accountId": ACCOUNT, "regionId": REGION, "resourceId": "sg-exposed",
        "resourceType": GROUP, "configuration": "{}"});
    let one = json!({"orderingTimestamp": 1_700_000_000_000_i64, "resultToken": "t-one", "ruleParameters": {},
        "invokingEvent": {"messageType": "ConfigurationItemChangeNotification", "configurationItem": item}});
    let (status, answer) = runtime.invoke(&one).await;
    assert_eq!(status, 200, "{answer:#}");
    let all = json!({"orderingTimestamp": 2, "resultToken": "t-all", "ruleParameters": {},
        "invokingEvent": {"messageType": "ScheduledNotification", "configurationItem": null}});
    let (status, answer) = runtime.invoke(&all).await;
    assert_eq!(status, 200, "{answer:#}");
    let verdicts = host.cloud.with_world(|w| w.verdicts.clone());
    let said = |token: &str| -> Vec<(String, String)> {
        verdicts[token]
            .iter()
            .map(|v| {
                let text = |key: &str| v[key].as_str().unwrap_or_default().to_owned();
                (text("complianceResourceId"), text("complianceType"))
            })
            .collect()
    };
    let pair = |id: &str, kind: &str| (id.to_owned(), kind.to_owned());
    assert_eq!(said("t-one"), [pair("sg-exposed", "NON_COMPLIANT")]);
    assert_eq!(
        said("t-all"),
        [
            pair("sg-clean", "COMPLIANT"),
            pair("sg-exposed", "NON_COMPLIANT"),
            pair("sg-managed", "NOT_APPLICABLE"),
            pair("sg-other", "NON_COMPLIANT"),
        ]
    );
    assert_eq!(
        host.rules("sg-exposed").len(),
        2,
        "asked for a verdict, nothing is changed"
    );
    // A token that is not taken is an answer of its own, and the evidence is kept.
    let stale = json!({"orderingTimestamp": 3, "resultToken": "t-old", "ruleParameters": {},
        "invokingEvent": {"messageType": "ConfigurationItemChangeNotification", "configurationItem": item}});
    let (status, answer) = runtime.invoke(&stale).await;
    assert_eq!(status, 404);
    assert!(
        answer["error"]
            .as_str()
            .is_some_and(|why| why.contains("InvalidParameter.ResultToken")),
        "{answer}"
    );
    let raw = host.run(&["verify", "--all"]).await;
    assert_eq!(raw.code, 0, "{}", raw.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_exactly_the_policies_and_with_each_action_of_events_missing() {
    let s3 = S3::start();
    let host = host(&s3).await;
    let runtime = Runtime::start(&host);
    let tasks = [Task::Revoke, Task::ConfigRule, Task::Events];
    let item = json!({"accountId": ACCOUNT, "regionId": REGION, "resourceId": "sg-other",
        "resourceType": GROUP, "configuration": "{}"});
    let verdict = json!({"orderingTimestamp": 1, "resultToken": "t-one", "ruleParameters": {},
        "invokingEvent": {"messageType": "ConfigurationItemChangeNotification", "configurationItem": item}});
    host.cloud
        .with_world(|world| world.verdicts.insert("t-one".to_owned(), Vec::new()));
    let taken = || host.cloud.with_world(|world| world.verdicts["t-one"].len());

    // Lacking its record, the group is judged and repaired all the same.
    let record = "config:GetDiscoveredResource";
    grant_all(&host, &tasks, Some(record));
    let (status, answer) = runtime
        .invoke(&json!([resource("sg-exposed", GROUP)]))
        .await;
    assert_eq!(status, 200, "{answer:#}");
    assert!(
        answer.to_string().contains(&format!("grant {record} ")),
        "{answer:#}"
    );
    assert_eq!(host.rules("sg-exposed").len(), 1);
    // Lacking the way back, nothing is taken, and the answer is an error.
    let back = "config:PutEvaluations";
    grant_all(&host, &tasks, Some(back));
    let (status, answer) = runtime.invoke(&verdict).await;
    assert_eq!((status, taken()), (404, 0), "{answer:#}");
    assert!(
        answer.to_string().contains(&format!("grant {back} ")),
        "{answer:#}"
    );
    assert_eq!(permissions(Task::Events), [record, back]);

    grant_all(&host, &tasks, None);
    let (status, answer) = runtime.invoke(&verdict).await;
    assert_eq!((status, taken()), (200, 1), "{answer:#}");
    let (status, answer) = runtime.invoke(&json!([resource("sg-other", GROUP)])).await;
    assert_eq!(status, 200, "{answer:#}");
    assert_eq!(answer["runs"][0]["resources"][0]["config"], "exists");
    assert_eq!(host.rules("sg-other"), Vec::<String>::new());
    assert_eq!(host.cloud.with_world(|world| world.evaluations.len()), 2);
    assert_eq!(host.run(&["verify", "--all"]).await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_changes_nothing_and_says_so() {
    let s3 = S3::start();
    let host = host(&s3).await;
    let runtime = Runtime::start(&host);
    let (status, answer) = runtime.invoke(&json!({"hello": "world"})).await;
    assert_eq!(status, 404);
    assert!(
        answer["error"]
            .as_str()
            .is_some_and(|why| why.contains("none of"))
    );
    let id = ("x-fc-request-id", "1-2");
    let event = json!([resource("sg-exposed", GROUP)]).to_string();
    for headers in [
        vec![("x-fc-control-path", "/invoke")],
        vec![id, ("x-fc-control-path", "/http-invoke")],
        vec![id],
    ] {
        let (status, answer) = runtime.send("/invoke", &headers, event.clone()).await;
        assert_eq!(status, 404, "{answer}");
    }
    let (status, _) = runtime
        .send(
            "/initialize",
            &[id, ("x-fc-control-path", "/initialize")],
            String::new(),
        )
        .await;
    assert_eq!(status, 200);
    // No keys in the headers and none elsewhere.
    let (status, answer) = runtime
        .send(
            "/invoke",
            &[id, ("x-fc-control-path", "/invoke")],
            event.clone(),
        )
        .await;
    assert_eq!(status, 404);
    assert!(answer["exit"] == 6, "{answer}");
    host.write("schedules/config.toml", "nonsense = 1\n");
    let (status, answer) = runtime
        .send(
            "/initialize",
            &[id, ("x-fc-control-path", "/initialize")],
            String::new(),
        )
        .await;
    assert_eq!(status, 404, "{answer}");
    let (status, _) = runtime
        .send(
            "/pre-stop",
            &[id, ("x-fc-control-path", "/pre-stop")],
            String::new(),
        )
        .await;
    assert_eq!(status, 200);
    assert_eq!(host.rules("sg-exposed").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_goes_with_the_instance_is_refused_for_changes() {
    let s3 = S3::start();
    let host = host(&s3).await;
    host.write(
        "sgwarden.toml",
        &format!(
            "[storage]\nurl = \"{}\"\nspool = \"file:spool\"\n",
            s3.url("evidence/audit")
        ),
    );
    let runtime = Runtime::start(&host);
    let (status, answer) = runtime
        .invoke(&json!([resource("sg-exposed", GROUP)]))
        .await;
    assert_eq!(status, 404);
    assert!(
        answer["error"]
            .as_str()
            .is_some_and(|why| why.contains("storage.state")),
        "{answer}"
    );
    assert_eq!(host.rules("sg-exposed").len(), 2);
    // Reading and reporting need no state that stays.
    host.write("schedules/config.toml", "[remediation]\nmode = \"plan\"\n");
    let (status, answer) = runtime
        .invoke(&json!([resource("sg-exposed", GROUP)]))
        .await;
    assert_eq!(status, 200, "{answer:#}");
    assert!(
        answer["runs"][0]["resources"][0]["outcome"]
            .as_str()
            .is_some_and(|text| text.contains("exposed")),
        "{answer:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn near_its_time_out_no_new_group_is_begun_and_the_run_is_sealed() {
    let s3 = S3::start();
    let mut start = tutorial();
    for n in 0..6 {
        start.add_group(
            ACCOUNT,
            REGION,
            Group::new(&format!("sg-more{n}"), "more").with(ssh_open()),
        );
    }
    let mut host = Host::new(start).await;
    host.environment.extend(S3::environment());
    host.write("sgwarden.toml", &on(&s3));
    host.write(
        "schedules/weekly.toml",
        "[remediation]\nmode = \"revoke\"\nmax_share = \"100%\"\n[report]\nformats = [\"csv\"]\n",
    );
    let runtime = Runtime::start(&host);
    let mut headers = vec![
        ("x-fc-request-id", "1-2"),
        ("x-fc-control-path", "/invoke"),
        ("x-fc-function-timeout", "6"),
    ];
    for (name, value) in &runtime.keys {
        headers.push((name, value));
    }
    let event = json!({"triggerTime":"2026-11-23T02:00:00Z","triggerName":"t","payload":"weekly"});
    let (_, answer) = runtime.send("/invoke", &headers, event.to_string()).await;
    let verified = answer["changes"]["verified"].as_u64().unwrap_or_default();
    assert!((1..8).contains(&verified), "{answer:#}");
    assert!(
        answer["held"].as_u64().is_some_and(|held| held > 0),
        "{answer:#}"
    );
    let still: usize = (0..6)
        .map(|n| host.rules(&format!("sg-more{n}")).len())
        .sum();
    assert!(still > 0);
    assert_eq!(host.run(&["verify", "--all"]).await.code, 0);
}
