//! `deploy/terraform`, held against a table of what the provider takes (`tests/fixtures/terraform`):
//! a misspelt argument or a wrong word would show only at somebody's first apply.

use hcl::{Block, Body, Expression, Structure};
use sgwarden::config::Program;
use sgwarden::config::program::PasswordIn;
use sgwarden::host::next_fire::Cron;
use sgwarden::model::actions::{self, Task};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const TABLE: &str = include_str!("../fixtures/terraform/resources.toml");

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Resource {
    required: Vec<String>,
    #[serde(default)]
    optional: Vec<String>,
    #[serde(default)]
    exports: Vec<String>,
    #[serde(default)]
    values: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    blocks: BTreeMap<String, Vec<String>>,
}

fn table() -> BTreeMap<String, Resource> {
    toml::from_str(TABLE).expect("the table")
}

fn module() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/terraform")
}

/// The folder's files, each parsed.
fn parsed(folder: &Path) -> Vec<(String, String, Body)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a folder")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "tf"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{}", folder.display());
    files
        .into_iter()
        .map(|file| {
            let text = std::fs::read_to_string(&file).expect("a file");
            let body = hcl::parse(&text).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
            let name = file
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, text, body)
        })
        .collect()
}

fn labels(block: &Block) -> Vec<&str> {
    block.labels().iter().map(hcl::BlockLabel::as_str).collect()
}

fn blocks<'b>(body: &'b Body, kind: &str) -> Vec<&'b Block> {
    body.blocks()
        .filter(|block| block.identifier() == kind)
        .collect()
}

fn resources(files: &[(String, String, Body)]) -> Vec<&Block> {
    files
        .iter()
        .flat_map(|(_, _, body)| blocks(body, "resource"))
        .collect()
}

fn attribute<'b>(body: &'b Body, name: &str) -> Option<&'b Expression> {
    body.attributes()
        .find(|attribute| attribute.key() == name)
        .map(hcl::Attribute::expr)
}

/// The words an expression can come to, where they are written out.
fn words(expression: &Expression) -> Vec<String> {
    match expression {
        Expression::String(text) => vec![text.clone()],
        Expression::Number(number) => vec![number.to_string()],
        Expression::Bool(word) => vec![word.to_string()],
        _ => Vec::new(),
    }
}

/// What every resource of Terraform may have.
const META: [&str; 3] = ["count", "for_each", "depends_on"];

#[test]
fn every_resource_is_as_the_provider_has_it() {
    let table = table();
    let files = parsed(&module());
    let mut seen = BTreeSet::new();
    for block in resources(&files) {
        let labels = labels(block);
        let [kind, name] = labels.as_slice() else {
            panic!("{labels:?}");
        };
        let known = table
            .get(*kind)
            .unwrap_or_else(|| panic!("{kind} is not in the table"));
        seen.insert((*kind).to_owned());
        for required in &known.required {
            assert!(
                attribute(block.body(), required).is_some(),
                "{kind}.{name} lacks {required}"
            );
        }
        for structure in block.body().iter() {
            match structure {
                Structure::Attribute(attribute) => {
                    let key = attribute.key().to_owned();
                    let takes = known.required.contains(&key)
                        || known.optional.contains(&key)
                        || META.contains(&key.as_str());
                    assert!(takes, "{kind}.{name} has no argument {key}");
                    if let Some(values) = known.values.get(&key) {
                        for word in words(attribute.expr()) {
                            assert!(values.contains(&word), "{kind}.{name}: {key} = {word}");
                        }
                    }
                }
                Structure::Block(inner) if inner.identifier() == "lifecycle" => {}
                Structure::Block(inner) => {
                    let dynamic = inner.identifier() == "dynamic";
                    let called = if dynamic {
                        inner.labels()[0].as_str()
                    } else {
                        inner.identifier()
                    };
                    let takes = known
                        .blocks
                        .get(called)
                        .unwrap_or_else(|| panic!("{kind}.{name} has no block {called}"));
                    let content = if dynamic {
                        blocks(inner.body(), "content")[0].body()
                    } else {
                        inner.body()
                    };
                    for attribute in content.attributes() {
                        assert!(
                            takes.iter().any(|known| known == attribute.key()),
                            "{kind}.{name}: {called} has no argument {}",
                            attribute.key()
                        );
                    }
                }
            }
        }
    }
    let whole: BTreeSet<String> = table.into_keys().collect();
    assert_eq!(
        seen, whole,
        "the table and the module have the same resources"
    );
}

