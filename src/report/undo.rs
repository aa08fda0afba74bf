//! `undo.sh`: plain `aliyun` command lines that put everything back without us. At three at night
//! the bastion may be what was cut.

use crate::model::{ApiRequest, RunRecord, stand_ins};
use std::fmt::Write as _;

/// One request as a command line of the official CLI.
pub fn command(request: &ApiRequest) -> String {
    let mut out = format!("aliyun ecs {}", request.action);
    for (name, value) in &request.params {
        let _ = write!(out, " --{name} {}", quote(value));
    }
    out
}

/// A word that a POSIX shell takes as it is.
pub(super) fn quote(text: &str) -> String {
    let plain = !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_./:,".contains(&b))
        && !text.starts_with('-');
    if plain {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The script of a run's changes; `None` where there is nothing to put back.
pub fn script(record: &RunRecord) -> Option<Vec<u8>> {
    let gone: Vec<_> = record
        .changes
        .iter()
        .filter(|change| change.took_away())
        .collect();
    // The old rules first: what stands in their place may go when they are back.
    let instead = stand_ins(&record.changes);
    if gone.is_empty() && instead.is_empty() {
        return None;
    }
    let mut out = String::from("#!/bin/sh\n");
    let _ = writeln!(
        out,
        "# Puts back what run {} of account {} revoked.",
        record.header.run, record.header.identity.account
    );
    out.push_str(
        "# With sgwarden at hand, rather: sgwarden rollback RUN. It checks that the group has not\n\
         # moved on, verifies the result and keeps evidence. A rule that is there already is left as it is.\n\
         set -eu\n",
    );
    for change in gone.into_iter().chain(instead) {
        let _ = writeln!(
            out,
            "\n# {} {} {}, outcome {}",
            change.region,
            change.group_id,
            change.rule_id(),
            change.outcome.as_str()
        );
        if let Some(old) = change.stands_in_for() {
            let _ = writeln!(out, "# It came in the place of {}.", old.join(" "));
        }
        if let Some(told) = super::respelled::comment(change) {
            let _ = writeln!(out, "{told}");
        }
        let line = command(&change.undo);
        if change.account == record.header.identity.account {
            let _ = writeln!(out, "{line}");
        } else {
            // The CLI's current profile is of another account, where the group is not.
            let account = change.account.as_str();
            let _ = writeln!(
                out,
                "{line} --profile \"${{PROFILE_{account}:?name a profile of the aliyun CLI with keys of account {account}}}\""
            );
        }
    }
    Some(out.into_bytes())
}
