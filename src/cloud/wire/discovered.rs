//! Cloud Config's list of what it has seen.

use super::object::{Object, items};
use super::{BadAnswer, next_token};

/// The type of a security group, in Cloud Config's words.
pub const SECURITY_GROUP: &str = "ACS::ECS::SecurityGroup";

/// A group that Cloud Config calls existing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovered {
    /// `ResourceId`
    pub id: String,
    /// `ResourceCreationTime`, milliseconds since 1970; `None` where it is not said.
    pub created_ms: Option<i64>,
}

/// A page of ListDiscoveredResources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoveredPage {
    /// Those that exist, in the service's order.
    pub groups: Vec<Discovered>,
    /// `None` on the last page.
    pub next_token: Option<String>,
}

/// A page of ListDiscoveredResources, asked for the security groups of one region. Errs where there
/// is no list, or it speaks of another type or region.
pub fn discovered_page(body: &[u8], region: &str) -> Result<DiscoveredPage, BadAnswer> {
    let top = Object::parse(body)?;
    let profiles = top
        .get("DiscoveredResourceProfiles")
        .ok_or_else(|| BadAnswer("no DiscoveredResourceProfiles in the answer".to_owned()))?;
    let profiles = Object::of(profiles, "DiscoveredResourceProfiles")?;
    let list = profiles
        .get("DiscoveredResourceProfileList")
        .ok_or_else(|| BadAnswer("no DiscoveredResourceProfileList in the answer".to_owned()))?;
    let mut groups = Vec::new();
    for raw in items(list, "DiscoveredResourceProfileList")? {
        let item = Object::of(raw, "DiscoveredResourceProfile")?;
        for (key, asked) in [("ResourceType", SECURITY_GROUP), ("Region", region)] {
            let told = item.required(key)?;
            if told != asked {
                return Err(BadAnswer(format!(
                    "asked for {key} {asked}, and the answer has {told}"
                )));
            }
        }
        // Inverted as it looks: 1 exists, 0 is deleted.
        match item.text("ResourceDeleted")?.as_str() {
            "1" => {}
            "0" => continue,
            odd => return Err(BadAnswer(format!("ResourceDeleted is `{odd}`"))),
        }
        groups.push(Discovered {
            id: item.required("ResourceId")?,
            created_ms: item.text("ResourceCreationTime")?.parse().ok(),
        });
    }
    Ok(DiscoveredPage {
        groups,
        next_token: next_token(&profiles)?,
    })
}

/// Whether the resource of GetDiscoveredResource's answer exists. Errs where that is not said.
pub fn discovered_state(body: &[u8]) -> Result<bool, BadAnswer> {
    let top = Object::parse(body)?;
    let detail = top
        .get("DiscoveredResourceDetail")
        .ok_or_else(|| BadAnswer("no DiscoveredResourceDetail in the answer".to_owned()))?;
    let detail = Object::of(detail, "DiscoveredResourceDetail")?;
    match detail.text("ResourceDeleted")?.as_str() {
        "1" => Ok(true),
        "0" => Ok(false),
        odd => Err(BadAnswer(format!("ResourceDeleted is `{odd}`"))),
    }
}