/// `alicloud_x.y.attribute` and `alicloud_x.y[..].attribute`, as they stand in a text.
fn references(text: &str) -> Vec<(String, String, String)> {
    let word = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect()
    };
    let mut out = Vec::new();
    for (at, _) in text.match_indices("alicloud_") {
        let kind = word(&text[at..]);
        let Some(rest) = text[at + kind.len()..].strip_prefix('.') else {
            continue;
        };
        let name = word(rest);
        let mut rest = &rest[name.len()..];
        if rest.starts_with('[') {
            rest = &rest[rest.find(']').expect("a bracket") + 1..];
        }
        let attribute = rest.strip_prefix('.').map(word).unwrap_or_default();
        out.push((kind, name, attribute));
    }
    out
}

#[test]
fn every_reference_leads_somewhere_and_every_variable_is_used() {
    let table = table();
    let files = parsed(&module());
    let declared: BTreeSet<(String, String)> = resources(&files)
        .iter()
        .map(|block| {
            let labels = labels(block);
            (labels[0].to_owned(), labels[1].to_owned())
        })
        .collect();
    let mut variables = BTreeSet::new();
    for (name, text, body) in &files {
        for (kind, resource, exported) in references(text) {
            assert!(
                declared.contains(&(kind.clone(), resource.clone())),
                "{name}: {kind}.{resource}"
            );
            let known = &table[&kind];
            let leads = exported.is_empty()
                || [&known.required, &known.optional, &known.exports]
                    .iter()
                    .any(|list| list.contains(&exported));
            assert!(leads, "{name}: {kind}.{resource}.{exported}");
        }
        for variable in blocks(body, "variable") {
            let told = attribute(variable.body(), "description").map(words);
            assert!(
                told.is_some_and(|told| !told.is_empty()),
                "{:?}",
                labels(variable)
            );
            variables.insert(labels(variable)[0].to_owned());
        }
        for output in blocks(body, "output") {
            assert!(attribute(output.body(), "description").is_some());
        }
    }
    let used: String = files
        .iter()
        .filter(|(name, _, _)| name != "variables.tf")
        .map(|(_, text, _)| text.as_str())
        .collect();
    let mentioned: BTreeSet<String> = used
        .match_indices("var.")
        .map(|(at, _)| {
            used[at + 4..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect()
        })
        .collect();
    assert_eq!(mentioned, variables);
}

fn one<'b>(files: &'b [(String, String, Body)], kind: &str, name: &str) -> &'b Body {
    resources(files)
        .into_iter()
        .find(|block| labels(block) == [kind, name])
        .unwrap_or_else(|| panic!("{kind}.{name}"))
        .body()
}

fn says(body: &Body, key: &str) -> String {
    let expression = attribute(body, key).unwrap_or_else(|| panic!("no {key}"));
    words(expression).join("")
}

/// Objects with an `Action`, anywhere in an expression: statements of policies.
fn statements(expression: &Expression, out: &mut Vec<(Vec<String>, String)>) {
    match expression {
        Expression::Object(object) => {
            let entry = |name: &str| {
                object
                    .iter()
                    .find(|(key, _)| key.to_string().trim_matches('"') == name)
                    .map(|(_, value)| value)
            };
            if let (Some(Expression::Array(actions)), Some(resource)) =
                (entry("Action"), entry("Resource"))
            {
                let actions = actions.iter().flat_map(words).collect();
                out.push((actions, format!("{resource:?}")));
            }
            for (_, value) in object {
                statements(value, out);
            }
        }
        Expression::Array(items) => items.iter().for_each(|item| statements(item, out)),
        Expression::FuncCall(call) => call.args.iter().for_each(|arg| statements(arg, out)),
        Expression::Conditional(both) => {
            statements(&both.true_expr, out);
            statements(&both.false_expr, out);
        }
        _ => {}
    }
}

