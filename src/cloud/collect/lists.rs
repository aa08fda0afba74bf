//! Prefix lists and port lists, each fetched once per region, its failure too.

use super::region::Region;
use crate::cloud::pacing::locked;
use crate::cloud::wire;
use crate::model::{ListReading, RawAnswer};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::OnceCell;

/// Which kind of list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Prefix,
    Port,
}

impl Kind {
    fn action(self) -> &'static str {
        match self {
            Self::Prefix => "DescribePrefixListAttributes",
            Self::Port => "DescribePortRangeListEntries",
        }
    }

    fn parameter(self) -> &'static str {
        match self {
            Self::Prefix => "PrefixListId",
            Self::Port => "PortRangeListId",
        }
    }
}

type Slot = Arc<OnceCell<Arc<ListReading>>>;

/// The lists of one region.
#[derive(Default)]
pub(super) struct ListCache {
    slots: Mutex<BTreeMap<(Kind, String), Slot>>,
}

impl ListCache {
    /// The list. Who fetches it gets the answers and, where it failed, a warning for the region.
    pub(super) async fn get(
        &self,
        region: &Region,
        kind: Kind,
        id: &str,
        answers: &mut Vec<RawAnswer>,
        warnings: &mut Vec<String>,
    ) -> Arc<ListReading> {
        let slot = Arc::clone(
            locked(&self.slots)
                .entry((kind, id.to_owned()))
                .or_default(),
        );
        let fetch = async || {
            let params = BTreeMap::from([(kind.parameter().to_owned(), id.to_owned())]);
            let decode = |body: &Bytes| {
                let reading = match kind {
                    Kind::Prefix => wire::prefix_list(body, id),
                    Kind::Port => wire::port_list(body),
                };
                reading.map_err(wire::BadAnswer)
            };
            Arc::new(match region.read(kind.action(), params, decode).await {
                Ok(answer) => {
                    answers.extend(answer.raws);
                    Ok(answer.value)
                }
                Err(failure) => {
                    answers.extend(failure.answers.iter().cloned());
                    let mut reason = format!("{}: {}", failure.code, failure.reason());
                    if !failure.request_id.is_empty() {
                        reason.push_str(&format!(" (request id {})", failure.request_id));
                    }
                    warnings.push(format!("{id} could not be fetched: {reason}"));
                    Err(reason)
                }
            })
        };
        Arc::clone(slot.get_or_init(fetch).await)
    }
}
