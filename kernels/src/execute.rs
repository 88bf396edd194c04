//! Runs shares of a step: turns places into addresses, and calls the kernels.

use std::ops::Range;
use std::slice::{from_raw_parts, from_raw_parts_mut};

use crate::copy::copy;
use crate::graph::Upsample;
use crate::kernel::{
    AddedCode, After, DenseF32, DenseU8, DepthwiseF32, DepthwiseU8, Kernels, Plane, Reads,
};
use crate::layout::{Place, Tensor};
use crate::ops::{self, Narrow, Picture};
use crate::program::Address;
use crate::step::{Action, Area, CodedConv, Out, RealConv, RealWeights, Step};

/// Where places start.
pub(crate) struct Bases<'a> {
    pub arena: *mut u8,
    pub inputs: &'a [&'a [f32]],
    pub outputs: &'a [Address],
}

// SAFETY: threads write through it only where `execute` lets them, each apart from the others.
unsafe impl Sync for Bases<'_> {}

impl Bases<'_> {
    /// Start of a place.
    ///
    /// # Safety
    /// Offsets are within the arena.
    unsafe fn start<T>(&self, place: Place) -> *mut T {
        match place {
            Place::Input(index) => self.inputs[index].as_ptr().cast_mut().cast(),
            Place::Output(index) => self.outputs[index].0.cast(),
            // SAFETY: by the caller's promise.
            Place::Arena(offset) => unsafe { self.arena.add(offset).cast() },
        }
    }

    /// First element of an area's interior.
    ///
    /// # Safety
    /// As for [`Self::start`].
    pub unsafe fn first<T>(&self, area: &Area) -> *mut T {
        // SAFETY: the interior is within the tensor.
        unsafe { self.start::<T>(area.place).add(area.skip) }
    }

    /// An input area as a picture.
    ///
    /// # Safety
    /// As for [`Self::start`]; nobody writes to it meanwhile.
    unsafe fn picture<T>(&self, area: &Area) -> Picture<'_, T> {
        Picture {
            // SAFETY: the span is within the tensor, and elements of any bits are numbers.
            elements: unsafe { from_raw_parts(self.first(area), area.span()) },
            row: area.row,
            pitch: area.pitch,
            height: area.height,
            width: area.width,
        }
    }

    /// A row of an input.
    ///
    /// # Safety
    /// As for [`Self::picture`].
    unsafe fn row<T>(&self, area: &Area, row: usize) -> &[T] {
        let length = area.width * area.pitch;
        // SAFETY: rows are within the tensor.
        unsafe { from_raw_parts(self.first::<T>(area).add(row * area.row), length) }
    }

    /// A row of an output.
    ///
    /// # Safety
    /// As for [`Self::start`]; nobody else touches it meanwhile.
    #[allow(clippy::mut_from_ref, reason = "exclusive by the caller's promise")]
    unsafe fn row_mut<T>(&self, area: &Area, row: usize) -> &mut [T] {
        let length = area.width * area.pitch;
        // SAFETY: rows are within the tensor and apart.
        unsafe { from_raw_parts_mut(self.first::<T>(area).add(row * area.row), length) }
    }

    /// # Safety
    /// As for [`Self::start`].
    unsafe fn plane<T>(&self, area: &Area) -> Plane<*mut T> {
        Plane {
            // SAFETY: by the caller's promise.
            first: unsafe { self.first(area) },
            row: area.row,
            pitch: area.pitch,
        }
    }

    /// # Safety
    /// As for [`Self::start`].
    unsafe fn added<T>(&self, area: Option<&Area>) -> Option<Plane<*const T>> {
        area.map(|area| Plane {
            // SAFETY: by the caller's promise.
            first: unsafe { self.first::<T>(area) }.cast_const(),
            row: area.row,
            pitch: area.pitch,
        })
    }
}

