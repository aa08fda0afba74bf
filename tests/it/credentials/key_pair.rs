//! Sessions for an RSA key pair, of both files.
//!
//! The keys in `tests/fixtures/rsa-key-pair/` were made for these tests with openssl; they open nothing.

use super::{Place, id, with_roles};
use crate::kit::host::{ACCOUNT, Host};
use sgwarden::cloud::Client;
use sgwarden::cloud::collect::{Collected, Request, collect};
use sgwarden::cloud::credentials::Found;
use sgwarden::model::{AccountId, RegionStatus};
use sgwarden::sim::{Fault, KeyPair, Options, World};
use std::sync::Arc;

macro_rules! key {
    ($name:literal) => {
        include_str!(concat!("../../fixtures/rsa-key-pair/", $name, ".pem"))
    };
}

const PUBLIC: &str = key!("throw-away.public");
const PKCS8: &str = key!("throw-away.pkcs8");
const PKCS1: &str = key!("throw-away.pkcs1");
const OTHER: &str = key!("throw-away-other.pkcs8");
const SHORT: &str = key!("throw-away-short.pkcs8");
const PAIR: &str = "TMP.simulated-pair";

const INI: (&str, &str) = ("ALIBABA_CLOUD_CREDENTIALS_FILE", "<HOME>/credentials");
const NO_CLI: (&str, &str) = ("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "true");

/// A place whose world knows the pair, with its private key in `key.pem`.
async fn place(groups: usize, options: Options) -> Place {
    let place = Place::new(groups, options).await;
    place.cloud.with_world(register);
    place.write("key.pem", PKCS8);
    place
}

fn register(world: &mut World) {
    world.key_pairs.push(KeyPair {
        id: PAIR.to_owned(),
        account: ACCOUNT.to_owned(),
        user: "auditor".to_owned(),
        public_key: PUBLIC.to_owned(),
    });
}

impl Place {
    fn cli(&self, private_key: &str, seconds: u32) {
        let config = serde_json::json!({"current": "rsa", "profiles": [{
            "name": "rsa", "mode": "RsaKeyPair", "key_pair_name": PAIR, "expired_seconds": seconds,
            "private_key": self.filled(private_key),
        }]});
        self.write(".aliyun/config.json", &config.to_string());
    }

    fn ini(&self, more: &str) {
        let text = format!("[default]\ntype = rsa_key_pair\npublic_key_id = {PAIR}\n{more}\n");
        self.write("credentials", &self.filled(&text));
    }

    async fn by_ini(&self) -> Result<Found, String> {
        let found = self.find(None, &[NO_CLI, INI, OFF]).await;
        found.map_err(|why| why.to_string())
    }

    async fn by_cli(&self) -> Result<Found, String> {
        let found = self.find(Some("rsa"), &[]).await;
        found.map_err(|why| why.to_string())
    }
}

const OFF: (&str, &str) = ("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true");

fn user() -> String {
    format!("acs:ram::{ACCOUNT}:user/auditor")
}

#[tokio::test(flavor = "multi_thread")]
async fn both_files_give_a_session_without_a_token() {
    let place = place(0, Options::default()).await;
    let bare: String = PKCS8
        .lines()
        .skip(1)
        .filter(|line| !line.starts_with("-----"))
        .collect();
    // A file's name, as the CLI takes it; the key itself, as `aliyun configure` writes it; PKCS#1; bare base64.
    for private_key in ["<HOME>/key.pem", PKCS8, PKCS1, &bare] {
        for seconds in [0, 900, 3600] {
            place.cli(private_key, seconds);
            let found = place.by_cli().await.expect("keys");
            assert_eq!(found.source, "profile `rsa` of the aliyun CLI");
            assert!(id(&found).starts_with("TMPSK."), "{}", id(&found));
            let life = found.keys.expires().expect("an end") - chrono::Utc::now();
            let asked = i64::from(if seconds == 0 { 3600 } else { seconds });
            assert!((asked - 60..=asked).contains(&life.num_seconds()), "{life}");
            assert_eq!(place.who(found).await, user());
        }
    }
    for more in [
        "private_key_file = <HOME>/key.pem",
        "private_key_file = <HOME>/key.pem\nsession_expiration = 900",
    ] {
        place.ini(more);
        let found = place.by_ini().await.expect("keys");
        assert_eq!(found.source, "INI file");
        assert_eq!(place.who(found).await, user());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_and_the_key_is_not() {
    let place = place(0, Options::default()).await;
    let elliptic = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    let cut: String = PKCS8.lines().take(12).collect::<Vec<_>>().join("\n");
    let (encrypted, one_word) = (
        PKCS8.replace("PRIVATE", "ENCRYPTED PRIVATE"),
        "A".repeat(1600),
    );
    for (key, part) in [
        (OTHER, "SignatureDoesNotMatch (HTTP 400, request id "),
        (
            SHORT,
            "cannot sign (TooSmall): it must be RSA, whole, and of 2048 to 4096 bits",
        ),
        (&elliptic, "cannot sign (WrongAlgorithm)"),
        (&cut, "holds no RSA private key as PEM"),
        (&encrypted, "one that is encrypted cannot be read"),
        ("\n", "holds no RSA private key as PEM"),
        (&one_word, "holds no RSA private key as PEM"),
    ] {
        place.write("key.pem", key);
        place.ini("private_key_file = <HOME>/key.pem");
        let of_file = place.by_ini().await.expect_err(part);
        assert!(of_file.contains(part), "{part}: {of_file}");
        place.cli(key, 900);
        let of_text = place.by_cli().await.expect_err(part);
        assert!(of_text.contains(part), "{part}: {of_text}");
        for why in [of_file, of_text] {
            let secret = key.lines().nth(2).unwrap_or("AAAAAAAA");
            assert!(!why.contains(secret), "{why}");
        }
    }
    place.write("key.pem", PKCS8);
    for (more, part) in [
        ("", "has no private_key_file"),
        (
            "private_key_file = <HOME>/gone.pem",
            "/gone.pem: No such file",
        ),
        (
            "private_key_file = <HOME>/key.pem\nsession_expiration = 899",
            "a session of 899 seconds is asked for, and for a key pair the service gives 900 to 3600",
        ),
        (
            "private_key_file = <HOME>/key.pem\nsession_expiration = soon",
            "session_expiration of section `default` of ",
        ),
    ] {
        place.ini(more);
        let why = place.by_ini().await.expect_err(part);
        assert!(why.contains(part), "{part}: {why}");
    }
    place.cli("<HOME>/key.pem", 3601);
    let why = place.by_cli().await.expect_err("too long");
    assert!(why.contains("3601 seconds"), "{why}");
    place.cloud.with_world(|world| world.key_pairs.clear());
    place.cli("<HOME>/key.pem", 900);
    let why = place.by_cli().await.expect_err("unknown");
    assert!(
        why.contains(
            "GenerateSessionAccessKey of the key pair TMP.simulated-pair at http://127.0.0.1"
        ) && why.contains("InvalidAccessKeyId.NotFound (HTTP 404"),
        "{why}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_unwell_is_asked_again() {
    let place = place(0, Options::default()).await;
    place.cli("<HOME>/key.pem", 0);
    let fault = "GenerateSessionAccessKey=ServiceUnavailable,times=1";
    place.cloud.add_fault(Fault::parse(fault).expect("a fault"));
    place.by_cli().await.expect("keys");
    assert_eq!(place.calls("GenerateSessionAccessKey"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_ends_in_the_middle_of_a_scan_is_renewed() {
    const GROUPS: usize = 60;
    let options = Options {
        session_life: Some(chrono::Duration::seconds(3)),
        latency: std::time::Duration::from_millis(120),
        ..Options::default()
    };
    let place = place(GROUPS, options).await;
    place.cli("<HOME>/key.pem", 900);
    let found = place.by_cli().await.expect("keys");
    let first = id(&found);
    let client = Arc::new(Client::new(place.settings(), found.keys).expect("a client"));
    let mut stream = collect(
        Arc::clone(&client),
        Request::everything(AccountId::from(ACCOUNT)),
    );
    let mut groups = 0;
    while let Some(event) = stream.recv().await {
        match event {
            Collected::Group(group) => {
                assert_eq!(group.rules.incomplete, None);
                groups += 1;
            }
            Collected::Region(region) => assert_eq!(region.status, RegionStatus::Ok, "{region:?}"),
            _ => {}
        }
    }
    assert_eq!(groups, GROUPS);
    assert_ne!(client.keys().at_hand().access_key_id(), first);
    let sessions = place.cloud.with_world(|world| world.session_keys.len());
    assert!((2..=24).contains(&sessions), "{sessions}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_runs_on_a_key_pair_and_keeps_the_key_to_itself() {
    let mut world = with_roles(1);
    register(&mut world);
    let mut host = Host::new(world).await;
    host.environment
        .retain(|(name, _)| name == "SGWARDEN_ENDPOINT");
    let config = serde_json::json!({"current": "rsa", "profiles": [
        {"name": "rsa", "mode": "rsakeypair", "key_pair_name": PAIR, "private_key": PKCS8},
    ]});
    host.write(".aliyun/config.json", &config.to_string());
    let ran = host.run(&["scan", "--json", "-v"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let folder = host.path(ran.json()["path"].as_str().expect("a path"));
    let manifest = std::fs::read_to_string(folder.join("manifest.json")).expect("the manifest");
    assert!(manifest.contains(&user()), "{manifest}");
    let told = format!("{}{}{manifest}", ran.stdout, ran.stderr);
    let secret = PKCS8.lines().nth(3).expect("a line of the key");
    assert!(
        !told.contains(secret) && !told.contains("PRIVATE KEY"),
        "{told}"
    );
}

#[test]
fn world_files_name_key_pairs() {
    let world = |pair: serde_json::Value| {
        let file = serde_json::json!({"accounts": [{"id": ACCOUNT}], "key_pairs": [pair]});
        World::from_json(&file.to_string())
    };
    let pair = |account: &str, key: &str| serde_json::json!({"id": PAIR, "account": account, "public_key": key});
    assert_eq!(
        world(pair(ACCOUNT, PUBLIC))
            .expect("a world")
            .key_pairs
            .len(),
        1
    );
    for (bad, part) in [
        (
            pair("1", PUBLIC),
            "names the user auditor of account 1, who is not there",
        ),
        (pair(ACCOUNT, PKCS8), "has no RSA key as PEM"),
    ] {
        let why = world(bad).expect_err(part);
        assert!(why.contains(part), "{why}");
    }
}
