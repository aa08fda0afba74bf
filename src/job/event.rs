//! Runs that Cloud Config asks for: what its record says of the resources, what became of each, and
//! verdicts handed back. The record lags behind the groups: it is kept as evidence of what was asked,
//! and nothing is decided by it.

use super::{Begun, Error, Stop, Tools};
use crate::cloud::Service;
use crate::cloud::call::{Effect, Request};
use crate::model::{
    AccountId, CallError, Change, Coverage, Finding, Held, RegionStatus, Trigger, TriggerResource,
    Verdict,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The resource type of security groups, as Cloud Config names it.
pub const SECURITY_GROUP: &str = "ACS::ECS::SecurityGroup";

/// What an event asks for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The event, as it goes into evidence.
    pub trigger: Trigger,
    /// Verdicts wanted back.
    pub evaluation: Option<Evaluation>,
}

/// Verdicts wanted back by a custom rule.
#[derive(Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// The event's `resultToken`.
    pub token: String,
    /// The event's `orderingTimestamp`.
    pub ordering: i64,
    /// Of one resource, or of everything in scope.
    pub whole: bool,
}

impl std::fmt::Debug for Evaluation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluation").finish_non_exhaustive()
    }
}

/// The worst verdict of each group that was read, where an event wants to know.
pub(super) type Verdicts = BTreeMap<(String, String), Verdict>;

/// Notes a verdict where it is worse than what is known: what is certain first, then what is not.
pub(super) fn note(verdicts: &mut Verdicts, region: &str, group: &str, verdict: Verdict) {
    let grave = |verdict: Verdict| match verdict {
        Verdict::Exposed => 4,
        Verdict::Undetermined => 3,
        Verdict::Managed => 2,
        Verdict::Waived => 1,
        Verdict::Compliant => 0,
    };
    let slot = verdicts
        .entry((region.to_owned(), group.to_owned()))
        .or_insert(verdict);
    if grave(verdict) > grave(*slot) {
        *slot = verdict;
    }
}

/// Asks Cloud Config what it knows of each resource of the event. A failure is noted, and fails nothing.
pub(super) async fn look_up(
    tools: &Tools,
    begun: &mut Begun,
    trigger: &mut Trigger,
) -> Result<(), Error> {
    for resource in &mut trigger.resources {
        let request = Request {
            service: Service::Config,
            action: "GetDiscoveredResource".to_owned(),
            account: begun.identity.account.clone(),
            region: String::new(),
            host: None,
            params: BTreeMap::from([
                ("ResourceId".to_owned(), resource.id.clone()),
                ("ResourceType".to_owned(), resource.kind.clone()),
                ("Region".to_owned(), resource.region.clone()),
            ]),
            effect: Effect::Read,
        };
        let answered = tools
            .client
            .call(&request, |body| crate::cloud::wire::discovered_state(body))
            .await;
        let (said, raws) = match answered {
            Ok(answer) => (
                if answer.value { "exists" } else { "deleted" }.to_owned(),
                answer.raws,
            ),
            Err(failure) => {
                let error = failure.error();
                let said = format!("not told: {}: {}", error.code, error.message);
                (said, failure.answers)
            }
        };
        resource.config = Some(said);
        for answer in &raws {
            begun.spool.answers(std::slice::from_ref(answer))?;
        }
    }
    Ok(())
}

/// What a run came to, for [`tell`].
pub(super) struct Outcomes<'a> {
    pub(super) account: AccountId,
    pub(super) findings: &'a [Finding],
    pub(super) changes: &'a [Change],
    pub(super) held: &'a [Held],
    pub(super) coverage: &'a Coverage,
    pub(super) verdicts: &'a Verdicts,
}

/// Says of each resource what became of it.
pub(super) fn tell(trigger: &mut Trigger, of: &Outcomes<'_>) {
    for resource in &mut trigger.resources {
        resource.outcome = one(resource, of);
    }
}

fn one(resource: &TriggerResource, of: &Outcomes<'_>) -> String {
    if resource.kind != SECURITY_GROUP {
        return format!("left alone: {} is not a security group", resource.kind);
    }
    if resource.account != of.account {
        return format!(
            "left alone: it is of account {}, and the function's role is of {}",
            resource.account, of.account
        );
    }
    let mine = |region: &str, group: &str| region == resource.region && group == resource.id;
    let changes: Vec<&Change> = of
        .changes
        .iter()
        .filter(|change| change.intent_of.is_none())
        .filter(|change| mine(change.region.as_str(), change.group_id.as_str()))
        .collect();
    if !changes.is_empty() {
        let list: Vec<String> = changes
            .iter()
            .map(|change| {
                let rule = change
                    .rule
                    .get("SecurityGroupRuleId")
                    .map_or("", String::as_str);
                format!(
                    "{} {rule}: {}",
                    change.kind.as_str(),
                    change.outcome.as_str()
                )
            })
            .collect();
        return list.join("; ");
    }
    let held: Vec<&str> = of
        .held
        .iter()
        .filter(|held| mine(held.region.as_str(), held.group_id.as_str()))
        .flat_map(|held| held.reasons.iter().map(|reason| reason.as_str()))
        .collect();
    let key = (resource.region.clone(), resource.id.clone());
    match of.verdicts.get(&key) {
        Some(Verdict::Exposed) if held.is_empty() => {
            "exposed under checks that only report: nothing was changed".to_owned()
        }
        Some(Verdict::Exposed) => format!("exposed, and held: {}", held.join(", ")),
        Some(Verdict::Managed) => "left alone: a cloud service manages it".to_owned(),
        Some(Verdict::Waived) => "left alone: waived".to_owned(),
        Some(Verdict::Compliant) => {
            "left alone: not exposed under the schedule's policy".to_owned()
        }
        Some(Verdict::Undetermined) => {
            let why = of
                .findings
                .iter()
                .find(|f| mine(f.region.as_str(), f.group_id.as_str()))
                .and_then(|finding| finding.reason.clone())
                .unwrap_or_default();
            format!("left alone: undetermined: {why}")
        }
        None => unread(resource, of.coverage),
    }
}

