//! One network interface by id, for a person who asks about it.

use super::attached::INTERFACES;
use super::region::Region;
use crate::cloud::wire::{self, Interface};
use crate::cloud::{CallFailure, Client};
use crate::model::{AccountId, RegionId};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Reads one interface; `None`: there is none.
///
/// # Errors
/// The call failed for good.
pub async fn read_interface(
    client: &Arc<Client>,
    account: &AccountId,
    region: &RegionId,
    id: &str,
) -> Result<Option<Interface>, Box<CallFailure>> {
    let region = Region::alone(client, account, region);
    let params = BTreeMap::from([
        ("MaxResults".to_owned(), "10".to_owned()),
        ("NetworkInterfaceId.1".to_owned(), id.to_owned()),
    ]);
    let decode = |body: &Bytes| wire::interfaces_page(body);
    let page = region.read(INTERFACES, params, decode).await?.value;
    Ok(page.interfaces.into_iter().find(|found| found.id == id))
}
