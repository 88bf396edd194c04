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
        _ => NONE,
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::asm;

    use super::Limit;

    const LOOPS: u64 = 20_000;

    /// A loop of `$line`s, each for register 0 to 11 in place of `{r}`, of `$macs` products each.
    macro_rules! limit {
        ($name:ident, $macs:literal, $register:literal, $($piece:literal),+) => {
            pub const $name: Limit = Limit {
                run: || limit!(@loop $register, [$($piece),+],
                    ["0" "1" "2" "3" "4" "5" "6" "7" "8" "9" "10" "11"]),
                macs: LOOPS * 12 * $macs,
            };
        };
        (@loop $register:literal, $pieces:tt, [$($r:literal)+]) => {
            // SAFETY: the caller has seen that the processor has the instructions; they touch
            // registers alone.
            unsafe {
                asm!(
                    "2:",
                    $(limit!(@line $register, $r, $pieces),)+
                    "dec {loops}",
                    "jnz 2b",
                    loops = inout(reg) LOOPS => _,
                    out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                    out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                    out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                    out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                    options(nomem, nostack),
                );
            }
        };
        (@line $register:literal, $r:literal, [$op:literal]) => {
            concat!($op, " ", $register, $r, ", ", $register, "14, ", $register, "15")
        };
        (@line $register:literal, $r:literal, [$op:literal, $add:literal]) => {
            concat!(
                $op, " ", $register, "13, ", $register, "14, ", $register, "15\n",
                $add, " ", $register, $r, ", ", $register, $r, ", ", $register, "13"
            )
        };
    }

    limit!(FMA_256, 8, "ymm", "vfmadd231ps");
    limit!(FMA_512, 16, "zmm", "vfmadd231ps");
    limit!(MADD_256, 16, "ymm", "vpmaddwd", "vpaddd");
    limit!(DOT_256, 32, "ymm", "{{vex}} vpdpbusd");
    limit!(DOT_512, 64, "zmm", "vpdpbusd");
}
