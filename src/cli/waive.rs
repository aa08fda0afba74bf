//! `waive`: prints the block of a waivers' file that would approve a finding. Writes nothing: who
//! approves puts it there.

use super::exit::{Exit, Failure};
use super::{Global, setup, show};
use crate::evidence::Store;
use crate::evidence::store::{Listed, read_record};
use crate::exposure::Internet;
use crate::model::{Finding, GroupId, RunRecord, Verdict};
use crate::policy::propose::{Proposed, propose};
use crate::report::view::{View, visible};
use chrono::NaiveDate;
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;

/// Arguments of `waive`.
#[derive(Debug, Args)]
pub(super) struct Waive {
    /// GROUP or GROUP/CHECK of each schedule's last sealed run, or RUN/GROUP/CHECK
    #[arg(value_name = "FINDING")]
    finding: String,
    /// Who answers for what is open
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Who approved it
    #[arg(long, value_name = "NAME")]
    approved_by: Option<String>,
    /// Why it must be open
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Its last day
    #[arg(long, value_name = "YYYY-MM-DD")]
    expires: Option<NaiveDate>,
    /// The ticket
    #[arg(long, value_name = "ID")]
    ticket: Option<String>,
}

/// What a person named.
struct Named<'t> {
    run: Option<String>,
    group: &'t str,
    check: Option<&'t str>,
}

impl Waive {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Failure> {
        let named = named(&self.finding)?;
        let program = setup::program(global)?;
        let store = setup::store(&program)?;
        let runs = match &named.run {
            Some(run) => vec![run.clone()],
            None => last_runs(&store)?,
        };
        let mut found: Vec<(String, RunRecord, Finding)> = Vec::new();
        for run in runs {
            let (record, _) = read_record(&store.find(&run)?)?;
            let mine: Vec<Finding> = record
                .findings
                .iter()
                .filter(|finding| {
                    finding.group_id.as_str() == named.group
                        && named.check.is_none_or(|check| finding.check == check)
                })
                .cloned()
                .collect();
            // What interfaces expose by several groups is asked for where the group has nothing itself.
            let own = mine.iter().any(|finding| finding.interface.is_none());
            for finding in mine {
                if own && finding.interface.is_some() {
                    continue;
                }
                // The newest run that has it: folders come newest first.
                if !found
                    .iter()
                    .any(|(_, _, known)| known.check == finding.check)
                {
                    found.push((run.clone(), record.clone(), finding));
                }
            }
        }
        let (run, record, finding) = one(found, &self.finding)?;
        let folder = store.find_whole(&run)?;
        let checked = setup::as_sealed(&program, &store, &folder)?;
        if !checked.problems.is_empty() {
            return Err(Failure {
                exit: Exit::Difference,
                message: format!(
                    "{} is not as it was sealed, so nothing is approved by it: {}",
                    checked.run,
                    checked.problems.join("; ")
                ),
            });
        }
        self.answer(global, &record, &finding)
    }

    fn answer(
        &self,
        global: &Global,
        record: &RunRecord,
        finding: &Finding,
    ) -> Result<Exit, Failure> {
        match finding.verdict {
            Verdict::Exposed | Verdict::Waived | Verdict::Compliant => {}
            Verdict::Managed => {
                return Err(Failure::usage(format!(
                    "{} is managed by a cloud service: it is shown and never changed, and a waiver \
                     would count for nothing",
                    finding.group_id
                )));
            }
            Verdict::Undetermined => {
                return Err(Failure::usage(format!(
                    "it is not certain what {} exposes under {}: {}. What is not known cannot be \
                     approved",
                    finding.group_id,
                    finding.check,
                    visible(
                        finding
                            .reason
                            .as_deref()
                            .unwrap_or("no reason was recorded")
                    )
                )));
            }
        }
        let header = &record.header;
        let internet = Internet::less_trusted(&header.trusted).map_err(Failure::start)?;
        let check = header.checks.iter().find(|check| check.id == finding.check);
        let proposed = propose(finding, check, &internet).ok_or_else(|| {
            Failure::start(format!(
                "the finding of {} in run {} is not one this version can read",
                finding.group_id, header.run
            ))
        })?;
        let groups = match &finding.interface {
            Some(interface) => interface.groups.clone(),
            None => vec![finding.group_id.clone()],
        };
        let blocks: Vec<String> = groups
            .iter()
            .flat_map(|group| proposed.iter().map(|part| self.block(finding, group, part)))
            .collect();
        let view = View::in_english(record);
        let mut lines = vec![
            format!(
                "# {} ({}) under {}, as run {} saw it:",
                finding.group_id,
                visible(&finding.group_name),
                finding.check,
                header.run
            ),
            format!("# {}", view.sentence(finding)),
        ];
        for block in &blocks {
            lines.extend(block.lines().map(str::to_owned));
            lines.push(String::new());
        }
        lines.pop();
        let toml = lines.join("\n");
        let value = json!({
            "run": header.run,
            "account": finding.account,
            "region": finding.region,
            "group_id": finding.group_id,
            "check": finding.check,
            "verdict": finding.verdict,
            "waivers": proposed
                .iter()
                .map(|part| json!({ "ports": part.ports, "sources": part.sources }))
                .collect::<Vec<_>>(),
            "toml": toml,
        });
        show::answer(global, &value, &lines);
        Ok(Exit::Done)
    }

