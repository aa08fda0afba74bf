//! What `deploy/` ships for hosts: units, cron, container, Kubernetes, the function's package. Held to
//! what they promise, and run where that can be.

use crate::kit::host::{Host, REGION, ssh_open, world};
use saphyr::{LoadableYamlNode, Yaml};
use sgwarden::config::{Program, Schedule};
use sgwarden::host::next_fire::Cron;
use sgwarden::sim::Fault;
use sgwarden::sim::smtp::{Mode, Receiver, ReceiverOptions};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|why| panic!("{name}: {why}"))
}

/// A unit's settings; one that stands twice keeps both.
fn unit(name: &str) -> BTreeMap<String, Vec<String>> {
    let mut out: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text(name).lines() {
        if line.is_empty() || line.starts_with(['#', '[']) {
            continue;
        }
        let (key, value) = line
            .split_once('=')
            .unwrap_or_else(|| panic!("{name}: {line}"));
        out.entry(key.to_owned())
            .or_default()
            .push(value.to_owned());
    }
    out
}

/// What keeps a service to its own files.
const HARDENED: [(&str, &str); 22] = [
    ("CapabilityBoundingSet", ""),
    ("NoNewPrivileges", "yes"),
    ("ProtectSystem", "strict"),
    ("ProtectHome", "yes"),
    ("ProtectProc", "invisible"),
    ("PrivateTmp", "yes"),
    ("PrivateDevices", "yes"),
    ("PrivateUsers", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectControlGroups", "yes"),
    ("ProtectClock", "yes"),
    ("ProtectHostname", "yes"),
    ("RestrictNamespaces", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("LockPersonality", "yes"),
    ("MemoryDenyWriteExecute", "yes"),
    ("SystemCallArchitectures", "native"),
    ("UMask", "0077"),
    ("User", "sgwarden"),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_units_are_hardened_and_start_what_there_is() {
    let host = Host::new(world(&[])).await;
    host.write("etc/sgwarden.toml", "");
    for name in ["systemd/sgwarden.service", "systemd/sgwarden@.service"] {
        let unit = unit(name);
        for (key, value) in HARDENED {
            assert_eq!(unit[key], [value], "{name}: {key}");
        }
        assert_eq!(unit["KillMode"], ["mixed"], "{name}");
        assert!(unit.contains_key("TimeoutStopSec"), "{name}");
        // The command line is one of this program: what is missing is the schedules, not a flag.
        let etc = host.path("etc").display().to_string();
        let started = unit["ExecStart"][0].replace("/etc/sgwarden", &etc);
        let started: Vec<&str> = started.split(' ').collect();
        assert_eq!(started[0], "/usr/local/bin/sgwarden");
        let ran = host.run(&started[1..]).await;
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains("cannot be read"), "{}", ran.stderr);
    }
    let daemon = unit("systemd/sgwarden.service");
    assert_eq!(daemon["Type"], ["notify"]);
    assert!(daemon["ExecReload"][0].contains("-HUP $MAINPID"));
    assert_eq!(unit("systemd/sgwarden@.timer")["Persistent"], ["true"]);
}

#[test]
fn systemd_itself_finds_nothing_wrong() {
    let Ok(found) = Command::new("systemd-analyze").arg("--version").output() else {
        // Not on this machine; the test above holds what matters most.
        return;
    };
    assert!(found.status.success());
    let folder = tempfile::TempDir::new().expect("a folder");
    for name in ["sgwarden.service", "sgwarden@.service", "sgwarden@.timer"] {
        let binary = env!("CARGO_BIN_EXE_sgwarden");
        let unit = text(&format!("systemd/{name}")).replace("/usr/local/bin/sgwarden", binary);
        std::fs::write(folder.path().join(name), unit).expect("a unit");
    }
    for name in ["sgwarden.service", "sgwarden@weekly.timer"] {
        let ran = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(folder.path().join(name))
            .output()
            .expect("it starts");
        let told = String::from_utf8_lossy(&ran.stderr).into_owned();
        let ours: Vec<&str> = told
            .lines()
            .filter(|line| line.contains("sgwarden"))
            .collect();
        assert!(ours.is_empty(), "{name}: {ours:?}");
    }
}

async fn script(host: &Host, name: &str, args: &[&str]) -> Output {
    let mut command = Command::new(path(name));
    command.args(args).current_dir(host.dir.path());
    command.env("SGWARDEN", env!("CARGO_BIN_EXE_sgwarden"));
    for (name, value) in &host.environment {
        command.env(name, value);
    }
    tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("no panic")
        .expect("it starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn cron_mails_nothing_of_success_and_everything_of_failure() {
    let host = Host::new(world(&[("sg-a", vec![])])).await;
    host.write("weekly.toml", "[report]\nformats = [\"csv\"]\n");
    let good = script(&host, "cron/sgwarden-cron", &["weekly.toml", "--dry-run"]).await;
    assert_eq!(good.status.code(), Some(0));
    assert_eq!((good.stdout.len(), good.stderr.len()), (0, 0));

    host.cloud
        .add_fault(Fault::parse("DescribeSecurityGroups=Forbidden.RAM").expect("a fault"));
    let bad = script(&host, "cron/sgwarden-cron", &["weekly.toml"]).await;
    assert_eq!(bad.status.code(), Some(3));
    let told = String::from_utf8_lossy(&bad.stdout);
    for word in [
        "exit code 3",
        "INCOMPLETE",
        "ecs:DescribeSecurityGroups",
        "weekly.toml",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
    let none = script(&host, "cron/sgwarden-cron", &[]).await;
    assert_eq!(none.status.code(), Some(2));

    // The line itself: five fields, a user, the script.
    let crontab = text("cron/crontab");
    let line = crontab
        .lines()
        .find(|line| line.starts_with(|c: char| c.is_ascii_digit()))
        .expect("a line");
    let words: Vec<&str> = line.split(' ').collect();
    Cron::parse(&words[..5].join(" ")).expect("a time");
    assert_eq!(words[5], "sgwarden");
    assert!(!line.contains('%'), "cron ends a command there");
}

/// `docs/bastion.md`, between fences of that kind.
fn blocks(kind: &str) -> Vec<String> {
    let page = include_str!("../../docs/bastion.md");
    let opening = format!("```{kind}\n");
    page.split(&opening)
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("```")?.0.to_owned()))
        .collect()
}

/// What the page has `sgw` do, in its order, each once.
fn sgw() -> Vec<Vec<String>> {
    let page = include_str!("../../docs/bastion.md");
    let mut out: Vec<Vec<String>> = Vec::new();
    for line in page.lines() {
        let line = line.split("  #").next().unwrap_or_default();
        for rest in line.split("sgw ").skip(1) {
            let words = rest.split('`').next().unwrap_or_default();
            let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            if !out.contains(&words) {
                out.push(words);
            }
        }
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bastion_page_is_right_about_the_layout_it_sets_up() {
    let host = Host::new(world(&[("sg-a", vec![ssh_open()])])).await;
    let options = ReceiverOptions::default();
    let relay = Receiver::start(Mode::Plain, options)
        .await
        .expect("a relay");
    let (etc, var) = (host.path("etc"), host.path("var").display().to_string());
    let etc = etc.display().to_string();
    let toml = blocks("toml");
    let [program, schedule, profile] = toml.as_slice() else {
        panic!("{toml:?}");
    };
    let plain = format!("smtp://{}?tls=none", relay.addr());
    let program = program
        .replace("/var/lib/sgwarden", &var)
        .replace("smtps://audit@smtp.example.com:465", &plain);
    host.write("etc/sgwarden.toml", &program);
    host.write("etc/schedules/weekly.toml", schedule);
    let mut run = String::new();
    let mut done = Vec::new();
    for words in sgw() {
        let command = words[0].clone();
        if command == "rollback" && done.contains(&command) {
            continue;
        }
        if command == "rollback" {
            // As step 7 has it, but at once.
            let revoking = schedule.replace("\"off\"", "\"revoke\"\nmax_share = \"100%\"");
            host.write("etc/schedules/weekly.toml", &revoking);
        }
        if command == "run" || command == "rollback" {
            let schedule = format!("{etc}/schedules/weekly.toml");
            let config = format!("{etc}/sgwarden.toml");
            let args = [
                "--config",
                &config,
                "run",
                "--schedule",
                &schedule,
                "--json",
            ];
            let ran = host.run(&args).await;
            assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
            run = ran.json()["run"].as_str().expect("an id").to_owned();
        }
        let mut args = vec!["--config".to_owned(), format!("{etc}/sgwarden.toml")];
        args.extend(words.iter().map(|word| {
            word.replace("/etc/sgwarden", &etc)
                .replace("RUN", &run)
                .replace("GROUP", "sg-a")
                .replace("REGION", REGION)
        }));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let ran = host.run(&args).await;
        assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.stdout, ran.stderr);
        done.push(command);
    }
    for command in [
        "schedules",
        "check",
        "run",
        "explain",
        "resend",
        "runs",
        "verify",
        "rollback",
    ] {
        assert!(
            done.iter().any(|known| known == command),
            "{command}: {done:?}"
        );
    }
    assert_eq!(host.rules("sg-a").len(), 1, "put back");
    // Under cron the second profile puts back: the same store, by the other configuration.
    host.write("etc/rollback.toml", &format!("{program}{profile}"));
    host.write(
        "home/.aliyun/config.json",
        r#"{"current": "audit", "profiles": [{"name": "rollback", "mode": "AK", "access_key_id": "LTAIother", "access_key_secret": "anotherSecret0123456789"}]}"#,
    );
    let mut cron = host.command(&[
        "--config",
        &format!("{etc}/rollback.toml"),
        "rollback",
        &run,
    ]);
    cron.env("HOME", host.path("home"))
        .env_remove("ALIBABA_CLOUD_ACCESS_KEY_ID")
        .env_remove("ALIBABA_CLOUD_ACCESS_KEY_SECRET");
    let other = cron.output().expect("the program");
    let said = String::from_utf8_lossy(&other.stderr);
    assert!(
        said.contains("InvalidAccessKeyId"),
        "the other key is asked with: {said}"
    );
    std::fs::remove_dir_all(host.path("home")).expect("removed");
    assert!(!relay.messages().is_empty());
    let left: Vec<String> = std::fs::read_dir(host.dir.path())
        .expect("the host's folder")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !["etc", "var"].contains(&name.as_str()))
        .collect();
    assert!(left.is_empty(), "written beside its folders: {left:?}");
}

#[test]
fn under_cron_the_word_takes_the_other_configuration_and_one_only() {
    let word = blocks("sh")
        .into_iter()
        .find(|block| block.contains("sudo -H"))
        .expect("cron's word");
    let line = blocks("sh")
        .into_iter()
        .find(|block| block.starts_with("SGW_CONFIG="))
        .expect("the line of step 7");
    let script = format!("cd() {{ :; }}\nsudo() {{ echo \"$@\"; }}\n{word}{line}sgw runs\n");
    let ran = Command::new("sh").args(["-c", &script]).output();
    let ran = ran.expect("a shell");
    let sudo = "-H -u sgwarden /usr/local/bin/sgwarden --config /etc/sgwarden";
    assert_eq!(
        String::from_utf8_lossy(&ran.stdout),
        format!("{sudo}/rollback.toml rollback RUN\n{sudo}/sgwarden.toml runs\n"),
        "{ran:?}"
    );
}

#[test]
fn the_bastion_pages_shell_is_shell_and_names_files_that_are_there() {
    let shell = blocks("sh").join("\n");
    let read = Command::new("sh").args(["-n", "-c", &shell]).output();
    let read = read.expect("a shell");
    assert!(read.status.success(), "{read:?}");
    for word in shell
        .split_whitespace()
        .filter(|word| word.starts_with("deploy/"))
    {
        let named = Path::new(env!("CARGO_MANIFEST_DIR")).join(word);
        assert!(named.is_file(), "{word}");
    }
    // The operator's word is the units' own surroundings.
    for name in ["systemd/sgwarden.service", "systemd/sgwarden@.service"] {
        let unit = unit(name);
        for key in [
            "User",
            "StateDirectory",
            "StateDirectoryMode",
            "WorkingDirectory",
            "UMask",
        ] {
            let setting = format!("-p {key}={}", unit[key][0]);
            assert!(shell.contains(&setting), "{setting}");
        }
        assert!(shell.contains(&unit["EnvironmentFile"][0]), "{name}");
        let config = "/usr/local/bin/sgwarden --config /etc/sgwarden/sgwarden.toml";
        assert!(
            unit["ExecStart"][0].starts_with(config) && shell.contains(config),
            "{name}"
        );
    }
}

fn documents(name: &str) -> Vec<Yaml<'static>> {
    // Leaked for the length of a test: the nodes borrow from the text.
    let text: &'static str = Box::leak(text(name).into_boxed_str());
    Yaml::load_from_str(text).unwrap_or_else(|why| panic!("{name}: {why}"))
}

/// The node at a path of keys and places.
fn at<'y>(node: &'y Yaml<'static>, keys: &[&str]) -> &'y Yaml<'static> {
    keys.iter()
        .fold(node, |node, key| match key.parse::<usize>() {
            Ok(place) => &node[place],
            Err(_) => node
                .as_mapping_get(key)
                .unwrap_or_else(|| panic!("no {key} of {keys:?}")),
        })
}

