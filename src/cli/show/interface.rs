//! `explain` of an interface: as of a group, with the group whose rule each is.

use super::{Notes, Paint, answers, explain_one, print_json, steps};
use crate::cli::Global;
use crate::exposure::explain::{Explanation, Question};
use crate::model::GroupReading;
use crate::report::view::visible;
use serde_json::{Value, json};
use std::io::Write as _;

/// An interface as it was asked about.
pub(in crate::cli) struct Asked<'a> {
    /// Its id.
    pub(in crate::cli) id: &'a str,
    /// Its region.
    pub(in crate::cli) region: &'a str,
    /// The instance it is attached to, or empty.
    pub(in crate::cli) instance: &'a str,
    /// Its groups, by id.
    pub(in crate::cli) groups: &'a [GroupReading],
}

impl Asked<'_> {
    /// The group whose rule it is: ids of rules are unique in a region.
    fn owner(&self, rule_id: &str) -> &str {
        let has = |group: &&GroupReading| group.rules.read.iter().any(|rule| rule.id() == rule_id);
        match self.groups.iter().find(has) {
            Some(group) if !rule_id.is_empty() => &group.group.id,
            Some(_) | None => "",
        }
    }

    fn steps(&self, explanation: &Explanation) -> Vec<Value> {
        let mut out = steps(explanation);
        for (value, step) in out.iter_mut().zip(&explanation.steps) {
            value["group"] = json!(self.owner(&step.rule_id));
        }
        out
    }

    /// The same with each rule's group beside its id, for people.
    fn named(&self, explanation: &Explanation) -> Explanation {
        let mut out = explanation.clone();
        for step in &mut out.steps {
            step.rule_id = format!("{} of {}", step.rule_id, self.owner(&step.rule_id));
        }
        for id in &mut out.skipped {
            *id = format!("{id} of {}", self.owner(id));
        }
        out
    }
}

/// What reaches an interface.
pub(in crate::cli) fn explained_interface(
    global: &Global,
    asked: &Asked<'_>,
    parts: &[(Question, Explanation, Explanation)],
    notes: &Notes,
) {
    let mut groups = asked.groups.iter();
    let whole = groups.all(|group| group.rules.incomplete.is_none());
    if global.json {
        let answers = answers(parts, whole, |explanation| asked.steps(explanation));
        let groups: Vec<Value> = asked
            .groups
            .iter()
            .map(|group| {
                json!({
                    "group": group.group.id, "name": group.group.name,
                    "incomplete": group.rules.incomplete,
                })
            })
            .collect();
        let mut answer = json!({
            "interface": asked.id, "region": asked.region, "instance": asked.instance,
            "groups": groups, "answers": answers,
        });
        notes.into(&mut answer);
        print_json(&answer);
        return;
    }
    let paint = Paint::of(global);
    let instance = match asked.instance {
        "" => String::new(),
        id => format!(" of {}", visible(id)),
    };
    say!("{}{instance} in {}", paint.bold(asked.id), asked.region);
    say!("all rules of all its groups, in one order:");
    for group in asked.groups {
        say!("  {} {}", group.group.id, visible(&group.group.name));
        if let Some(why) = &group.rules.incomplete {
            say!(
                "    {} {}",
                paint.with("1;35", "not all of its rules could be read:"),
                visible(why)
            );
        }
    }
    if asked.groups.is_empty() {
        say!("  it has no group");
    }
    for (question, closing, opening) in parts {
        explain_one(
            &paint,
            question,
            whole,
            &asked.named(closing),
            &asked.named(opening),
        );
    }
    notes.tell();
}