#[test]
fn what_must_hold_of_a_job_that_revokes() {
    let files = parsed(&module());
    let function = one(&files, "alicloud_fcv3_function", "job");
    assert_eq!(says(function, "runtime"), "custom.debian12");
    assert_eq!(says(function, "instance_concurrency"), "1");
    let retries = one(&files, "alicloud_fcv3_async_invoke_config", "job");
    assert_eq!(says(retries, "max_async_retry_attempts"), "0");
    let instances = one(&files, "alicloud_fcv3_concurrency_config", "job");
    assert_eq!(says(instances, "reserved_concurrency"), "1");
    let trigger = one(&files, "alicloud_fcv3_trigger", "schedule");
    assert_eq!(says(trigger, "trigger_type"), "timer");
    assert_eq!(
        says(
            one(&files, "alicloud_oss_bucket_worm", "evidence"),
            "status"
        ),
        "Locked"
    );
    let evidence = one(&files, "alicloud_oss_bucket", "evidence");
    let versions = blocks(evidence, "versioning");
    assert!(
        versions.is_empty(),
        "retention and versions exclude each other"
    );
    let rule = one(&files, "alicloud_config_rule", "risky_ports");
    assert_eq!(says(rule, "rule_name"), "sg-risky-ports-check");
    let remediation = one(&files, "alicloud_config_remediation", "revoke");
    assert_eq!(says(remediation, "remediation_source_type"), "CUSTOM");
    assert_eq!(says(remediation, "params"), "{}");

    // What the variable's words become is in the table too, and a person starts it by default.
    let locals: Vec<&Block> = files
        .iter()
        .flat_map(|(_, _, body)| blocks(body, "locals"))
        .collect();
    let table = table();
    let allowed = &table["alicloud_config_remediation"].values["invoke_type"];
    let execution = locals
        .iter()
        .find_map(|block| attribute(block.body(), "execution"))
        .expect("local.execution");
    let Expression::Object(execution) = execution else {
        panic!("{execution:?}");
    };
    let execution: BTreeMap<String, String> = execution
        .iter()
        .map(|(key, value)| (key.to_string(), words(value).join("")))
        .collect();
    assert_eq!(execution["MANUAL"], "MANUAL_EXECUTION");
    assert_eq!(execution["AUTO"], "AUTO_EXECUTION");
    assert!(execution.values().all(|word| allowed.contains(word)));
    let variable = |name: &str| {
        files
            .iter()
            .flat_map(|(_, _, body)| blocks(body, "variable"))
            .find(|block| labels(block) == [name])
            .unwrap_or_else(|| panic!("{name}"))
            .body()
    };
    assert_eq!(says(variable("remediation"), "default"), "MANUAL");
    assert_eq!(says(variable("mode"), "default"), "scan");
    let days = variable("evidence_retention_days");
    assert!(
        attribute(days, "default").is_none(),
        "what cannot be taken back is decided by a person"
    );

    // Who writes evidence cannot delete it; nobody has a whole service.
    let mut policies = Vec::new();
    for block in locals {
        if let Some(expression) = attribute(block.body(), "policies") {
            statements(expression, &mut policies);
        }
    }
    assert_eq!(policies.len(), 6);
    for (actions, resource) in &policies {
        assert!(
            actions.iter().all(|action| !action.ends_with('*')),
            "{actions:?}"
        );
        assert!(!resource.contains("\"*\""), "{resource}");
        let deletes = actions.iter().any(|action| action == "oss:DeleteObject");
        assert!(!(deletes && resource.contains("evidence")), "{resource}");
        assert!(!deletes || resource.contains("/state/*"), "{resource}");
    }
    // What the program reads of KMS, of the one secret that the module makes.
    let of_kms: Vec<_> = policies
        .iter()
        .filter(|(actions, _)| actions.iter().any(|action| action.starts_with("kms:")))
        .collect();
    let reads: Vec<&str> = actions::of(Task::MailSecret)
        .filter_map(|action| action.ram)
        .collect();
    let [(granted, resource)] = of_kms.as_slice() else {
        panic!("{of_kms:?}");
    };
    assert_eq!(*granted, reads);
    for part in ["alicloud_kms_secret", "smtp", "arn"] {
        assert!(resource.contains(part), "{part}: {resource}");
    }
    for mode in [
        "scan",
        "revoke",
        "narrow",
        "config-rule",
        "attached",
        "completeness",
        "events",
        "attribution",
        "mail-secret",
    ] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("deploy/ram/{mode}.json"));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|why| panic!("{mode}: {why}"));
        assert!(text.len() <= 6144, "{mode}: RAM takes no longer policy");
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }
}

