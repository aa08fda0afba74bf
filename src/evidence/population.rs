//! `population.csv` read back: which of some groups and checks a run judged.

use super::Error;
use super::format;
use crate::model::PopulationRow;
use std::collections::BTreeSet;
use std::path::Path;

/// Account, region, group and check.
type Key = (String, String, String, String);

/// Of those that are wanted, the ones with a row. Row by row: a run may have millions.
///
/// # Errors
/// The file cannot be read.
pub fn judged(folder: &Path, wanted: &BTreeSet<Key>) -> Result<BTreeSet<Key>, Error> {
    let path = folder.join(format::POPULATION);
    let mut out = BTreeSet::new();
    if wanted.is_empty() {
        return Ok(out);
    }
    let unread = |why: csv::Error| match why.into_kind() {
        csv::ErrorKind::Io(source) => Error::io("read", &path)(source),
        other => Error::malformed(&path, format!("{other:?}")),
    };
    let mut reader = csv::Reader::from_path(&path).map_err(unread)?;
    for row in reader.deserialize::<PopulationRow>() {
        let row = row.map_err(unread)?;
        let key = (row.account, row.region, row.group_id, row.check);
        if wanted.contains(&key) {
            out.insert(key);
        }
    }
    Ok(out)
}
