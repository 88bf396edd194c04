//! Every instruction set of this processor against the reference, over random convolutions.

mod compare;
mod dense;
mod depthwise;
mod scene;

use proptest::prelude::ProptestConfig;

/// As many cases as `PROPTEST_CASES` says, or `usual`.
fn cases(usual: u32) -> ProptestConfig {
    let told = std::env::var("PROPTEST_CASES").ok();
    let cases = told.and_then(|cases| cases.parse().ok());
    ProptestConfig::with_cases(cases.unwrap_or(usual))
}
