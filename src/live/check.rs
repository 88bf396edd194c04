//! What is wrong with a configuration: every fault with its line, key, value and what is allowed.

use std::fmt;
use std::ops::Range;

use neuralsmpl_sinks::{SinkConfig, SinkError};
use neuralsmpl_sources::SourceError;
use neuralsmpl_web::WebError;
use toml::de::{DeArray, DeTable, DeValue};

use super::RunConfig;
use super::budget::MIN_STEPS;
use crate::frame::calibration::{Calibration, FOV_DEG};
use crate::limits::{MAX_DEADLINE_MS, MAX_STEPS, MAX_THREADS, MIN_DEADLINE_MS};

/// Times between packets that may be set, seconds.
const PERIOD_S: std::ops::RangeInclusive<f32> = 0.1..=3600.0;

/// One fault of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    /// Line in the file, from 1, where the text is known.
    pub line: Option<usize>,
    /// The key with its tables, as in `budget.steps` and `sink[0].baud`.
    pub key: String,
    /// What it is.
    pub found: String,
    /// What is allowed, and the remedy where there is one.
    pub expected: String,
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            found,
            expected,
            ..
        } = self;
        write!(f, "{key} is {found}, expected {expected}")
    }
}

fn fault(key: &str, found: impl fmt::Display, expected: impl Into<String>) -> ConfigFault {
    ConfigFault {
        line: None,
        key: key.to_owned(),
        found: found.to_string(),
        expected: expected.into(),
    }
}

/// Reads the text of a configuration and checks every range.
///
/// # Errors
/// All faults that can be told at once, at least one.
pub fn parse(text: &str) -> Result<RunConfig, Vec<ConfigFault>> {
    let places = Places::read(text).map_err(|e| vec![syntax(text, &e)])?;
    let config: RunConfig = toml::from_str(text).map_err(|e| vec![places.explain(&e)])?;
    let mut faults = of_config(&config);
    if faults.is_empty() {
        return Ok(config);
    }
    for fault in &mut faults {
        fault.line = places.line_of(&fault.key);
    }
    faults.sort_by_key(|fault| fault.line);
    Err(faults)
}

/// The first value of each table that is out of range.
pub(super) fn of_config(config: &RunConfig) -> Vec<ConfigFault> {
    let mut faults = Vec::new();
    faults.extend(config.source.validate().err().map(of_source));
    if let Err(e) = config.track.validate() {
        let range = format!("{} to {}; see docs/tracking.md", e.least, e.most);
        faults.push(fault(&format!("track.{}", e.key), e.found, range));
    }
    for found in [config.health.validate(), config.memory.validate()] {
        faults.extend(found.err().map(|e| fault(e.key, e.found, e.expected)));
    }
    faults.extend(config.web.validate().err().map(of_web));
    faults.extend(of_camera(config));
    let budget = &config.budget;
    if !(MIN_STEPS..=MAX_STEPS).contains(&budget.steps) {
        let range = format!("{MIN_STEPS} to {MAX_STEPS}");
        faults.push(fault("budget.steps", budget.steps, range));
    }
    if !(MIN_DEADLINE_MS..=MAX_DEADLINE_MS).contains(&budget.deadline_ms) {
        let range = format!("{MIN_DEADLINE_MS} to {MAX_DEADLINE_MS} milliseconds");
        faults.push(fault("budget.deadline_ms", budget.deadline_ms, range));
    }
    if config.model.threads > MAX_THREADS {
        let range = format!("0 (one for each core) to {MAX_THREADS}");
        faults.push(fault("model.threads", config.model.threads, range));
    }
    for (key, value) in [
        ("output.status_s", config.output.status_s),
        ("output.subject_s", config.output.subject_s),
    ] {
        if !PERIOD_S.contains(&value) {
            let range = format!("{} to {} seconds", PERIOD_S.start(), PERIOD_S.end());
            faults.push(fault(key, value, range));
        }
    }
    faults.extend(of_sinks(&config.sinks));
    faults
}

fn of_camera(config: &RunConfig) -> Option<ConfigFault> {
    let camera = &config.camera;
    if camera.fov_deg.is_some() && camera.intrinsics.is_some() {
        return Some(fault(
            "camera.fov_deg",
            "there beside `intrinsics`",
            "one of them; leave the other out",
        ));
    }
    if let Some(fov) = camera.fov_deg.filter(|fov| !FOV_DEG.contains(fov)) {
        let range = format!(
            "{} to {} degrees along the longer side",
            FOV_DEG.start(),
            FOV_DEG.end()
        );
        return Some(fault("camera.fov_deg", fov, range));
    }
    let values = camera.intrinsics?;
    Calibration::new(values)
        .err()
        .map(|message| fault("camera.intrinsics", format!("{values:?}"), message))
}

