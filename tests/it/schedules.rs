//! `schedules`: what is listed, and what is said of files that are wrong.

use crate::kit::host::{Host, world};
use chrono::{DateTime, TimeDelta, Utc};

async fn host() -> Host {
    let host = Host::new(world(&[])).await;
    host.write(
        "schedules/weekly.toml",
        "cron = \"0 2 * * mon\"\ntimezone = \"Asia/Taipei\"\n",
    );
    host.write(
        "schedules/fc.toml",
        "cron = \"CRON_TZ=Asia/Tokyo 0 30 4 ? * MON-FRI\"\n",
    );
    host.write(
        "schedules/config.toml",
        "[policy]\npacks = [\"risky-ports\"]\n",
    );
    host.write("schedules/.draft.toml", "nonsense");
    host.write("schedules/README.md", "not a schedule");
    host
}

#[tokio::test(flavor = "multi_thread")]
async fn every_schedule_has_its_next_five_times() {
    let host = host().await;
    let before = Utc::now();
    let ran = host.run(&["schedules", "--json"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let json = ran.json();
    let names: Vec<&str> = json
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["config", "fc", "weekly"]);
    let keys = |value: &serde_json::Value| -> Vec<String> {
        value
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect()
    };
    for one in json.as_array().expect("a list") {
        assert_eq!(
            keys(one),
            ["cron", "error", "file", "name", "next", "timezone"]
        );
        assert!(one["error"].is_null());
    }
    assert!(json[0]["cron"].is_null());
    assert_eq!(json[0]["next"], serde_json::json!([]));
    assert_eq!(json[1]["cron"], "CRON_TZ=Asia/Tokyo 0 30 4 ? * MON-FRI");
    assert_eq!(json[1]["timezone"], "Asia/Tokyo");
    assert_eq!(json[2]["file"], "schedules/weekly.toml");
    let next: Vec<&str> = json[2]["next"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|time| time.as_str().expect("a time"))
        .collect();
    assert_eq!(next.len(), 5);
    let times: Vec<DateTime<Utc>> = next
        .iter()
        .map(|time| time.parse().expect("RFC 3339"))
        .collect();
    assert!(
        next.iter().all(|time| time.ends_with("T02:00:00+08:00")),
        "{next:?}"
    );
    assert!(times[0] > before && times[0] <= before + TimeDelta::days(7));
    assert!(
        times
            .windows(2)
            .all(|pair| pair[1] - pair[0] == TimeDelta::days(7))
    );

    let text = host.run(&["schedules"]).await.stdout;
    assert!(text.contains("\"0 2 * * mon\" in Asia/Taipei"), "{text}");
    assert_eq!(text.matches(" 02:00:00 +08:00").count(), 5, "{text}");
    assert!(
        text.contains("no cron: only `run --schedule` starts it"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_wrong_is_said_with_its_place() {
    let host = host().await;
    host.write(
        "schedules/bad.toml",
        "cron = \"0 25 * * *\"\n\n[policy]\npack = [\"risky-ports\"]\n",
    );
    host.write(
        "schedules/zones.toml",
        "cron = \"CRON_TZ=Asia/Tokyo 0 4 * * *\"\ntimezone = \"Asia/Taipei\"\n",
    );
    host.write(
        "schedules/mail.toml",
        "[[mail]]\nto = [\"a@example.com\"]\n",
    );
    let ran = host.run(&["schedules", "--json"]).await;
    assert_eq!(ran.code, 2);
    let json = ran.json();
    let error = |name: &str| -> String {
        json.as_array()
            .expect("a list")
            .iter()
            .find(|one| one["name"] == name)
            .and_then(|one| one["error"].as_str())
            .unwrap_or_default()
            .to_owned()
    };
    let bad = error("bad");
    assert!(
        bad.contains("schedules/bad.toml:1: cron: hour \"25\""),
        "{bad}"
    );
    assert!(bad.contains("schedules/bad.toml:4: policy.pack"), "{bad}");
    assert!(error("zones").contains("name the zone once"));
    assert!(error("mail").contains("no [mail] to send by"));
    assert_eq!(error("weekly"), "", "the others are fine");
    let text = host.run(&["schedules"]).await;
    assert_eq!(text.code, 2);
    assert!(text.stdout.contains("bad  BROKEN"), "{}", text.stdout);

    // A broken sgwarden.toml hides nothing of the schedules.
    host.write("sgwarden.toml", "[mial]\n");
    let both = host.run(&["schedules", "--json"]).await;
    assert_eq!(both.code, 2);
    assert!(both.stderr.contains("mial"), "{}", both.stderr);
    assert_eq!(both.json().as_array().map(Vec::len), Some(6));

    let nowhere = host.run(&["schedules", "elsewhere"]).await;
    assert_eq!(nowhere.code, 2);
    assert!(nowhere.stderr.contains("elsewhere"), "{}", nowhere.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schedules_that_ship_are_right() {
    let host = Host::new(world(&[])).await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/schedules");
    let ran = host.run(&["schedules", folder, "--json"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let listed = ran.json();
    assert_eq!(listed[0]["name"], "config");
    assert_eq!(
        listed[0]["next"],
        serde_json::json!([]),
        "events have no times"
    );
    assert_eq!(listed[1]["name"], "weekly");
    assert_eq!(listed[1]["next"].as_array().map(Vec::len), Some(5));
}
