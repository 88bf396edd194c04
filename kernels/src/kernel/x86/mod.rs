//! x86-64: AVX2, with the byte dot product or AVX-512 where the processor has it.

mod avx2;
mod depthwise;
mod f32x8;
mod f32x8x2;

use super::Kernels;
use crate::isa::Isa;

/// The kernels of `isa`, if it is of x86-64 and this processor can run it.
pub(crate) fn kernels(isa: Isa) -> Option<&'static Kernels> {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni");
    match isa {
        Isa::Avx2 if avx2 => Some(&avx2::KERNELS),
        _ => None,
    }
}
