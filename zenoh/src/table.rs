//! The table of `watch`: one row for each camera that has been heard.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Instant;

use neuralsmpl_packet::{Message, StatusRepr};
use serde_json::Value;

use crate::counters::Gaps;
use crate::json::fault_names;
use crate::keys::Camera;
use crate::limits::MAX_WATCHED;
use crate::watch::News;

/// A time as long as this says that clocks differ, or that nothing comes.
const MAX_SHOWN_US: u64 = 10_000_000;

/// All rows.
#[derive(Debug, Default)]
pub struct Table {
    rows: BTreeMap<Camera, Row>,
    more: u64,
    last: Option<Instant>,
}

#[derive(Debug, Default)]
struct Row {
    alive: bool,
    poses: u64,
    persons: BTreeSet<u16>,
    pose_time_us: Option<u64>,
    latency_us: u32,
    gaps: Gaps,
    damaged: u64,
    status: Option<StatusRepr>,
    dropped: u64,
    trouble: Option<String>,
}

impl Table {
    /// Takes in one piece of news. News of cameras beyond [`MAX_WATCHED`] is counted alone.
    pub fn take(&mut self, news: News) {
        let camera = match &news {
            News::Packet(camera, _)
            | News::Kept(camera, _)
            | News::Damaged(camera, ..)
            | News::Alive(camera, _)
            | News::Bridge(camera, _) => camera,
        };
        if !self.rows.contains_key(camera) && self.rows.len() >= MAX_WATCHED {
            self.more += 1;
            return;
        }
        self.rows.entry(camera.clone()).or_default().take(news);
    }

    /// The text, and a new period for the rates. `now_us` is since the Unix epoch.
    pub fn render(&mut self, now: Instant, now_us: u64, router_up: bool, overrun: u64) -> String {
        let seconds = self
            .last
            .replace(now)
            .map_or(1.0, |last| now.duration_since(last).as_secs_f64().max(1e-3));
        let mut text = String::with_capacity(128 * (self.rows.len() + 3));
        let alive = self.rows.values().filter(|row| row.alive).count();
        let _ = writeln!(
            text,
            "router {}, {} cameras, {alive} alive{}{}",
            if router_up { "up" } else { "DOWN" },
            self.rows.len(),
            Extra("samples not shown in time", overrun),
            Extra("samples of cameras beyond the table", self.more),
        );
        let _ = writeln!(
            text,
            "{:<16} {:<16} {:<5} {:>7} {:>7} {:>7} {:>8} {:>8} {:>6} {:>7} {:>7} {:>6}  faults",
            "site",
            "camera",
            "alive",
            "poses/s",
            "persons",
            "fit_hz",
            "age_ms",
            "fit_ms",
            "lost",
            "damaged",
            "dropped",
            "temp_c"
        );
        for (camera, row) in &mut self.rows {
            row.render(&mut text, camera, seconds, now_us);
        }
        text
    }
}

/// `, 12 what` where the count is not 0.
struct Extra(&'static str, u64);

impl std::fmt::Display for Extra {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.1 {
            0 => Ok(()),
            count => write!(f, ", {count} {}", self.0),
        }
    }
}

impl Row {
    fn take(&mut self, news: News) {
        match news {
            News::Alive(_, alive) => self.alive = alive,
            News::Damaged(_, _, frames) => self.damaged += u64::from(frames),
            News::Bridge(_, value) => {
                self.dropped = value["drops"]
                    .as_object()
                    .map_or(0, |drops| drops.values().filter_map(Value::as_u64).sum());
                self.trouble = value["trouble"].as_str().map(str::to_owned);
            }
            News::Packet(_, message) => self.packet(&message),
            News::Kept(_, Message::Status(status)) => {
                self.status.get_or_insert(status);
            }
            News::Kept(..) => {}
        }
    }

    fn packet(&mut self, message: &Message) {
        match message {
            Message::Pose(pose) => {
                self.gaps.see(pose.sequence);
                self.poses += 1;
                self.persons.insert(pose.person_id);
                self.pose_time_us = Some(pose.time_us);
                self.latency_us = pose.latency_us;
            }
            Message::Status(status) => {
                self.gaps.see(status.sequence);
                self.status = Some(*status);
            }
            Message::Subject(subject) => self.gaps.see(subject.sequence),
            _ => {}
        }
    }

