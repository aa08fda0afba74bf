//! `controls.csv`: the clauses that checks are commonly mapped to.

use super::write;
use crate::model::Artifact;
use crate::report::RenderError;
use crate::report::view::View;

const COLUMNS: [&str; 14] = [
    "complete",
    "framework",
    "version",
    "clause",
    "title",
    "status",
    "groups_passed",
    "groups_exposed",
    "groups_managed",
    "groups_waived",
    "groups_undetermined",
    "checks",
    "checks_lost",
    "why",
];

pub(super) fn controls(view: &View<'_>) -> Result<Artifact, RenderError> {
    let header = &view.record.header;
    let complete = if header.complete {
        "complete"
    } else {
        "INCOMPLETE"
    };
    let mut rows = Vec::new();
    for result in &header.controls {
        let lost: Vec<String> = result
            .lost
            .iter()
            .map(|lost| format!("{}: {}", lost.check, lost.why.as_str()))
            .collect();
        let groups = &result.groups;
        rows.push(vec![
            complete.to_owned(),
            result.clause.framework.clone(),
            result.clause.version.clone(),
            result.clause.clause.clone(),
            result.clause.title.clone(),
            result.status.as_str().to_owned(),
            groups.compliant.to_string(),
            groups.exposed.to_string(),
            groups.managed.to_string(),
            groups.waived.to_string(),
            groups.undetermined.to_string(),
            result.checks.join(" "),
            lost.join("; "),
            view.control_why(result).replace('\n', "; "),
        ]);
    }
    write("controls.csv", &COLUMNS, &rows)
}
