//! Whether the wall clock can be trusted.

/// Whether the kernel's clock is synchronised (by NTP, PTP, or a GNSS receiver through `chrony`);
/// `None` where the kernel does not say.
pub fn is_synchronised() -> Option<bool> {
    // SAFETY: plain data without invalid values.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: with `modes` 0 the call only fills the struct in.
    match unsafe { libc::adjtimex(&mut timex) } {
        -1 => None,
        libc::TIME_ERROR => Some(false),
        _ => Some(timex.status & libc::STA_UNSYNC == 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers() {
        let first = is_synchronised();
        assert_eq!(first.is_some(), is_synchronised().is_some());
    }
}
