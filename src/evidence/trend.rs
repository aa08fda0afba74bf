//! The chain read backwards for its counts: manifests only, so that neither time nor memory grows with
//! what was found.

use super::format::{Manifest, PolicyText, Previous, canonical, sha256};
use super::store::read_manifest;
use super::{Error, Store};
use crate::model::{RunHeader, Scope, Trend, TrendPoint};
use serde::Serialize;

/// What two runs must share to measure the same.
#[derive(Serialize)]
struct Basis<'r> {
    policy: Vec<(&'r str, &'r str)>,
    scope: &'r Scope,
}

/// A digest of what a run judged by and what it looked at.
///
/// # Errors
/// A value that JSON cannot hold: a bug.
pub fn basis(policy: &[PolicyText], scope: &Scope) -> Result<String, Error> {
    let basis = Basis {
        policy: policy
            .iter()
            .map(|text| (text.name.as_str(), text.decided_sha256().as_str()))
            .collect(),
        scope,
    };
    let bytes = canonical("the basis of a run", &basis)?;
    Ok(sha256(&bytes).as_str().to_owned())
}

/// The trend up to a run that is about to be sealed: its header and policy, and the link to the run
/// before it.
///
/// # Errors
/// A value that JSON cannot hold: a bug. A chain that cannot be followed is said in the trend.
pub fn back(
    store: &Store,
    header: &RunHeader,
    policy: &[PolicyText],
    link: Option<&Previous>,
) -> Result<Trend, Error> {
    let mut points = vec![point(header)];
    let mut bases = vec![basis(policy, &header.scope)?];
    let mut link = link.cloned();
    let mut broken = None;
    // One more than is shown: whether the first of them changed its basis is read off the run before.
    while let Some(before) = link.take().filter(|_| points.len() <= Trend::MOST) {
        match follow(store, &before) {
            Ok(manifest) => {
                points.push(point(&manifest.header));
                bases.push(basis(&manifest.policy, &manifest.header.scope)?);
                link = manifest.previous;
            }
            Err(why) => broken = Some(why),
        }
    }
    for (point, pair) in points.iter_mut().zip(bases.windows(2)) {
        if let [own, before] = pair {
            point.basis_changed = Some(own != before);
        }
    }
    points.truncate(Trend::MOST);
    points.reverse();
    Ok(Trend { points, broken })
}

fn follow(store: &Store, link: &Previous) -> Result<Manifest, String> {
    let unread = |why: Error| format!("the run {} cannot be read: {why}", link.run);
    let Some(folder) = store.sealed_folder(link.run.as_str()).map_err(unread)? else {
        return Err(format!("the run {} is no longer in the store", link.run));
    };
    let (sealed, manifest) = read_manifest(&folder).map_err(unread)?;
    if sealed.manifest_sha256 != link.manifest_sha256 {
        return Err(format!(
            "the manifest of {} is not the one that the run after it was chained to",
            link.run
        ));
    }
    Ok(manifest)
}

fn point(header: &RunHeader) -> TrendPoint {
    TrendPoint {
        run: header.run.clone(),
        started: header.times.started.clone(),
        complete: header.complete,
        groups: header.groups,
        severities: header.severities.clone(),
        basis_changed: None,
    }
}
