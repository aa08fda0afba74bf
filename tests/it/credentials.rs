//! The chain: each source against the simulated cloud, with a map as environment; and keys that end in the
//! middle of things.

mod key_pair;

use crate::kit::host::{ACCOUNT, Host, REGION, ssh_open, world};
use sgwarden::cloud::collect::{Collected, Request, collect};
use sgwarden::cloud::credentials::{
    Context, CredentialSource, Credentials, Environment, Found, Issued, Keyring, Loading,
    NoCredentials, SourceError, find,
};
use sgwarden::cloud::{Client, Settings};
use sgwarden::model::{AccountId, RegionStatus};
use sgwarden::sim::{Cloud, Instance, Metadata, OidcToken, Options, Role, World};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};

fn environment(pairs: &[(&str, &str)], home: Option<&Path>) -> Context {
    let variables: BTreeMap<String, String> = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Context {
        environment: Environment::new(variables, home.map(Path::to_owned)),
        settings: Settings::default(),
        metadata: None,
        now: chrono::Utc::now,
    }
}

fn id(found: &Found) -> String {
    found.keys.at_hand().access_key_id().to_owned()
}

const KEYS: [(&str, &str); 2] = [
    ("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAIenv"),
    ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "hush-env"),
];

fn home(config: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(home.path().join(".aliyun")).expect("a folder");
    std::fs::write(home.path().join(".aliyun/config.json"), config).expect("a file");
    home
}

const CONFIG: &str = r#"{"current":"one","profiles":[
    {"name":"one","mode":"AK","access_key_id":"LTAIone","access_key_secret":"hush-one"},
    {"name":"two","mode":"ststoken","access_key_id":"STS.two","access_key_secret":"hush-two","sts_token":"hush-token"},
    {"name":"round","mode":"ChainableRamRoleArn","source_profile":"turn","ram_role_arn":"acs:ram::1:role/r"},
    {"name":"turn","mode":"ChainableRamRoleArn","source_profile":"round","ram_role_arn":"acs:ram::1:role/r"},
    {"name":"short","mode":"RamRoleArn","access_key_id":"LTAIs","access_key_secret":"hush","ram_role_arn":"acs:ram::1:role/r","expired_seconds":600},
    {"name":"sso","mode":"CloudSSO"},
    {"name":"oauth","mode":"OAuth"},
    {"name":"odd","mode":"Telepathy"},
    {"name":"half","mode":"AK","access_key_id":"LTAIhalf","access_key_secret":""}
],"meta_path":""}"#;

#[tokio::test]
async fn the_environment_comes_first() {
    let home = home(CONFIG);
    let found = find(None, environment(&KEYS, Some(home.path())))
        .await
        .expect("keys");
    assert_eq!(id(&found), "LTAIenv");
    assert_eq!(found.source, "environment variables");
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let mut pairs = KEYS.to_vec();
    pairs.push(("ALIBABA_CLOUD_SECURITY_TOKEN", "hush-token"));
    let environment = environment(&pairs, None);
    let shown = format!("{environment:?}");
    let found = find(None, environment).await.expect("keys");
    let shown = format!("{found:?} {shown}");
    assert!(!shown.contains("hush"), "{shown}");
}