#[test]
fn what_the_variables_let_through_is_what_there_is() {
    let text = std::fs::read_to_string(module().join("variables.tf")).expect("the variables");
    let between = |before: &str, after: &str| -> String {
        let rest = text.split_once(before).expect("the beginning").1;
        rest.split_once(after).expect("the end").0.to_owned()
    };
    // Every zone has a name of these.
    let class = between("(CRON_TZ=[", "]+ )");
    assert_eq!(class, "A-Za-z0-9_/+-");
    for zone in chrono_tz::TZ_VARIANTS {
        let known = |c: char| c.is_ascii_alphanumeric() || "_/+-".contains(c);
        assert!(zone.name().chars().all(known), "{zone}");
    }
    let reads: Vec<String> =
        serde_json::from_str(&format!("[{}]", between("setsubtract(var.reads, [", "])")))
            .expect("a list");
    assert!(reads.contains(&"accounts".to_owned()), "{reads:?}");
    for name in &reads {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("deploy/ram/{name}.json"));
        assert!(file.is_file(), "{name}");
    }
    assert!(text.contains(&format!("error_message = \"{}.\"", reads.join(", "))));
    // A scan changes nothing: Cloud Config is given nothing to start; every other mode is.
    let config = std::fs::read_to_string(module().join("config.tf")).expect("the rule");
    assert!(config.contains("var.config_rule && var.mode != \"scan\" && var.remediation"));
    assert!(text.contains("Nothing with mode = \\\"scan\\\""));
}

#[test]
fn the_packages_configuration_on_the_page_names_what_the_module_makes() {
    let page = include_str!("../../docs/function-compute.md");
    let block = page
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("a block of TOML");
    let read = Program::read("sgwarden.toml", block, Path::new("."));
    let program = read.unwrap_or_else(|problems| panic!("{problems:?}"));
    let Some(PasswordIn::Secret(name)) = program.mail.and_then(|relay| relay.password) else {
        panic!("no secret: {block}");
    };
    let stem = name
        .as_str()
        .strip_suffix("-smtp")
        .expect("the module's end");
    assert!(block.contains(&format!(
        "oss://{stem}-evidence?region={}",
        program.home_region
    )));
    let files = parsed(&module());
    let secret = attribute(one(&files, "alicloud_kms_secret", "smtp"), "secret_name");
    let secret = format!("{secret:?}");
    assert!(secret.contains("${var.name}-smtp"), "{secret}");
}

#[test]
fn the_examples_give_what_the_module_asks_for() {
    let variables: BTreeMap<String, bool> = parsed(&module())
        .iter()
        .flat_map(|(_, _, body)| blocks(body, "variable"))
        .map(|block| {
            let required = attribute(block.body(), "default").is_none();
            (labels(block)[0].to_owned(), required)
        })
        .collect();
    for example in ["scan-only", "revoke"] {
        let files = parsed(&module().join("examples").join(example));
        let (_, _, body) = &files[0];
        let module = blocks(body, "module")[0].body();
        let given: BTreeSet<&str> = module
            .attributes()
            .map(hcl::Attribute::key)
            .filter(|key| *key != "source")
            .collect();
        for (name, required) in &variables {
            assert!(
                !required || given.contains(name.as_str()),
                "{example}: {name}"
            );
        }
        assert!(
            given.iter().all(|name| variables.contains_key(*name)),
            "{example}"
        );
        let providers = blocks(blocks(body, "terraform")[0].body(), "required_providers");
        let provider = attribute(providers[0].body(), "alicloud").expect("the provider");
        assert!(
            format!("{provider:?}").contains("aliyun/alicloud"),
            "{example}: it would be another provider than the module's"
        );
        let Some(Expression::Object(times)) = attribute(module, "schedules") else {
            panic!("{example}: no schedules");
        };
        for (name, time) in times {
            let time = words(time).join("");
            let cron = Cron::parse(&time).unwrap_or_else(|why| panic!("{name}: {why}"));
            assert_eq!(cron.zone(), Some(chrono_tz::Tz::Asia__Taipei), "{name}");
        }
    }
}