fn of_web(error: WebError) -> ConfigFault {
    match error {
        WebError::Config {
            key,
            found,
            expected,
        } => fault(key, found, expected),
        other => fault("web", other, "a page that can be served"),
    }
}

fn of_source(error: SourceError) -> ConfigFault {
    match error {
        SourceError::Config {
            key,
            found,
            expected,
            remedy,
        } => fault(
            &format!("source.{key}"),
            found,
            format!("{expected}; {remedy}"),
        ),
        other => fault("source.source", other, "a source that can be read"),
    }
}

fn of_sinks(sinks: &[SinkConfig]) -> Vec<ConfigFault> {
    let describe = |error: SinkError| match error {
        SinkError::Value {
            index,
            key,
            found,
            expected,
        } => fault(&format!("sink[{index}].{key}"), found, expected),
        other => fault("sink", other, "tables as in docs/sinks.md"),
    };
    neuralsmpl_sinks::faults(sinks)
        .into_iter()
        .map(describe)
        .collect()
}

/// What is no TOML at all.
fn syntax(text: &str, error: &toml::de::Error) -> ConfigFault {
    let at = error.span().map_or(0, |span| span.start);
    let line = text
        .get(..at)
        .map_or(1, |before| before.matches('\n').count() + 1);
    let found = text.lines().nth(line - 1).unwrap_or_default().trim();
    ConfigFault {
        line: Some(line),
        ..fault(
            "the file",
            format!("no TOML at `{found}` ({})", error.message()),
            "lines like `key = value` below a `[table]`",
        )
    }
}

/// A key in the text.
struct Place {
    path: String,
    key: Range<usize>,
    value: Range<usize>,
}

/// Where in the text each key stands.
struct Places<'a> {
    text: &'a str,
    all: Vec<Place>,
}

impl<'a> Places<'a> {
    fn read(text: &'a str) -> Result<Self, toml::de::Error> {
        let table = DeTable::parse(text)?;
        let mut all = Vec::new();
        of_table(table.get_ref(), "", &mut all);
        Ok(Self { text, all })
    }

    fn line_at(&self, offset: usize) -> usize {
        let before = self.text.get(..offset).unwrap_or_default();
        before.matches('\n').count() + 1
    }

