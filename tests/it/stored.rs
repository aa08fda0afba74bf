//! What lies in a store, and a store in which nothing lies.

use crate::change::one_open;
use crate::kit::host::Host;
use serde_json::Value;

/// The line of `runs` for each run.
async fn lines(host: &Host) -> Vec<String> {
    let ran = host.run(&["runs"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_runs_is_verified_by_nobody_and_named() {
    let host = one_open().await;
    let here = std::fs::canonicalize(host.dir.path()).expect("the host's folder");
    let named = |folder: &str| format!("looked in {}", here.join(folder).display());
    let ran = host.run(&["verify", "--all"]).await;
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    for said in [
        "nothing was verified",
        &named("evidence"),
        "no sgwarden.toml was read",
        "--config or --store",
    ] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    let json = host.run(&["verify", "--all", "--json"]).await;
    assert_eq!((json.code, &json.json()["exit"]), (1, &1.into()));
    assert_eq!(json.json()["problems"].as_array().map(Vec::len), Some(1));
    // A run that was killed is none.
    std::fs::create_dir_all(host.path("evidence/runs/20261124T000000Z-a-000000.unfinished"))
        .expect("a folder");
    assert_eq!(host.run(&["verify", "--all"]).await.code, 1);
    std::fs::remove_dir_all(host.path("evidence")).expect("removed");

    let ran = host.run(&["runs"]).await;
    assert_eq!(ran.code, 0);
    assert!(ran.stdout.contains(&named("evidence")), "{}", ran.stdout);
    host.write("sgwarden.toml", "");
    host.write(
        "etc/other.toml",
        "[storage]\nurl = \"file:kept\"\nstate = \"file:state\"\n",
    );
    for (args, by, folder) in [
        (&["runs"][..], "of sgwarden.toml here", "evidence"),
        (
            &["--store", "file:elsewhere", "runs"],
            "of --store",
            "elsewhere",
        ),
        (
            &["--config", "etc/other.toml", "runs"],
            "of etc/other.toml",
            "etc/kept",
        ),
    ] {
        let ran = host.run(args).await;
        assert!(
            ran.stdout.contains(&format!("{} ({by})", named(folder))),
            "{}",
            ran.stdout
        );
    }
    let ran = host.run(&["report", "nope", "--out", "out"]).await;
    assert_eq!(ran.code, 2);
    let store = here.join("evidence").display().to_string();
    assert!(
        ran.stderr.contains(&store) && ran.stderr.contains("--config or --store"),
        "{}",
        ran.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_missed_only_in_the_store_it_was_sealed_in() {
    let host = one_open().await;
    let second = ["--store", "file:./ev2"];
    let verify = async |store: &[&str]| {
        let args = [store, &["verify", "--all"]].concat();
        let ran = host.run(&args).await;
        (ran.code, format!("{}{}", ran.stdout, ran.stderr))
    };
    for store in [&[][..], &second] {
        let args = [store, &["scan", "--json"]].concat();
        assert_eq!(host.run(&args).await.code, 0);
    }
    let only = |folder: &str| {
        let mut names = std::fs::read_dir(host.path(folder)).expect("a folder");
        let name = names.next().expect("a run").expect("a name").file_name();
        (
            host.path(folder).join(&name),
            name.into_string().expect("text"),
        )
    };
    let ((one, _), (_, id)) = (only("evidence/runs"), only("ev2/runs"));
    let note = host.path("state/sealed").join(&id);
    let noted = std::fs::read_to_string(&note).expect("a note");
    let mut lines = noted.lines();
    let hash = lines.next().expect("a line").to_owned();
    assert!(hash.ends_with("  manifest.json"), "{noted}");
    let ev2 = std::fs::canonicalize(host.path("ev2")).expect("a folder");
    assert_eq!(
        lines.next(),
        Some(&*format!("# store {:?}", ev2.display().to_string()))
    );

    // Neither store misses what is in the other, and says that it did not look for it.
    for store in [&[][..], &second] {
        let (code, said) = verify(store).await;
        assert_eq!(code, 0, "{said}");
        assert!(
            said.contains("another store, and not looked for here"),
            "{said}"
        );
    }
    // However its path is written, what is gone from a store is missed there, and there only.
    std::fs::remove_dir_all(&one).expect("removed");
    std::os::unix::fs::symlink(host.path("evidence"), host.path("linked")).expect("a link");
    for path in ["file:evidence", "file:./ev2/../evidence", "file:linked"] {
        let (code, said) = verify(&["--store", path]).await;
        assert_eq!(code, 1, "{path}: {said}");
        assert!(said.contains("no longer in the store"), "{path}: {said}");
    }
    assert_eq!(verify(&second).await.0, 0);
    std::fs::remove_dir_all(host.path("evidence")).expect("removed");
    let (code, said) = verify(&[]).await;
    assert!(
        code == 1 && said.contains("no longer in the store"),
        "{said}"
    );
    // A note from before stores were noted is of every store; so is one that cannot be read.
    for line in [&hash[..], "", &format!("{hash}\n# store ev2")] {
        std::fs::write(&note, format!("{line}\n")).expect("a note");
        let (code, said) = verify(&[]).await;
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(&format!("{id} was sealed")), "{line}: {said}");
    }
    std::fs::write(&note, format!("{hash}\n")).expect("a note");
    let (code, said) = verify(&second).await;
    assert!(code == 0 && said.contains("sound"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_runs_says_what_each_changed() {
    let host = one_open().await;
    let revoked = host.revoke("").await;
    assert_eq!(host.run(&["scan"]).await.code, 0);
    let run = revoked.record.header.run.to_string();
    let back = host.run(&["rollback", &run]).await;
    assert_eq!(back.code, 0, "{}{}", back.stdout, back.stderr);
    // Runs of one second stand in the order of their names.
    let of = |listed: &[String], command: &str| {
        let mut lines = listed.iter();
        let line = lines.find(|line| line.contains(&format!("({command}, ")));
        line.expect("a line").clone()
    };
    let listed = lines(&host).await;
    let scan = of(&listed, "scan");
    assert!(
        scan.contains("compliant (scan") && !scan.contains("changed"),
        "{scan}"
    );
    let revoke = of(&listed, "run");
    assert!(revoke.contains("compliant, 1 changed (run"), "{revoke}");
    let rollback = of(&listed, "rollback");
    assert!(rollback.contains("complete 1 changed ("), "{rollback}");
    let rows = async || host.run(&["runs", "--json"]).await.json()["runs"].take();
    let row = |rows: &Value, command: &str| {
        let mut rows = rows.as_array().expect("a list").iter();
        let row = rows.find(|row| row["command"] == command);
        row.expect("a row").clone()
    };
    let all = rows().await;
    for (command, changed) in [("run", 1), ("scan", 0), ("rollback", 1)] {
        let row = row(&all, command);
        assert_eq!(
            (&row["changed"], &row["not_verified"]),
            (&changed.into(), &0.into())
        );
    }
    // Of a run that changed nothing the manifest is enough; of another nothing is guessed.
    for command in ["run", "scan"] {
        let path = row(&all, command)["path"]
            .as_str()
            .expect("a path")
            .to_owned();
        std::fs::remove_file(host.path(&path).join("changes.json")).expect("removed");
    }
    let all = rows().await;
    assert_eq!(row(&all, "scan")["changed"], 0);
    assert!(row(&all, "run")["changed"].is_null(), "{all}");
    let revoke = of(&lines(&host).await, "run");
    assert!(revoke.contains("its changes cannot be read"), "{revoke}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_ahead_is_told_from_one_that_is_behind() {
    let host = one_open().await;
    host.revoke("").await;
    let mut tools = host.tools();
    tools.now = || chrono::DateTime::UNIX_EPOCH;
    let run = sgwarden::job::run(&host.job(""), &tools).await;
    let why = run.expect_err("out of order").to_string();
    for said in ["set the clock", "was ahead then", "under another name"] {
        assert!(why.contains(said), "{why}");
    }
    // A chain of its own begins whenever it does.
    let mut job = host.job("");
    "again".clone_into(&mut job.schedule.name);
    sgwarden::job::run(&job, &tools)
        .await
        .expect("a sealed run");
}
