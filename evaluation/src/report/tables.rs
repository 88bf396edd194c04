//! Tables, as both kinds of report show them.

use super::text::{condition, interval, number, protocol, signed};
use crate::metrics::{Metric, Selection};
use crate::record::Reading;
use crate::statistics::Mean;
use crate::summary::{GroupSummary, Summary};

/// One entry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// The figure.
    pub main: String,
    /// Smaller: its interval.
    pub small: String,
    /// The best of its column.
    pub best: bool,
    /// Words, not a figure.
    pub text: bool,
}

impl Entry {
    fn plain(text: impl Into<String>) -> Self {
        Self {
            main: text.into(),
            ..Self::default()
        }
    }

    fn words(text: impl Into<String>) -> Self {
        Self {
            text: true,
            ..Self::plain(text)
        }
    }

    fn mean(m: Option<Mean>, form: fn(f64) -> String) -> Self {
        m.map_or_else(Self::default, |m| Self {
            main: form(m.mean),
            small: interval(m),
            ..Self::default()
        })
    }
}

/// A table; the first column names the row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// What to know when one reads it.
    pub note: String,
    /// Groups of columns: name and number of columns; empty for none.
    pub groups: Vec<(String, usize)>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Entry>>,
    /// Folded away at first.
    pub folded: bool,
}

/// What to know of the overview.
const MEANS: &str =
    "Means over all samples that a system solved, in mm and %; bold is best, intervals are below.";
const AT: &str = "The patch that is worst for the start is read at the visible joints, every other at all joints.";

/// Every condition side by side, at the joints of its protocol: the form of the authors' tables.
pub fn overview(summary: &Summary) -> Table {
    let conditions = summary.conditions();
    let mut table = Table {
        title: "Overview".to_owned(),
        note: if conditions.iter().any(|c| c.1 != Reading::None) {
            format!("{MEANS} {AT}")
        } else {
            MEANS.to_owned()
        },
        columns: vec!["system".to_owned()],
        ..Table::default()
    };
    table.rows = summary
        .systems
        .iter()
        .map(|s| vec![Entry::plain(s)])
        .collect();
    for (occlusion, reading) in conditions {
        let selection = protocol(reading);
        let there = |m: &Metric| {
            let mut groups = summary.under(occlusion, reading);
            groups.any(|g| g.cell(*m, selection).is_some())
        };
        // Where there are no heads, the trunk stands in for them.
        let share = [Metric::Pckh, Metric::PckTorso].into_iter().find(there);
        let space = [Metric::Mpjpe, Metric::PaMpjpe].into_iter().filter(there);
        let metrics: Vec<Metric> = space.chain(share).collect();
        if metrics.is_empty() {
            continue;
        }
        table
            .groups
            .push((condition(occlusion, reading), metrics.len()));
        for metric in metrics {
            table.columns.push(metric.name().to_owned());
            let means: Vec<Option<Mean>> = summary
                .systems
                .iter()
                .map(|system| {
                    let mut groups = summary.under(occlusion, reading);
                    let group = groups.find(|g| g.group.system == *system)?;
                    group.cell(metric, selection).map(|c| c.mean)
                })
                .collect();
            add_column(&mut table.rows, &means, metric);
        }
    }
    let cells = table.rows.iter_mut().flatten();
    cells.for_each(|e| e.small.clear());
    table
}

/// All metrics of one condition and selection; none where no system has any.
pub fn detail(
    summary: &Summary,
    occlusion: &str,
    reading: Reading,
    selection: Selection,
) -> Option<Table> {
    let groups: Vec<&GroupSummary> = summary.under(occlusion, reading).collect();
    let has = |m: &Metric| groups.iter().any(|g| g.cell(*m, selection).is_some());
    let metrics: Vec<Metric> = Metric::ALL.into_iter().filter(has).collect();
    if metrics.is_empty() {
        return None;
    }
    let mut table = Table {
        title: format!("{}: {}", condition(occlusion, reading), selection.name()),
        columns: ["system", "samples", "failed"].map(str::to_owned).into(),
        folded: selection != protocol(reading),
        ..Table::default()
    };
    table.rows = groups
        .iter()
        .map(|g| {
            let counts = [g.samples.to_string(), g.failed.to_string()];
            let mut row = vec![Entry::plain(&g.group.system)];
            row.extend(counts.map(Entry::plain));
            row
        })
        .collect();
    for metric in metrics {
        table
            .columns
            .push(format!("{}, {}", metric.name(), metric.unit()));
        let means: Vec<_> = groups
            .iter()
            .map(|g| g.cell(metric, selection).map(|c| c.mean))
            .collect();
        add_column(&mut table.rows, &means, metric);
    }
    Some(table)
}