    fn render(&mut self, text: &mut String, camera: &Camera, seconds: f64, now_us: u64) {
        let rate = std::mem::take(&mut self.poses) as f64 / seconds;
        let persons = std::mem::take(&mut self.persons).len();
        let milliseconds = |us: u64| match us {
            0..MAX_SHOWN_US => format!("{:.1}", us as f64 / 1e3),
            _ => format!(">{}", MAX_SHOWN_US / 1000),
        };
        let age = self
            .pose_time_us
            .map(|time| milliseconds(now_us.saturating_sub(time)));
        let fit = self
            .pose_time_us
            .map(|_| milliseconds(self.latency_us.into()));
        let hz = self.status.map(|s| format!("{:.1}", s.frame_rate_hz));
        let temperature = self
            .status
            .and_then(|s| s.temperature_centi_c)
            .map(|centi| format!("{:.1}", f64::from(centi) / 100.0));
        let mut faults = self
            .status
            .map(|s| fault_names(s.faults))
            .unwrap_or_default();
        faults.extend(self.trouble.clone());
        let dash = || "-".to_owned();
        let _ = writeln!(
            text,
            "{:<16} {:<16} {:<5} {:>7.1} {:>7} {:>7} {:>8} {:>8} {:>6} {:>7} {:>7} {:>6}  {}",
            camera.site,
            camera.name,
            if self.alive { "yes" } else { "NO" },
            rate,
            persons,
            hz.unwrap_or_else(dash),
            age.unwrap_or_else(dash),
            fit.unwrap_or_else(dash),
            self.gaps.lost(),
            self.damaged,
            self.dropped,
            temperature.unwrap_or_else(dash),
            faults.join(", "),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neuralsmpl_packet::{PoseRepr, status::Faults};
    use serde_json::json;
    use std::time::Duration;

    fn camera(name: &str) -> Camera {
        Camera {
            site: "hall".into(),
            name: name.into(),
        }
    }

    #[test]
    fn a_row_says_rate_loss_and_faults() {
        let mut table = Table::default();
        let start = Instant::now();
        table.render(start, 0, true, 0);
        for sequence in [0, 1, 3] {
            let pose = PoseRepr {
                sequence,
                time_us: 1_000_000,
                latency_us: 41_250,
                ..PoseRepr::default()
            };
            table.take(News::Packet(camera("north"), Message::Pose(pose)));
        }
        let status = StatusRepr {
            sequence: 4,
            faults: Faults::THERMAL,
            temperature_centi_c: Some(8150),
            ..StatusRepr::default()
        };
        table.take(News::Packet(camera("north"), Message::Status(status)));
        table.take(News::Alive(camera("north"), true));
        table.take(News::Bridge(
            camera("south"),
            json!({ "drops": { "checksum": 2, "malformed": 3 }, "trouble": "silent" }),
        ));
        let text = table.render(start + Duration::from_secs(2), 1_060_000, true, 9);
        let words = |line: usize| -> Vec<&str> {
            text.lines().nth(line).unwrap().split_whitespace().collect()
        };
        assert!(text.starts_with("router up, 2 cameras, 1 alive, 9 samples not shown"));
        assert_eq!(
            words(2),
            [
                "hall", "north", "yes", "1.5", "1", "0.0", "60.0", "41.2", "1", "0", "0", "81.5",
                "thermal"
            ]
        );
        assert_eq!(
            words(3),
            [
                "hall", "south", "NO", "0.0", "0", "-", "-", "-", "0", "0", "5", "-", "silent"
            ]
        );
    }

    #[test]
    fn the_table_is_bounded() {
        let mut table = Table::default();
        for index in 0..MAX_WATCHED + 5 {
            table.take(News::Alive(camera(&index.to_string()), true));
        }
        assert_eq!((table.rows.len(), table.more), (MAX_WATCHED, 5));
    }
}
