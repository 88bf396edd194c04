//! What the method's authors published, for the form and not for comparison: other data, another network,
//! another body model.

use super::tables::{Entry, Table};

/// Says whose figures these are.
pub const NOTE: &str = "Published by the authors of NeuralSMPL, measured on 3DPW with ResNet-50 regressors and SMPL: \
    other data, another network and another body than above. The two can be compared in form, not in millimetres.";

const METRICS: [&str; 3] = ["MPJPE", "PA-MPJPE", "PCKh"];

type Row = (&'static str, [f64; 9]);

const REGRESSORS: [Row; 6] = [
    (
        "SPIN",
        [
            95.08, 57.40, 91.84, 113.89, 69.36, 85.84, 155.98, 89.20, 71.92,
        ],
    ),
    (
        "SPIN + NeuralSMPL",
        [
            93.09, 55.69, 94.66, 101.71, 60.41, 92.80, 130.55, 72.82, 85.60,
        ],
    ),
    (
        "HMR-EFT",
        [
            89.88, 53.51, 92.55, 108.27, 66.15, 87.35, 142.74, 82.62, 78.81,
        ],
    ),
    (
        "HMR-EFT + NeuralSMPL",
        [
            90.31, 55.13, 94.52, 98.54, 59.08, 92.77, 122.92, 67.67, 88.51,
        ],
    ),
    (
        "PARE",
        [
            81.10, 50.77, 91.91, 93.26, 61.28, 88.38, 117.59, 72.84, 83.61,
        ],
    ),
    (
        "PARE + NeuralSMPL",
        [
            89.91, 54.75, 94.70, 97.95, 58.86, 93.11, 121.88, 69.14, 88.31,
        ],
    ),
];

const OPTIMISERS: [Row; 4] = [
    (
        "HMR-EFT",
        [
            89.88, 53.51, 92.55, 108.27, 66.15, 87.35, 142.74, 82.62, 78.81,
        ],
    ),
    (
        "+ SMPLify",
        [
            105.15, 63.74, 93.16, 112.88, 68.23, 89.02, 143.89, 79.37, 82.92,
        ],
    ),
    (
        "+ EFT",
        [
            91.36, 54.72, 94.11, 101.28, 61.47, 89.96, 124.62, 70.64, 85.15,
        ],
    ),
    (
        "+ NeuralSMPL",
        [
            90.31, 55.13, 94.52, 98.54, 59.08, 92.77, 122.92, 67.67, 88.51,
        ],
    ),
];

/// Their tables 1 and 2.
pub fn tables() -> [Table; 2] {
    [
        ("Published: regressors, on 3DPW", REGRESSORS.as_slice()),
        (
            "Published: optimisers from HMR-EFT, on 3DPW",
            OPTIMISERS.as_slice(),
        ),
    ]
    .map(|(title, rows)| Table {
        title: title.to_owned(),
        note: NOTE.to_owned(),
        groups: ["3DPW", "3DPW-AdvOcc@40", "3DPW-AdvOcc@80"]
            .map(|g| (g.to_owned(), METRICS.len()))
            .into(),
        columns: std::iter::once("system")
            .chain(METRICS.into_iter().cycle().take(9))
            .map(str::to_owned)
            .collect(),
        rows: rows
            .iter()
            .map(|(name, figures)| row(name, figures))
            .collect(),
        folded: true,
    })
}

fn row(name: &str, figures: &[f64; 9]) -> Vec<Entry> {
    let entry = |main: String| Entry {
        main,
        ..Entry::default()
    };
    let figures = figures.iter().map(|x| entry(format!("{x:.2}")));
    std::iter::once(entry(name.to_owned()))
        .chain(figures)
        .collect()
}
