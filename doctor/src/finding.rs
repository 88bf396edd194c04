//! What a look at one thing has given.

use serde::Serialize;

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// Could not be looked at; the finding says why.
    Skipped,
    /// The program runs, but less well than it could, or something is missing that many need.
    Warn,
    /// The program cannot do what it is asked to.
    Fail,
}

/// Part of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// Board, kernel, processor, memory.
    System,
    /// What the process may use.
    Limits,
    /// Cameras and serial lines.
    Devices,
    /// Vulkan.
    Gpu,
    /// The model pack.
    Pack,
    /// The run configuration.
    Config,
    /// How fast each stage is.
    Speed,
}

impl Area {
    /// Its heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::Limits => "Limits",
            Self::Devices => "Devices",
            Self::Gpu => "GPU",
            Self::Pack => "Model pack",
            Self::Config => "Configuration",
            Self::Speed => "Speed",
        }
    }
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Where it belongs.
    pub area: Area,
    /// What was looked at: a name that does not change between versions.
    pub name: String,
    /// How it stands.
    pub state: State,
    /// What was found, in words.
    pub found: String,
    /// The command or step that helps; always there with [`State::Warn`] and [`State::Fail`].
    pub fix: Option<String>,
    /// The number that was measured, where there is one, in the unit of the name's last part
    /// (`_ms`, `_mib`).
    pub value: Option<f64>,
}

impl Finding {
    /// Something in order.
    pub fn ok(area: Area, name: &str, found: impl Into<String>) -> Self {
        Self {
            area,
            name: name.to_owned(),
            state: State::Ok,
            found: found.into(),
            fix: None,
            value: None,
        }
    }

    /// Something that could not be looked at.
    pub fn skipped(area: Area, name: &str, why: impl Into<String>) -> Self {
        Self {
            state: State::Skipped,
            ..Self::ok(area, name, why)
        }
    }

    /// Something that makes it worse.
    pub fn warn(area: Area, name: &str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            state: State::Warn,
            fix: Some(fix.into()),
            ..Self::ok(area, name, found)
        }
    }

    /// Something that keeps it from working.
    pub fn fail(area: Area, name: &str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            state: State::Fail,
            ..Self::warn(area, name, found, fix)
        }
    }

    /// The same with a number for programs.
    #[must_use]
    pub fn with_value(self, value: f64) -> Self {
        Self {
            value: Some(value),
            ..self
        }
    }
}

/// How many findings are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// [`State::Ok`].
    pub ok: usize,
    /// [`State::Skipped`].
    pub skipped: usize,
    /// [`State::Warn`].
    pub warn: usize,
    /// [`State::Fail`].
    pub fail: usize,
}

/// Counts findings by state.
pub fn counts(findings: &[Finding]) -> Counts {
    let mut counts = Counts::default();
    for finding in findings {
        *match finding.state {
            State::Ok => &mut counts.ok,
            State::Skipped => &mut counts.skipped,
            State::Warn => &mut counts.warn,
            State::Fail => &mut counts.fail,
        } += 1;
    }
    counts
}

/// The worst state; [`State::Ok`] where there is nothing, and where something was left out.
pub fn worst(findings: &[Finding]) -> State {
    findings
        .iter()
        .map(|finding| finding.state)
        .filter(|state| *state != State::Skipped)
        .max()
        .unwrap_or(State::Ok)
}
