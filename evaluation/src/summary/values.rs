//! Every record's numbers, by condition and system.

use std::collections::BTreeMap;

use glam::Vec3;

use super::Group;
use crate::metrics::{Metric, Motion, Selection, acceleration_error};
use crate::record::{Reading, Record};
use crate::store::Results;

/// One number of one sample.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    pub sample: &'a str,
    pub cluster: &'a str,
    pub value: f64,
}

/// What one system gave under one condition.
#[derive(Debug, Default)]
pub struct Series<'a> {
    pub records: Vec<&'a Record>,
    pub by: BTreeMap<(Metric, Selection), Vec<Value<'a>>>,
}

/// By occlusion, reading and system.
pub struct Values<'a> {
    pub series: BTreeMap<Group, Series<'a>>,
}

impl<'a> Values<'a> {
    pub fn of(results: &'a Results) -> Self {
        let mut series: BTreeMap<Group, Series<'a>> = BTreeMap::new();
        for record in &results.records {
            let e = &record.entry;
            let group = Group {
                occlusion: e.occlusion.clone(),
                reading: e.reading,
                system: e.system.clone(),
            };
            series.entry(group).or_default().records.push(record);
        }
        for (group, series) in &mut series {
            fill(group, series);
        }
        Self { series }
    }
}

fn fill(group: &Group, series: &mut Series<'_>) {
    for record in &series.records {
        let e = &record.entry;
        let mut push = |metric, selection, value| {
            let values = series.by.entry((metric, selection)).or_default();
            values.push(Value {
                sample: &e.sample,
                cluster: &e.cluster,
                value,
            });
        };
        for (selection, scores) in &record.scores {
            for metric in Metric::ALL {
                if let Some(value) = scores.get(metric) {
                    push(metric, *selection, value);
                }
            }
        }
        if let Some(value) = record.pve_mm {
            push(Metric::Pve, Selection::All, value);
        }
    }
    // An adversarial patch jumps from frame to frame, and what it does to accelerations says nothing.
    if matches!(group.reading, Reading::None | Reading::Fixed) {
        let accelerations = accelerations(&series.records);
        if !accelerations.is_empty() {
            series
                .by
                .insert((Metric::Acceleration, Selection::All), accelerations);
        }
    }
}

fn accelerations<'a>(records: &[&'a Record]) -> Vec<Value<'a>> {
    let mut clips: BTreeMap<&str, BTreeMap<u32, &'a Record>> = BTreeMap::new();
    for record in records.iter().filter(|r| r.entry.clip.is_some()) {
        let clip = clips.entry(&record.entry.cluster).or_default();
        clip.insert(record.entry.frame, record);
    }
    let mut out = Vec::new();
    for (cluster, frames) in clips {
        let names = frames
            .values()
            .find_map(|r| Some(&r.joints.as_ref()?.names));
        let motion: Vec<Motion> = frames
            .iter()
            .map(|(frame, record)| {
                let whole = record.joints.as_ref().filter(|j| Some(&j.names) == names);
                let centred =
                    |points: &[Vec3], root: Vec3| points.iter().map(|p| *p - root).collect();
                let [found, truth] = match whole.and_then(|j| Some((j, j.roots()?))) {
                    Some((j, [a, b])) => [centred(&j.found, a), centred(&j.truth, b)],
                    None => [Vec::new(), Vec::new()],
                };
                Motion {
                    frame: *frame,
                    found,
                    truth,
                }
            })
            .collect();
        for (frame, value) in acceleration_error(&motion) {
            out.push(Value {
                sample: &frames[&frame].entry.sample,
                cluster,
                value,
            });
        }
    }
    out
}
