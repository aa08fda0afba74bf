//! Cloud Config's list of resources: a copy of the world that lags behind it.

use serde_json::{Map, Value, json};

use super::super::wire::Failure;
use super::super::world::{Group, Place, Region, World};
use super::{Call, State};

const TYPE: &str = "ACS::ECS::SecurityGroup";
const TOKEN: &str = "InvalidParameter.NextToken";

/// Where a page goes on within a region.
enum From {
    Group(Place),
    /// After so many of the groups that are gone and still called existing.
    Gone(usize),
}

/// Cloud Config lives in one region of each site, and in no other.
pub(super) fn at_its_host(world: &World, host: &str) -> Result<(), Failure> {
    let name = host.split(':').next().unwrap_or_default();
    let Some(labels) = name.strip_suffix(".aliyuncs.com") else {
        // An endpoint of a test, where every service is.
        return Ok(());
    };
    let home = if world.international {
        "ap-southeast-1"
    } else {
        "cn-shanghai"
    };
    if labels == format!("config.{home}") || labels == format!("config-vpc.{home}") {
        return Ok(());
    }
    Err(Failure::bad(
        "InvalidOperation.NotSupportedEndpoint",
        format!("The endpoint {name} does not serve Cloud Config of this site."),
    ))
}

pub(super) fn list_discovered(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    call.need("MaxResults")?;
    let max = call.max_results(1, 100, 10, false)?;
    let account = state.world.accounts.get(&call.caller.account);
    let config = account.map(|a| a.config.clone()).unwrap_or_default();
    if !config.set_up {
        // No source names the code of an account without Cloud Config: this one is made up.
        return Err(Failure::new(
            403,
            "ServiceNotEnabled",
            "Cloud Config is not enabled for the account.",
        ));
    }
    let deleted = match call.get("ResourceDeleted") {
        None | Some("1") => false,
        Some("0") => true,
        Some(value) => {
            return Err(Failure::bad(
                "InvalidParameter.ResourceDeleted",
                format!("ResourceDeleted {value} is neither 0 nor 1."),
            ));
        }
    };
    let list = |name: &str| {
        call.get(name)
            .map(|text| text.split(',').collect::<Vec<_>>())
    };
    let types = list("ResourceTypes");
    let wanted = types.is_none_or(|types| types.contains(&TYPE)) && !deleted;
    let regions: Vec<&Region> = account
        .into_iter()
        .filter(|_| wanted)
        .flat_map(|a| a.regions.values())
        .filter(|region| list("Regions").is_none_or(|ids| ids.contains(&region.id.as_str())))
        .collect();
    let only = call.get("ResourceId");
    let shown = |id: &str| only.is_none_or(|only| only == id) && !config.behind.contains(id);
    let mut start = call.place(TOKEN)?.map(|text| parse(&text)).transpose()?;
    let mut page: Vec<(&str, Group)> = Vec::new();
    let mut next: Option<String> = None;
    let mut total = 0usize;
    for region in regions {
        let gone = config.lags.get(&region.id).map_or(&[][..], Vec::as_slice);
        total = total.saturating_add(region.count().saturating_add(gone.len()));
        let from = match &start {
            Some((id, _)) if *id != region.id => continue,
            Some(_) => start.take().map(|(_, from)| from),
            None => None,
        };
        if next.is_some() {
            continue;
        }
        let mut skip = 0;
        let place = match from {
            Some(From::Gone(n)) => {
                skip = n;
                None
            }
            Some(From::Group(place)) => Some(place),
            None => Some(region.first_place()),
        };
        if let Some(place) = place {
            region.visit(place, |place, group| {
                if !shown(&group.security_group_id) {
                    return true;
                }
                if page.len() == max {
                    next = Some(text(&region.id, &place));
                    return false;
                }
                page.push((region.id.as_str(), group.clone()));
                true
            });
        }
        for (at, id) in gone.iter().enumerate().skip(skip) {
            if next.is_some() || !shown(id) {
                continue;
            }
            if page.len() == max {
                next = Some(format!("{}/g{at}", region.id));
                continue;
            }
            page.push((region.id.as_str(), Group::new(id, "")));
        }
    }
    if start.is_some() {
        return Err(Failure::bad(TOKEN, "The specified NextToken is not valid."));
    }
    let token = next.map(|place| call.token_to(&place)).unwrap_or_default();
    Ok(answer(call, &page, total, max, &token))
}