    /// A block that the reader takes once every placeholder is filled in.
    fn block(&self, finding: &Finding, group: &GroupId, part: &Proposed) -> String {
        let own = |value: &Option<String>, placeholder: &str| {
            quoted(value.as_deref().unwrap_or(placeholder))
        };
        let list = |texts: &[String]| {
            let quoted: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
            let mut out = String::from("[");
            // Long lists, six to a line.
            for (at, text) in quoted.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                    out.push_str(if at % 6 == 0 { "\n    " } else { " " });
                }
                out.push_str(text);
            }
            out.push(']');
            out
        };
        let expires = self
            .expires
            .map_or_else(|| "YYYY-MM-DD".to_owned(), |day| day.to_string());
        let mut out = format!(
            "[[waiver]]\naccount = {}\nregion = {}\ngroup = {}\ncheck = {}\nports = {}\nsources = {}\n\
             owner = {}\napproved_by = {}\nreason = {}\nexpires = {}\n",
            quoted(finding.account.as_str()),
            quoted(finding.region.as_str()),
            quoted(group.as_str()),
            quoted(&finding.check),
            list(&part.ports),
            list(&part.sources),
            own(&self.owner, "<who answers for what is open>"),
            own(&self.approved_by, "<who approved it>"),
            own(&self.reason, "<why it must be open>"),
            quoted(&expires),
        );
        if let Some(ticket) = &self.ticket {
            out.push_str(&format!("ticket = {}\n", quoted(ticket)));
        }
        out
    }
}

/// A TOML string. JSON's escapes are TOML's, but for DEL, which TOML wants escaped too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text)
        .to_string()
        .replace('\u{7f}', "\\u007f")
}

fn named(text: &str) -> Result<Named<'_>, Failure> {
    let parts: Vec<&str> = text.split('/').collect();
    let group = parts.iter().rposition(|part| part.starts_with("sg-"));
    let (Some(at), true) = (group, parts.iter().all(|part| !part.is_empty())) else {
        return Err(Failure::usage(format!(
            "\"{text}\" must be GROUP, GROUP/CHECK or RUN/GROUP/CHECK, such as sg-bp1.../risky-ports"
        )));
    };
    let (before, rest) = parts.split_at(at);
    let check = match rest {
        [_, check] => Some(*check),
        [_] => None,
        _ => {
            return Err(Failure::usage(format!(
                "\"{text}\" has more behind the group than a check"
            )));
        }
    };
    Ok(Named {
        run: (!before.is_empty()).then(|| before.join("/")),
        group: parts.get(at).copied().unwrap_or_default(),
        check,
    })
}

/// The last sealed run of each schedule, the newest first; runs that judge nothing are none.
fn last_runs(store: &Store) -> Result<Vec<String>, Failure> {
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    for listed in store.list()? {
        match listed {
            Listed::Sealed(sealed, manifest) => {
                let header = &manifest.header;
                if header.severities.is_some() || header.groups > 0 {
                    last.insert(header.schedule.clone(), sealed.run.as_str().to_owned());
                }
            }
            Listed::Broken(name, why) => {
                tracing::warn!(%name, %why, "a run that cannot be read is passed over");
            }
            Listed::Unfinished(_) => {}
        }
    }
    let mut out: Vec<String> = last.into_values().collect();
    out.sort();
    out.reverse();
    if out.is_empty() {
        return Err(Failure::usage(
            "there is no sealed run here to take a finding from; `sgwarden scan` makes one",
        ));
    }
    Ok(out)
}

fn one(
    mut found: Vec<(String, RunRecord, Finding)>,
    text: &str,
) -> Result<(String, RunRecord, Finding), Failure> {
    if found.len() > 1 {
        let names: Vec<String> = found
            .iter()
            .map(|(_, _, finding)| format!("{}/{}", finding.group_id, finding.check))
            .collect();
        return Err(Failure::usage(format!(
            "\"{text}\" is {} findings; name one: {}",
            names.len(),
            names.join(", ")
        )));
    }
    found.pop().ok_or_else(|| {
        Failure::usage(format!(
            "no finding \"{text}\" in the last sealed run of any schedule here (or in the run named); \
             `sgwarden runs` lists the runs, and each report names its groups and checks"
        ))
    })
}
