//! aarch64: NEON, with the byte dot product or the byte matrix product where the processor has it.

use super::Kernels;
use crate::isa::Isa;

/// The kernels of `isa`, if it is of aarch64 and this processor can run it.
pub(crate) fn kernels(_isa: Isa) -> Option<&'static Kernels> {
    None
}
