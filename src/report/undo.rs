//! `undo.sh`: plain `aliyun` command lines that put everything back without us. At three at night
//! the bastion may be what was cut.

use crate::model::{ApiRequest, ChangeKind, Outcome, RunRecord};
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
fn quote(text: &str) -> String {
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
        .filter(|change| {
            change.kind == ChangeKind::Revoke
                && change.attempted_at.is_some()
                && !matches!(change.outcome, Outcome::AlreadyGone | Outcome::Refused)
        })
        .collect();
    if gone.is_empty() {
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
    for change in gone {
        let _ = writeln!(
            out,
            "\n# {} {} {}, outcome {}",
            change.region,
            change.group_id,
            change
                .rule
                .get("SecurityGroupRuleId")
                .map_or("", String::as_str),
            change.outcome.as_str()
        );
        let _ = writeln!(out, "{}", command(&change.undo));
    }
    Some(out.into_bytes())
}
