//! Mistakes in who is told what: each with its file, line and key, wherever it is found.

use crate::kit::host::{Host, world};

const RELAY: &str = "[mail]\nurl = \"smtp://127.0.0.1:9?tls=none\"\nfrom = \"audit@example.com\"\n";

/// What `run` says of these two files: its exit code, and each line of what it says.
async fn said(host: &Host, program: &str, schedule: &str) -> (i32, Vec<String>) {
    host.write("sgwarden.toml", program);
    host.write("s/a.toml", schedule);
    let ran = host.run(&["run", "--schedule", "s/a.toml"]).await;
    let lines = ran.stderr.lines().map(str::to_owned).collect();
    (ran.code, lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_the_schedules_tables() {
    let host = Host::new(world(&[])).await;
    host.write("empty.url", "\n");
    host.write("plain.url", "http://chat.example.com/s3cret\n");
    for (schedule, place) in [
        ("[[mail]]\ncc = []\n", "s/a.toml:1: mail[0].to: is missing"),
        ("[[mail]]\nto = []\n", "s/a.toml:2: mail[0].to: is empty"),
        (
            "[[mail]]\nto = [\"a@example.com\"]\n\n[[mail]]\nwhen = \"new\"\n",
            "s/a.toml:4: mail[1].to: is missing",
        ),
        (
            "[[mail]]\nto = [\n\"a@example.com\",\n\"nobody\"]\n",
            "s/a.toml:4: mail[0].to: ",
        ),
        (
            "[[mail]]\nto = [\"a@example.com\"]\nreply_to = \"nobody\"\n",
            "s/a.toml:3: mail[0].reply_to: \"nobody\" is no mail address",
        ),
        (
            "[[mail]]\nto = [\"a@example.com\"]\nwhen = \"often\"\n",
            "s/a.toml:3: mail[0].when: ",
        ),
        (
            "[[mail]]\nto = [\"a@example.com\"]\nattach = [\"html\"]\n",
            "s/a.toml:3: mail[0].attach: ",
        ),
        (
            "[[mail]]\nto = [\"a@example.com\"]\n[mail.route]\nseverity = \"bad\"\n",
            "s/a.toml:4: mail[0].route.severity: ",
        ),
        (
            "[[mail]]\nto = [\"a@example.com\"]\ntoo = 1\n",
            "s/a.toml:3: mail[0].too: unknown key",
        ),
        ("mail = 1\n", "s/a.toml:1: mail: must be a list of tables"),
        // Empty is not missing, and stands where it is written.
        (
            "[policy]\ntrusted = []\npacks = []\n",
            "s/a.toml:3: policy.packs: is empty: no check",
        ),
        (
            "[scope]\nregions = \"all\"\naccounts = []\n",
            "s/a.toml:3: scope.accounts: is empty",
        ),
        (
            "[scope]\n\nregions = []\n",
            "s/a.toml:3: scope.regions: is empty",
        ),
        (
            "[scope]\ngroups = {}\n",
            "s/a.toml:2: scope.groups: is empty",
        ),
        (
            "[scope]\n[scope.groups]\n",
            "s/a.toml:2: scope.groups: is empty",
        ),
        (
            "[scope.groups]\nnames = [\"a\"]\ntags = {}\n",
            "s/a.toml:3: scope.groups.tags: is empty",
        ),
        (
            "[remediation]\n\nwindows = []\n",
            "s/a.toml:3: remediation.windows: is empty",
        ),
        // What is misspelt or wrong is one mistake: nothing else is missing or empty for it.
        (
            "[scope]\n\ngroups = { tag = { env = \"prod\" } }\n",
            "s/a.toml:3: scope.groups.tag: unknown key; did you mean \"tags\"?",
        ),
        (
            "[scope.groups]\nnames = [\"\"]\n",
            "s/a.toml:2: scope.groups.names: \"\" is no name or glob",
        ),
        (
            "[scope.groups]\ntags = { env = 1 }\n",
            "s/a.toml:2: scope.groups.tags.env: must be a string",
        ),
        (
            "[scope]\nregions = [1]\n",
            "s/a.toml:2: scope.regions: must be a list of strings",
        ),
        (
            "[policy]\npacks = []\n[[policy.chek]]\nid = \"a\"\n",
            "s/a.toml:3: policy.chek: unknown key; did you mean \"check\"?",
        ),
        (
            "cron = \"0 2 * * *\"\n[[webhook]]\nkind = \"slack\"\n",
            "s/a.toml:2: webhook[0].url_file: is missing",
        ),
        (
            "[[webhook]]\nkind = \"teams\"\nurl_file = \"empty.url\"\n",
            "s/a.toml:2: webhook[0].kind: ",
        ),
        (
            "[[webhook]]\nkind = \"slack\"\nurl_file = \"gone.url\"\n",
            "s/a.toml:3: webhook[0].url_file: ./gone.url: No such file",
        ),
        (
            "[[webhook]]\nurl_file = \"empty.url\"\nkind = \"slack\"\n",
            "s/a.toml:2: webhook[0].url_file: ./empty.url: it does not hold a URL",
        ),
        (
            "[[webhook]]\nurl_file = \"plain.url\"\nkind = \"slack\"\n",
            "s/a.toml:2: webhook[0].url_file: ./plain.url: its URL must begin with https://",
        ),
        ("\n[heartbeat]\n", "s/a.toml:2: heartbeat.url: is missing"),
        (
            "[heartbeat]\nurl = \"\"\n",
            "s/a.toml:2: heartbeat.url: it does not hold a URL",
        ),
        (
            "[heartbeat]\nurl = \"http://watch.example.com\"\n",
            "s/a.toml:2: heartbeat.url: its URL must begin with https://",
        ),
        (
            "[heartbeat]\nurl = 1\n",
            "s/a.toml:2: heartbeat.url: must be a string",
        ),
        (
            "[heartbeat]\nurl = \"https://watch.example.com/s3cret\"\nurl_file = \"empty.url\"\n",
            "s/a.toml:3: heartbeat.url_file: stands beside url: name the address once",
        ),
        (
            "[heartbeat]\nurl_file = \"gone.url\"\n",
            "s/a.toml:2: heartbeat.url_file: ./gone.url: No such file",
        ),
        (
            "[heartbeat]\nurl_file = \"plain.url\"\n",
            "s/a.toml:2: heartbeat.url_file: ./plain.url: its URL must begin with https://",
        ),
        (
            "[heartbeat]\nurl_file = \"https://watch.example.com/s3cret\"\n",
            "s/a.toml:2: heartbeat.url_file: names a file with the address, not the address",
        ),
        (
            "[[webhook]]\nkind = \"slack\"\nurl_file = \"https://hooks.example.com/s3cret\"\n",
            "s/a.toml:3: webhook[0].url_file: names a file with the address, not the address",
        ),
    ] {
        let (code, lines) = said(&host, RELAY, schedule).await;
        assert_eq!(code, 2, "{schedule}: {lines:?}");
        let [line] = lines.as_slice() else {
            panic!("{schedule}: {lines:?}");
        };
        assert!(
            line.starts_with(&format!("error: {place}")),
            "{schedule}: {line}"
        );
        assert!(!line.contains("s3cret"), "{line}");
    }
    // What only both files together say.
    let (code, lines) = said(&host, "", "\n[[mail]]\nto = [\"a@example.com\"]\n").await;
    let without = "error: s/a.toml:2: mail[0]: sgwarden.toml has no [mail] to send by";
    assert_eq!((code, lines), (2, vec![without.to_owned()]));
    let (code, lines) = said(&host, "", "[scope]\naccounts = \"resource-directory\"\n").await;
    assert_eq!(code, 2);
    assert!(
        lines[0].starts_with("error: s/a.toml:2: scope.accounts: "),
        "{lines:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_the_relays_table() {
    let host = Host::new(world(&[])).await;
    host.write("no.pem", "not a certificate\n");
    host.write(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    );
    let told = "[[mail]]\nto = [\"a@example.com\"]\n";
    let url = "url = \"smtps://smtp.example.com\"\n";
    let from = "from = \"audit@example.com\"\n";
    for (program, place) in [
        (format!("[mail]\n{from}"), "1: mail.url: is missing"),
        (format!("[mail]\n{url}"), "1: mail.from: is missing"),
        (
            format!("[mail]\n{from}url = \"relay\"\n"),
            "3: mail.url: is not such as",
        ),
        (
            format!("[mail]\n{from}url = \"http://relay\"\n"),
            "3: mail.url: begins with http://",
        ),
        (
            format!("[mail]\n{from}url = \"smtps://u:s3cret@relay\"\n"),
            "3: mail.url: holds a password",
        ),
        (
            format!("[mail]\n{from}url = \"smtps://relay?tls=none\"\n"),
            "3: mail.url: has tls=none, which contradicts",
        ),
        (
            format!("[mail]\n{from}url = \"smtp://u@relay?tls=none\"\n"),
            "3: mail.url: has tls=none, which would send the password in the clear",
        ),
        (
            format!("[mail]\n{from}url = \"smtps://user@relay\"\n"),
            "3: mail.url: names a user and there is no password",
        ),
        (
            format!("[mail]\n{url}\nfrom = \"nobody\"\n"),
            "4: mail.from: \"nobody\" is no address",
        ),
        (
            format!("[mail]\nurl = \"smtps://user@relay\"\n{from}password_file = \"gone\"\n"),
            "4: mail.password_file: ./gone: No such file",
        ),
        (
            format!("[mail]\n{url}{from}ca_file = \"gone\"\n"),
            "4: mail.ca_file: ./gone: No such file",
        ),
        (
            format!("[mail]\n{url}{from}ca_file = \"no.pem\"\n"),
            "4: mail.ca_file: holds no certificate",
        ),
        (
            format!("[mail]\n{url}{from}ca_file = \"broken.pem\"\n"),
            "4: mail.ca_file: holds no certificate",
        ),
        (
            format!("[mail]\n{url}{from}form = 1\n"),
            "4: mail.form: unknown key",
        ),
        ("mail = 1\n".to_owned(), "1: mail: must be a table"),
    ] {
        let (code, lines) = said(&host, &program, told).await;
        assert_eq!(code, 2, "{program}: {lines:?}");
        let place = format!("error: sgwarden.toml:{place}");
        assert!(
            lines.iter().any(|line| line.starts_with(&place)),
            "{program}: {lines:?}"
        );
        assert!(!lines.concat().contains("s3cret"), "{lines:?}");
    }
}
