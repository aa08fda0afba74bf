//! Prefix lists and port lists.

use super::super::faults::Kind;
use super::super::rule::Rule;
use super::super::wire::{Failure, Obj, array};
use super::super::world::Region;
use super::groups::write_tags;
use super::{Call, State};

/// Rules that use a list, among the groups that are stored: generated ones are not counted.
fn uses(region: &Region, points: impl Fn(&Rule) -> bool) -> u32 {
    let rules = region.groups.values().flat_map(|g| &g.permissions);
    u32::try_from(rules.filter(|r| points(r)).count()).unwrap_or(u32::MAX)
}

pub(super) fn describe_prefix_lists(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    let max = call.max_results(1, 100, 10, false)?;
    let ids = call.list("PrefixListId");
    let (family, name, tags) = (
        call.get("AddressFamily"),
        call.get("PrefixListName"),
        call.tags(),
    );
    let region = call.region(state)?;
    let found: Vec<_> = region
        .prefix_lists
        .values()
        .filter(|l| {
            (ids.is_empty() || ids.contains(&l.prefix_list_id.as_str()))
                && family.is_none_or(|f| f == l.address_family)
                && name.is_none_or(|n| n == l.prefix_list_name)
                && tags.iter().all(|(k, v)| {
                    let mut own = l.tags.iter();
                    own.any(|t| t.tag_key == *k && v.is_none_or(|v| v == t.tag_value))
                })
        })
        .collect();
    let (start, end, token) = call.offsets(found.len(), max)?;
    let mut out = String::new();
    let mut top = Obj::open(&mut out);
    top.text("RequestId", call.request_id)
        .text("NextToken", &token);
    let lists = top.key("PrefixLists");
    lists.push_str("{\"PrefixList\":");
    array(lists, found.get(start..end).unwrap_or(&[]), |out, list| {
        let id = &list.prefix_list_id;
        let used = uses(region, |r| {
            r.source_prefix_list_id == *id || r.dest_prefix_list_id == *id
        });
        let mut item = Obj::open(out);
        item.text("PrefixListId", id)
            .text("PrefixListName", &list.prefix_list_name)
            .text("AddressFamily", &list.address_family)
            .number("MaxEntries", list.max_entries)
            .number("AssociationCount", used)
            .text("CreationTime", &list.creation_time)
            .text("Description", &list.description)
            .text("ResourceGroupId", "rg-acfmsim00000000");
        let tags = item.key("Tags");
        tags.push_str("{\"Tag\":");
        write_tags(tags, &list.tags);
        tags.push('}');
        item.close();
    });
    lists.push('}');
    top.close();
    Ok(out)
}

pub(super) fn describe_prefix_list(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    let id = call.need("PrefixListId")?;
    if call
        .strike(state, |k| *k == Kind::PrefixListUnreadable)
        .is_some()
    {
        return Err(super::identity::denied(
            call,
            "ecs:DescribePrefixListAttributes",
        ));
    }
    let list = call.region(state)?.prefix_lists.get(id).ok_or_else(|| {
        Failure::new(
            404,
            "InvalidPrefixListId.NotFound",
            "The specified prefix list was not found.",
        )
    })?;
    let mut out = String::new();
    let mut top = Obj::open(&mut out);
    top.text("RequestId", call.request_id)
        .text("PrefixListId", id)
        .text("PrefixListName", &list.prefix_list_name)
        .text("AddressFamily", &list.address_family)
        .number("MaxEntries", list.max_entries)
        .text("CreationTime", &list.creation_time)
        .text("Description", &list.description);
    let entries = top.key("Entries");
    entries.push_str("{\"Entry\":");
    array(entries, &list.entries, |out, entry| {
        Obj::open(out)
            .text("Cidr", &entry.cidr)
            .text("Description", &entry.description)
            .close();
    });
    entries.push('}');
    top.close();
    Ok(out)
}

pub(super) fn describe_port_lists(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    let max = call.max_results(1, 100, 10, false)?;
    let ids = call.list("PortRangeListId");
    let (name, tags) = (call.get("PortRangeListName"), call.tags());
    let region = call.region(state)?;
    let found: Vec<_> = region
        .port_lists
        .values()
        .filter(|l| {
            (ids.is_empty() || ids.contains(&l.port_range_list_id.as_str()))
                && name.is_none_or(|n| n == l.port_range_list_name)
                && tags.iter().all(|(k, v)| {
                    let mut own = l.tags.iter();
                    own.any(|t| t.tag_key == *k && v.is_none_or(|v| v == t.tag_value))
                })
        })
        .collect();
    let (start, end, token) = call.offsets(found.len(), max)?;
    let mut out = String::new();
    let mut top = Obj::open(&mut out);
    top.text("RequestId", call.request_id)
        .text("NextToken", &token);
    let page = found.get(start..end).unwrap_or(&[]);
    array(top.key("PortRangeLists"), page, |out, list| {
        let id = &list.port_range_list_id;
        let used = uses(region, |r| r.port_range_list_id == *id);
        let mut item = Obj::open(out);
        item.text("PortRangeListId", id)
            .text("PortRangeListName", &list.port_range_list_name)
            .number("MaxEntries", list.max_entries)
            .number("AssociationCount", used)
            .text("CreationTime", &list.creation_time)
            .text("Description", &list.description)
            .text("ResourceGroupId", "rg-acfmsim00000000");
        write_tags(item.key("Tags"), &list.tags);
        item.close();
    });
    top.close();
    Ok(out)
}

pub(super) fn describe_port_list(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    let id = call.need("PortRangeListId")?;
    let list = call.region(state)?.port_lists.get(id).ok_or_else(|| {
        Failure::new(
            404,
            "InvalidPortRangeListId.NotFound",
            "The specified port list was not found.",
        )
    })?;
    let mut out = String::new();
    let mut top = Obj::open(&mut out);
    top.text("RequestId", call.request_id);
    array(top.key("Entries"), &list.entries, |out, entry| {
        Obj::open(out)
            .text("PortRange", &entry.port_range)
            .text("Description", &entry.description)
            .close();
    });
    top.close();
    Ok(out)
}