/// Selections worth a table of their own: those whose figures differ from those of an earlier one.
pub fn selections(summary: &Summary, occlusion: &str, reading: Reading) -> Vec<Selection> {
    let figures = |selection: Selection| -> Vec<Option<[f64; 3]>> {
        let metrics = [
            Metric::Mpjpe,
            Metric::PaMpjpe,
            Metric::Pckh,
            Metric::PckTorso,
        ];
        let groups = summary.under(occlusion, reading);
        let mean = |g: &GroupSummary, m| {
            g.cell(m, selection)
                .map(|c| [c.mean.mean, c.mean.low, c.mean.high])
        };
        groups.flat_map(|g| metrics.map(|m| mean(g, m))).collect()
    };
    let mut kept: Vec<Selection> = Vec::new();
    for selection in Selection::ALL {
        let new = figures(selection);
        if new.iter().any(Option::is_some) && !kept.iter().any(|k| figures(*k) == new) {
            kept.push(selection);
        }
    }
    kept.sort_by_key(|s| *s != protocol(reading));
    kept
}

/// Gains over the baseline under every condition, at the joints of its protocol.
pub fn gains(summary: &Summary) -> Option<Table> {
    let baseline = summary.baseline.as_ref()?;
    let metrics = [
        Metric::Mpjpe,
        Metric::PaMpjpe,
        Metric::Pve,
        Metric::Pckh,
        Metric::Acceleration,
    ];
    let has = |m: &Metric| {
        summary
            .groups
            .iter()
            .any(|g| g.gains.iter().any(|x| x.metric == *m))
    };
    let metrics: Vec<Metric> = metrics.into_iter().filter(has).collect();
    if metrics.is_empty() {
        return None;
    }
    let mut table = Table {
        title: format!("Gain over {baseline}"),
        note: "In pairs; positive is better, and an interval that holds 0 is no difference. % of errors, points \
               of shares."
            .to_owned(),
        columns: ["system", "occlusion", "pairs"].map(str::to_owned).into(),
        ..Table::default()
    };
    table.columns.extend(metrics.iter().map(|m| {
        format!(
            "{}, {}",
            m.name(),
            if m.is_error() { "%" } else { "points" }
        )
    }));
    for (occlusion, reading) in summary.conditions() {
        for g in summary
            .under(occlusion, reading)
            .filter(|g| !g.gains.is_empty())
        {
            let of = |m: Metric| {
                let selection = match m {
                    Metric::Pve | Metric::Acceleration => Selection::All,
                    _ => protocol(reading),
                };
                g.gain(m, selection)
            };
            let pairs = metrics.iter().filter_map(|m| of(*m)).map(|x| x.pairs).max();
            let mut row = vec![
                Entry::plain(&g.group.system),
                Entry::words(condition(occlusion, reading)),
                Entry::plain(pairs.unwrap_or(0).to_string()),
            ];
            row.extend(
                metrics
                    .iter()
                    .map(|m| Entry::mean(of(*m).map(|x| x.gain), signed)),
            );
            table.rows.push(row);
        }
    }
    Some(table)
}

/// Errors by joint under one condition.
pub fn joints(summary: &Summary, occlusion: &str, reading: Reading) -> Option<Table> {
    let groups: Vec<&GroupSummary> = summary.under(occlusion, reading).collect();
    let names = groups.iter().map(|g| &g.joints).max_by_key(|j| j.len())?;
    if names.is_empty() {
        return None;
    }
    let mut table = Table {
        title: format!("By joint: {}", condition(occlusion, reading)),
        note: "Root-centred error, mm, over all samples, whether the joint is seen or not."
            .to_owned(),
        columns: vec!["joint".to_owned()],
        rows: names
            .iter()
            .map(|j| vec![Entry::plain(j.name.replace('_', " "))])
            .collect(),
        folded: true,
        ..Table::default()
    };
    for g in groups {
        table.columns.push(g.group.system.clone());
        for (row, joint) in table.rows.iter_mut().zip(names) {
            let found = g.joints.iter().find(|j| j.name == joint.name);
            row.push(Entry::mean(found.map(|j| j.mean), number));
        }
    }
    Some(table)
}

/// What systems took; none where nobody measured.
pub fn times(summary: &Summary) -> Option<Table> {
    let mut table = Table {
        title: "Time for each sample".to_owned(),
        note: "Milliseconds, as the run measured them on its machine.".to_owned(),
        columns: ["system", "occlusion", "median", "90 %", "most"]
            .map(str::to_owned)
            .into(),
        folded: true,
        ..Table::default()
    };
    for g in &summary.groups {
        if let Some(ms) = g.milliseconds {
            let mut row = vec![
                Entry::plain(&g.group.system),
                Entry::words(condition(&g.group.occlusion, g.group.reading)),
            ];
            row.extend(ms.map(|x| Entry::plain(number(x))));
            table.rows.push(row);
        }
    }
    (!table.rows.is_empty()).then_some(table)
}

fn add_column(rows: &mut [Vec<Entry>], means: &[Option<Mean>], metric: Metric) {
    let sign = if metric.is_error() { 1.0 } else { -1.0 };
    let values = means.iter().flatten().map(|m| sign * m.mean);
    let best = values.filter(|x| x.is_finite()).min_by(f64::total_cmp);
    for (row, mean) in rows.iter_mut().zip(means) {
        let mut entry = Entry::mean(*mean, number);
        entry.best = means.len() > 1 && mean.is_some_and(|m| Some(sign * m.mean) == best);
        row.push(entry);
    }
}
