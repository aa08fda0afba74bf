//! The chain, with a map as environment.

use sgwarden::cloud::credentials::{Environment, find};
use std::collections::BTreeMap;
use std::path::Path;

fn environment(pairs: &[(&str, &str)], home: Option<&Path>) -> Environment {
    let variables: BTreeMap<String, String> = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Environment::new(variables, home.map(Path::to_owned))
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
    {"name":"role","mode":"EcsRamRole","ram_role_name":"r"},
    {"name":"odd","mode":"Telepathy"},
    {"name":"half","mode":"AK","access_key_id":"LTAIhalf","access_key_secret":""}
],"meta_path":""}"#;

#[test]
fn the_environment_comes_first() {
    let home = home(CONFIG);
    let found = find(None, &environment(&KEYS, Some(home.path()))).expect("keys");
    assert_eq!(found.credentials.access_key_id(), "LTAIenv");
    assert_eq!(found.source, "environment variables");
}

#[test]
fn debug_shows_no_secret() {
    let mut pairs = KEYS.to_vec();
    pairs.push(("ALIBABA_CLOUD_SECURITY_TOKEN", "hush-token"));
    let environment = environment(&pairs, None);
    let found = find(None, &environment).expect("keys");
    let shown = format!("{found:?} {environment:?}");
    assert!(!shown.contains("hush"), "{shown}");
}

#[test]
fn profiles() {
    let home = home(CONFIG);
    let at = |pairs: &[(&str, &str)]| environment(pairs, Some(home.path()));
    let id = |profile, pairs: &[(&str, &str)]| {
        find(profile, &at(pairs)).map(|found| found.credentials.access_key_id().to_owned())
    };
    assert_eq!(id(None, &[]).as_deref(), Ok("LTAIone"));
    assert_eq!(
        id(None, &[("ALIBABA_CLOUD_PROFILE", "two")]).as_deref(),
        Ok("STS.two")
    );
    // A configured profile is the whole chain.
    assert_eq!(id(Some("two"), &KEYS).as_deref(), Ok("STS.two"));
    assert!(id(Some("none"), &KEYS).is_err_and(|error| {
        error
            .to_string()
            .contains("no profile `none`, it has: one, two")
    }));
    assert!(
        id(Some("odd"), &[])
            .is_err_and(|error| error.to_string().contains("unknown mode `Telepathy`"))
    );
    assert!(
        id(Some("half"), &[])
            .is_err_and(|error| error.to_string().contains("no access_key_secret"))
    );
    let role = id(Some("role"), &KEYS).expect_err("not built").to_string();
    assert!(
        role.contains("EcsRamRole") && role.contains("not built yet"),
        "{role}"
    );
    let off = id(None, &[("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "true")]).expect_err("off");
    assert!(
        off.to_string()
            .contains("ALIBABA_CLOUD_CLI_PROFILE_DISABLED is true"),
        "{off}"
    );
}

#[test]
fn nothing_there_gives_every_reason() {
    let error = find(None, &environment(&[], None)).expect_err("nothing");
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

#[test]
fn half_an_environment_is_passed_over_and_told() {
    let home = home(CONFIG);
    let found = find(None, &environment(&KEYS[..1], Some(home.path()))).expect("keys");
    assert_eq!(found.credentials.access_key_id(), "LTAIone");
    assert!(found.passed_over[0].contains("ALIBABA_CLOUD_ACCESS_KEY_SECRET is not"));
    let error = find(None, &environment(&KEYS[..1], None)).expect_err("nothing");
    assert!(
        error
            .to_string()
            .contains("ALIBABA_CLOUD_ACCESS_KEY_SECRET is not")
    );
}

#[test]
fn sources_that_are_not_built_are_named_and_end_the_chain() {
    let home = home(CONFIG);
    let oidc = [
        ("ALIBABA_CLOUD_ROLE_ARN", "acs:ram::1:role/r"),
        (
            "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
            "acs:ram::1:oidc-provider/p",
        ),
        ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", "/token"),
    ];
    let error = find(None, &environment(&oidc, Some(home.path())))
        .expect_err("OIDC")
        .to_string();
    assert!(
        error.contains("OIDC role") && error.contains("not built yet"),
        "{error}"
    );
    for name in [
        "ALIBABA_CLOUD_CREDENTIALS_FILE",
        "ALIBABA_CLOUD_ECS_METADATA",
        "ALIBABA_CLOUD_CREDENTIALS_URI",
    ] {
        let error = find(None, &environment(&[(name, "x")], None))
            .expect_err(name)
            .to_string();
        assert!(
            error.contains(&format!("{name} set, but this source is not built yet")),
            "{error}"
        );
    }
}

#[test]
fn a_broken_file_tells_no_value() {
    let home = home(r#"{"current":"one","profiles":[{"name":"one","access_key_secret":"hush" "#);
    let error = find(None, &environment(&[], Some(home.path())))
        .expect_err("broken")
        .to_string();
    assert!(
        error.contains("is not the CLI's JSON") && !error.contains("hush"),
        "{error}"
    );
}
