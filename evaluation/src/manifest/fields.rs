//! Typed fields of one line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::ManifestError;
use super::error::At;

/// One line's fields; each is taken out when it is read.
pub(super) struct Fields<'a> {
    pub at: At<'a>,
    values: Map<String, Value>,
}

type Of<T> = Result<Option<T>, ManifestError>;

const CORRECT: &str = "correct it or leave it out";

impl<'a> Fields<'a> {
    pub fn parse(line: &str, at: At<'a>, known: &[&str]) -> Result<Self, ManifestError> {
        let value: Value = serde_json::from_str(line).map_err(|e| at.json(line, &e))?;
        let Value::Object(mut values) = value else {
            return Err(at.field(
                "line",
                short(&value),
                "an object",
                "write one object a line",
            ));
        };
        if let Some(name) = values.keys().find(|k| !known.contains(&k.as_str())) {
            let near = known.iter().min_by_key(|k| strsim::osa_distance(k, name));
            let remedy = match near {
                Some(near) => format!("is `{near}` meant? docs/datasets.md lists the fields"),
                None => CORRECT.to_owned(),
            };
            return Err(at.field(
                name,
                "not known",
                format!("one of {}", known.join(", ")),
                remedy,
            ));
        }
        values.retain(|_, v| !v.is_null());
        Ok(Self { at, values })
    }

    /// Text of letters that a key may hold.
    pub fn text(&mut self, field: &str) -> Of<String> {
        let Some(value) = self.values.remove(field) else {
            return Ok(None);
        };
        let text = match &value {
            Value::String(s) => s.clone(),
            Value::Number(n) if n.is_u64() => n.to_string(),
            _ => String::new(),
        };
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(self.wrong(field, &value, "text without control characters"));
        }
        Ok(Some(text))
    }

    pub fn path(&mut self, field: &str) -> Of<PathBuf> {
        Ok(self.text(field)?.map(PathBuf::from))
    }

    pub fn whole(&mut self, field: &str) -> Of<u32> {
        let Some(value) = self.values.remove(field) else {
            return Ok(None);
        };
        let number = value.as_u64().and_then(|n| u32::try_from(n).ok());
        match number {
            Some(n) => Ok(Some(n)),
            None => Err(self.wrong(field, &value, "a whole number from 0 to 4294967295")),
        }
    }

    pub fn number(&mut self, field: &str, expected: &str, fits: impl Fn(f32) -> bool) -> Of<f32> {
        let Some(value) = self.values.remove(field) else {
            return Ok(None);
        };
        match finite(&value).filter(|x| fits(*x)) {
            Some(x) => Ok(Some(x)),
            None => Err(self.wrong(field, &value, expected)),
        }
    }

    /// Numbers, as many as `counts` names.
    pub fn numbers(&mut self, field: &str, counts: &[usize], expected: &str) -> Of<Vec<f32>> {
        let Some(value) = self.values.remove(field) else {
            return Ok(None);
        };
        let numbers = flat(&value).filter(|n| counts.is_empty() || counts.contains(&n.len()));
        match numbers {
            Some(n) => Ok(Some(n)),
            None => Err(self.wrong(field, &value, expected)),
        }
    }

    /// A table of `rows` × `columns` numbers; a cell may itself be a list of rows.
    pub fn table<const N: usize>(
        &mut self,
        field: &str,
        rows: usize,
        expected: &str,
    ) -> Of<Vec<[f32; N]>> {
        let Some(value) = self.values.remove(field) else {
            return Ok(None);
        };
        let row = |v: &Value| -> Option<[f32; N]> {
            let numbers = match v.as_array()?.first()? {
                Value::Array(_) => v
                    .as_array()?
                    .iter()
                    .map(flat)
                    .collect::<Option<Vec<_>>>()?
                    .concat(),
                _ => flat(v)?,
            };
            numbers.try_into().ok()
        };
        let table: Option<Vec<_>> = value.as_array().and_then(|a| a.iter().map(row).collect());
        match table.filter(|t| t.len() == rows) {
            Some(t) => Ok(Some(t)),
            None => Err(self.wrong(field, &value, expected)),
        }
    }

    /// Joint name to a list of numbers of one of the lengths.
    pub fn points(
        &mut self,
        field: &str,
        counts: &[usize],
        expected: &str,
    ) -> Result<BTreeMap<String, Vec<f32>>, ManifestError> {
        self.by_joint(field, expected, |v| {
            flat(v).filter(|n| counts.contains(&n.len()))
        })
    }

    /// Joint name to true or false.
    pub fn flags(&mut self, field: &str) -> Result<BTreeMap<String, bool>, ManifestError> {
        self.by_joint(field, "true or false for each joint", |v| v.as_bool())
    }

    fn by_joint<T>(
        &mut self,
        field: &str,
        expected: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<BTreeMap<String, T>, ManifestError> {
        let Some(value) = self.values.remove(field) else {
            return Ok(BTreeMap::new());
        };
        let Value::Object(entries) = &value else {
            return Err(self.wrong(field, &value, "an object, joint name to value"));
        };
        let mut out = BTreeMap::new();
        for (name, value) in entries {
            let entry = format!("{field}.{name}");
            let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if name.is_empty() || !name.chars().all(letters) {
                return Err(self.at.field(
                    entry,
                    "no joint name",
                    "lower-case letters, digits and underscores",
                    "rename it as docs/datasets.md does",
                ));
            }
            if let Some(meant) = crate::joints::meant(name) {
                return Err(self.at.field(
                    entry,
                    "not a known joint",
                    format!("`{meant}`, or another name that is not one or two letters away from a known one"),
                    "rename it",
                ));
            }
            let Some(value) = read(value) else {
                return Err(self.wrong(&entry, value, expected));
            };
            out.insert(name.clone(), value);
        }
        Ok(out)
    }

    pub fn wrong(&self, field: &str, found: &Value, expected: &str) -> ManifestError {
        self.at.field(field, short(found), expected, CORRECT)
    }
}

fn finite(value: &Value) -> Option<f32> {
    value.as_f64().map(|x| x as f32).filter(|x| x.is_finite())
}

fn flat(value: &Value) -> Option<Vec<f32>> {
    value.as_array()?.iter().map(finite).collect()
}

/// A value, cut to what fits in a message.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match value {
        Value::Array(a) if text.len() > 60 => format!("a list of {}", a.len()),
        _ if text.len() > 60 => format!("{}…", text.chars().take(60).collect::<String>()),
        _ => text,
    }
}
