//! What killed runs left: each open intent settled by reading, and journals closed when a sealed run has
//! what they say.

use super::super::accounts::{Where, place};
use super::super::{Begun, Error, Tools};
use super::{millis, narrow, note};
use crate::cloud::read_group;
use crate::model::{Change, ChangeKind, GroupReading, Outcome, RunRecord};
use crate::policy::Policy;
use crate::remedy::digest::digest;
use crate::remedy::said::is_there;
use crate::remedy::verify;
use crate::state::holds::Done;
use crate::state::journal::{Entry, Orphan};
use std::collections::BTreeSet;
/// What killed runs left in the journal: each intent settled by reading, never by trust.
pub(in crate::job) async fn settle_orphans(
    tools: &Tools,
    begun: &mut Begun,
    policy: &Policy,
) -> Result<Vec<Change>, Error> {
    if begun.changing.is_none() {
        return Ok(Vec::new());
    }
    let mut out = Vec::new();
    for Orphan {
        run,
        changes,
        before,
    } in tools.state.orphans()?
    {
        let mut journal = tools.state.journal(&run)?;
        if tools.store.is_sealed(&run)? {
            // Killed between its seal and this line: its own changes.json has it all.
            journal.write(&Entry::Sealed { run: run.clone() })?;
            continue;
        }
        let mut changes: Vec<(u64, Change)> = changes;
        for (_, change) in &mut changes {
            change.intent_of = Some(run.as_str().to_owned());
            if !tools.client.reaches(&change.account) && change.outcome == Outcome::Unknown {
                // Its group cannot be read with these keys: it stays open for a run that can.
                change.error = Some(format!(
                    "the run ended before it knew; only a run of account {} can settle it",
                    change.account
                ));
            }
        }
        let groups: BTreeSet<Where> = changes
            .iter()
            .filter(|(_, change)| is_open(change, tools))
            .map(|(_, change)| place(change))
            .collect();
        for group in groups {
            let of_group = |change: &Change| place(change) == group;
            // Intents of one step were written together, the first with the group as it was. Its outcomes
            // may be written in part: the difference is that of all of them.
            let last_open = changes
                .iter()
                .filter(|(_, change)| of_group(change) && is_open(change, tools))
                .map(|(number, _)| *number)
                .max()
                .unwrap_or_default();
            let step = before.range(..=last_open).rev().find(|(_, reading)| {
                let (account, region, id) = (&reading.account, &reading.region, reading.id());
                (account.clone(), region.clone(), id) == group
            });
            let from = step.map_or(0, |(number, _)| *number);
            let mut those: Vec<(u64, &mut Change)> = changes
                .iter_mut()
                .filter(|(number, change)| *number >= from && of_group(change))
                .map(|(number, change)| (*number, change))
                .collect();
            let open: BTreeSet<u64> = those
                .iter()
                .filter(|(_, change)| is_open(change, tools))
                .map(|(number, _)| *number)
                .collect();
            let mut all: Vec<&mut Change> =
                those.iter_mut().map(|(_, change)| &mut **change).collect();
            let before = step.map(|(_, reading)| reading);
            settle(tools, begun, policy, &mut all, before).await?;
            for (number, change) in those {
                if open.contains(&number) && change.outcome != Outcome::Unknown {
                    journal.write(&Entry::Outcome {
                        number,
                        at: millis((tools.now)()),
                        change: Box::new(change.clone()),
                    })?;
                }
            }
        }
        for (_, change) in changes {
            if change.outcome == Outcome::Verified && change.took_away() {
                // Written again where the killed run had written it: a run counts once.
                let revoked = note(&change, run.as_str(), Done::Revoked, (tools.now)());
                tools.state.note_rules(&[revoked])?;
            }
            out.push(change);
        }
    }
    Ok(out)
}

fn is_open(change: &Change, tools: &Tools) -> bool {
    change.outcome == Outcome::Unknown && tools.client.reaches(&change.account)
}

