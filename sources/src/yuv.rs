//! Y'CbCr to RGB in fixed point. Chroma is repeated, not interpolated, and its siting ignored.
//! The loops over whole blocks are written for the compiler's vectoriser, and compiled for each of
//! the instruction sets named here.

use multiversion::multiversion;

use crate::{Frame, Matrix};

/// How chroma is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sampling {
    Grey,
    S420,
    S422,
    S444,
}

impl Sampling {
    /// Width and height of each chroma plane.
    pub(crate) fn chroma(self, width: u32, height: u32) -> (u32, u32) {
        match self {
            Self::Grey => (0, 0),
            Self::S420 => (width.div_ceil(2), height.div_ceil(2)),
            Self::S422 => (width.div_ceil(2), height),
            Self::S444 => (width, height),
        }
    }
}

/// Fractional bits of the factors: the largest, 2.2, times 255 fits in 31 bits.
const BITS: u32 = 16;

/// From Y'CbCr to RGB for one matrix and range; factors in units of 2⁻¹⁶.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Colours {
    name: &'static str,
    black: i32,
    y: i32,
    cr_to_r: i32,
    cb_to_g: i32,
    cr_to_g: i32,
    cb_to_b: i32,
}

impl Colours {
    /// BT.709 from 720 lines on, BT.601 below, unless the user says otherwise.
    pub(crate) fn new(matrix: Matrix, height: u32, full_range: bool) -> Self {
        let bt709 = match matrix {
            Matrix::Bt601 => false,
            Matrix::Bt709 => true,
            Matrix::Auto => height >= 720,
        };
        let (kr, kb) = if bt709 {
            (0.2126, 0.0722)
        } else {
            (0.299, 0.114)
        };
        let (black, luma, chroma) = if full_range {
            (0, 255.0, 255.0)
        } else {
            (16, 219.0, 224.0)
        };
        let kg = 1.0 - kr - kb;
        let fixed = |factor: f64| (factor * f64::from(1 << BITS)).round() as i32;
        let (y, c) = (255.0 / luma, 2.0 * 255.0 / chroma);
        Self {
            name: match (bt709, full_range) {
                (false, false) => "BT.601",
                (false, true) => "BT.601 full range",
                (true, false) => "BT.709",
                (true, true) => "BT.709 full range",
            },
            black,
            y: fixed(y),
            cr_to_r: fixed(c * (1.0 - kr)),
            cb_to_g: fixed(-c * (1.0 - kb) * kb / kg),
            cr_to_g: fixed(-c * (1.0 - kr) * kr / kg),
            cb_to_b: fixed(c * (1.0 - kb)),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }
}

/// Three planes with their strides in bytes.
pub(crate) struct Planes<'a> {
    pub(crate) y: &'a [u8],
    pub(crate) u: &'a [u8],
    pub(crate) v: &'a [u8],
    pub(crate) strides: [usize; 3],
}

/// Converts planes to the frame's picture; an error if they are too short.
pub(crate) fn planar_to_rgb(
    planes: &Planes<'_>,
    sampling: Sampling,
    (width, height): (u32, u32),
    colours: Colours,
    into: &mut Frame,
) -> Result<(), String> {
    let (w, chroma_w) = (width as usize, sampling.chroma(width, height).0 as usize);
    let short = || "planes shorter than their picture".to_owned();
    for (row, rgb) in into
        .reshape(width, height)
        .chunks_exact_mut(3 * w)
        .enumerate()
    {
        let line = |plane, stride: usize, row: usize, len| {
            <[u8]>::get(plane, row * stride..row * stride + len).ok_or_else(short)
        };
        let y = line(planes.y, planes.strides[0], row, w)?;
        let chroma_row = if sampling == Sampling::S420 {
            row / 2
        } else {
            row
        };
        let u = line(planes.u, planes.strides[1], chroma_row, chroma_w)?;
        let v = line(planes.v, planes.strides[2], chroma_row, chroma_w)?;
        planar_row(y, u, v, colours, rgb);
    }
    Ok(())
}

/// Converts packed YUYV to the frame's picture; `stride` is in bytes.
#[cfg_attr(not(any(test, feature = "v4l2")), expect(dead_code))]
pub(crate) fn yuyv_to_rgb(
    bytes: &[u8],
    stride: usize,
    (width, height): (u32, u32),
    colours: Colours,
    into: &mut Frame,
) -> Result<(), String> {
    let (w, len) = (width as usize, 4 * width.div_ceil(2) as usize);
    for (row, rgb) in into
        .reshape(width, height)
        .chunks_exact_mut(3 * w)
        .enumerate()
    {
        let line = bytes
            .get(row * stride..row * stride + len)
            .ok_or_else(|| format!("{} bytes of YUYV, too few for the picture", bytes.len()))?;
        yuyv_row(line, colours, rgb);
    }
    Ok(())
}

/// Pixels converted at once.
const BLOCK: usize = 256;

