//! The most products per second: loops of nothing but independent multiply-adds.

use crate::isa::Isa;

/// A loop and how many products it does.
pub struct Limit {
    pub run: fn(),
    pub macs: u64,
}

/// Stands in where no loop has been written.
const NONE: Limit = Limit {
    run: || (),
    macs: 0,
};

/// A loop of multiply-adds of `isa` over f32.
pub fn f32(isa: Isa) -> Limit {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::AvxVnni => x86::FMA_256,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni => x86::FMA_512,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon | Isa::NeonDot | Isa::NeonI8mm => aarch64::FMLA,
        _ => NONE,
    }
}

/// The same over codes.
pub fn u8(isa: Isa) -> Limit {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => x86::MADD_256,
        #[cfg(target_arch = "x86_64")]
        Isa::AvxVnni => x86::DOT_256,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni => x86::DOT_512,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => aarch64::SMULL,
        #[cfg(target_arch = "aarch64")]
        Isa::NeonDot => aarch64::SDOT,
        #[cfg(target_arch = "aarch64")]
        Isa::NeonI8mm => aarch64::SMMLA,
        _ => NONE,
    }
}

/// Rounds of a loop, each of [`REGISTERS`] lines.
const LOOPS: u64 = 20_000;
/// Sums of a loop; more than the multiply-adds that a processor has under way.
const REGISTERS: u64 = 12;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::asm;

    use super::{LOOPS, Limit, REGISTERS};

    /// A loop of `$line`, which does `$macs` products and sums in register `\r`.
    macro_rules! limit {
        ($name:ident, $macs:literal, $line:literal) => {
            pub const $name: Limit = Limit {
                // SAFETY: whoever picks the loop has seen that the processor has the instructions;
                // they touch registers alone.
                run: || unsafe {
                    asm!(
                        "2:",
                        ".irp r, 0,1,2,3,4,5,6,7,8,9,10,11",
                        $line,
                        ".endr",
                        "dec {loops}",
                        "jnz 2b",
                        loops = inout(reg) LOOPS => _,
                        out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                        out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                        out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                        out("xmm13") _,
                        options(nomem, nostack),
                    );
                },
                macs: LOOPS * REGISTERS * $macs,
            };
        };
    }

    limit!(FMA_256, 8, "vfmadd231ps ymm\\r, ymm14, ymm15");
    limit!(FMA_512, 16, "vfmadd231ps zmm\\r, zmm14, zmm15");
    limit!(
        MADD_256,
        16,
        "vpmaddwd ymm13, ymm14, ymm15\nvpaddd ymm\\r, ymm\\r, ymm13"
    );
    limit!(DOT_256, 32, "{{vex}} vpdpbusd ymm\\r, ymm14, ymm15");
    limit!(DOT_512, 64, "vpdpbusd zmm\\r, zmm14, zmm15");
}

#[cfg(target_arch = "aarch64")]
mod aarch64 {
    use std::arch::asm;

    use super::{LOOPS, Limit, REGISTERS};

    /// A loop of `$line`, which does `$macs` products and sums in register `\r`.
    macro_rules! limit {
        ($name:ident, $macs:literal, $line:literal) => {
            pub const $name: Limit = Limit {
                // SAFETY: whoever picks the loop has seen that the processor has the instructions;
                // they touch registers alone.
                run: || unsafe {
                    asm!(
                        ".arch_extension dotprod",
                        ".arch_extension i8mm",
                        "2:",
                        ".irp r, 0,1,2,3,4,5,6,7,16,17,18,19",
                        $line,
                        ".endr",
                        "subs {loops}, {loops}, #1",
                        "b.ne 2b",
                        loops = inout(reg) LOOPS => _,
                        out("v0") _, out("v1") _, out("v2") _, out("v3") _,
                        out("v4") _, out("v5") _, out("v6") _, out("v7") _,
                        out("v16") _, out("v17") _, out("v18") _, out("v19") _,
                        out("v29") _,
                        options(nomem, nostack),
                    );
                },
                macs: LOOPS * REGISTERS * $macs,
            };
        };
    }

    limit!(FMLA, 4, "fmla v\\r\\().4s, v30.4s, v31.4s");
    limit!(
        SMULL,
        8,
        "smull v29.8h, v30.8b, v31.8b\nsadalp v\\r\\().4s, v29.8h"
    );
    limit!(SDOT, 16, "sdot v\\r\\().4s, v30.16b, v31.16b");
    limit!(SMMLA, 32, "smmla v\\r\\().4s, v30.16b, v31.16b");
}