/// Settles the open intents of one group: two equal readings, a second apart, say whether they were
/// done; held against the reading from before, they say what was closed and opened.
async fn settle(
    tools: &Tools,
    begun: &mut Begun,
    policy: &Policy,
    changes: &mut [&mut Change],
    before: Option<&GroupReading>,
) -> Result<(), Error> {
    const UNTIL_NOW: &str = "the run ended before it knew; settled by the next";
    let is_open = |change: &Change| change.outcome == Outcome::Unknown;
    let Some(first) = changes.first().map(|change| (**change).clone()) else {
        return Ok(());
    };
    let mut last: Option<String> = None;
    let mut why = String::new();
    let begun_at = tokio::time::Instant::now();
    let mut again = false;
    // "Not done" is said only when the time has passed in which a reading may be stale.
    while !again || begun_at.elapsed() < tools.waits.deadline {
        if again {
            tokio::time::sleep(tools.waits.first).await;
        }
        again = true;
        let read = read_group(
            &tools.client,
            &first.account,
            &first.region,
            &first.group_id,
        )
        .await;
        let reading = match read {
            Ok(Some(mut reading)) => {
                begun.after.answers(&std::mem::take(&mut reading.answers))?;
                reading
            }
            Ok(None) => {
                for change in changes.iter_mut().filter(|change| is_open(change)) {
                    change.outcome = Outcome::AlreadyGone;
                    change.error = Some(format!("{UNTIL_NOW}: the group itself is gone"));
                }
                return Ok(());
            }
            Err(unread) => {
                begun.after.answers(&unread.answers)?;
                why = unread.to_string();
                last = None;
                continue;
            }
        };
        if let Some(incomplete) = &reading.rules.incomplete {
            why.clone_from(incomplete);
            last = None;
            continue;
        }
        let now = digest(&reading);
        let same = last.as_ref() == Some(&now);
        let done = changes.iter().all(|change| is_done(change, &reading));
        let late = begun_at.elapsed().saturating_add(tools.waits.first) >= tools.waits.deadline;
        if !same || (!done && !late) {
            last = Some(now);
            continue;
        }
        let read_at = millis((tools.now)());
        match before {
            Some(before) => {
                let attempt = verify::settled(before, reading, changes, read_at);
                for (change, mut found) in changes.iter_mut().zip(verify::verify(policy, &attempt))
                {
                    if !is_open(change) {
                        continue;
                    }
                    if found.narrowing.is_some() && found.kind == ChangeKind::Authorize {
                        let after = attempt.after.as_ref().map(|(reading, _)| reading);
                        narrow::name_new_rule(&mut found, Some(before), after);
                    }
                    let said = found
                        .error
                        .clone()
                        .unwrap_or_else(|| "found done".to_owned());
                    let intent_of = change.intent_of.clone();
                    **change = Change {
                        error: Some(format!("{UNTIL_NOW}: {said}")),
                        intent_of,
                        ..found
                    };
                }
            }
            None => {
                for change in changes.iter_mut().filter(|change| is_open(change)) {
                    let done = is_done(change, &reading);
                    change.outcome = if done {
                        Outcome::Drifted
                    } else {
                        Outcome::Failed
                    };
                    change.error = Some(format!(
                        "{UNTIL_NOW}: found {}done; the reading from before is not known",
                        if done { "" } else { "not " }
                    ));
                }
            }
        }
        return Ok(());
    }
    for change in changes.iter_mut().filter(|change| is_open(change)) {
        change.error = Some(format!(
            "the run ended before it knew, and the group could not be read: {why}"
        ));
    }
    Ok(())
}

fn is_done(change: &Change, reading: &GroupReading) -> bool {
    match change.kind {
        ChangeKind::Revoke => {
            let id = change
                .rule
                .get("SecurityGroupRuleId")
                .map_or("", String::as_str);
            !reading.rules.read.iter().any(|rule| rule.id() == id)
        }
        ChangeKind::Authorize | ChangeKind::Modify => is_there(reading, &change.rule),
    }
}

/// Marks every journal whose changes stand in the sealed run. One that could not be settled stays
/// open for the next.
pub(in crate::job) fn close_journals(
    state: &crate::state::State,
    record: &RunRecord,
) -> Result<(), crate::state::Error> {
    let run = &record.header.run;
    let mut journals: BTreeSet<String> = BTreeSet::new();
    let mut open = narrow::left_open(record);
    for change in &record.changes {
        match &change.intent_of {
            None => {
                if change.attempted_at.is_some() {
                    journals.insert(run.as_str().to_owned());
                }
            }
            Some(of) => {
                journals.insert(of.clone());
                if change.outcome == Outcome::Unknown {
                    open.insert(of.clone());
                }
            }
        }
    }
    for of in journals.difference(&open) {
        let mut journal = state.journal(&crate::model::RunId::new(of.clone()))?;
        journal.write(&Entry::Sealed { run: run.clone() })?;
    }
    Ok(())
}
