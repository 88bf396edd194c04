//! What the judge finds, and how it is printed.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// Least share of the person's cells whose nearest prototype lies within 5 cm.
const GOAL_NEAR: f64 = 0.70;
/// Least separation of person and background.
const GOAL_AUROC: f64 = 0.97;

/// Shares of cells whose best prototype lies near the truth.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Place {
    /// Cells judged.
    pub cells: u64,
    /// Share within 5, 10 and 20 cm on the T-pose.
    pub within: [f64; 3],
    /// Share that names the other side's limb.
    pub swapped: f64,
}

/// What one temperature does to the outlier process.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Heat {
    /// Temperature.
    pub temperature: f32,
    /// Mean log-likelihood ratio, nats: features of the person in their place.
    pub person: f64,
    /// The same for background features at that place.
    pub background: f64,
    /// Mean posterior P(z = 1) of the person's features.
    pub person_visible: f64,
    /// The same of background features.
    pub background_visible: f64,
}

/// Figures of held-out pictures.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Pictures.
    pub pictures: u64,
    /// By joint without its side; `all` is every cell.
    pub places: BTreeMap<String, Place>,
    /// Chance that a feature of the person scores above one of the background in the same place.
    pub auroc_background: f64,
    /// The same where each feature is scored by its best prototype, wherever that lies.
    pub auroc_best: f64,
    /// By part of the body.
    pub parts: Vec<Part>,
    /// Chance that it scores above a feature of elsewhere on the person.
    pub auroc_elsewhere: f64,
    /// Share of background cells that score above the background, 1, 2, … cells off the outline,
    /// in the place of the nearest cell on the person.
    pub halo: Vec<f64>,
    /// By temperature.
    pub heat: Vec<Heat>,
}

/// Figures of one part of the body.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Part {
    /// Its name.
    pub part: String,
    /// Cells judged.
    pub cells: u64,
    /// Share whose nearest prototype lies within 5 cm on the T-pose.
    pub within_5cm: f64,
    /// Chance that a feature of the part scores above one of the background in the same place.
    pub auroc_in_place: f64,
    /// The same where each is scored by its best prototype.
    pub auroc_best: f64,
}

/// What trained features should reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Goal {
    /// What is counted.
    pub what: &'static str,
    /// The figure.
    pub found: f64,
    /// What is asked for.
    pub least: f64,
}

impl Report {
    /// The goals and how far they are reached.
    pub fn goals(&self) -> [Goal; 3] {
        let near = self.places.get("all").map_or(0.0, |all| all.within[0]);
        let goal = |what, found, least| Goal { what, found, least };
        [
            goal(
                "share of the person's cells whose nearest prototype lies within 5 cm",
                near,
                GOAL_NEAR,
            ),
            goal(
                "AUROC of person and background, in place",
                self.auroc_background,
                GOAL_AUROC,
            ),
            goal(
                "AUROC of person and background, by best prototype",
                self.auroc_best,
                GOAL_AUROC,
            ),
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "held out: {} pictures", self.pictures)?;
        writeln!(
            f,
            "best prototype      cells   <5 cm  <10 cm  <20 cm  other side"
        )?;
        for (part, p) in &self.places {
            if p.cells > 0 {
                let [a, b, c] = p.within.map(|x| 100.0 * x);
                let swapped = 100.0 * p.swapped;
                writeln!(
                    f,
                    "  {part:15} {:8} {a:6.1}% {b:6.1}% {c:6.1}% {swapped:9.1}%",
                    p.cells
                )?;
            }
        }
        writeln!(
            f,
            "person above background in the same place: {:.4}",
            self.auroc_background
        )?;
        writeln!(
            f,
            "person above person elsewhere:             {:.4}",
            self.auroc_elsewhere
        )?;
        writeln!(
            f,
            "person above background by best prototypes: {:.4}",
            self.auroc_best
        )?;
        writeln!(
            f,
            "part of the body    cells   <5 cm  AUROC in place  by best prototype"
        )?;
        for p in &self.parts {
            writeln!(
                f,
                "  {:15} {:8} {:6.1}% {:15.4} {:18.4}",
                p.part,
                p.cells,
                100.0 * p.within_5cm,
                p.auroc_in_place,
                p.auroc_best
            )?;
        }
        let halo: Vec<String> = self
            .halo
            .iter()
            .map(|h| format!("{:.1}%", 100.0 * h))
            .collect();
        writeln!(
            f,
            "taken for the person 1, 2, … cells off the outline: {}",
            halo.join(", ")
        )?;
        writeln!(
            f,
            "temperature   ratio person  background   visible person  background"
        )?;
        for h in &self.heat {
            writeln!(
                f,
                "  {:<11} {:12.3} {:11.3} {:16.3} {:11.3}",
                h.temperature, h.person, h.background, h.person_visible, h.background_visible
            )?;
        }
        for goal in self.goals() {
            let verdict = if goal.found >= goal.least {
                "met"
            } else {
                "missed"
            };
            writeln!(
                f,
                "goal {verdict}: {} {:.4}, at least {:.2}",
                goal.what, goal.found, goal.least
            )?;
        }
        Ok(())
    }
}
