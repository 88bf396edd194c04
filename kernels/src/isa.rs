//! Instruction sets: which kernels this processor can run.

use std::fmt;
use std::str::FromStr;

use crate::kernel::{self, Kernels};

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

impl Isa {
    /// All, each after those that it outdoes on a processor with both.
    pub const ALL: [Isa; 7] = [
        Isa::Portable,
        Isa::Avx2,
        Isa::AvxVnni,
        Isa::Avx512Vnni,
        Isa::Neon,
        Isa::NeonDot,
        Isa::NeonI8mm,
    ];

    /// The fastest on this processor.
    pub fn best() -> Isa {
        let fastest = Self::available().pop();
        fastest.unwrap_or(Isa::Portable)
    }

    /// Those that this processor can run, the fastest last.
    pub fn available() -> Vec<Isa> {
        let all = Self::ALL.into_iter();
        all.filter(|isa| isa.supported().is_some()).collect()
    }

    /// Its name on command lines and in messages.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::AvxVnni => "avx-vnni",
            Isa::Avx512Vnni => "avx512-vnni",
            Isa::Neon => "neon",
            Isa::NeonDot => "neon-dot",
            Isa::NeonI8mm => "neon-i8mm",
        }
    }

    /// Its kernels; the portable ones where this processor cannot run it.
    pub(crate) fn kernels(self) -> &'static Kernels {
        self.supported().unwrap_or(&kernel::portable::KERNELS)
    }

    /// Its kernels, if this processor can run them.
    fn supported(self) -> Option<&'static Kernels> {
        if self == Isa::Portable {
            return Some(&kernel::portable::KERNELS);
        }
        #[cfg(target_arch = "x86_64")]
        return kernel::x86::kernels(self);
        #[cfg(target_arch = "aarch64")]
        return kernel::neon::kernels(self);
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        return None;
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no instruction set's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no instruction set is called `{0}`; known are portable, avx2, avx-vnni, avx512-vnni, neon, neon-dot and neon-i8mm"
)]
pub struct UnknownIsa(pub String);

impl FromStr for Isa {
    type Err = UnknownIsa;

    fn from_str(name: &str) -> Result<Isa, UnknownIsa> {
        let found = Self::ALL.into_iter().find(|isa| isa.name() == name);
        found.ok_or_else(|| UnknownIsa(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for isa in Isa::ALL {
            assert_eq!(isa.to_string().parse(), Ok(isa));
        }
        assert_eq!("sse9".parse::<Isa>(), Err(UnknownIsa("sse9".to_owned())));
    }

    #[test]
    fn portable_always_runs() {
        assert_eq!(Isa::available()[0], Isa::Portable);
        assert!(Isa::available().contains(&Isa::best()));
    }
}
