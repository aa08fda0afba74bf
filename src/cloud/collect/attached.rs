//! What uses a region's groups: its network interfaces and its instances, listed before the groups so
//! that it is known which of them an interface has together.
//!
//! Interfaces are never asked for by group: that filter covers secondary ones only, and it would be
//! a call per group. What stays is counts per group and the sets of groups met on one interface.

use super::listing::digest;
use super::region::Region;
use super::{Collected, Gone, Out};
use crate::cloud::wire::{self, Instance, Interface};
use crate::cloud::{Answer, CallFailure};
use crate::model::{Attachments, CallError, GroupId, Uses, subject_of};
use bytes::Bytes;
use std::collections::{BTreeMap, HashSet};

pub(super) const INTERFACES: &str = "DescribeNetworkInterfaces";
const INSTANCES: &str = "DescribeInstances";

/// What the region's listings add up to.
#[derive(Default)]
struct Sum {
    attachments: Attachments,
    /// Group and instance, to count an instance once a group.
    met: HashSet<u128>,
    /// Instances whose primary interface showed an elastic address: they are counted reachable.
    reached: HashSet<u128>,
}

/// Lists the region's interfaces and instances. Beside what they add up to, which is nothing where
/// the interfaces could not be listed, why something could not be.
pub(super) async fn read(
    region: &Region,
    out: &Out,
) -> Result<(Option<Attachments>, Option<CallError>), Gone> {
    let mut sum = Sum::default();
    let decode = |body: &[u8]| {
        let page = wire::interfaces_page(body)?;
        Ok((page.interfaces, page.next_token))
    };
    let listed = pages(region, out, INTERFACES, "500", decode, |interface| {
        sum.interface(&interface);
    });
    if let Err(error) = listed.await? {
        return Ok((None, Some(error)));
    }
    let mut instances = 0u64;
    let decode = |body: &[u8]| {
        let page = wire::instances_page(body)?;
        Ok((page.instances, page.next_token))
    };
    let listed = pages(region, out, INSTANCES, "100", decode, |instance| {
        instances = instances.saturating_add(1);
        sum.instance(&instance);
    });
    let error = listed.await?.err();
    if error.is_none() {
        sum.attachments.instances = Some(instances);
    }
    Ok((Some(sum.attachments), error))
}

impl Sum {
    fn interface(&mut self, interface: &Interface) {
        self.attachments.interfaces = self.attachments.interfaces.saturating_add(1);
        if interface.public && interface.primary && !interface.instance.is_empty() {
            self.reached.insert(digest(&[&interface.instance]));
        }
        let mut uses = Uses {
            interfaces: 1,
            reachable: u64::from(interface.public),
            instances: 0,
            perhaps_ipv6: interface.ipv6,
        };
        self.add(
            &interface.groups,
            &interface.id,
            &interface.instance,
            &mut uses,
        );
    }

    fn instance(&mut self, instance: &Instance) {
        let reached = self.reached.contains(&digest(&[&instance.id]));
        let mut uses = Uses {
            // In a VPC its interfaces were counted; what they do not reliably show is its address.
            interfaces: u64::from(instance.classic),
            reachable: u64::from(instance.public && !reached),
            instances: 0,
            perhaps_ipv6: false,
        };
        self.add(&instance.groups, &instance.id, &instance.id, &mut uses);
    }

    fn add(&mut self, groups: &[GroupId], id: &str, instance: &str, uses: &mut Uses) {
        for group in groups {
            uses.instances = u64::from(
                !instance.is_empty() && self.met.insert(digest(&[group.as_str(), instance])),
            );
            add(
                self.attachments.groups.entry(group.clone()).or_default(),
                uses,
            );
        }
        if groups.len() < 2 {
            return;
        }
        let set = subject_of(groups);
        uses.instances =
            u64::from(!instance.is_empty() && self.met.insert(digest(&[&set, instance])));
        let together = self
            .attachments
            .together
            .entry(groups.to_vec())
            .or_default();
        if uses.interfaces > 0 {
            together.name(id);
        }
        add(&mut together.uses, uses);
    }
}

fn add(sum: &mut Uses, more: &Uses) {
    sum.interfaces = sum.interfaces.saturating_add(more.interfaces);
    sum.reachable = sum.reachable.saturating_add(more.reachable);
    sum.instances = sum.instances.saturating_add(more.instances);
    sum.perhaps_ipv6 |= more.perhaps_ipv6;
}

/// Every page of a listing, each item once told. The answers go out page by page.
async fn pages<T>(
    region: &Region,
    out: &Out,
    action: &'static str,
    at_once: &str,
    decode: impl Fn(&[u8]) -> Result<(Vec<T>, Option<String>), wire::BadAnswer>,
    mut each: impl FnMut(T),
) -> Result<Result<(), CallError>, Gone> {
    let mut token: Option<String> = None;
    let mut tokens: HashSet<u128> = HashSet::new();
    loop {
        let mut params = BTreeMap::from([("MaxResults".to_owned(), at_once.to_owned())]);
        if let Some(token) = token {
            params.insert("NextToken".to_owned(), token);
        }
        let page: Result<Answer<_>, Box<CallFailure>> = region
            .read(action, params, |body: &Bytes| decode(body))
            .await;
        let (items, next) = match page {
            Ok(answer) => {
                out.send(Collected::Answers(answer.raws)).await?;
                answer.value
            }
            Err(mut failure) => {
                let answers = std::mem::take(&mut failure.answers);
                out.send(Collected::Answers(answers)).await?;
                return Ok(Err(failure.error()));
            }
        };
        items.into_iter().for_each(&mut each);
        match next {
            None => return Ok(Ok(())),
            Some(next) if tokens.insert(digest(&[&next])) => token = Some(next),
            Some(_) => {
                let mut error = super::failure_of_ours(
                    "paging-loop",
                    "the service gave the same NextToken twice, which would never end",
                );
                error.action = action.to_owned();
                return Ok(Err(error));
            }
        }
    }
}
