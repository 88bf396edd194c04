//! A pool without its allocator is refused.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use neuralsmpl_health::pool::{self, Lock, ReserveError};

#[test]
fn a_forgotten_allocator_is_named() {
    assert_eq!(pool::scope(|| 1), 1);
    assert_eq!(pool::strict(|| vec![1_u8; 9]).unwrap(), [1; 9]);
    assert_eq!(pool::stats(), pool::Stats::default());
    let error = pool::reserve(1 << 20, Lock::Never).unwrap_err();
    assert!(matches!(error, ReserveError::NotInstalled));
    assert!(error.to_string().contains("#[global_allocator]"), "{error}");
}
