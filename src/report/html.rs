//! `report.html`: one file, no script, nothing fetched from anywhere.

use super::about::protocol;
use super::csv::rule_words;
use super::view::{View, percent, visible};
use super::{RenderError, Renderer};
use crate::model::{Artifact, Language, RegionStatus, RunRecord};
use minijinja::value::Serde;
use minijinja::{Value, context};

/// Renders it.
#[derive(Debug)]
pub(super) struct Html;

/// Findings in the page: a browser that opens a hundred thousand rows helps nobody.
const MOST: usize = 2000;

impl Renderer for Html {
    fn render(&self, record: &RunRecord) -> Result<Vec<Artifact>, RenderError> {
        let view = View::new(record);
        let words = &view.words;
        let header = &record.header;
        let all = view.findings();
        let findings: Vec<_> = all
            .iter()
            .take(MOST)
            .map(|f| {
                context! {
                    severity => f.severity.as_str(),
                    severity_word => words.get(&format!("severity.{}", f.severity.as_str())),
                    verdict => f.verdict.as_str(),
                    verdict_word => words.get(&format!("verdict.{}", f.verdict.as_str())),
                    state => words.get(&format!("state.{}", f.state.as_str())),
                    region => f.region.as_str(), group => f.group_id.as_str(), name => visible(&f.group_name),
                    check => f.check.as_str(), account => f.account.as_str(),
                    first_seen => view.first_seen(f),
                    reach => words.get(&format!("reach.{}", f.reach.as_str())), attached => view.attached(f),
                    closed => view.closed_word(f), sentence => view.sentence(f),
                    exposed => f.exposed.iter().map(|run| context! {
                        what => view.what(run), whom => view.whom(view.about(f), run), share => percent(&run.share),
                    }).collect::<Vec<_>>(),
                    rules => f.rules.iter().map(|r| context! {
                        id => visible(&r.rule_id), priority => visible(&r.priority),
                        protocol => protocol(&r.protocol), ports => visible(&r.port_range),
                        source => visible(&r.source), reach => view.number(&r.addresses),
                        fate => view.fate(f, r), held => r.held.join(", "),
                        description => visible(&r.description),
                        unreadable => view.ours(&r.unreadable.join("; ")),
                        opened => view.opened(r),
                    }).collect::<Vec<_>>(),
                }
            })
            .collect();
        let regions: Vec<_> = record
            .coverage
            .regions
            .iter()
            .map(|r| {
                let status = match r.status {
                    RegionStatus::Ok => "ok",
                    RegionStatus::Failed => "failed",
                    RegionStatus::Skipped => "skipped",
                };
                context! {
                    account => r.account.as_str(), region => r.region.as_str(), status => status,
                    status_word => words.get(&format!("status.{status}")),
                    listed => r.groups_listed, read => r.groups_read, vanished => r.groups_vanished,
                    rules_listed => r.rules_listed, rules_read => r.rules_read, requests => r.requests,
                    error => r.error.as_ref().map(|e| format!("{} {} {}: {}", e.action, e.code, e.request_id, visible(&e.message))),
                    expected => view.expected(r),
                    unused => r.attached.as_ref().and_then(|seen| seen.unused),
                    warnings => r.warnings.iter().map(|w| view.ours(w)).collect::<Vec<_>>(),
                }
            })
            .collect();
        let changes: Vec<_> = record
            .changes
            .iter()
            .map(|c| {
                context! {
                    outcome => c.outcome.as_str(),
                    outcome_word => words.get(&format!("outcome.{}", c.outcome.as_str())),
                    region => c.region.as_str(), group => c.group_id.as_str(), name => visible(&c.group_name),
                    sentence => view.change(c), rule => visible(&rule_words(&c.rule)),
                    closed => view.traffic(&c.traffic_closed), opened => view.traffic(&c.traffic_opened),
                    request_id => c.request_id.as_deref(), undo => visible(&super::undo::command(&c.undo)), back => view.once_back(&c.rule, &c.undo),
                }
            })
            .collect();
        let held: Vec<_> = record
            .held
            .iter()
            .map(|h| {
                context! {
                    region => h.region.as_str(), group => h.group_id.as_str(), rules => h.rules.join(" "),
                    name => visible(&view.group_name(h)), said => view.held_rules(h).join("; "),
                    reasons => h.reasons.iter().map(|r| r.as_str()).collect::<Vec<_>>().join(", "),
                    detail => view.ours(&h.detail),
                }
            })
            .collect();
        let checks: Vec<_> = header
            .checks
            .iter()
            .map(|check| {
                context! {
                    info => Value::from(Serde(check)), title => view.title(check), counts => view.check_counts(check),
                }
            })
            .collect();
        let controls: Vec<_> = header
            .controls
            .iter()
            .map(|control| {
                context! {
                    info => Value::from(Serde(control)), status => control.status.as_str(),
                    status_word => view.control_status(control), checks => control.checks.join(", "),
                    why => view.control_why(control),
                }
            })
            .collect();
        let cut = (all.len() > MOST).then(|| {
            words.say(
                "note.cut_html",
                &[("n", &MOST.to_string()), ("total", &all.len().to_string())],
            )
        });
        let context = context! {
            w => words.all(),
            lang => match header.language { Language::En => "en", Language::ZhCn => "zh-CN", Language::ZhTw => "zh-TW" },
            word => view.word(), counts => view.counts(),
            headline => view.headline(), part => view.part(),
            closed => all.iter().any(|f| view.closed(f).is_some()), fate_label => words.get(view.fate_label()),
            tone => if !header.complete { "bad" } else if view.is_open() || !view.judges() { "fail" } else { "good" },
            relaxations => view.relaxations(), checks => checks, controls => controls, control_notes => view.control_notes(),
            incomplete => !header.complete,
            reasons => view.incomplete_reasons(usize::MAX),
            header => Value::from(Serde(header)), findings => findings, regions => regions, changes => changes, change_lead => view.change_lead(), held => held,
            reevaluation => view.reevaluation(), reevaluation_failed => header.reevaluation.as_ref().is_some_and(|asked| asked.error.is_some()),
            confirmed => view.confirmations(), cut => cut, unseen => view.unseen(),
            started => view.local(&header.times.started), read => view.local(&header.times.read),
            zone => words.say("note.zone", &[("zone", view.zone())]),
            nothing => words.get(if header.complete { "note.no_findings_complete" } else { "note.no_findings_incomplete" }),
            resolved => record.resolved.iter().map(|f| view.resolved(f)).collect::<Vec<_>>(),
            waivers => view.waivers().into_iter().map(|w| context! {
                state => w.state.as_str(), word => view.waiver_state(w.state), group => w.group.as_str(), check => w.check.as_str(),
                ports => visible(&w.ports.join(", ")), sources => visible(&w.sources.join(", ")), owner => visible(&w.owner),
                approved_by => visible(&w.approved_by), expires => w.expires.as_str(), days_left => w.days_left,
                reason => visible(&w.reason), ticket => visible(w.ticket.as_deref().unwrap_or_default()), says => view.waiver(w),
            }).collect::<Vec<_>>(),
        };
        let error = RenderError::of("report.html");
        let mut environment = super::environment().map_err(|why| error(&why))?;
        environment
            .add_template("report.html", include_str!("../../templates/report.html"))
            .map_err(|why| error(&why))?;
        let text = environment
            .get_template("report.html")
            .and_then(|template| template.render(context))
            .map_err(|why| error(&why))?;
        Ok(vec![Artifact {
            name: "report.html".to_owned(),
            media_type: "text/html; charset=utf-8",
            bytes: text.into_bytes(),
        }])
    }
}
