//! Instances and network interfaces: what the world says, laid over a template with every field.

use serde_json::{Map, Value, json};

use super::super::wire::Failure;
use super::{Call, State};

const INSTANCE: &str = include_str!("../templates/instance.json");
const INTERFACE: &str = include_str!("../templates/interface.json");

fn lay_over(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                lay_over(under.entry(name).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over.clone(),
    }
}

fn filled(template: &str, own: &Map<String, Value>) -> Value {
    let mut value: Value = serde_json::from_str(template).unwrap_or_default();
    lay_over(&mut value, &Value::Object(own.clone()));
    value
}

fn in_group(item: &Map<String, Value>, group: &str) -> bool {
    item.get("SecurityGroupIds")
        .and_then(|ids| ids.get("SecurityGroupId")?.as_array())
        .is_some_and(|ids| ids.iter().any(|id| id == group))
}

fn is(item: &Map<String, Value>, field: &str, wanted: &str) -> bool {
    item.get(field).is_some_and(|v| v == wanted)
}

pub(super) fn describe_instances(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    let max = call.max_results(10, 100, 10, true)?;
    let ids: Option<Vec<String>> = match call.get("InstanceIds") {
        None => None,
        Some(text) => Some(serde_json::from_str(text).map_err(|_| {
            Failure::bad(
                "InvalidInstanceIds.Malformed",
                "InstanceIds is not a JSON array.",
            )
        })?),
    };
    let region = call.region(state)?;
    let group = call.get("SecurityGroupId");
    let found: Vec<_> = region
        .instances
        .iter()
        .filter(|i| {
            group.is_none_or(|g| in_group(i, g))
                && ids
                    .as_ref()
                    .is_none_or(|ids| ids.iter().any(|id| is(i, "InstanceId", id)))
        })
        .collect();
    let (start, end, token) = call.offsets(found.len(), max)?;
    let page: Vec<Value> = found
        .get(start..end)
        .unwrap_or(&[])
        .iter()
        .map(|own| {
            let mut item = filled(INSTANCE, own);
            if item["RegionId"] == "" {
                item["RegionId"] = json!(region.id);
            }
            item
        })
        .collect();
    let answer = json!({
        "RequestId": call.request_id,
        "NextToken": token,
        "PageNumber": 0,
        "PageSize": 0,
        "TotalCount": found.len(),
        "Instances": {"Instance": page},
    });
    Ok(answer.to_string())
}

pub(super) fn describe_interfaces(call: &Call<'_>, state: &mut State) -> Result<String, Failure> {
    let max = call.max_results(10, 500, 10, true)?;
    let ids = call.list("NetworkInterfaceId");
    let group = call.get("SecurityGroupId");
    let kind = call.get("Type");
    if let Some(kind) = kind
        && !["Primary", "Secondary"].contains(&kind)
    {
        return Err(Failure::bad(
            "InvalidParameter.Type",
            format!("The specified Type {kind} is not valid."),
        ));
    }
    let region = call.region(state)?;
    let found: Vec<_> = region
        .interfaces
        .iter()
        .filter(|i| {
            let secondary = is(i, "Type", "Secondary");
            // The filter by group covers secondary interfaces only (reference 3.9).
            group.is_none_or(|g| secondary && in_group(i, g))
                && kind.is_none_or(|k| (k == "Secondary") == secondary)
                && (ids.is_empty() || ids.iter().any(|id| is(i, "NetworkInterfaceId", id)))
        })
        .collect();
    let (start, end, token) = call.offsets(found.len(), max)?;
    let page: Vec<Value> = found
        .get(start..end)
        .unwrap_or(&[])
        .iter()
        .map(|own| {
            let mut item = filled(INTERFACE, own);
            if item["OwnerId"] == "" {
                item["OwnerId"] = json!(call.caller.account);
            }
            item
        })
        .collect();
    let answer = json!({
        "RequestId": call.request_id,
        "NextToken": token,
        "PageNumber": 0,
        "PageSize": 0,
        "TotalCount": found.len(),
        "NetworkInterfaceSets": {"NetworkInterfaceSet": page},
    });
    Ok(answer.to_string())
}