#[tokio::test]
async fn profiles() {
    let home = home(CONFIG);
    let key = async |profile, pairs: &[(&str, &str)]| {
        let found = find(profile, environment(pairs, Some(home.path()))).await;
        found.map(|found| id(&found)).map_err(|why| why.to_string())
    };
    assert_eq!(key(None, &[]).await.as_deref(), Ok("LTAIone"));
    assert_eq!(
        key(None, &[("ALIBABA_CLOUD_PROFILE", "two")])
            .await
            .as_deref(),
        Ok("STS.two")
    );
    // A configured profile is the whole chain.
    assert_eq!(key(Some("two"), &KEYS).await.as_deref(), Ok("STS.two"));
    for (profile, part) in [
        ("none", "no profile `none`, it has: one, two"),
        ("odd", "unknown mode `Telepathy`"),
        ("half", "no access_key_secret"),
        ("round", "they name each other in a circle"),
        ("short", "none below 900"),
        ("sso", "mode CloudSSO, which this program does not use"),
        ("oauth", "it needs a person to sign in"),
    ] {
        let why = key(Some(profile), &KEYS).await.expect_err(profile);
        assert!(why.contains(part), "{profile}: {why}");
    }
    let off = key(None, &[("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "true")])
        .await
        .expect_err("off");
    assert!(
        off.contains("ALIBABA_CLOUD_CLI_PROFILE_DISABLED is true"),
        "{off}"
    );
    // An interactive profile that is meant ends the chain: what comes next would be another identity.
    let uri = [
        ("ALIBABA_CLOUD_PROFILE", "sso"),
        ("ALIBABA_CLOUD_CREDENTIALS_URI", "http://127.0.0.1:9/"),
    ];
    let why = key(None, &uri).await.expect_err("sso");
    assert!(!why.contains("credentials URI"), "{why}");
}

#[tokio::test]
async fn nothing_there_gives_every_reason() {
    let error = find(None, environment(&[], None))
        .await
        .expect_err("nothing");
    assert_eq!(error.reasons.len(), 6);
    let shown = error.to_string();
    for part in [
        "ALIBABA_CLOUD_ACCESS_KEY_ID",
        "OIDC",
        "aliyun CLI",
        "INI",
        "metadata",
        "URI",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
}

#[tokio::test]
async fn half_an_environment_is_passed_over_and_told() {
    let home = home(CONFIG);
    let found = find(None, environment(&KEYS[..1], Some(home.path())))
        .await
        .expect("keys");
    assert_eq!(id(&found), "LTAIone");
    assert!(found.passed_over[0].contains("ALIBABA_CLOUD_ACCESS_KEY_SECRET is not"));
    let error = find(None, environment(&KEYS[..1], None))
        .await
        .expect_err("nothing");
    assert!(
        error
            .to_string()
            .contains("ALIBABA_CLOUD_ACCESS_KEY_SECRET is not")
    );
}

#[tokio::test]
async fn a_broken_file_tells_no_value() {
    let home = home(r#"{"current":"one","profiles":[{"name":"one","access_key_secret":"hush" "#);
    let error = find(None, environment(&[], Some(home.path())))
        .await
        .expect_err("broken")
        .to_string();
    assert!(
        error.contains("is not the CLI's JSON") && !error.contains("hush"),
        "{error}"
    );
}

/// A role that the account, and an OIDC provider, may assume.
fn role(name: &str, number: u32) -> Role {
    Role {
        name: name.to_owned(),
        id: format!("3000000000000{number:05}"),
        trust: vec![ACCOUNT.to_owned(), PROVIDER.to_owned()],
        external_id: None,
        max_session: 3600,
        allow: vec!["*".to_owned()],
        deny: Vec::new(),
    }
}

const PROVIDER: &str = "acs:ram::1234567890123456:oidc-provider/k8s";

/// `groups` groups, roles `Auditor`, `Second` and `Strict` (which wants an external id), an OIDC token.
fn with_roles(groups: usize) -> World {
    let ids: Vec<String> = (0..groups).map(|at| format!("sg-{at}")).collect();
    let of: Vec<_> = ids
        .iter()
        .map(|id| (id.as_str(), vec![ssh_open()]))
        .collect();
    let mut start = world(&of);
    let account = start.accounts.get_mut(ACCOUNT).expect("the account");
    let mut strict = role("Strict", 3);
    strict.external_id = Some("the id".to_owned());
    account.roles = vec![role("Auditor", 1), role("Second", 2), strict];
    start.oidc_tokens.push(OidcToken {
        provider: PROVIDER.to_owned(),
        token: "eyJ.simulated+token/=".to_owned(),
        subject: "system:serviceaccount:audit:sgwarden".to_owned(),
    });
    start
}

/// A cloud, its instance's metadata, and a home for files.
struct Place {
    cloud: Cloud,
    metadata: Metadata,
    home: tempfile::TempDir,
}

impl Place {
    async fn new(groups: usize, options: Options) -> Self {
        let life = options.session_life;
        let cloud = Cloud::start(with_roles(groups), options)
            .await
            .expect("a cloud");
        let mut instance = Instance::of(ACCOUNT, "Auditor");
        instance.life = life.unwrap_or(instance.life);
        let metadata = Metadata::start(&cloud, instance).await.expect("metadata");
        let place = Self {
            cloud,
            metadata,
            home: tempfile::tempdir().expect("a folder"),
        };
        place.write("token", "eyJ.simulated+token/=\n");
        place.write(".aliyun/config.json", &place.filled(CLI));
        place.write("credentials", &place.filled(INI));
        place
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.home.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    /// A text with this place's keys and addresses in it.
    fn filled(&self, text: &str) -> String {
        let key = self.cloud.keys().remove(0);
        text.replace("<ID>", &key.access_key_id)
            .replace("<SECRET>", &key.access_key_secret)
            .replace(
                "<TOKENFILE>",
                &self.home.path().join("token").display().to_string(),
            )
            .replace("<HOME>", &self.home.path().display().to_string())
            .replace("<METADATA>", &self.metadata.url())
    }

    fn settings(&self) -> Settings {
        Settings {
            endpoint: Some(self.cloud.url()),
            max_in_flight: 2,
            ..Settings::default()
        }
    }

    fn context(&self, pairs: &[(&str, &str)]) -> Context {
        let filled: Vec<(&str, String)> = pairs
            .iter()
            .map(|(name, value)| (*name, self.filled(value)))
            .collect();
        let pairs: Vec<(&str, &str)> = filled.iter().map(|(n, v)| (*n, v.as_str())).collect();
        Context {
            settings: self.settings(),
            metadata: Some(self.metadata.url()),
            ..environment(&pairs, Some(self.home.path()))
        }
    }

    async fn find(
        &self,
        profile: Option<&str>,
        pairs: &[(&str, &str)],
    ) -> Result<Found, NoCredentials> {
        find(profile, self.context(pairs)).await
    }

    /// Whom the cloud takes these keys for.
    async fn who(&self, found: Found) -> String {
        let client = Client::new(self.settings(), found.keys).expect("a client");
        client.caller_identity().await.expect("an answer").value.arn
    }

    fn calls(&self, action: &str) -> u64 {
        self.cloud.calls().get(action).copied().unwrap_or(0)
    }
}

const CLI: &str = r#"{"current":"ak","profiles":[
    {"name":"ak","mode":"AK","access_key_id":"<ID>","access_key_secret":"<SECRET>"},
    {"name":"arn","mode":"RamRoleArn","access_key_id":"<ID>","access_key_secret":"<SECRET>","sts_token":"",
     "ram_role_arn":"acs:ram::1234567890123456:role/Auditor","ram_session_name":"night","expired_seconds":900},
    {"name":"strict","mode":"RamRoleArn","access_key_id":"<ID>","access_key_secret":"<SECRET>",
     "ram_role_arn":"acs:ram::1234567890123456:role/Strict","external_id":"the id","expired_seconds":0},
    {"name":"ecs","mode":"EcsRamRole","ram_role_name":""},
    {"name":"ecs-named","mode":"ecsramrole","ram_role_name":"Auditor"},
    {"name":"ecs-other","mode":"EcsRamRole","ram_role_name":"Nobody"},
    {"name":"through-ecs","mode":"RamRoleArnWithRoleName","ram_role_name":"Auditor",
     "ram_role_arn":"acs:ram::1234567890123456:role/Second"},
    {"name":"chained","mode":"ChainableRamRoleArn","source_profile":"arn",
     "ram_role_arn":"acs:ram::1234567890123456:role/Second","ram_session_name":"chain"},
    {"name":"oidc","mode":"OIDC","oidc_provider_arn":"acs:ram::1234567890123456:oidc-provider/k8s",
     "oidc_token_file":"<TOKENFILE>","ram_role_arn":"acs:ram::1234567890123456:role/Auditor","role_session_name":"pod"},
    {"name":"external","mode":"External","process_command":"cat <HOME>/printed"},
    {"name":"uri","mode":"CredentialsURI","credentials_uri":"<METADATA>/credentials-uri"}
]}"#;

const INI: &str = "\
# a comment
[default]
type = access_key
access_key_id = <ID>
access_key_secret = <SECRET> # behind a value

[role]
type = ram_role_arn
access_key_id = <ID>
access_key_secret = <SECRET>
role_arn = acs:ram::1234567890123456:role/Auditor
role_session_name = ini

[pod]
type = oidc_role_arn
oidc_provider_arn = acs:ram::1234567890123456:oidc-provider/k8s
oidc_token_file_path = <TOKENFILE>
role_arn = acs:ram::1234567890123456:role/Auditor

[machine]
type = ecs_ram_role

[odd]
type = telepathy
";

const OIDC: [(&str, &str); 3] = [
    (
        "ALIBABA_CLOUD_ROLE_ARN",
        "acs:ram::1234567890123456:role/Auditor",
    ),
    ("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", PROVIDER),
    ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", "<TOKENFILE>"),
];

fn session(role: &str, name: &str) -> String {
    format!("acs:sts::{ACCOUNT}:assumed-role/{role}/{name}")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mode_of_the_clis_file_is_taken_for_whom_it_says() {
    let place = Place::new(0, Options::default()).await;
    let instance = "i-bp1sim00000000000000";
    place.write(
        "printed",
        &place.filled(r#"{"mode":"AK","access_key_id":"<ID>","access_key_secret":"<SECRET>"}"#),
    );
    let user = format!("acs:ram::{ACCOUNT}:user/auditor");
    for (profile, who) in [
        ("ak", user.clone()),
        ("arn", session("auditor", "night")),
        ("strict", session("strict", "sgwarden")),
        ("ecs", session("auditor", instance)),
        ("ecs-named", session("auditor", instance)),
        ("through-ecs", session("second", "sgwarden")),
        ("chained", session("second", "chain")),
        ("oidc", session("auditor", "pod")),
        ("external", user),
        ("uri", session("auditor", instance)),
    ] {
        let found = place.find(Some(profile), &[]).await.expect(profile);
        assert_eq!(
            found.source,
            format!("profile `{profile}` of the aliyun CLI")
        );
        assert_eq!(place.who(found).await, who, "{profile}");
    }
    let why = place.find(Some("ecs-other"), &[]).await.expect_err("none");
    assert!(why.to_string().contains("answers HTTP 404"), "{why}");
    for (printed, part) in [
        ("not JSON", "prints something else than keys"),
        (
            r#"{"mode":"StsToken","access_key_id":"hush","access_key_secret":"hush"}"#,
            "no sts_token",
        ),
        (
            r#"{"mode":"AK","access_key_id":"hush","access_key_secret":"hush","expiration":"2020-01-01T00:00:00Z"}"#,
            "ended at 2020-01-01",
        ),
    ] {
        place.write("printed", printed);
        let why = place
            .find(Some("external"), &[])
            .await
            .expect_err(part)
            .to_string();
        assert!(why.contains(part) && !why.contains("hush"), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn oidc_the_ini_file_metadata_and_a_uri() {
    let place = Place::new(0, Options::default()).await;
    let instance = "i-bp1sim00000000000000";
    std::fs::remove_dir_all(place.home.path().join(".aliyun")).expect("no file of the CLI");
    let file = ("ALIBABA_CLOUD_CREDENTIALS_FILE", "<HOME>/credentials");
    let off = ("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true");
    let section = |name| ("ALIBABA_CLOUD_PROFILE", name);
    let uri = (
        "ALIBABA_CLOUD_CREDENTIALS_URI",
        "<METADATA>/credentials-uri",
    );
    for (pairs, source, who) in [
        (OIDC.to_vec(), "OIDC role", session("auditor", "sgwarden")),
        (
            vec![file],
            "INI file",
            format!("acs:ram::{ACCOUNT}:user/auditor"),
        ),
        (
            vec![file, section("role")],
            "INI file",
            session("auditor", "ini"),
        ),
        (
            vec![file, section("pod")],
            "INI file",
            session("auditor", "sgwarden"),
        ),
        (
            vec![file, section("machine")],
            "INI file",
            session("auditor", instance),
        ),
        (vec![], "ECS metadata", session("auditor", instance)),
        (
            vec![off, uri],
            "credentials URI",
            session("auditor", instance),
        ),
    ] {
        let found = place.find(None, &pairs).await.expect(source);
        assert_eq!(found.source, source, "{pairs:?}");
        assert_eq!(place.who(found).await, who, "{pairs:?}");
    }
    // A source that is meant and broken is passed over, as the ecosystem does it, and told.
    place.write("token", "eyJ.another");
    let found = place.find(None, &OIDC).await.expect("metadata");
    assert_eq!(found.source, "ECS metadata");
    let told = found.passed_over.join("\n");
    assert!(
        told.contains("AuthenticationFail.OIDCToken.Invalid"),
        "{told}"
    );
    assert!(!told.contains("eyJ"), "{told}");
    let none = place
        .find(None, &[file, section("x")])
        .await
        .expect("metadata");
    assert!(none.passed_over[0].contains("no section `x`, it has: default, machine"));
    let odd = place
        .find(None, &[file, section("odd")])
        .await
        .expect("metadata");
    assert!(odd.passed_over[0].contains("has the unknown type `telepathy`"));
    place.metadata.change(|instance| instance.role = None);
    let none = place.find(None, &[]).await.expect_err("no role");
    assert!(
        none.to_string().contains("the instance has no role"),
        "{none}"
    );
}

/// Stands before a metadata service and refuses its tokens, as an instance without hardened mode does.
async fn without_tokens(behind: String) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap_or(0);
            let text = String::from_utf8_lossy(&head[..read]).into_owned();
            let path = text.split(' ').nth(1).unwrap_or_default();
            let (status, body) = if text.starts_with("PUT") {
                (404, String::new())
            } else {
                let url = format!("{behind}{path}");
                let answer = crate::sim::http().get(url).send().await.expect("an answer");
                (answer.status().as_u16(), answer.text().await.expect("text"))
            };
            let answer = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread")]
async fn metadatas_older_mode_only_where_it_is_allowed() {
    let place = Place::new(0, Options::default()).await;
    std::fs::remove_dir_all(place.home.path().join(".aliyun")).expect("no file of the CLI");
    let front = without_tokens(place.metadata.url()).await;
    let at = |pairs: &[(&str, &str)]| Context {
        metadata: Some(front.clone()),
        ..place.context(pairs)
    };
    let why = find(None, at(&[])).await.expect_err("hardened").to_string();
    assert!(why.contains("answers HTTP 403"), "{why}");
    place.metadata.change(|instance| instance.old_mode = true);
    let found = find(None, at(&[])).await.expect("the older mode");
    assert_eq!(found.source, "ECS metadata");
    let forbidden = [("ALIBABA_CLOUD_IMDSV1_DISABLED", "true")];
    let why = find(None, at(&forbidden))
        .await
        .expect_err("forbidden")
        .to_string();
    assert!(
        why.contains("ALIBABA_CLOUD_IMDSV1_DISABLED forbids"),
        "{why}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_end_in_the_middle_of_a_scan_are_renewed_by_each_source() {
    const GROUPS: usize = 70;
    let uri = (
        "ALIBABA_CLOUD_CREDENTIALS_URI",
        "<METADATA>/credentials-uri",
    );
    let off = ("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true");
    let no_cli = ("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "true");
    let cases = [
        (Some("arn"), vec![]),
        (Some("chained"), vec![]),
        (None, OIDC.to_vec()),
        (None, vec![no_cli]),
        (None, vec![no_cli, off, uri]),
    ];
    let mut scans = tokio::task::JoinSet::new();
    for (profile, pairs) in cases {
        scans.spawn(async move {
            let options = Options {
                session_life: Some(chrono::Duration::seconds(3)),
                latency: std::time::Duration::from_millis(120),
                ..Options::default()
            };
            let place = Place::new(GROUPS, options).await;
            let found = place.find(profile, &pairs).await.expect("keys");
            let source = found.source.clone();
            let first = id(&found);
            let client = Arc::new(Client::new(place.settings(), found.keys).expect("a client"));
            let request = Request::everything(AccountId::from(ACCOUNT));
            let mut stream = collect(Arc::clone(&client), request);
            let mut groups = 0;
            while let Some(event) = stream.recv().await {
                match event {
                    Collected::Group(group) => {
                        assert_eq!(group.rules.incomplete, None, "{source}");
                        groups += 1;
                    }
                    Collected::Region(region) => {
                        assert_eq!(region.status, RegionStatus::Ok, "{source}: {region:?}");
                    }
                    _ => {}
                }
            }
            assert_eq!(groups, GROUPS, "{source}");
            assert_ne!(client.keys().at_hand().access_key_id(), first, "{source}");
            let sessions = place.cloud.with_world(|world| world.sessions.len());
            // Renewed each second or so by one of the calls, not by every one.
            assert!((2..=24).contains(&sessions), "{source}: {sessions}");
        });
    }
    while let Some(done) = scans.join_next().await {
        done.expect("each source");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_the_service_ends_early_are_renewed_once_for_a_call() {
    let place = Place::new(1, Options::default()).await;
    let found = place.find(Some("arn"), &[]).await.expect("keys");
    let client = Client::new(place.settings(), found.keys).expect("a client");
    client.caller_identity().await.expect("an answer");
    place.cloud.with_world(World::expire_sessions);
    client.caller_identity().await.expect("with new keys");
    assert_eq!(place.calls("AssumeRole"), 2);
    // A change too: the gateway refused before anything was done.
    let rule = place.cloud.with_world(|world| {
        let group = world.group(ACCOUNT, REGION, "sg-0").expect("the group");
        group.permissions[0].security_group_rule_id.clone()
    });
    place.cloud.with_world(World::expire_sessions);
    let change = sgwarden::cloud::call::Request {
        service: sgwarden::cloud::Service::Ecs,
        action: "RevokeSecurityGroup".to_owned(),
        account: AccountId::from(ACCOUNT),
        region: REGION.to_owned(),
        host: None,
        params: BTreeMap::from([
            ("RegionId".to_owned(), REGION.to_owned()),
            ("SecurityGroupId".to_owned(), "sg-0".to_owned()),
            ("SecurityGroupRuleId.1".to_owned(), rule),
        ]),
        effect: sgwarden::cloud::Effect::Change,
    };
    client.call(&change, |_| Ok(())).await.expect("revoked");
    assert_eq!(place.calls("AssumeRole"), 3);
    // Where there are no others, the service's own words stand.
    place.cloud.with_world(|world| {
        world.expire_sessions();
        let account = world.accounts.get_mut(ACCOUNT).expect("the account");
        account.roles.clear();
    });
    let failure = client.caller_identity().await.expect_err("no keys");
    assert!(!failure.message.is_empty());
    assert_eq!(failure.kind, sgwarden::cloud::Kind::Credentials);
}

/// Seconds since 1970 by a clock that the test sets.
static CLOCK: AtomicI64 = AtomicI64::new(1_800_000_000);

fn by_the_tests_clock() -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp(CLOCK.load(Ordering::SeqCst), 0).expect("a time")
}

/// A source that counts, and fails when told to.
#[derive(Default)]
struct Counting {
    loads: AtomicU32,
    broken: AtomicBool,
}

impl CredentialSource for Counting {
    fn name(&self) -> String {
        "counting".to_owned()
    }

    fn absent(&self, _: &Context) -> String {
        "never".to_owned()
    }

    fn load<'a>(&'a self, context: &'a Context) -> Loading<'a> {
        Box::pin(async move {
            let number = self.loads.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            if self.broken.load(Ordering::SeqCst) {
                return Err(SourceError::Broken("out of order".to_owned()));
            }
            Ok(Some(Issued {
                credentials: Credentials::new(&format!("STS.{number}"), "s", Some("t"))?,
                expires: Some((context.now)() + chrono::TimeDelta::hours(1)),
            }))
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn renewal_by_the_clock_one_at_a_time_and_put_off_when_it_fails() {
    let source = Arc::new(Counting::default());
    let context = Arc::new(Context {
        now: by_the_tests_clock,
        ..environment(&[], None)
    });
    let first = source.load(&context).await.expect("keys").expect("keys");
    let keys = Arc::new(Keyring::renewed_by(
        first,
        Arc::clone(&source) as Arc<dyn CredentialSource>,
        context,
    ));
    let pass = |seconds| CLOCK.fetch_add(seconds, Ordering::SeqCst);
    let loads = || source.loads.load(Ordering::SeqCst);
    let current = async || {
        keys.current()
            .await
            .map(|keys| keys.access_key_id().to_owned())
    };
    pass(44 * 60);
    assert_eq!(current().await.as_deref(), Ok("STS.0"));
    assert_eq!(
        loads(),
        1,
        "a quarter of an hour before the end, not earlier"
    );
    pass(2 * 60);
    let mut many = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let keys = Arc::clone(&keys);
        many.spawn(async move { keys.current().await.expect("keys") });
    }
    while let Some(done) = many.join_next().await {
        done.expect("no panic");
    }
    assert_eq!(loads(), 2, "one call renews");
    assert_eq!(current().await.as_deref(), Ok("STS.1"));

    source.broken.store(true, Ordering::SeqCst);
    pass(46 * 60);
    for _ in 0..5 {
        assert_eq!(current().await.as_deref(), Ok("STS.1"), "still valid");
    }
    assert_eq!(loads(), 3, "the next try is put off");
    pass(61);
    assert_eq!(current().await.as_deref(), Ok("STS.1"));
    assert_eq!(loads(), 4);
    pass(20 * 60);
    for _ in 0..5 {
        let why = current().await.expect_err("ended").to_string();
        assert!(
            why.contains("ended at") && why.contains("out of order"),
            "{why}"
        );
    }
    assert_eq!(loads(), 5, "nor does every call try when they have ended");
    source.broken.store(false, Ordering::SeqCst);
    pass(2);
    assert_eq!(current().await.as_deref(), Ok("STS.5"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_runs_on_a_role_and_tells_the_source() {
    let mut host = Host::new(with_roles(2)).await;
    let key = host.cloud.keys().remove(0);
    host.environment
        .retain(|(name, _)| name == "SGWARDEN_ENDPOINT");
    let config = CLI
        .replace("<ID>", &key.access_key_id)
        .replace("<SECRET>", &key.access_key_secret);
    host.write(".aliyun/config.json", &config);
    host.write("sgwarden.toml", "[credentials]\nprofile = \"arn\"\n");
    let ran = host.run(&["scan", "--json", "-v"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("profile `arn` of the aliyun CLI"),
        "{}",
        ran.stderr
    );
    let folder = host.path(ran.json()["path"].as_str().expect("a path"));
    let manifest = std::fs::read_to_string(folder.join("manifest.json")).expect("the manifest");
    assert!(
        manifest.contains("assumed-role/auditor/night"),
        "{manifest}"
    );
    assert!(
        manifest.contains("profile `arn` of the aliyun CLI"),
        "{manifest}"
    );
    let mut evidence = Vec::new();
    for entry in std::fs::read_dir(folder.join("raw/before"))
        .expect("raw answers")
        .flatten()
    {
        let bytes = std::fs::read(entry.path()).expect("a file");
        evidence.extend(zstd::decode_all(bytes.as_slice()).expect("zstd"));
    }
    let evidence = String::from_utf8(evidence).expect("text");
    assert!(!evidence.contains("SecurityToken") && !evidence.contains("CAISsim"));
}
