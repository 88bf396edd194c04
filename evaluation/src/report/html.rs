//! The HTML report: one file, no script, nothing from elsewhere.

use maud::{DOCTYPE, Markup, PreEscaped, html as markup};

use super::gallery::{Pictures, Strip, focus, strips};
use super::plots::{self, Plot};
use super::tables::{self, Table};
use super::{Options, ReportError, failures, markdown::headline, published, text};
use crate::store::Results;
use crate::summary::Summary;

const STYLE: &str = include_str!("style.css");

/// Definitions, settings, tables, plots, and the worst cases that `pictures` draws.
///
/// # Errors
/// When a plot cannot be drawn.
pub fn html(
    results: &Results,
    summary: &Summary,
    options: &Options,
    pictures: &mut Pictures<'_>,
) -> Result<String, ReportError> {
    let plots = plots::all(results, summary)?;
    let strips = strips(results, summary, options, pictures);
    let focus = focus(summary, options).unwrap_or_default();
    let conditions = summary.conditions();
    let page = markup! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (options.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (options.title) }
                    p.lead { (headline(summary)) }
                    nav {
                        a href="#tables" { "Tables" }
                        @if !plots.is_empty() { a href="#plots" { "Plots" } }
                        @if !strips.is_empty() { a href="#worst" { "Worst cases" } }
                        a href="#definitions" { "Definitions" }
                        a href="#settings" { "Settings" }
                    }
                }
                main {
                    section #tables {
                        (table(&tables::overview(summary)))
                        @if let Some(t) = tables::gains(summary) { (table(&t)) }
                        @for (occlusion, reading) in &conditions {
                            @for selection in tables::selections(summary, occlusion, *reading) {
                                @if let Some(t) = tables::detail(summary, occlusion, *reading, selection) { (table(&t)) }
                            }
                            @if let Some(t) = tables::joints(summary, occlusion, *reading) { (table(&t)) }
                        }
                        @if let Some(t) = tables::times(summary) { (table(&t)) }
                        (failures_of(results))
                    }
                    @if !plots.is_empty() {
                        section #plots {
                            h2 { "Plots" }
                            div.plots { @for p in &plots { (plot(p)) } }
                        }
                    }
                    @if !strips.is_empty() {
                        section #worst {
                            h2 { "Worst cases of " (focus) }
                            p.note { "By MPJPE at the joints of the protocol; one a clip, as long as there are clips." }
                            @for s in &strips { (strip(s)) }
                        }
                    }
                    section #definitions {
                        h2 { "Definitions" }
                        dl {
                            @for (term, meaning) in text::definitions(summary) { dt { (term) } dd { (meaning) } }
                        }
                    }
                    section #settings {
                        h2 { "Settings" }
                        dl.settings {
                            @for (name, value) in text::settings(results, options) { dt { (name) } dd { code { (value) } } }
                        }
                    }
                    @if options.published {
                        section #published { @for t in published::tables() { (table(&t)) } }
                    }
                }
            }
        }
    };
    Ok(page.into_string())
}

fn table(t: &Table) -> Markup {
    let body = markup! {
        @if !t.note.is_empty() { p.note { (t.note) } }
        div.scroll tabindex="0" role="region" aria-label=(t.title) {
            table {
                thead {
                    @if !t.groups.is_empty() {
                        tr {
                            td {}
                            @for (name, n) in &t.groups { th.group colspan=(n) scope="colgroup" { (name) } }
                        }
                    }
                    tr {
                        @for (i, c) in t.columns.iter().enumerate() {
                            th scope="col" class=[words(t, i)] { (c) }
                        }
                    }
                }
                tbody {
                    @for row in &t.rows {
                        tr {
                            @for (i, e) in row.iter().enumerate() {
                                @if i == 0 { th scope="row" { (e.main) } }
                                @else if e.text { td.text { (e.main) } }
                                @else {
                                    td {
                                        @if e.best { strong { (e.main) } } @else { (e.main) }
                                        @if !e.small.is_empty() { " " small { (e.small) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    };
    markup! {
        @if t.folded { details { summary { (t.title) } (body) } }
        @else { h2 { (t.title) } (body) }
    }
}

/// The class of a column's heading.
fn words(t: &Table, column: usize) -> Option<&'static str> {
    let mut entries = t.rows.iter().filter_map(|row| row.get(column));
    entries.any(|e| e.text).then_some("text")
}

fn plot(p: &Plot) -> Markup {
    markup! {
        figure {
            figcaption { strong { (p.title) } " " span.note { (p.note) } }
            div.scroll { (PreEscaped(&p.svg)) }
        }
    }
}

fn strip(s: &Strip) -> Markup {
    markup! {
        h3 { (s.title) }
        div.cases {
            @for case in &s.cases {
                figure.case {
                    @if case.url.is_empty() { div.blank { "no picture" } }
                    @else { img src=(case.url) alt=(case.sample) loading="lazy"; }
                    figcaption {
                        strong { (case.errors) }
                        span.name { (case.sample) }
                        @if !case.caption.is_empty() { span { (case.caption) } }
                    }
                }
            }
        }
    }
}

fn failures_of(results: &Results) -> Markup {
    let all = failures(results);
    markup! {
        @if !all.is_empty() {
            details {
                summary { "Failures" }
                div.scroll.wrap {
                    table {
                        thead { tr { th { "system" } th { "why" } th { "records" } } }
                        tbody {
                            @for (system, why, count) in all {
                                tr { th scope="row" { (system) } td.text { (why) } td { (count) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
