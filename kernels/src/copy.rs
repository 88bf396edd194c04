//! Copies: numbers from one order in memory to another, changed on the way.

use std::ops::Range;
use std::slice::{from_raw_parts, from_raw_parts_mut};

use crate::execute::Bases;
use crate::layout::Change;
use crate::ops;
use crate::step::{Loop, MAX_LEGS, Step};

/// Does some units of a copy.
///
/// # Safety
/// As for [`crate::execute::execute`]; units are those of the first loop.
pub(crate) unsafe fn copy(
    step: &Step,
    change: Change,
    loops: &[Loop],
    skip: usize,
    bases: &Bases<'_>,
    units: Range<usize>,
) {
    // SAFETY: by the caller's promise; the loops stay within both tensors.
    unsafe {
        let from = &step.inputs[0];
        match change {
            Change::None if step.codes[0] => {
                let (from, to) = (bases.first::<u8>(from), bases.first::<u8>(&step.output));
                walk(
                    loops,
                    units,
                    from,
                    to.add(skip),
                    |x| x,
                    <[u8]>::copy_from_slice_into,
                );
            }
            Change::None => {
                let (from, to) = (bases.first::<f32>(from), bases.first::<f32>(&step.output));
                walk(
                    loops,
                    units,
                    from,
                    to.add(skip),
                    |x| x,
                    <[f32]>::copy_from_slice_into,
                );
            }
            Change::Quantize(coding) => {
                let (from, to) = (bases.first::<f32>(from), bases.first::<u8>(&step.output));
                let one = |x| ops::quantized(x, coding.scale, coding.zero);
                let many = |x: &[f32], y: &mut [u8]| ops::quantize(x, coding.scale, coding.zero, y);
                walk(loops, units, from, to.add(skip), one, many);
            }
            Change::Dequantize(coding) => {
                let (from, to) = (bases.first::<u8>(from), bases.first::<f32>(&step.output));
                let one = |x: u8| (i32::from(x) - coding.zero) as f32 * coding.scale;
                let many =
                    |x: &[u8], y: &mut [f32]| ops::dequantize(x, coding.scale, coding.zero, y);
                walk(loops, units, from, to.add(skip), one, many);
            }
        }
    }
}

/// Copies into the second slice.
trait CopyInto {
    fn copy_from_slice_into(from: &Self, to: &mut Self);
}

impl<T: Copy> CopyInto for [T] {
    fn copy_from_slice_into(from: &Self, to: &mut Self) {
        to.copy_from_slice(from);
    }
}

/// Walks a copy's loops.
///
/// # Safety
/// Every element that the loops reach is valid, and those of `to` for this call alone.
unsafe fn walk<A: Copy, B: Copy>(
    loops: &[Loop],
    units: Range<usize>,
    from: *const A,
    to: *mut B,
    one: impl Fn(A) -> B,
    many: impl Fn(&[A], &mut [B]),
) {
    const ONE: Loop = Loop {
        size: 1,
        from: 0,
        to: 0,
    };
    let mut all = [ONE; MAX_LEGS];
    let spare = MAX_LEGS - loops.len();
    all[spare..].copy_from_slice(loops);
    // The first loop is the one that the threads share.
    let shared = spare.min(MAX_LEGS - 1);
    let (from, to) = (
        from.wrapping_add(units.start * all[shared].from),
        to.wrapping_add(units.start * all[shared].to),
    );
    all[shared].size = units.len();
    let [a, b, c, d, e, f] = all;
    for i in 0..a.size {
        for j in 0..b.size {
            for k in 0..c.size {
                for l in 0..d.size {
                    let skip = |x: [usize; 4]| i * x[0] + j * x[1] + k * x[2] + l * x[3];
                    let from = from.wrapping_add(skip([a.from, b.from, c.from, d.from]));
                    let to = to.wrapping_add(skip([a.to, b.to, c.to, d.to]));
                    if e.from == 1 && f.to == 1 {
                        // SAFETY: by the caller's promise.
                        unsafe { turn([e, f], from, to, &one) };
                        continue;
                    }
                    for m in 0..e.size {
                        let from = from.wrapping_add(m * e.from);
                        let to = to.wrapping_add(m * e.to);
                        // SAFETY: by the caller's promise.
                        unsafe {
                            if f.from == 1 && f.to == 1 {
                                many(from_raw_parts(from, f.size), from_raw_parts_mut(to, f.size));
                            } else {
                                for n in 0..f.size {
                                    *to.wrapping_add(n * f.to) =
                                        one(*from.wrapping_add(n * f.from));
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The last two loops of a copy from one order to the other, tile by tile.
///
/// # Safety
/// As for [`walk`].
unsafe fn turn<A: Copy, B: Copy>(
    [long, short]: [Loop; 2],
    from: *const A,
    to: *mut B,
    one: &impl Fn(A) -> B,
) {
    const TILE: usize = 16;
    for top in (0..long.size).step_by(TILE) {
        for left in (0..short.size).step_by(TILE) {
            for m in top..long.size.min(top + TILE) {
                for n in left..short.size.min(left + TILE) {
                    // SAFETY: by the caller's promise.
                    unsafe {
                        *to.add(m * long.to + n * short.to) =
                            one(*from.add(m * long.from + n * short.from))
                    };
                }
            }
        }
    }
}
