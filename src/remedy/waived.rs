//! What a change takes of traffic that somebody approved. The cut aims at what is exposed only, but a
//! rule may carry both: what is lost then is named as approved, so that nobody learns it from a pager.

use crate::exposure::Run;
use crate::exposure::points::{common, minus};
use crate::exposure::traffic::shown;
use crate::model::{GroupReading, Traffic};
use crate::policy::{Audience, Direction, Policy};

/// What is approved of the group's traffic from the internet, under any check that looks at it.
pub(super) fn approved(policy: &Policy, reading: &GroupReading) -> Vec<Run> {
    let checks: Vec<&str> = policy
        .checks
        .iter()
        .filter(|check| {
            check.direction == Direction::Ingress && check.audience == Audience::Internet
        })
        .map(|check| check.id.as_str())
        .collect();
    let place = (&reading.account, &reading.region, &reading.id());
    let mut out = policy.waivers.approved(place, &checks);
    for run in &mut out {
        run.sources = run.sources.intersect(policy.internet.of(run.family));
    }
    out
}

/// Traffic as records keep it: private sources first, then what was approved, then the rest.
pub(super) fn told(traffic: &[Run], approved: &[Run]) -> Vec<Traffic> {
    let internet = |runs: &[Run]| {
        let mut parts = shown(runs);
        parts.retain(|part| part.internet);
        parts
    };
    let mut out = shown(traffic);
    out.retain(|part| !part.internet);
    out.extend(
        internet(&common(traffic, approved))
            .into_iter()
            .map(|part| Traffic {
                waived: true,
                ..part
            }),
    );
    out.extend(internet(&minus(traffic, approved)));
    out
}
