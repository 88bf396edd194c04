//! Instruction sets: which kernels this processor can run.

use crate::kernel::Kernels;

/// An instruction set for which there are kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// Plain Rust, on any processor.
    Portable,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX2, FMA and the VEX-coded byte dot product.
    AvxVnni,
    /// x86-64 with AVX-512 (F, BW, DQ, VL) and VNNI.
    Avx512Vnni,
    /// aarch64 with NEON.
    Neon,
    /// aarch64 with NEON and the byte dot product (SDOT).
    NeonDot,
    /// aarch64 with NEON, SDOT and the byte matrix product (SMMLA).
    NeonI8mm,
}