#[multiversion(targets("x86_64+avx2"))]
fn planar_row(y: &[u8], u: &[u8], v: &[u8], colours: Colours, rgb: &mut [u8]) {
    let mut block = Block::default();
    for (n, (ys, out)) in y.chunks(BLOCK).zip(rgb.chunks_mut(3 * BLOCK)).enumerate() {
        block.y[..ys.len()].copy_from_slice(ys);
        if u.len() == y.len() {
            let here = n * BLOCK..n * BLOCK + ys.len();
            block.u[..ys.len()].copy_from_slice(&u[here.clone()]);
            block.v[..ys.len()].copy_from_slice(&v[here]);
        } else if !u.is_empty() {
            let here = n * BLOCK / 2..n * BLOCK / 2 + ys.len().div_ceil(2);
            repeat(&u[here.clone()], &mut block.u);
            repeat(&v[here], &mut block.v);
        }
        block.convert(colours);
        block.interleave(out);
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn yuyv_row(line: &[u8], colours: Colours, rgb: &mut [u8]) {
    let mut block = Block::default();
    for (packed, out) in line.chunks(2 * BLOCK).zip(rgb.chunks_mut(3 * BLOCK)) {
        let pairs = block.y.chunks_exact_mut(2);
        for (quad, y) in packed.chunks_exact(4).zip(pairs) {
            y.copy_from_slice(&[quad[0], quad[2]]);
        }
        let pairs = block.u.chunks_exact_mut(2).zip(block.v.chunks_exact_mut(2));
        for (quad, (u, v)) in packed.chunks_exact(4).zip(pairs) {
            u.fill(quad[1]);
            v.fill(quad[3]);
        }
        block.convert(colours);
        block.interleave(out);
    }
}

#[inline(always)]
fn repeat(half: &[u8], full: &mut [u8; BLOCK]) {
    for (&value, pair) in half.iter().zip(full.chunks_exact_mut(2)) {
        pair.fill(value);
    }
}

struct Block {
    y: [u8; BLOCK],
    u: [u8; BLOCK],
    v: [u8; BLOCK],
    r: [u8; BLOCK],
    g: [u8; BLOCK],
    b: [u8; BLOCK],
}

impl Default for Block {
    fn default() -> Self {
        Self {
            y: [0; BLOCK],
            u: [128; BLOCK],
            v: [128; BLOCK],
            r: [0; BLOCK],
            g: [0; BLOCK],
            b: [0; BLOCK],
        }
    }
}

impl Block {
    #[inline(always)]
    fn convert(&mut self, c: Colours) {
        let byte = |value: i32| (value >> BITS).clamp(0, 255) as u8;
        for i in 0..BLOCK {
            let y = (i32::from(self.y[i]) - c.black) * c.y + (1 << (BITS - 1));
            let (u, v) = (i32::from(self.u[i]) - 128, i32::from(self.v[i]) - 128);
            self.r[i] = byte(y + v * c.cr_to_r);
            self.g[i] = byte(y + u * c.cb_to_g + v * c.cr_to_g);
            self.b[i] = byte(y + u * c.cb_to_b);
        }
    }

    #[inline(always)]
    fn interleave(&self, out: &mut [u8]) {
        let planes = self.r.iter().zip(&self.g).zip(&self.b);
        for (pixel, ((&r, &g), &b)) in out.chunks_exact_mut(3).zip(planes) {
            pixel.copy_from_slice(&[r, g, b]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_and_planar_agree_at_every_width() {
        for width in [16_u32, 17, 255, 256, 257, 640, 1_001] {
            let (w, h) = (width as usize, 18);
            let half = w.div_ceil(2);
            let y: Vec<u8> = (0..w * h).map(|n| (n * 7) as u8).collect();
            let u: Vec<u8> = (0..half * h).map(|n| (n * 5) as u8).collect();
            let v: Vec<u8> = (0..half * h).map(|n| (n * 3) as u8).collect();
            let mut packed = Vec::new();
            for row in 0..h {
                for pair in 0..half {
                    let second = (2 * pair + 1).min(w - 1);
                    packed.extend([
                        y[row * w + 2 * pair],
                        u[row * half + pair],
                        y[row * w + second],
                        v[row * half + pair],
                    ]);
                }
            }
            let colours = Colours::new(Matrix::Bt601, 18, false);
            let planes = Planes {
                y: &y,
                u: &u,
                v: &v,
                strides: [w, half, half],
            };
            let (mut a, mut b) = (Frame::default(), Frame::default());
            planar_to_rgb(&planes, Sampling::S422, (width, 18), colours, &mut a).unwrap();
            yuyv_to_rgb(&packed, 4 * half, (width, 18), colours, &mut b).unwrap();
            assert_eq!(a.image, b.image, "{width}");
        }
    }

    #[test]
    fn greys_are_exact_and_short_planes_an_error() {
        let colours = Colours::new(Matrix::Auto, 16, false);
        for (luma, grey) in [(16, 0), (235, 255), (0, 0), (255, 255), (126, 128)] {
            let planes = Planes {
                y: &[luma; 256],
                u: &[],
                v: &[],
                strides: [16, 0, 0],
            };
            let mut frame = Frame::default();
            planar_to_rgb(&planes, Sampling::Grey, (16, 16), colours, &mut frame).unwrap();
            assert_eq!(frame.image.get_pixel(15, 15).0, [grey; 3], "{luma}");
            let taller = planar_to_rgb(&planes, Sampling::Grey, (16, 17), colours, &mut frame);
            assert!(taller.is_err());
        }
        assert!(yuyv_to_rgb(&[0; 500], 32, (16, 16), colours, &mut Frame::default()).is_err());
    }
}
