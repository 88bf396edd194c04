//! The documents list what the code knows.

use neuralsmpl_evaluation::manifest::FIELDS;
use neuralsmpl_evaluation::{Metric, Reading, Selection};

#[test]
fn every_field_and_metric_is_documented() {
    let datasets = include_str!("../../docs/datasets.md");
    for field in FIELDS {
        assert!(
            datasets.contains(&format!("\n| `{field}` |")),
            "docs/datasets.md lacks `{field}`"
        );
    }
    let reports = include_str!("../../docs/reports.md");
    for metric in Metric::ALL {
        let row = format!("\n| {} | {} |", metric.name(), metric.unit());
        assert!(reports.contains(&row), "docs/reports.md lacks {row}");
        assert!(metric.definition().len() > 40);
    }
    for selection in Selection::ALL {
        assert!(!selection.definition().is_empty() && !selection.name().is_empty());
    }
    for reading in [
        Reading::None,
        Reading::Initial,
        Reading::Own,
        Reading::Fixed,
    ] {
        let name = serde_json::to_value(reading).unwrap_or_default();
        let name = name.as_str().unwrap_or("?").to_owned();
        assert!(
            reports.contains(&format!("`{name}`")),
            "docs/reports.md lacks the reading {name}"
        );
    }
}