/// Why there is no verdict of a group.
fn unread(resource: &TriggerResource, coverage: &Coverage) -> String {
    let of = |id: &str| coverage.regions.iter().find(|r| r.region.as_str() == id);
    // `*`: not even the regions were listed, and this one is among them.
    let Some(region) = of(&resource.region).or_else(|| of("*")) else {
        return "not read: its region is not in the schedule's scope".to_owned();
    };
    match &region.error {
        _ if region.status == RegionStatus::Ok => {
            "left alone: ECS lists no such group in the schedule's scope".to_owned()
        }
        Some(error) if error.code == Stop::CODE => error.message.clone(),
        Some(error) => format!("not read: {}", error.code),
        None => "not read: the region could not be read".to_owned(),
    }
}

/// Evaluations of one call. The documentation names no limit; the official samples send one.
const AT_ONCE: usize = 50;

/// Hands verdicts back to Cloud Config. What is waived or managed is "not applicable": it is open on
/// purpose, and calling it compliant would be untrue.
pub(super) async fn evaluate(
    tools: &Tools,
    begun: &mut Begun,
    evaluation: &Evaluation,
    trigger: &Trigger,
    of: &Outcomes<'_>,
) -> Result<Option<CallError>, Error> {
    let mut list: Vec<Value> = Vec::new();
    let mut put = |region: &str, group: &str, kind: &str, verdict: Option<Verdict>, why: String| {
        let compliance = match verdict {
            Some(Verdict::Exposed) => "NON_COMPLIANT",
            Some(Verdict::Compliant) => "COMPLIANT",
            Some(Verdict::Undetermined) => "INSUFFICIENT_DATA",
            Some(Verdict::Managed | Verdict::Waived) | None => "NOT_APPLICABLE",
        };
        list.push(json!({
            "accountId": of.account, "complianceRegionId": region, "complianceResourceId": group,
            "complianceResourceType": kind, "complianceType": compliance,
            "orderingTimestamp": evaluation.ordering, "annotation": annotation(&why),
        }));
    };
    if evaluation.whole {
        for ((region, group), verdict) in of.verdicts {
            let why = findings_of(of, region, group);
            put(region, group, SECURITY_GROUP, Some(*verdict), why);
        }
    } else {
        for resource in &trigger.resources {
            let key = (resource.region.clone(), resource.id.clone());
            let verdict = of.verdicts.get(&key).copied();
            let unread = verdict.is_none() && resource.outcome.starts_with("not read");
            let verdict = if unread {
                Some(Verdict::Undetermined)
            } else {
                verdict
            };
            let why = match verdict {
                Some(Verdict::Exposed | Verdict::Undetermined) if !unread => {
                    findings_of(of, &resource.region, &resource.id)
                }
                _ => resource.outcome.clone(),
            };
            put(&resource.region, &resource.id, &resource.kind, verdict, why);
        }
    }
    for part in list.chunks(AT_ONCE) {
        let request = Request {
            service: Service::Config,
            action: "PutEvaluations".to_owned(),
            account: begun.identity.account.clone(),
            region: String::new(),
            host: None,
            params: BTreeMap::new(),
            effect: Effect::Change,
        };
        let form = BTreeMap::from([
            ("ResultToken".to_owned(), evaluation.token.clone()),
            (
                "Evaluations".to_owned(),
                Value::from(part.to_vec()).to_string(),
            ),
        ]);
        let (error, raws) = match tools
            .client
            .call_with_form(&request, &form, |_| Ok(()))
            .await
        {
            Ok(answer) => (None, answer.raws),
            Err(failure) => (Some(failure.error()), failure.answers),
        };
        for answer in &raws {
            begun.after.answers(std::slice::from_ref(answer))?;
        }
        if error.is_some() {
            return Ok(error);
        }
    }
    Ok(None)
}

fn findings_of(of: &Outcomes<'_>, region: &str, group: &str) -> String {
    let checks: Vec<String> = of
        .findings
        .iter()
        .filter(|f| f.region.as_str() == region && f.group_id.as_str() == group)
        .map(|f| format!("{}: {}", f.check, f.verdict.as_str()))
        .collect();
    checks.join("; ")
}

/// An annotation of Cloud Config's: at most 256 characters.
fn annotation(why: &str) -> String {
    const MOST: usize = 256;
    if why.chars().count() <= MOST {
        return why.to_owned();
    }
    let cut: String = why.chars().take(MOST.saturating_sub(3)).collect();
    format!("{cut}...")
}
