//! Settings: ranges, unknown keys, and that the documentation lists all of them as they are.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use neuralsmpl_track::{Config, Tracker};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/tracking.md");

/// Every key with its default as TOML writes it.
fn keys() -> Vec<(String, f64)> {
    fn walk(prefix: &str, table: &toml::Table, out: &mut Vec<(String, f64)>) {
        for (key, value) in table {
            let key = format!("{prefix}{key}");
            match value {
                toml::Value::Table(t) => walk(&format!("{key}."), t, out),
                toml::Value::Float(f) => out.push((key, f64::from(*f as f32))),
                toml::Value::Integer(i) => out.push((key, *i as f64)),
                toml::Value::Boolean(b) => out.push((key, f64::from(u8::from(*b)))),
                other => panic!("{key} is {other}"),
            }
        }
    }
    let table = toml::Table::try_from(Config::default()).unwrap();
    let mut out = Vec::new();
    walk("", &table, &mut out);
    out
}

/// A key, its default, and its range where it is a number.
type Row = (String, f64, Option<(f64, f64)>);

/// Every row of the page's table of settings.
fn documented() -> Vec<Row> {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let number = |text: &str| {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        text.parse::<f64>().ok()
    };
    let rows = page.lines().filter(|l| l.starts_with("| `"));
    rows.filter_map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, key, default, range, ..] = cells[..] else {
            return None;
        };
        let key = key.trim_matches('`').to_owned();
        if default == "true" {
            return Some((key, 1.0, None));
        }
        let (least, most) = range.split_once('…')?;
        Some((key, number(default)?, Some((number(least)?, number(most)?))))
    })
    .collect()
}

fn place<'a>(table: &'a mut toml::Table, key: &str) -> &'a mut toml::Value {
    match key.split_once('.') {
        Some((head, rest)) => place(table[head].as_table_mut().unwrap(), rest),
        None => &mut table[key],
    }
}

fn is_whole(key: &str) -> bool {
    let mut table = toml::Table::try_from(Config::default()).unwrap();
    place(&mut table, key).is_integer()
}

/// The default settings with one key changed.
fn with(key: &str, value: f64) -> Result<Tracker, String> {
    let mut table = toml::Table::try_from(Config::default()).unwrap();
    let place = place(&mut table, key);
    *place = match place {
        toml::Value::Integer(_) => toml::Value::Integer(value as i64),
        _ => toml::Value::Float(value),
    };
    let config: Config = table
        .try_into()
        .map_err(|e: toml::de::Error| e.to_string())?;
    Tracker::new(config).map_err(|e| e.to_string())
}

#[test]
fn the_page_lists_every_key_with_its_default() {
    let mut ours = keys();
    let mut theirs: Vec<_> = documented().into_iter().map(|(k, d, _)| (k, d)).collect();
    ours.sort_by(|a, b| a.0.cmp(&b.0));
    theirs.sort_by(|a, b| a.0.cmp(&b.0));
    let names = |list: &[(String, f64)]| list.iter().map(|(k, _)| k.clone()).collect::<Vec<_>>();
    assert_eq!(names(&theirs), names(&ours));
    for ((key, found), (_, expected)) in theirs.iter().zip(&ours) {
        assert!(
            (found - expected).abs() < 1e-6,
            "{key}: {found}, expected {expected}"
        );
    }
}

#[test]
fn the_page_s_ranges_are_those_that_are_checked() {
    for (key, _, range) in documented() {
        let Some((least, most)) = range else { continue };
        for value in [least, most] {
            assert!(with(&key, value).is_ok(), "{key} = {value}");
        }
        let whole = is_whole(&key);
        let beyond = |bound: f64, sign: f64| {
            bound
                + sign
                    * if whole {
                        1.0
                    } else {
                        0.01 * bound.abs().max(1.0)
                    }
        };
        for value in [beyond(least, -1.0), beyond(most, 1.0)] {
            let Err(error) = with(&key, value) else {
                panic!("{key} = {value} is taken");
            };
            // A count below 0 fails in the reader, which does not name the key.
            assert!(
                whole && value < 0.0 || error.contains(&key),
                "{key} = {value}: {error}"
            );
        }
        assert!(whole || with(&key, f64::NAN).is_err(), "{key} = NaN");
    }
}

#[test]
fn unknown_keys_are_refused_by_name() {
    let error = toml::from_str::<Config>("max_age = 5")
        .unwrap_err()
        .to_string();
    assert!(error.contains("max_age"), "{error}");
    let error = toml::from_str::<Config>("[smoothing]\nbeta = 5")
        .unwrap_err()
        .to_string();
    assert!(error.contains("beta"), "{error}");
}

#[test]
fn parts_of_a_table_may_be_left_out_but_not_of_a_filter() {
    let config: Config = toml::from_str("persons = 1\n[smoothing]\nreset_gap_ms = 200").unwrap();
    let usual = Config::default().smoothing;
    assert_eq!(
        (config.smoothing.reset_gap_ms, config.smoothing.rotation),
        (200, usual.rotation)
    );
    assert!(Tracker::new(config).is_ok());
    let error = toml::from_str::<Config>("[smoothing.rotation]\nbeta = 1.0").unwrap_err();
    assert!(error.to_string().contains("min_cutoff_hz"), "{error}");
}
