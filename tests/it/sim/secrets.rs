//! KMS as the simulated cloud serves it: parameters, permission, versions.

use super::{ACCOUNT, Caller, HZ, Params, is, small, start};
use sgwarden::sim::{KmsSecret, World};

fn kept() -> World {
    let mut world = small();
    let secret = KmsSecret::new("team/smtp", "opens-nothing");
    let own = KmsSecret {
        encryption_key_id: Some("key-hzz6".into()),
        ..KmsSecret::new("own-key", "opens-nothing")
    };
    world.add_secret(ACCOUNT, HZ, secret);
    world.add_secret(ACCOUNT, HZ, own);
    world
}

async fn refused(caller: &Caller, extra: Params<'_>) -> (u16, String) {
    let params: Vec<(&str, &str)> = [("RegionId", HZ)].iter().chain(extra).copied().collect();
    caller.refused("GetSecretValue", &params).await
}

#[tokio::test]
async fn a_secret_is_given_to_whom_it_may_and_as_it_is_asked_for() {
    let (cloud, caller) = start(kept()).await;
    let name = ("SecretName", "team/smtp");
    for extra in [
        &[][..],
        &[("VersionStage", "ACSCurrent"), ("VersionId", "1")],
        &[("FetchExtendedConfig", "false")],
    ] {
        let params: Vec<(&str, &str)> = [("RegionId", HZ), name]
            .iter()
            .chain(extra)
            .copied()
            .collect();
        let body = caller.ok("GetSecretValue", &params).await;
        assert_eq!(body["SecretData"], "opens-nothing");
        assert_eq!(body["SecretDataType"], "text");
    }
    let absent = is(404, "Forbidden.ResourceNotFound");
    assert_eq!(refused(&caller, &[("SecretName", "other")]).await, absent);
    let elsewhere: Params<'_> = &[("RegionId", "cn-shanghai"), name];
    assert_eq!(caller.refused("GetSecretValue", elsewhere).await, absent);
    for extra in [("VersionStage", "ACSPrevious"), ("VersionId", "2")] {
        assert_eq!(refused(&caller, &[name, extra]).await, absent, "{extra:?}");
    }
    for (params, code) in [
        (&[][..], "MissingParameter.SecretName"),
        (&[("SecretName", "a b")], "InvalidParameter"),
        (&[("SecretName", &*"n".repeat(193))], "InvalidParameter"),
        (&[name, ("FetchExtendedConfig", "yes")], "InvalidParameter"),
        (&[name, ("SecretId", "x")], "UnsupportedParameter"),
    ] {
        assert_eq!(refused(&caller, params).await, is(400, code), "{params:?}");
    }

    // In the words of this service, for its action and for a key of one's own.
    let denied = is(403, "Forbidden.NoPermission");
    let own = ("SecretName", "own-key");
    let allow = |actions: &[&str]| {
        let actions = actions.iter().map(|&action| action.to_owned()).collect();
        cloud.with_world(|world| {
            world.accounts.get_mut(ACCOUNT).unwrap().users[0].allow = actions;
        });
    };
    allow(&["ecs:*"]);
    assert_eq!(refused(&caller, &[name]).await, denied);
    assert_eq!(refused(&caller, &[("SecretName", "other")]).await, denied);
    allow(&["kms:GetSecretValue"]);
    assert_eq!(refused(&caller, &[own]).await, denied);
    allow(&["kms:GetSecretValue", "kms:Decrypt"]);
    caller.ok("GetSecretValue", &[("RegionId", HZ), own]).await;
}

#[test]
fn a_world_file_has_secrets() {
    let world = |secrets: &str| {
        World::from_json(&format!(
            r#"{{"accounts": [{{"id": "1", "regions": [{{"id": "r", "secrets": [{secrets}]}}]}}]}}"#
        ))
    };
    let one = r#"{"SecretName": "a", "SecretData": "b", "SecretDataType": "binary"}"#;
    let read = world(one).unwrap();
    let secret = &read.region("1", "r").unwrap().secrets["a"];
    assert_eq!(
        (&*secret.secret_data_type, &*secret.version_id),
        ("binary", "1")
    );
    for (secrets, part) in [
        (format!("{one}, {one}"), "secret a is twice in r"),
        (
            r#"{"SecretName": "a", "Secret": "b"}"#.to_owned(),
            "unknown field `Secret`",
        ),
    ] {
        let why = world(&secrets).unwrap_err();
        assert!(why.contains(part), "{why}");
    }
}
