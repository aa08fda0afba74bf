//! `report.json`: the whole record for machines.

use super::{RenderError, Renderer};
use crate::model::{Artifact, RunRecord};

/// Renders it.
#[derive(Debug)]
pub(super) struct Json;

impl Renderer for Json {
    fn render(&self, record: &RunRecord) -> Result<Vec<Artifact>, RenderError> {
        let value = serde_json::json!({
            "header": record.header,
            "findings": record.findings,
            "resolved": record.resolved,
            "coverage": record.coverage,
            "changes": record.changes,
            "held": record.held,
            "planned": record.planned,
        });
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