#[test]
fn the_cronjob_has_a_role_and_no_key_and_writes_its_volume_alone() {
    let documents = documents("kubernetes/cronjob.yaml");
    let of = |kind: &str| {
        documents
            .iter()
            .find(|node| at(node, &["kind"]).as_str() == Some(kind))
            .unwrap_or_else(|| panic!("no {kind}"))
    };
    let spec = at(of("CronJob"), &["spec"]);
    let word = |keys: &[&str]| at(spec, keys).as_str().map(str::to_owned);
    Cron::parse(&word(&["schedule"]).expect("a time")).expect("a time");
    assert_eq!(word(&["concurrencyPolicy"]).as_deref(), Some("Forbid"));
    let job = ["jobTemplate", "spec"];
    assert_eq!(
        at(spec, &[&job[..], &["backoffLimit"]].concat()).as_integer(),
        Some(0)
    );
    let pod = at(spec, &["jobTemplate", "spec", "template", "spec"]);
    assert_eq!(at(pod, &["restartPolicy"]).as_str(), Some("Never"));
    assert_eq!(
        at(pod, &["securityContext", "runAsNonRoot"]).as_bool(),
        Some(true)
    );
    let container = at(pod, &["containers", "0"]);
    let context = at(container, &["securityContext"]);
    assert_eq!(
        at(context, &["readOnlyRootFilesystem"]).as_bool(),
        Some(true)
    );
    assert_eq!(
        at(context, &["allowPrivilegeEscalation"]).as_bool(),
        Some(false)
    );
    assert_eq!(
        at(context, &["capabilities", "drop", "0"]).as_str(),
        Some("ALL")
    );
    let account = at(of("ServiceAccount"), &["metadata", "annotations"]);
    let role = at(account, &["pod-identity.alibabacloud.com/role-name"]);
    assert_eq!(role.as_str(), Some("sgwarden"));
    let labels = at(of("Namespace"), &["metadata", "labels"]);
    let injected = at(labels, &["pod-identity.alibabacloud.com/injection"]);
    assert_eq!(injected.as_str(), Some("on"));
    assert!(!text("kubernetes/cronjob.yaml").contains("ACCESS_KEY"));

    // The files in the ConfigMap are this program's, and the volume is where they point.
    let data = at(of("ConfigMap"), &["data"]);
    let file = |name: &str| at(data, &[name]).as_str().expect("a file").to_owned();
    let program = Program::read(
        "sgwarden.toml",
        &file("sgwarden.toml"),
        Path::new("/etc/sgwarden"),
    );
    let program = program.unwrap_or_else(|problems| panic!("{problems:?}"));
    Schedule::read("weekly.toml", "weekly", &file("weekly.toml"))
        .unwrap_or_else(|problems| panic!("{problems:?}"));
    assert!(program.mail.is_some());
}

