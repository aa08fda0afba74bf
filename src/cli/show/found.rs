//! `explain` without a packet: of each finding one packet that gets in, as a sentence for whoever has
//! to decide, and as a table for whoever checks it.

use super::{Notes, Paint, print_json, steps, table};
use crate::cli::Global;
use crate::exposure::explain::{Example, Step};
use crate::exposure::set::address_text;
use crate::model::{Family, Finding, GroupReading, Verdict};
use crate::policy::Check;
use crate::policy::side::{Audience, Direction};
use crate::report::about::service;
use crate::report::view::visible;
use serde_json::{Value, json};
use std::io::Write as _;

/// A finding, and its packet where it speaks of packets.
pub(in crate::cli) struct Found {
    /// The finding.
    pub(in crate::cli) finding: Finding,
    /// Its check.
    pub(in crate::cli) check: Check,
    /// One packet that gets in, or out (of an undetermined finding, that may).
    pub(in crate::cli) example: Option<Example>,
    /// Trusted networks are no part of the internet it speaks of.
    pub(in crate::cli) less_trusted: bool,
}

/// All findings of a group. `unasked`: nobody named the checks.
pub(in crate::cli) fn found(
    global: &Global,
    group: &GroupReading,
    checks: &[String],
    all: &[Found],
    unasked: bool,
    notes: &Notes,
) {
    if global.json {
        let findings: Vec<Value> = all.iter().map(as_json).collect();
        let mut answer = json!({
            "group": group.group.id, "name": group.group.name, "region": group.region,
            "incomplete": group.rules.incomplete, "checks": checks, "findings": findings,
        });
        notes.into(&mut answer);
        print_json(&answer);
        return;
    }
    let paint = Paint::of(global);
    super::group_head(&paint, group);
    if all.is_empty() {
        say!("nothing is exposed under {}", checks.join(", "));
    }
    for found in all {
        let code = match found.finding.verdict {
            Verdict::Undetermined => "1;35",
            Verdict::Compliant | Verdict::Waived => "32",
            Verdict::Exposed | Verdict::Managed => "1;31",
        };
        say!(
            "\n{} {}: {}",
            paint.bold(&found.finding.check),
            found.finding.severity,
            paint.with(code, found.finding.verdict.as_str())
        );
        say!("  {}", sentence(found));
        if let Some(example) = &found.example {
            say!(
                "\n  Rules that match {}, in the order in which they decide, and what each takes of the {}:",
                point(example),
                network(found, example)
            );
            table(&paint, &example.everyone, example.decider);
        }
        let others = found.finding.exposed.get(1..).unwrap_or_default();
        if !others.is_empty() {
            let others: Vec<String> = others
                .iter()
                .map(|run| {
                    let what = format!("{} {}", run.protocol.as_str(), run.ports);
                    format!("{} ({})", what.trim_end(), family(run.family))
                })
                .collect();
            say!("  Also: {}", others.join(", "));
        }
    }
    if unasked {
        say!(
            "\nOnly {} {} looked at; --schedule FILE or --pack NAME looks at others.",
            checks.join(", "),
            if checks.len() == 1 { "was" } else { "were" }
        );
    }
    notes.tell();
}

/// What a person who has to decide should know.
fn sentence(found: &Found) -> String {
    let finding = &found.finding;
    let reason = finding.reason.as_deref().map(visible);
    let Some(example) = &found.example else {
        // Of the group itself: no packet shows it.
        return reason.unwrap_or_else(|| visible(&found.check.title));
    };
    let network = network(found, example);
    let peer = example
        .packet
        .source
        .map(|source| address_text(example.packet.family, source))
        .unwrap_or_default();
    let peer = format!("{peer}, an address of the {network},");
    let point = point(example);
    let (packet, way, ways) = match found.check.direction {
        Direction::Ingress => (
            format!("a packet from {peer} to {point} of whatever this group protects"),
            "gets in",
            "from",
        ),
        Direction::Egress => (
            format!("a packet from whatever this group protects to {point} of {peer}"),
            "gets out",
            "to",
        ),
    };
    let packet = packet.trim_end_matches(',');
    if finding.verdict == Verdict::Undetermined {
        return format!(
            "It cannot be said whether {packet} {way}: {}",
            reason.unwrap_or_default()
        );
    }
    let by = decider(example).map_or_else(String::new, |step| {
        format!(
            ": rule {} accepts {}",
            visible(&step.rule_id),
            visible(&step.source)
        )
    });
    let (accepted, asked) = (example.everyone.accepted.count(), example.everyone.asked);
    let others = if accepted == asked {
        format!("So does one {ways} every address of the {network}.")
    } else {
        format!("So does one {ways} {accepted} of the {asked} addresses of the {network}.")
    };
    let managed = match (finding.verdict, &finding.waiver) {
        (Verdict::Managed, _) => {
            " A cloud service manages this group: it is shown and never changed.".to_owned()
        }
        (Verdict::Waived, Some(waiver)) => format!(
            " Approved by {} for {} until {}: {}",
            visible(&waiver.approved_by),
            visible(&waiver.owner),
            waiver.expires,
            visible(&waiver.reason)
        ),
        _ => String::new(),
    };
    let mut letters = packet.chars();
    let first: String = letters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .collect();
    format!("{first}{} {way}{by}. {others}{managed}", letters.as_str())
}

/// `IPv4 internet`
fn network(found: &Found, example: &Example) -> String {
    let family = family(example.packet.family);
    match found.check.audience {
        Audience::Internet if found.less_trusted => {
            format!("{family} internet less the trusted networks")
        }
        Audience::Internet => format!("{family} internet"),
        Audience::Private => format!("private {family} networks"),
    }
}

/// `tcp port 22 (SSH)`
fn point(example: &Example) -> String {
    let protocol = example.packet.protocol;
    let Some(port) = example.packet.port else {
        return protocol.as_str().to_owned();
    };
    let known = service(protocol, &port.to_string())
        .map(|name| format!(" ({name})"))
        .unwrap_or_default();
    format!("{} port {port}{known}", protocol.as_str())
}

fn family(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}

fn decider(example: &Example) -> Option<&Step> {
    example.everyone.steps.get(example.decider?)
}

fn as_json(found: &Found) -> Value {
    let finding = &found.finding;
    let packet = found.example.as_ref().map(|example| {
        let packet = &example.packet;
        json!({
            "family": packet.family, "protocol": packet.protocol, "port": packet.port,
            "source": packet.source.map(|source| address_text(packet.family, source)),
            "decided_by": decider(example).map(|step| &step.rule_id),
            "accepted_addresses": example.everyone.accepted.count().to_string(),
            "asked_addresses": example.everyone.asked.to_string(),
            "rules": steps(&example.everyone),
            "drops_that_close_nothing": example.everyone.skipped,
        })
    });
    json!({
        "check": finding.check, "severity": finding.severity, "verdict": finding.verdict,
        "reason": finding.reason, "waiver": finding.waiver, "sentence": sentence(found), "exposed": finding.exposed,
        "packet": packet,
    })
}
