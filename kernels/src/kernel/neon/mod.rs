//! aarch64: NEON, with the byte dot product or the byte matrix product where the processor has it.
//!
//! A vector is eight channels in two registers, so that eight codes make a load. The three differ
//! in their products of codes alone.

use std::arch::is_aarch64_feature_detected;
use std::ops::Range;

use super::{
    DenseF32, DenseU8, DepthwiseF32, DepthwiseU8, Kernels, dense_f32, dense_u8, depthwise_f32,
    depthwise_u8, pack,
};
use crate::isa::Isa;
use codes::{Codes, OFFSET};
use real::F32;

mod codes;
mod quads;
mod real;
mod sdot;
mod smmla;
mod smull;

const LANES: usize = 8;

static NEON: Kernels = Kernels {
    lanes: LANES,
    pack_dense_f32: pack::dense_f32::<F32>,
    pack_dense_u8: pack::dense_u8::<Codes<smull::Smull>>,
    code_offset: OFFSET,
    pack_depthwise_u8: |weights, taps, channels| {
        let padded = channels.next_multiple_of(LANES);
        let in_turn = |channel, _| channel;
        pack::depthwise_u8::<Codes<smull::Smull>>(weights, taps, channels, padded, in_turn)
    },
    dense_f32: dense_f32_neon,
    dense_u8: dense_u8_neon,
    depthwise_f32: depthwise_f32_neon,
    depthwise_u8: depthwise_u8_neon,
};

static DOT: Kernels = Kernels {
    pack_dense_u8: pack::dense_u8::<Codes<sdot::Sdot>>,
    pack_depthwise_u8: quads::pack,
    dense_u8: dense_u8_dot,
    depthwise_u8: depthwise_u8_dot,
    ..NEON
};

static I8MM: Kernels = Kernels {
    pack_dense_u8: pack::dense_u8::<Codes<smmla::Smmla>>,
    dense_u8: dense_u8_i8mm,
    ..DOT
};

/// The kernels of `isa`, if it is of aarch64 and this processor can run it.
pub(crate) fn kernels(isa: Isa) -> Option<&'static Kernels> {
    let neon = is_aarch64_feature_detected!("neon");
    let dot = neon && is_aarch64_feature_detected!("dotprod");
    match isa {
        Isa::Neon if neon => Some(&NEON),
        Isa::NeonDot if dot => Some(&DOT),
        Isa::NeonI8mm if dot && is_aarch64_feature_detected!("i8mm") => Some(&I8MM),
        _ => None,
    }
}

#[target_feature(enable = "neon")]
unsafe fn dense_f32_neon(convolution: &DenseF32<'_>, rows: Range<usize>) {
    // SAFETY: as the caller promises.
    unsafe { dense_f32::dense_f32::<F32>(convolution, rows) };
}

#[target_feature(enable = "neon")]
unsafe fn dense_u8_neon(convolution: &DenseU8<'_>, rows: Range<usize>) {
    // SAFETY: as the caller promises.
    unsafe { dense_u8::dense_u8::<Codes<smull::Smull>>(convolution, rows) };
}

#[target_feature(enable = "neon,dotprod")]
unsafe fn dense_u8_dot(convolution: &DenseU8<'_>, rows: Range<usize>) {
    // SAFETY: as the caller promises.
    unsafe { dense_u8::dense_u8::<Codes<sdot::Sdot>>(convolution, rows) };
}

#[target_feature(enable = "neon,dotprod,i8mm")]
unsafe fn dense_u8_i8mm(convolution: &DenseU8<'_>, rows: Range<usize>) {
    // SAFETY: as the caller promises.
    unsafe { dense_u8::dense_u8::<Codes<smmla::Smmla>>(convolution, rows) };
}

#[target_feature(enable = "neon")]
unsafe fn depthwise_f32_neon(convolution: &DepthwiseF32<'_>, rows: Range<usize>) {
    // SAFETY: as the caller promises.
    unsafe { depthwise_f32::depthwise_f32::<F32>(convolution, rows) };
}

#[target_feature(enable = "neon")]
unsafe fn depthwise_u8_neon(convolution: &DepthwiseU8<'_>, rows: Range<usize>) {
    // SAFETY: as the caller promises.
    unsafe {
        depthwise_u8::depthwise_u8::<Codes<smull::Smull>>(
            convolution,
            rows,
            0..convolution.bias.len(),
        )
    };
}

#[target_feature(enable = "neon,dotprod")]
unsafe fn depthwise_u8_dot(convolution: &DepthwiseU8<'_>, rows: Range<usize>) {
    // SAFETY: as the caller promises.
    unsafe { quads::depthwise_u8(convolution, rows) };
}

#[cfg(test)]
mod tests {
    use super::Isa;

    /// `NEURALSMPL_TEST_ISA` names the best instruction set that the processor is known to have.
    #[test]
    fn the_best_and_what_it_outdoes_are_found() {
        let available = Isa::available();
        assert!(available.contains(&Isa::Neon));
        if let Ok(best) = std::env::var("NEURALSMPL_TEST_ISA") {
            assert_eq!(Isa::best().name(), best);
            let outdone = Isa::ALL.into_iter().filter(|isa| {
                matches!(isa, Isa::Neon | Isa::NeonDot | Isa::NeonI8mm) && *isa <= Isa::best()
            });
            assert_eq!(available[1..], outdone.collect::<Vec<_>>());
        }
    }
}