#[test]
fn the_container_has_roots_of_trust_and_nothing_else() {
    let text = text("container/Containerfile");
    let last = text.rsplit("\nFROM ").next().expect("a stage");
    assert!(last.starts_with("scratch\n"), "{last}");
    let roots = last
        .lines()
        .find_map(|line| line.strip_prefix("ENV SSL_CERT_FILE="))
        .expect("roots of trust");
    assert!(last.contains(&format!("COPY --from=build {roots} {roots}")));
    assert!(last.contains("\nUSER 65532:65532\n"));
    for source in text.lines().filter_map(|line| line.strip_prefix("COPY ")) {
        let from = source.split(' ').next().expect("a source");
        if !from.starts_with("--from") {
            assert!(path("..").join(from).exists(), "{from}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_package_keeps_modes_and_refuses_what_would_not_start() {
    let host = Host::new(world(&[])).await;
    host.write("config/sgwarden.toml", "");
    host.write("config/schedules/weekly.toml", "cron = \"0 2 * * 1\"\n");
    host.write("not-a-program", "text");
    let name = "function-compute/package.sh";
    // A program that says yes to everything stands for ours, which is large before it is built for release.
    let made = script(&host, name, &["/bin/true", "config", "out.zip"]).await;
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let file = std::fs::File::open(host.path("out.zip")).expect("a ZIP");
    let mut zip = zip::ZipArchive::new(file).expect("a ZIP");
    for name in ["bootstrap", "sgwarden"] {
        let mode = zip.by_name(name).expect(name).unix_mode().expect("a mode");
        assert_eq!(mode & 0o777, 0o755, "{name}");
    }
    assert!(zip.by_name("schedules/weekly.toml").is_ok());
    let mut bootstrap = String::new();
    zip.by_name("bootstrap")
        .expect("bootstrap")
        .read_to_string(&mut bootstrap)
        .expect("a script");
    assert!(bootstrap.starts_with("#!/bin/bash\n"), "{bootstrap}");
    assert!(bootstrap.contains("exec ./sgwarden fc"), "{bootstrap}");

    for (args, says) in [
        (
            ["not-a-program", "config", "o.zip"],
            "is not a program for x86_64",
        ),
        (
            ["/bin/true", "elsewhere", "o.zip"],
            "sgwarden.toml is missing",
        ),
        (["/bin/false", "config", "o.zip"], "a schedule is wrong"),
    ] {
        let refused = script(&host, name, &args).await;
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{told}");
        assert!(told.contains(says), "{told}");
        assert!(!host.path("o.zip").exists());
    }
}

#[test]
fn scripts_can_be_started() {
    for name in ["cron/sgwarden-cron", "function-compute/package.sh"] {
        let mode = std::fs::metadata(path(name))
            .expect(name)
            .permissions()
            .mode();
        assert_eq!(mode & 0o111, 0o111, "{name}");
        let ran = Command::new("sh").arg("-n").arg(path(name)).output();
        assert!(ran.is_ok_and(|ran| ran.status.success()), "{name}");
    }
}
