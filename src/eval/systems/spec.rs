//! Names of systems as typed: `NAME`, then changes after colons, as in `neuralsmpl:no-parts:steps=12`.

use std::path::PathBuf;
use std::str::FromStr;

use super::eft;
use crate::energy::EnergyModel;
use crate::fit::Solver;
use crate::limits::MAX_STEPS;
use crate::texture::EnergyKind;

/// A system as typed.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// As typed; the name in records and tables.
    pub label: String,
    /// What it is.
    pub kind: Kind,
}

/// What a system is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Where all others start.
    Start,
    /// The pose that the pack's backbone sees.
    Network,
    /// A body on the landmarks.
    Landmarks,
    /// A regressor.
    Onnx(PathBuf),
    /// Poses from a file.
    Poses(PathBuf),
    /// SMPLify.
    Smplify,
    /// EFT.
    Eft {
        /// Adam's rate.
        rate: f32,
        /// Most steps.
        steps: u32,
    },
    /// The bounded fit.
    Fit(Tuning),
    /// All of `neuralsmpl fit`.
    Program,
}

/// A variant of the fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// How it descends.
    pub solver: Solver,
    /// Most steps; the pack's where none.
    pub steps: Option<u32>,
    /// Which likelihood.
    pub energy: EnergyKind,
    /// Whether the mirror of the start is tried.
    pub mirror: bool,
    /// Whether cells may show something in front of the person.
    pub outliers: bool,
    /// Whether outlines have a gradient.
    pub outline: bool,
    /// Whether it chooses among many starts.
    pub starts: bool,
    /// Whether keypoints count as far as the mask shows the person under them.
    pub masked: bool,
    /// Looks from which the start is chosen by their agreement; 1 for the given start.
    pub looks: u32,
    /// Energy of standing on the head when starts are chosen.
    pub upright: f32,
    /// Weights by name.
    pub weights: Vec<(Weight, f32)>,
}

/// A weight of the energy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Features.
    Likelihood,
    /// Mask.
    Mask,
    /// Parts.
    Parts,
    /// 2D keypoints.
    Keypoints,
    /// Depths of the landmarks.
    Depth,
    /// Gaussian pose prior.
    Prior,
    /// VAE pose prior.
    Vae,
    /// Flexion limits.
    Limits,
    /// Shape.
    Betas,
}

const WEIGHTS: [(&str, Weight); 9] = [
    ("likelihood", Weight::Likelihood),
    ("mask", Weight::Mask),
    ("parts", Weight::Parts),
    ("keypoints", Weight::Keypoints),
    ("depth", Weight::Depth),
    ("prior", Weight::Prior),
    ("vae", Weight::Vae),
    ("limits", Weight::Limits),
    ("betas", Weight::Betas),
];

/// Steps of Adam as published: 40 that move the body as a whole, then 80.
const ADAM_STEPS: u32 = 120;

/// Names, as messages and help show them.
pub const NAMES: &str = "start, network, landmarks, FILE.onnx, FILE.jsonl, smplify, eft, neuralsmpl, neuralsmpl-adam, released, released-adam, program";

impl Tuning {
    fn new(solver: Solver, energy: EnergyKind) -> Self {
        let adam = solver == Solver::Adam;
        Self {
            solver,
            steps: adam.then_some(ADAM_STEPS),
            energy,
            mirror: !adam,
            outliers: true,
            outline: true,
            starts: false,
            masked: false,
            looks: 1,
            upright: 0.0,
            weights: Vec::new(),
        }
    }

    /// Changes a pack's energy.
    pub fn change(&self, model: &mut EnergyModel) {
        let settings = &mut model.settings;
        if !self.outliers {
            (settings.visible_prior, settings.mask_visible_prior) = (1.0, 1.0);
        }
        model.silhouette = self.outline;
        let weights = &mut settings.weights;
        for &(weight, value) in &self.weights {
            match weight {
                Weight::Likelihood => weights.likelihood = value,
                Weight::Mask => weights.mask = value,
                Weight::Parts => weights.parts = value,
                Weight::Keypoints => weights.keypoints = value,
                Weight::Depth => weights.depth = value,
                Weight::Prior => weights.prior = value,
                Weight::Vae => weights.vae = value,
                Weight::Limits => weights.limits = value,
                Weight::Betas => weights.betas = value,
            }
        }
    }

    fn option(&mut self, text: &str) -> Result<(), String> {
        match text {
            "no-outliers" => self.outliers = false,
            "no-outline" => self.outline = false,
            "no-mirror" => self.mirror = false,
            "mirror" => self.mirror = true,
            "starts" => self.starts = true,
            "masked" => self.masked = true,
            // Depths come from the same landmarks.
            "no-keypoints" => {
                let both = [Weight::Keypoints, Weight::Depth];
                self.weights.extend(both.map(|w| (w, 0.0)));
            }
            _ => return self.valued(text),
        }
        Ok(())
    }

    fn valued(&mut self, text: &str) -> Result<(), String> {
        if let Some(name) = text.strip_prefix("no-") {
            self.weights.push((weight(name)?, 0.0));
            return Ok(());
        }
        let (name, value) = pair(text)?;
        match name {
            "steps" => self.steps = Some(steps(value)?),
            "looks" => {
                let parsed: Option<u32> = value.parse().ok();
                let fits = parsed.filter(|n| (1..=9).contains(n));
                self.looks = fits.ok_or_else(|| format!("`looks` is {value}, expected 1 to 9"))?;
            }
            "upright" => self.upright = number(name, value, 1e6)?,
            _ => self
                .weights
                .push((weight(name)?, number(name, value, 1e6)?)),
        }
        Ok(())
    }
}