    /// Line of a key, else of the innermost table around it that is there.
    fn line_of(&self, path: &str) -> Option<usize> {
        let mut path = path;
        loop {
            if let Some(place) = self.all.iter().find(|place| place.path == path) {
                return Some(self.line_at(place.key.start));
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }

    /// A value that has the wrong type or name, or a key that is not known or missing.
    fn explain(&self, error: &toml::de::Error) -> ConfigFault {
        let message = error.message();
        let quoted = |after: &str| {
            let rest = message.split(after).nth(1)?;
            rest.split('`').nth(1).map(str::to_owned)
        };
        let within = error.span().unwrap_or(0..self.text.len());
        let inside = |place: &&Place| {
            within.start <= place.key.start && place.value.end <= within.end.max(within.start + 1)
                || place.key.start <= within.start && within.end <= place.value.end
        };
        if let Some(name) = quoted("missing field") {
            let table = self.table_at(within.start);
            let key = if table.is_empty() {
                name
            } else {
                format!("{table}.{name}")
            };
            return ConfigFault {
                line: Some(self.line_of(&key).unwrap_or(1)),
                ..fault(&key, "missing", "a value; the docs list every key")
            };
        }
        let culprit = match quoted("unknown field") {
            Some(name) => self
                .all
                .iter()
                .filter(|place| last(&place.path) == name)
                .find(|place| inside(place) || place.key == within)
                .or_else(|| self.all.iter().find(|place| last(&place.path) == name)),
            None => self
                .all
                .iter()
                .filter(inside)
                .min_by_key(|place| place.value.end - place.key.start)
                .filter(|place| place.value.end - place.key.start <= within.len().max(1) + 256),
        };
        let culprit = self.culprit_in_sinks(message).or(culprit);
        let Some(place) = culprit else {
            return ConfigFault {
                line: Some(self.line_at(within.start)),
                ..fault("the file", message, "the keys and values of docs/live.md")
            };
        };
        let found = self.text.get(place.value.clone()).unwrap_or_default();
        let expected = match message.split_once(", expected ") {
            _ if message.starts_with("unknown field") => {
                let known = message.split_once(", expected ").map(|(_, known)| known);
                format!("no such key; known here: {}", known.unwrap_or("none"))
            }
            Some((_, wanted)) => self
                .range_of(&place.path)
                .unwrap_or_else(|| in_words(wanted)),
            None => message.to_owned(),
        };
        ConfigFault {
            line: Some(self.line_at(place.key.start)),
            ..fault(&place.path, found, expected)
        }
    }

    /// The table that begins last before an offset.
    fn table_at(&self, offset: usize) -> &str {
        self.all
            .iter()
            .filter(|place| {
                place.value.start <= offset && self.text[place.value.clone()].contains('[')
            })
            .max_by_key(|place| place.value.start)
            .map_or("", |place| place.path.as_str())
    }

    /// Messages about a `[[sink]]` do not say where: the key is that without which the message
    /// changes.
    fn culprit_in_sinks(&self, message: &str) -> Option<&Place> {
        let whole: toml::Table = self.text.parse().ok()?;
        let sinks = whole.get("sink")?.as_array()?;
        for (index, sink) in sinks.iter().enumerate() {
            let table = sink.as_table()?;
            let read = |table: toml::Table| {
                let read: Result<SinkConfig, _> = table.try_into();
                read.err().map(|e| e.message().to_owned())
            };
            if read(table.clone()).as_deref() != Some(message) {
                continue;
            }
            let key = table.keys().find(|key| {
                let mut without = table.clone();
                without.remove(*key);
                read(without).as_deref() != Some(message)
            })?;
            let path = format!("sink[{index}].{key}");
            return self.all.iter().find(|place| place.path == path);
        }
        None
    }

    /// What is allowed at a key, learned from what is said about a value far outside.
    fn range_of(&self, path: &str) -> Option<String> {
        use toml::Value::{Float, Integer};
        [Integer(0), Integer(4_000_000_000), Float(-1.0), Float(1e30)]
            .into_iter()
            .find_map(|probe| {
                let mut table: toml::Table = self.text.parse().ok()?;
                *value_at(&mut table, path)? = probe;
                let config: RunConfig = table.try_into().ok()?;
                let faults = of_config(&config);
                faults
                    .into_iter()
                    .find(|f| f.key == path)
                    .map(|f| f.expected)
            })
    }
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

fn of_table(table: &DeTable<'_>, prefix: &str, all: &mut Vec<Place>) {
    for (key, value) in table {
        let path = if prefix.is_empty() {
            key.get_ref().to_string()
        } else {
            format!("{prefix}.{}", key.get_ref())
        };
        match value.get_ref() {
            DeValue::Table(inner) => of_table(inner, &path, all),
            DeValue::Array(items) => of_array(items, &path, all),
            _ => {}
        }
        all.push(Place {
            path,
            key: key.span(),
            value: value.span(),
        });
    }
}

fn of_array(items: &DeArray<'_>, path: &str, all: &mut Vec<Place>) {
    for (index, item) in items.iter().enumerate() {
        if let DeValue::Table(inner) = item.get_ref() {
            let path = format!("{path}[{index}]");
            of_table(inner, &path, all);
            all.push(Place {
                path,
                key: item.span(),
                value: item.span(),
            });
        }
    }
}

/// The value at a path such as `sink[1].baud`.
fn value_at<'a>(table: &'a mut toml::Table, path: &str) -> Option<&'a mut toml::Value> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let (name, index) = match first.split_once('[') {
        Some((name, index)) => (
            name,
            Some(index.trim_end_matches(']').parse::<usize>().ok()?),
        ),
        None => (first, None),
    };
    let mut value = table.get_mut(name)?;
    if let Some(index) = index {
        value = value.as_array_mut()?.get_mut(index)?;
    }
    if rest.is_empty() {
        Some(value)
    } else {
        value_at(value.as_table_mut()?, rest)
    }
}

/// Rust's names of types, for people.
fn in_words(wanted: &str) -> String {
    match wanted {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" => "text in quotation marks",
        other => other,
    }
    .to_owned()
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
