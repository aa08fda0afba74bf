//! `report.json`: the whole record for machines.

use super::{RenderError, Renderer};
use crate::model::{Artifact, RunRecord};

/// Renders it.
#[derive(Debug)]
pub(super) struct Json;

impl Renderer for Json {
    fn render(&self, record: &RunRecord) -> Result<Vec<Artifact>, RenderError> {
        let mut value = serde_json::json!({
            "complete": record.header.complete,
            "header": record.header,
            "findings": record.findings,
            "resolved": record.resolved,
            "coverage": record.coverage,
            "changes": record.changes,
            "held": record.held,
            "planned": record.planned,
            "idle_rules": record.idle_rules,
            "waivers": record.waivers,
            "trend": record.trend,
            "confirmed": record.confirmed,
        });
        if let Some(part) = &record.part {
            value["part"] = serde_json::json!(part);
            // Of a part, only what was found is counted.
            if let Some(totals) = value["header"]["totals"].as_object_mut() {
                totals.remove("compliant");
            }
        }
        let mut bytes = serde_json::to_vec_pretty(&value)
            .map_err(|why| RenderError::of("report.json")(&why))?;
        bytes.push(b'\n');
        Ok(vec![Artifact {
            name: "report.json".to_owned(),
            media_type: "application/json",
            bytes,
        }])
    }
}
