//! The Markdown report.

use std::fmt::Write;

use super::tables::{self, Entry, Table};
use super::{Options, failures, published, text};
use crate::store::Results;
use crate::summary::Summary;

/// Definitions, settings and tables.
pub fn markdown(results: &Results, summary: &Summary, options: &Options) -> String {
    let mut out = format!("# {}\n\n", options.title);
    line(&mut out, &format!("{}\n", headline(summary)));
    table(&mut out, &tables::overview(summary));
    if let Some(t) = tables::gains(summary) {
        table(&mut out, &t);
    }
    for (occlusion, reading) in summary.conditions() {
        for selection in tables::selections(summary, occlusion, reading) {
            if let Some(t) = tables::detail(summary, occlusion, reading, selection) {
                table(&mut out, &t);
            }
        }
        if let Some(t) = tables::joints(summary, occlusion, reading) {
            table(&mut out, &t);
        }
    }
    if let Some(t) = tables::times(summary) {
        table(&mut out, &t);
    }
    let failures = failures(results);
    if !failures.is_empty() {
        line(&mut out, "## Failures\n");
        line(&mut out, "| system | why | records |\n|---|---|---:|");
        for (system, why, count) in failures {
            line(
                &mut out,
                &format!("| {} | {} | {count} |", cell(system), cell(why)),
            );
        }
        out.push('\n');
    }
    line(&mut out, "## Definitions\n");
    for (term, meaning) in text::definitions(summary) {
        line(&mut out, &format!("- **{term}**: {meaning}"));
    }
    line(&mut out, "\n## Settings\n\n| | |\n|---|---|");
    for (name, value) in text::settings(results, options) {
        line(&mut out, &format!("| {} | {} |", cell(&name), cell(&value)));
    }
    out.push('\n');
    if options.published {
        for t in published::tables() {
            table(&mut out, &t);
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// How much was judged.
pub(super) fn headline(summary: &Summary) -> String {
    let clips = if summary.clusters < summary.samples {
        format!(" in {} clips or single pictures", summary.clusters)
    } else {
        String::new()
    };
    let failed: usize = summary.groups.iter().map(|g| g.failed).sum();
    let records: usize = summary.groups.iter().map(|g| g.samples).sum();
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    format!(
        "{}{clips}, {}, {}; {}, {}.",
        count(summary.samples, "sample"),
        count(summary.systems.len(), "system"),
        count(summary.conditions().len(), "condition"),
        count(records, "record"),
        count(failed, "failure"),
    )
}

fn table(out: &mut String, t: &Table) {
    line(out, &format!("## {}\n", t.title));
    if !t.note.is_empty() {
        line(out, &format!("{}\n", t.note));
    }
    let groups = t
        .groups
        .iter()
        .flat_map(|(name, n)| std::iter::repeat_n(name, *n));
    let mut columns = t.columns.clone();
    for (column, group) in columns.iter_mut().skip(1).zip(groups) {
        *column = format!("{group}: {column}");
    }
    let columns: Vec<String> = columns.iter().map(|c| cell(c)).collect();
    line(out, &format!("| {} |", columns.join(" | ")));
    let rules = (0..columns.len()).map(|i| if i == 0 { "---" } else { "---:" });
    line(out, &format!("|{}|", rules.collect::<Vec<_>>().join("|")));
    for row in &t.rows {
        let cells: Vec<String> = row.iter().map(entry).collect();
        line(out, &format!("| {} |", cells.join(" | ")));
    }
    out.push('\n');
}

fn entry(e: &Entry) -> String {
    let main = cell(&e.main);
    let main = if e.best && !main.is_empty() {
        format!("**{main}**")
    } else {
        main
    };
    if e.small.is_empty() {
        main
    } else {
        format!("{main} {}", e.small)
    }
}

/// Text that cannot end a cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
        .replace('<', "&lt;")
        .replace(['\n', '\r'], " ")
}

fn line(out: &mut String, text: &str) {
    let _infallible = writeln!(out, "{text}");
}
