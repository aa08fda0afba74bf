//! `explain eni-...`: all rules of all groups of an interface, in one order.

use super::Judging;
use crate::cli::exit::{Exit, Failure};
use crate::cli::{Global, show};
use crate::cloud::Client;
use crate::cloud::collect::{Collected, Request, collect, read_interface};
use crate::exposure::explain::{Question, explain};
use crate::exposure::set::address_text;
use crate::exposure::{Certainty, GroupRules, Internet};
use crate::model::{AccountId, CallError, GroupId, GroupReading, RegionId};
use std::sync::Arc;

/// Whether a word may be an interface's id.
pub(super) fn is_interface(word: &str) -> bool {
    word.strip_prefix("eni-").is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    })
}

/// What is asked about an interface.
pub(super) struct Asked<'a> {
    /// Whose it is.
    pub(super) account: AccountId,
    /// Its id.
    pub(super) id: &'a str,
    /// Its region.
    pub(super) region: &'a str,
    /// The packets.
    pub(super) questions: &'a [Question],
    /// The policy.
    pub(super) judging: &'a Judging,
}

/// Reads an interface and its groups, and answers the questions about them.
pub(super) async fn run(
    global: &Global,
    client: Arc<Client>,
    asked: &Asked<'_>,
) -> Result<Exit, Failure> {
    let (id, region) = (asked.id, asked.region);
    let incomplete = |message: String| Failure {
        exit: Exit::Incomplete,
        message,
    };
    let account = asked.account.clone();
    let place = RegionId::new(region);
    let interface = read_interface(&client, &account, &place, id)
        .await
        .map_err(|why| incomplete(format!("cannot read {id}: {why}")))?
        .ok_or_else(|| {
            incomplete(format!(
                "there is no interface {id} in {region} that this identity may see"
            ))
        })?;
    let mut request = Request::everything(account);
    request.regions = Some(vec![place]);
    request.groups = Some(interface.groups.clone());
    request.regions_at_once = 1;
    let (mut groups, mut failed) = (Vec::new(), None::<CallError>);
    let mut stream = collect(client, request);
    while let Some(event) = stream.recv().await {
        match event {
            Collected::Group(group) => groups.push(*group),
            Collected::Region(region) => failed = failed.or(region.error),
            Collected::Answers(_)
            | Collected::Attached { .. }
            | Collected::Unnamed(_)
            | Collected::Excluded { .. }
            | Collected::Conflict { .. } => {}
        }
    }
    let absent: Vec<&str> = interface
        .groups
        .iter()
        .filter(|id| !groups.iter().any(|group: &GroupReading| group.id() == **id))
        .map(GroupId::as_str)
        .collect();
    if !absent.is_empty() {
        let why = failed.map_or_else(String::new, |why| {
            format!(": {} {}: {}", why.action, why.code, why.message)
        });
        return Err(incomplete(format!(
            "cannot say what reaches {id}: its group {} could not be read{why}",
            absent.join(", ")
        )));
    }
    groups.sort_by(|a, b| a.group.id.cmp(&b.group.id));
    let read: Vec<GroupRules<'_>> = groups
        .iter()
        .map(|of| GroupRules::read(&of.rules.read, &of.lists, of.group.is_classic()))
        .collect();
    let rules = GroupRules::of(
        read.iter()
            .flat_map(|group| group.rules().iter().cloned())
            .collect(),
    );
    let internet = Internet::whole();
    let mut parts = Vec::new();
    for question in asked.questions {
        let closing = explain(&rules, &internet, Certainty::Closing, question);
        let opening = explain(&rules, &internet, Certainty::Opening, question);
        parts.push((question.clone(), closing, opening));
    }
    let source = asked.questions.first().and_then(|question| {
        let address = question.source?;
        address_text(question.family, address).parse().ok()
    });
    let notes = asked
        .judging
        .notes(&groups.iter().collect::<Vec<_>>(), source);
    let shown = show::Asked {
        id,
        region,
        instance: &interface.instance,
        groups: &groups,
    };
    show::explained_interface(global, &shown, &parts, &notes);
    let whole = groups.iter().all(|group| group.rules.incomplete.is_none());
    Ok(if whole { Exit::Done } else { Exit::Incomplete })
}
