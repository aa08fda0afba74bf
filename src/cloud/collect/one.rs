//! One group by id, read as a collection reads it: before and after a change.

use super::group::{End, read};
use super::listing;
use super::region::Region;
use crate::cloud::Client;
use crate::model::{AccountId, CallError, GroupId, GroupReading, RawAnswer, RegionId};
use std::sync::Arc;

/// A group that could not be read at all.
#[derive(Debug, thiserror::Error)]
#[error("{} {}: {}", error.action, error.code, error.message)]
pub struct Unread {
    /// Why.
    pub error: CallError,
    /// What was answered.
    pub answers: Vec<RawAnswer>,
}

/// Reads one group; `None`: there is none. Its `rules.incomplete` says where that is not all of it.
///
/// # Errors
/// Not even its entry in the listing could be read.
pub async fn read_group(
    client: &Arc<Client>,
    account: &AccountId,
    region: &RegionId,
    id: &GroupId,
) -> Result<Option<GroupReading>, Unread> {
    let region = Region::alone(client, account, region);
    let mut answers = Vec::new();
    let group = match listing::one(&region, id.as_str(), &mut answers).await {
        Ok(Some(group)) => group,
        Ok(None) => return Ok(None),
        Err(error) => return Err(Unread { error, answers }),
    };
    let done = read(&region, group, false).await;
    let mut reading = match done.end {
        End::Read(reading) | End::Unread(reading, _) => *reading,
        End::Vanished(..) => return Ok(None),
    };
    answers.append(&mut reading.answers);
    answers.extend(done.lists);
    reading.answers = answers;
    Ok(Some(reading))
}
