//! A strict reader of Prometheus' text format 0.0.4, for tests.

use std::collections::{BTreeMap, HashSet};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Debug, Default)]
pub struct Page {
    pub kinds: BTreeMap<String, Kind>,
    /// Name, labels in text form sorted by name, value.
    pub samples: Vec<(String, String, f64)>,
}

impl Page {
    pub fn value(&self, name: &str, labels: &str) -> Option<f64> {
        self.samples
            .iter()
            .find(|(n, l, _)| n == name && l == labels)
            .map(|(_, _, value)| *value)
    }
}

/// Reads a page; any deviation from the format, or between its parts, is an error.
pub fn parse(text: &str) -> Result<Page, String> {
    if !text.ends_with('\n') {
        return Err("the last line has no end".into());
    }
    let mut page = Page::default();
    let mut family: Option<(String, Kind)> = None;
    let mut helped = HashSet::new();
    for line in text.lines() {
        let fault = |what: &str| Err(format!("{what}: {line}"));
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let name = rest.split(' ').next().unwrap_or_default();
            if !helped.insert(name.to_owned()) {
                return fault("second HELP");
            }
            family = None;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let Some((name, kind)) = rest.split_once(' ') else {
                return fault("TYPE without type");
            };
            let kind = match kind {
                "counter" => Kind::Counter,
                "gauge" => Kind::Gauge,
                "histogram" => Kind::Histogram,
                _ => return fault("unknown type"),
            };
            if page.kinds.insert(name.to_owned(), kind).is_some() {
                return fault("second TYPE");
            }
            if !helped.contains(name) {
                return fault("TYPE before HELP");
            }
            if kind == Kind::Counter && !name.ends_with("_total") {
                return fault("a counter's name ends in _total");
            }
            family = Some((name.to_owned(), kind));
        } else {
            let Some((name, kind)) = &family else {
                return fault("sample outside a family");
            };
            let (sample, labels, value) = sample(line).ok_or(format!("not a sample: {line}"))?;
            let suffix = sample.strip_prefix(name.as_str());
            let belongs = match kind {
                Kind::Histogram => matches!(suffix, Some("_bucket" | "_sum" | "_count")),
                _ => suffix == Some(""),
            };
            if !belongs {
                return fault("sample of another family");
            }
            if *kind == Kind::Counter && (value < 0.0 || value.is_nan()) {
                return fault("negative counter");
            }
            if page.value(&sample, &labels).is_some() {
                return fault("second sample of a series");
            }
            page.samples.push((sample, labels, value));
        }
    }
    histograms(&page)?;
    Ok(page)
}

/// `name{label="value",…} number`.
fn sample(line: &str) -> Option<(String, String, f64)> {
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))?;
    let (name, mut rest) = line.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut labels = Vec::new();
    if let Some(mut inner) = rest.strip_prefix('{') {
        loop {
            let (label, after) = inner.split_once("=\"")?;
            let plain = label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if label.is_empty() || !plain {
                return None;
            }
            let close = closing_quote(after)?;
            labels.push(format!("{label}=\"{}\"", &after[..close]));
            inner = &after[close + 1..];
            match inner.strip_prefix(',') {
                Some(next) => inner = next,
                None => break,
            }
        }
        rest = inner.strip_prefix('}')?;
    }
    labels.sort();
    let value = rest.strip_prefix(' ')?;
    let value = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        "NaN" => f64::NAN,
        number if number.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
            number.parse().ok()?
        }
        _ => return None,
    };
    Some((name.to_owned(), labels.join(","), value))
}

/// The first quote that no backslash escapes; only `\\`, `\"` and `\n` may be escaped.
fn closing_quote(text: &str) -> Option<usize> {
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Some(index),
            '\\' => match characters.next()?.1 {
                '\\' | '"' | 'n' => {}
                _ => return None,
            },
            _ => {}
        }
    }
    None
}

/// Buckets rise, end at +Inf, and agree with the count.
fn histograms(page: &Page) -> Result<(), String> {
    for (name, _) in page
        .kinds
        .iter()
        .filter(|(_, kind)| **kind == Kind::Histogram)
    {
        let counts = format!("{name}_count");
        for (_, labels, count) in page.samples.iter().filter(|(n, ..)| *n == counts) {
            let buckets: Vec<(f64, f64)> = page
                .samples
                .iter()
                .filter(|(n, ..)| *n == format!("{name}_bucket"))
                .filter_map(|(_, all, value)| {
                    let (edge, others) = all.strip_prefix("le=\"")?.split_once('"')?;
                    let edge = if edge == "+Inf" {
                        f64::INFINITY
                    } else {
                        edge.parse().ok()?
                    };
                    (others.trim_start_matches(',') == labels).then_some((edge, *value))
                })
                .collect();
            let rising = buckets
                .windows(2)
                .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
            let last = buckets.last().copied();
            if !rising || last != Some((f64::INFINITY, *count)) {
                return Err(format!("{name}{{{labels}}}: {buckets:?}, count {count}"));
            }
            if page.value(&format!("{name}_sum"), labels).is_none() {
                return Err(format!("{name}{{{labels}}} has no sum"));
            }
        }
    }
    Ok(())
}
