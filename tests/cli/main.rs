//! The real program, run in folders of its own: what it writes, and what it says about bad input.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backend;
mod decode;
mod evaluate;
mod fit;
mod kit;
mod live;
mod networks;
mod pack;
mod refusals;
mod run;
mod run_faults;
mod support;
