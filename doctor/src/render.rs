//! The report for people.

use std::fmt::Write as _;

use crate::finding::{Finding, State, counts};

/// Longest name, so that what was found stands in one column.
const COLUMN: usize = 16;

/// The report as lines, with colours of the terminal where `colour`.
pub fn text(findings: &[Finding], colour: bool) -> String {
    let mut out = String::new();
    let mut area = None;
    for finding in findings {
        if area.replace(finding.area) != Some(finding.area) {
            let gap = if out.is_empty() { "" } else { "\n" };
            push(&mut out, &format!("{gap}{}\n", finding.area.title()));
        }
        let found = match (finding.value, finding.name.ends_with("_ms")) {
            (Some(ms), true) => format!("{ms:.2} ms {}", finding.found),
            _ => finding.found.clone(),
        };
        let name = finding
            .name
            .trim_end_matches("_ms")
            .trim_end_matches("_mib");
        let line = format!("  {} {name:COLUMN$} {found}\n", word(finding.state, colour));
        push(&mut out, &line);
        if let Some(fix) = &finding.fix {
            push(&mut out, &format!("  {:COLUMN$}      → {fix}\n", ""));
        }
    }
    let n = counts(findings);
    push(
        &mut out,
        &format!(
            "\n{} in order, {} to look at, {} wrong, {} not looked at\n",
            n.ok, n.warn, n.fail, n.skipped
        ),
    );
    out
}

fn push(out: &mut String, text: &str) {
    // Writing to a string cannot fail.
    let _ = out.write_str(text);
}

fn word(state: State, colour: bool) -> String {
    let (word, code) = match state {
        State::Ok => ("OK  ", "32"),
        State::Skipped => ("SKIP", "90"),
        State::Warn => ("WARN", "33"),
        State::Fail => ("FAIL", "31;1"),
    };
    if colour {
        format!("\x1b[{code}m{word}\x1b[0m")
    } else {
        word.to_owned()
    }
}