/// Does some units of a step.
///
/// # Safety
/// The processor has the kernels' instruction set. The step's places are within the arena and the
/// buffers; the tensors it reads are not written meanwhile, and no other call has the same units.
pub(crate) unsafe fn execute(
    step: &Step,
    kernels: &Kernels,
    bases: &Bases<'_>,
    units: Range<usize>,
) {
    if let (Some((tensor, fill)), 0) = (&step.border, units.start) {
        // SAFETY: only this call has unit 0, and borders are no part of any unit.
        unsafe {
            if tensor.codes {
                fill_border(tensor, bases.start::<u8>(tensor.place), *fill);
            } else {
                fill_border(tensor, bases.start::<f32>(tensor.place), 0.0);
            }
        }
    }
    let x = &step.inputs[0];
    // SAFETY: the caller's promise covers every area of the step and the units.
    unsafe {
        match &step.action {
            Action::Real(conv) => real_conv(step, conv, kernels, bases, units),
            Action::Coded(conv) => coded_conv(step, conv, kernels, bases, units),
            Action::Copy {
                change,
                loops,
                skip,
            } => copy(step, *change, loops, *skip, bases, units),
            Action::Add(clamp) => {
                for row in units {
                    let (a, b) = (bases.row(x, row), bases.row(&step.inputs[1], row));
                    ops::add(a, b, *clamp, bases.row_mut(&step.output, row));
                }
            }
            Action::AddCodes(sum) => {
                for row in units {
                    let (a, b) = (bases.row(x, row), bases.row(&step.inputs[1], row));
                    ops::add_codes(a, b, *sum, bases.row_mut(&step.output, row));
                }
            }
            Action::Clip(clamp) => {
                for row in units {
                    ops::clip(bases.row(x, row), *clamp, bases.row_mut(&step.output, row));
                }
            }
            Action::Sigmoid => {
                for row in units {
                    ops::sigmoid(bases.row(x, row), bases.row_mut(&step.output, row));
                }
            }
            Action::MaxPool(window) => {
                for row in units {
                    if step.codes[0] {
                        let out = bases.row_mut(&step.output, row);
                        ops::max_pool_codes(bases.picture(x), *window, row, out);
                    } else {
                        let out = bases.row_mut(&step.output, row);
                        ops::max_pool_real(bases.picture(x), *window, row, out);
                    }
                }
            }
            Action::UpsampleCodes(recode) => {
                for row in units {
                    let out = bases.row_mut(&step.output, row);
                    ops::bilinear_codes(bases.picture(x), *recode, row, out);
                }
            }
            Action::Upsample(how) => {
                for row in units {
                    match (how, step.codes[0]) {
                        (Upsample::Bilinear, _) => {
                            ops::bilinear(bases.picture(x), row, bases.row_mut(&step.output, row));
                        }
                        (Upsample::Nearest, false) => {
                            let out: &mut [f32] = bases.row_mut(&step.output, row);
                            ops::nearest(bases.picture(x), row, out);
                        }
                        (Upsample::Nearest, true) => {
                            let out: &mut [u8] = bases.row_mut(&step.output, row);
                            ops::nearest(bases.picture(x), row, out);
                        }
                    }
                }
            }
        }
    }
}

/// # Safety
/// `start` is the tensor's.
unsafe fn fill_border<T: Copy>(tensor: &Tensor, start: *mut T, value: T) {
    let row = tensor.row();
    let [above, left, below, right] = tensor.border;
    let (left, right) = (left * tensor.pitch, right * tensor.pitch);
    let fill = |at: usize, count: usize| {
        // SAFETY: within the tensor, outside its interior.
        unsafe { from_raw_parts_mut(start.add(at), count) }.fill(value);
    };
    fill(0, above * row);
    for y in above..above + tensor.height {
        fill(y * row, left);
        fill((y + 1) * row - right, right);
    }
    fill((above + tensor.height) * row, below * row);
}