/// One resource. Of types other than groups it knows none.
pub(super) fn get_discovered(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    let (id, kind, region) = (
        call.need("ResourceId")?,
        call.need("ResourceType")?,
        call.need("Region")?,
    );
    let account = state.world.accounts.get(&call.caller.account);
    let config = account.map(|a| a.config.clone()).unwrap_or_default();
    if !config.set_up {
        return Err(Failure::new(
            403,
            "ServiceNotEnabled",
            "Cloud Config is not enabled for the account.",
        ));
    }
    let place = account.and_then(|a| a.regions.get(region));
    let group = place
        .and_then(|place| place.group(id))
        .filter(|_| kind == TYPE);
    let lagging = config
        .lags
        .get(region)
        .is_some_and(|ids| ids.iter().any(|gone| gone == id));
    let deleted = match (&group, lagging) {
        (Some(_), _) | (None, true) => 1,
        // What it knows of resources that it never saw: no source says. This code is made up.
        (None, false) => {
            return Err(Failure::new(
                404,
                "ResourceNotExists",
                format!("The resource {id} does not exist."),
            ));
        }
    };
    let account: u64 = call.caller.account.parse().unwrap_or_default();
    // What the record says of the rules may be old: nobody may decide by it, so it says nothing.
    Ok(json!({
        "RequestId": call.request_id,
        "DiscoveredResourceDetail": {
            "AccountId": account,
            "Region": region,
            "AvailabilityZone": "",
            "ResourceType": kind,
            "ResourceId": id,
            "ResourceName": group.as_ref().map(|g| g.security_group_name.clone()).unwrap_or_default(),
            "ResourceStatus": "",
            "ResourceCreationTime": 0,
            "ResourceDeleted": deleted,
            "ComplianceType": "NON_COMPLIANT",
            "Configuration": "{}",
            "Tags": "{}",
            "VpcId": group.as_ref().map(|g| g.vpc_id.clone()).unwrap_or_default(),
            "VSwitchId": "",
        },
    })
    .to_string())
}

/// Takes verdicts for a token that was given out, each of the documented shape.
pub(super) fn put_evaluations(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    let token = call.need("ResultToken")?;
    let bad = |what: &str| Failure::bad("InvalidParameter.Evaluations", what.to_owned());
    let list: Vec<Value> = serde_json::from_str(call.need("Evaluations")?)
        .map_err(|_| bad("Evaluations is not a JSON array."))?;
    for item in &list {
        let text = |key: &str| item.get(key).and_then(Value::as_str);
        for key in [
            "complianceResourceId",
            "complianceResourceType",
            "complianceRegionId",
            "annotation",
        ] {
            if text(key).is_none() {
                return Err(bad(&format!("{key} is missing.")));
            }
        }
        if text("annotation").is_some_and(|note| note.chars().count() > 256) {
            return Err(bad("annotation is longer than 256 characters."));
        }
        let kinds = [
            "COMPLIANT",
            "NON_COMPLIANT",
            "NOT_APPLICABLE",
            "INSUFFICIENT_DATA",
        ];
        if !text("complianceType").is_some_and(|kind| kinds.contains(&kind)) {
            return Err(bad("complianceType is none."));
        }
        if item
            .get("orderingTimestamp")
            .and_then(Value::as_i64)
            .is_none()
        {
            return Err(bad("orderingTimestamp is missing."));
        }
    }
    let Some(taken) = state.world.verdicts.get_mut(token) else {
        return Err(Failure::bad(
            "InvalidParameter.ResultToken",
            "The specified ResultToken is not valid.",
        ));
    };
    taken.extend(list);
    Ok(json!({"RequestId": call.request_id, "Result": true}).to_string())
}

fn answer(
    call: &Call<'_>,
    page: &[(&str, Group)],
    total: usize,
    max: usize,
    token: &str,
) -> String {
    let account: u64 = call.caller.account.parse().unwrap_or_default();
    let list: Vec<Value> = page
        .iter()
        .map(|(region, group)| {
            let tags: Map<String, Value> = group
                .tags
                .iter()
                .map(|tag| (tag.tag_key.clone(), json!([tag.tag_value])))
                .collect();
            let made = chrono::DateTime::parse_from_rfc3339(&group.creation_time)
                .map_or(0, |time| time.timestamp_millis());
            json!({
                "AccountId": account,
                "Region": region,
                "AvailabilityZone": "",
                "ResourceType": TYPE,
                "ResourceId": group.security_group_id,
                "ResourceName": group.security_group_name,
                "ResourceStatus": "",
                "ResourceCreationTime": made,
                // 1 is what exists.
                "ResourceDeleted": 1,
                "ResourceGroupId": group.resource_group_id,
                "Tags": Value::Object(tags).to_string(),
                "UpdateTime": made,
                "Version": 1,
                "VpcId": group.vpc_id,
                "VSwitchId": "",
            })
        })
        .collect();
    json!({
        "RequestId": call.request_id,
        "DiscoveredResourceProfiles": {
            "MaxResults": max,
            "NextToken": token,
            "TotalCount": total,
            "DiscoveredResourceProfileList": list,
        },
    })
    .to_string()
}

fn text(region: &str, place: &Place) -> String {
    match place {
        Place::Seeded(i) => format!("{region}/s{i}"),
        Place::After(id) => format!("{region}/x{id}"),
    }
}

fn parse(text: &str) -> Result<(String, From), Failure> {
    let bad = || Failure::bad(TOKEN, "The specified NextToken is not valid.");
    let (region, place) = text.split_once('/').ok_or_else(bad)?;
    let from = match place.split_at_checked(1) {
        Some(("s", index)) => From::Group(Place::Seeded(index.parse().map_err(|_| bad())?)),
        Some(("x", id)) => From::Group(Place::After(id.into())),
        Some(("g", at)) => From::Gone(at.parse().map_err(|_| bad())?),
        _ => return Err(bad()),
    };
    Ok((region.to_owned(), from))
}