fn weight(name: &str) -> Result<Weight, String> {
    let found = WEIGHTS.iter().find(|(n, _)| *n == name).map(|(_, w)| *w);
    found.ok_or_else(|| {
        let names = WEIGHTS.map(|(n, _)| n).join(", ");
        format!(
            "`{name}` is no change, expected steps=N, looks=N, starts, masked, upright=X, no-outliers, no-outline, no-mirror, or no-TERM or TERM=X with TERM of {names}"
        )
    })
}

fn pair(text: &str) -> Result<(&str, &str), String> {
    match text.split_once('=') {
        Some(pair) => Ok(pair),
        None => weight(text).and(Err(format!("`{text}` has no value, expected {text}=X"))),
    }
}

fn number(name: &str, value: &str, most: f32) -> Result<f32, String> {
    let parsed: Option<f32> = value.parse().ok();
    parsed
        .filter(|x| (0.0..=most).contains(x))
        .ok_or_else(|| format!("`{name}` is {value}, expected 0 to {most}"))
}

fn steps(value: &str) -> Result<u32, String> {
    let parsed: Option<u32> = value.parse().ok();
    parsed
        .filter(|n| (1..=MAX_STEPS).contains(n))
        .ok_or_else(|| format!("`steps` is {value}, expected 1 to {MAX_STEPS}"))
}

impl FromStr for Spec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ends = |ending: &str| {
            std::path::Path::new(text)
                .extension()
                .is_some_and(|e| e.eq_ignore_ascii_case(ending))
        };
        let mut options = text.split(':');
        let name = options.next().unwrap_or_default();
        let mut kind = match name {
            _ if ends("onnx") => Kind::Onnx(text.into()),
            _ if ends("jsonl") => Kind::Poses(text.into()),
            "start" => Kind::Start,
            "network" => Kind::Network,
            "landmarks" => Kind::Landmarks,
            "smplify" => Kind::Smplify,
            "eft" => Kind::Eft {
                rate: eft::RATE,
                steps: eft::STEPS,
            },
            "neuralsmpl" => Kind::Fit(Tuning::new(Solver::GaussNewton, EnergyKind::Paper)),
            "neuralsmpl-adam" => Kind::Fit(Tuning::new(Solver::Adam, EnergyKind::Paper)),
            "released" => Kind::Fit(Tuning::new(Solver::GaussNewton, EnergyKind::Released)),
            "released-adam" => Kind::Fit(Tuning::new(Solver::Adam, EnergyKind::Released)),
            "program" => Kind::Program,
            _ => return Err(format!("no system is called `{name}`, expected {NAMES}")),
        };
        if !matches!(kind, Kind::Onnx(_) | Kind::Poses(_)) {
            for option in options {
                match &mut kind {
                    Kind::Fit(tuning) => tuning.option(option)?,
                    Kind::Eft { rate, steps: most } => match pair_of(option) {
                        Some(("rate", value)) => *rate = number("rate", value, 1.0)?,
                        Some(("steps", value)) => *most = steps(value)?,
                        _ => {
                            return Err(format!(
                                "`{option}` is no change of eft, expected rate=X or steps=N"
                            ));
                        }
                    },
                    _ => return Err(format!("`{name}` takes no changes, found `:{option}`")),
                }
            }
        }
        Ok(Self {
            label: text.to_owned(),
            kind,
        })
    }
}

fn pair_of(text: &str) -> Option<(&str, &str)> {
    text.split_once('=')
}

impl Spec {
    /// Whether others may start from it: it needs no start itself.
    pub fn can_start(&self) -> bool {
        matches!(
            self.kind,
            Kind::Network | Kind::Landmarks | Kind::Onnx(_) | Kind::Poses(_)
        )
    }

    /// Whether a fit takes long enough that the worst position of its own is looked for on fewer positions.
    pub fn is_slow(&self) -> bool {
        match &self.kind {
            Kind::Smplify | Kind::Eft { .. } | Kind::Program => true,
            Kind::Fit(tuning) => tuning.starts || tuning.looks > 1 || tuning.solver == Solver::Adam,
            _ => false,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn changes_are_read() {
        let spec: Spec = "neuralsmpl:no-keypoints:steps=12:parts=3:no-outline"
            .parse()
            .unwrap();
        let Kind::Fit(tuning) = spec.kind else {
            panic!("{:?}", spec.kind)
        };
        assert_eq!((tuning.steps, tuning.outline), (Some(12), false));
        let changed = [
            (Weight::Keypoints, 0.0),
            (Weight::Depth, 0.0),
            (Weight::Parts, 3.0),
        ];
        assert_eq!(tuning.weights, changed);
        assert_eq!(
            "eft:rate=1e-4".parse::<Spec>().unwrap().kind,
            Kind::Eft {
                rate: 1e-4,
                steps: eft::STEPS
            }
        );
        assert_eq!(
            "a/b.onnx".parse::<Spec>().unwrap().kind,
            Kind::Onnx("a/b.onnx".into())
        );
    }

    #[test]
    fn other_words_are_named() {
        for (text, said) in [
            ("spin", "no system is called `spin`"),
            ("neuralsmpl:no-nose", "`nose` is no change"),
            ("neuralsmpl:steps=0", "`steps` is 0, expected 1 to"),
            ("neuralsmpl:parts", "`parts` has no value"),
            ("smplify:steps=3", "`smplify` takes no changes"),
            ("eft:lr=1", "`lr=1` is no change of eft"),
        ] {
            let message = text.parse::<Spec>().unwrap_err();
            assert!(message.contains(said), "{message}");
        }
    }
}
