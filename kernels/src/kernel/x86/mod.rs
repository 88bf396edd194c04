//! x86-64: AVX2, with the byte dot product or AVX-512 where the processor has it.

mod avx2;

use super::Kernels;
use crate::isa::Isa;

/// The kernels of `isa`, if it is of x86-64 and this processor can run it.
pub(crate) fn kernels(isa: Isa) -> Option<&'static Kernels> {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    match isa {
        Isa::Avx2 if avx2 => Some(&avx2::KERNELS),
        _ => None,
    }
}
