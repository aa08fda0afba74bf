//! The house's rules, read off its `use` lines: `ARCHITECTURE.md` stays true.

use std::path::{Path, PathBuf};

/// Room, what it never imports. A whole room is its name; one exception is written out.
const NEVER: [(&str, &[&str]); 12] = [
    (
        "model",
        &[
            "cli", "cloud", "config", "deliver", "evidence", "exposure", "host", "job", "policy",
            "remedy", "report", "sim", "state",
        ],
    ),
    (
        "exposure",
        &[
            "cli", "cloud", "config", "deliver", "evidence", "host", "job", "policy", "remedy",
            "report", "sim", "state",
        ],
    ),
    (
        "policy",
        &[
            "cli", "cloud", "config", "deliver", "evidence", "host", "job", "remedy", "report",
            "sim", "state",
        ],
    ),
    (
        "cloud",
        &[
            "cli", "config", "deliver", "evidence", "exposure", "host", "job", "policy", "remedy",
            "report", "sim", "state",
        ],
    ),
    (
        "report",
        &[
            "cli", "cloud", "config", "deliver", "evidence", "host", "job", "policy", "remedy",
            "sim", "state",
        ],
    ),
    (
        "evidence",
        &[
            "cli", "config", "deliver", "host", "job", "policy", "remedy", "report", "sim",
        ],
    ),
    (
        "deliver",
        &[
            "cli", "cloud", "config", "evidence", "host", "job", "policy", "remedy", "report",
            "sim", "state",
        ],
    ),
    (
        "config",
        &[
            "cli", "cloud", "deliver", "evidence", "job", "remedy", "report", "sim", "state",
        ],
    ),
    (
        "host",
        &[
            "cloud", "config", "deliver", "evidence", "exposure", "policy", "remedy", "report",
            "sim", "state",
        ],
    ),
    (
        "sim",
        &[
            "cli", "cloud", "config", "deliver", "evidence", "exposure", "host", "job", "model",
            "policy", "remedy", "report", "state",
        ],
    ),
    (
        "storage",
        &[
            "cli", "cloud", "config", "deliver", "evidence", "exposure", "host", "job", "model",
            "policy", "remedy", "report", "sim", "state",
        ],
    ),
    (
        "state",
        &[
            "cli", "cloud", "config", "exposure", "host", "job", "policy", "remedy", "report",
            "sim",
        ],
    ),
];

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

#[test]
fn no_room_imports_what_it_must_not() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (room, never) in NEVER {
        let mut paths = Vec::new();
        files(&src.join(room), &mut paths);
        let single = src.join(format!("{room}.rs"));
        if single.is_file() {
            paths.push(single);
        }
        assert!(!paths.is_empty(), "{room}");
        for path in paths {
            let text = std::fs::read_to_string(&path).expect("a source");
            for (at, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                for other in never {
                    // Facts about the service, and the one thing that is shared with what plays it.
                    if room == "sim" && code.contains("crate::model::actions::") {
                        continue;
                    }
                    if code.contains(&format!("crate::{other}::"))
                        || code.contains(&format!("crate::{{{other}::"))
                    {
                        wrong.push(format!("{}:{}: {}", path.display(), at + 1, line.trim()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn remedy_only_apply_sees_the_cloud_and_it_sees_no_policy_and_no_exposure() {
    let remedy = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/remedy");
    let mut paths = Vec::new();
    files(&remedy, &mut paths);
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a source");
        let is_apply = path.ends_with("apply.rs");
        assert_eq!(
            text.contains("crate::cloud"),
            is_apply,
            "{}",
            path.display()
        );
        if is_apply {
            assert!(!text.contains("crate::policy") && !text.contains("crate::exposure"));
        }
    }
}

#[test]
fn every_language_has_every_sentence_with_the_same_blanks() {
    use sgwarden::model::Language;
    let blanks = |text: &str| {
        let mut names: Vec<String> = text
            .split('{')
            .skip(1)
            .filter_map(|part| part.split_once('}').map(|(name, _)| name.to_owned()))
            .collect();
        names.sort();
        names.dedup();
        names
    };
    let english = sgwarden::report::lang::keys(Language::En);
    for language in [Language::ZhCn, Language::ZhTw] {
        let own = sgwarden::report::lang::keys(language);
        for (key, text) in &english {
            match own.get(key) {
                Some(theirs) => assert_eq!(blanks(theirs), blanks(text), "{language:?} {key}"),
                None => assert!(key.ends_with(".one"), "{language:?} lacks {key}"),
            }
        }
    }
}

#[test]
fn the_readme_begins_with_the_two_commands() {
    let readme = include_str!("../../README.md");
    let commands: Vec<&str> = readme
        .lines()
        .skip_while(|line| *line != "```sh")
        .skip(1)
        .take_while(|line| *line != "```")
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .collect();
    assert_eq!(
        commands,
        ["cargo run --release -- demo", "cargo nextest run"]
    );
}