/// # Safety
/// As for [`execute`].
unsafe fn real_conv(
    step: &Step,
    conv: &RealConv,
    kernels: &Kernels,
    bases: &Bases<'_>,
    rows: Range<usize>,
) {
    // SAFETY: by the caller's promise; windows lie within the input's borders.
    unsafe {
        let x = Reads {
            first: bases
                .start::<f32>(step.inputs[0].place)
                .add(conv.windows.skip)
                .cast_const(),
            down: conv.windows.down,
            right: conv.windows.right,
        };
        let added = bases.added(step.inputs.get(1));
        let y = bases.plane(&step.output);
        let (runs, bias, channels) = (&conv.windows.starts, &conv.bias, conv.channels);
        let (pre, post, width) = (conv.pre, conv.post, step.output.width);
        match &conv.weights {
            RealWeights::Depthwise(weights) => {
                let arguments = DepthwiseF32 {
                    x,
                    taps: runs,
                    weights,
                    bias,
                    channels,
                    width,
                    pre,
                    added,
                    post,
                    y,
                };
                (kernels.depthwise_f32)(&arguments, rows);
            }
            RealWeights::Narrow(weights) => {
                let last = conv.windows.starts.iter().max().map_or(0, |&start| start);
                let reach = (width - 1) * conv.windows.right + last + conv.windows.run;
                for row in rows {
                    let arguments = Narrow {
                        x: from_raw_parts(x.first.add(row * x.down), reach),
                        right: x.right,
                        runs,
                        run: conv.windows.run,
                        weights,
                        bias,
                        clamp: pre,
                    };
                    let out = bases.row_mut(&step.output, row);
                    ops::narrow(&arguments, step.output.pitch, out);
                    if let Some(added) = step.inputs.get(1) {
                        let added = bases.row(added, row);
                        ops::add_to(out, added, post);
                    }
                }
            }
            RealWeights::Dense(weights) => {
                let arguments = DenseF32 {
                    x,
                    runs,
                    run: conv.windows.run,
                    weights,
                    bias,
                    channels,
                    width,
                    pre,
                    added,
                    post,
                    y,
                };
                (kernels.dense_f32)(&arguments, rows);
            }
        }
    }
}

/// # Safety
/// As for [`execute`].
unsafe fn coded_conv(
    step: &Step,
    conv: &CodedConv,
    kernels: &Kernels,
    bases: &Bases<'_>,
    rows: Range<usize>,
) {
    // SAFETY: by the caller's promise; windows lie within the input's borders.
    unsafe {
        let x = Reads {
            first: bases
                .start::<u8>(step.inputs[0].place)
                .add(conv.windows.skip)
                .cast_const(),
            down: conv.windows.down,
            right: conv.windows.right,
        };
        let after = match &conv.out {
            Out::Real { pre, post } => After::Real {
                pre: *pre,
                added: bases.added(step.inputs.get(1)),
                post: *post,
                y: bases.plane(&step.output),
            },
            Out::Code { code, added } => After::Code {
                code: *code,
                added: match (added, bases.added(step.inputs.get(1))) {
                    (Some(added), Some(plane)) => Some(AddedCode {
                        plane,
                        zero: added.zero,
                        own: added.own,
                        other: added.other,
                        code: added.code,
                    }),
                    _ => None,
                },
                y: bases.plane(&step.output),
            },
        };
        if conv.depthwise {
            let arguments = DepthwiseU8 {
                x,
                taps: &conv.windows.starts,
                weights: &conv.weights,
                bias: &conv.bias,
                scale: &conv.scale,
                channels: conv.channels,
                width: step.output.width,
                after,
            };
            (kernels.depthwise_u8)(&arguments, rows);
        } else {
            let arguments = DenseU8 {
                x,
                runs: &conv.windows.starts,
                run: conv.windows.run,
                weights: &conv.weights,
                bias: &conv.bias,
                scale: &conv.scale,
                channels: conv.channels,
                width: step.output.width,
                after,
            };
            (kernels.dense_u8)(&arguments, rows);
        }
    }
}
