//! The index of an MP4 file: where each H.264 sample lies and when it is shown. Fragmented files
//! and edit lists are not read.

use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use mp4_atom::{Atom, Avcc, Codec, Colr, Header, Moov, ReadAtom, ReadFrom, StszSamples, Trak};

use crate::Matrix;
use crate::limits::{MAX_COMPRESSED, MAX_INDEX, MAX_SAMPLES};

/// Quarter turns to the right that make a picture upright.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    None,
    Right,
    Half,
    Left,
}

/// What a file holds.
pub(crate) struct Index {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) turn: Turn,
    /// Colours and range, if the file states them.
    pub(crate) matrix: Option<Matrix>,
    pub(crate) full_range: bool,
    /// Bytes of the length before each NAL unit.
    pub(crate) length_size: usize,
    /// Parameter sets in Annex B form.
    pub(crate) parameters: Vec<u8>,
    /// Offset and length of each sample in order of decoding.
    pub(crate) samples: Vec<(u64, u32)>,
    /// When the frames are shown, from the first on, ascending.
    pub(crate) times: Vec<Duration>,
}

impl Index {
    /// Reads the index; the error says what was found instead.
    pub(crate) fn read<R: Read + Seek>(file: &mut R) -> Result<Self, String> {
        let len = file.seek(SeekFrom::End(0)).map_err(|e| e.to_string())?;
        let mut at = 0;
        while at < len {
            file.seek(SeekFrom::Start(at)).map_err(|e| e.to_string())?;
            let header = Header::read_from(file).map_err(|e| format!("a broken box ({e})"))?;
            let body = file.stream_position().map_err(|e| e.to_string())?;
            let size = header.size.map_or(len - body, |size| size as u64);
            if header.kind == Moov::KIND {
                if size > MAX_INDEX {
                    return Err(format!("an index of {size} bytes"));
                }
                let moov =
                    Moov::read_atom(&header, file).map_err(|e| format!("a broken index ({e})"))?;
                return Self::of(&moov);
            }
            at = body.checked_add(size).ok_or("a box of impossible size")?;
        }
        Err("an MP4 file without an index (`moov`), as of a recording cut off".to_owned())
    }

    fn of(moov: &Moov) -> Result<Self, String> {
        let mut found = Vec::new();
        for track in &moov.trak {
            for codec in &track.mdia.minf.stbl.stsd.codecs {
                match codec {
                    Codec::Avc1(c) => {
                        let size = (c.visual.width.into(), c.visual.height.into());
                        return Self::of_track(track, &c.avcc, size, c.colr.as_ref());
                    }
                    other => found.push(format!("{other:?}").chars().take(4).collect::<String>()),
                }
            }
        }
        Err(format!(
            "an MP4 file without H.264 video (it holds: {})",
            found.join(", ")
        ))
    }

    fn of_track(
        track: &Trak,
        avcc: &Avcc,
        (width, height): (u32, u32),
        colr: Option<&Colr>,
    ) -> Result<Self, String> {
        let samples = samples(track)?;
        let times = times(track, samples.len())?;
        let mut parameters = Vec::new();
        for set in avcc
            .sequence_parameter_sets
            .iter()
            .chain(&avcc.picture_parameter_sets)
        {
            parameters.extend(START_CODE);
            parameters.extend(set);
        }
        let (coefficients, full_range) = match colr {
            Some(Colr::Nclx {
                matrix_coefficients,
                full_range_flag,
                ..
            }) => (*matrix_coefficients, *full_range_flag),
            Some(Colr::Nclc {
                matrix_coefficients,
                ..
            }) => (*matrix_coefficients, false),
            _ => (2, false),
        };
        let length_size = usize::from(avcc.length_size);
        if !matches!(length_size, 1 | 2 | 4) {
            return Err(format!("NAL lengths of {length_size} bytes"));
        }
        let m = &track.tkhd.matrix;
        Ok(Self {
            width,
            height,
            turn: match (m.a.signum(), m.b.signum(), m.c.signum(), m.d.signum()) {
                (0, 1, -1, 0) => Turn::Right,
                (-1, 0, 0, -1) => Turn::Half,
                (0, -1, 1, 0) => Turn::Left,
                _ => Turn::None,
            },
            matrix: match coefficients {
                1 => Some(Matrix::Bt709),
                5 | 6 => Some(Matrix::Bt601),
                _ => None,
            },
            full_range,
            length_size,
            parameters,
            samples,
            times,
        })
    }

    pub(crate) fn bytes(&self) -> u64 {
        let sample = size_of::<(u64, u32)>() + size_of::<Duration>();
        (self.samples.len() * sample + self.parameters.len()) as u64
    }
}

pub(crate) const START_CODE: [u8; 4] = [0, 0, 0, 1];

fn samples(track: &Trak) -> Result<Vec<(u64, u32)>, String> {
    let table = &track.mdia.minf.stbl;
    let count = match &table.stsz.samples {
        StszSamples::Identical { count, .. } => *count as usize,
        StszSamples::Different { sizes } => sizes.len(),
    };
    if count == 0 || count > MAX_SAMPLES {
        return Err(format!(
            "{count} samples in its index where 1 to {MAX_SAMPLES} are read; fragmented files have none"
        ));
    }
    let size = |n: usize| match &table.stsz.samples {
        StszSamples::Identical { size, .. } => *size,
        StszSamples::Different { sizes } => sizes.get(n).copied().unwrap_or(0),
    };
    let chunks = table
        .stco
        .as_ref()
        .map_or(0, |t| t.entries.len())
        .max(table.co64.as_ref().map_or(0, |t| t.entries.len()));
    let offset = |n: usize| {
        let short = table.stco.as_ref().and_then(|t| t.entries.get(n).copied());
        let long = table.co64.as_ref().and_then(|t| t.entries.get(n).copied());
        short.map(u64::from).or(long)
    };
    let runs = &table.stsc.entries;
    let mut samples = Vec::with_capacity(count);
    let mut run = 0;
    for chunk in 0..chunks {
        while runs
            .get(run + 1)
            .is_some_and(|next| next.first_chunk as usize <= chunk + 1)
        {
            run += 1;
        }
        let in_chunk = runs.get(run).map_or(0, |r| r.samples_per_chunk);
        let mut at = offset(chunk).ok_or("a chunk without an offset")?;
        for _ in 0..in_chunk {
            if samples.len() == count {
                return Ok(samples);
            }
            let len = size(samples.len());
            if len as usize > MAX_COMPRESSED {
                return Err(format!("a sample of {len} bytes"));
            }
            samples.push((at, len));
            at = at.checked_add(len.into()).ok_or("an impossible offset")?;
        }
    }
    if samples.is_empty() {
        return Err("an index without chunks".to_owned());
    }
    Ok(samples)
}

fn times(track: &Trak, count: usize) -> Result<Vec<Duration>, String> {
    let table = &track.mdia.minf.stbl;
    let scale = u128::from(track.mdia.mdhd.timescale);
    if scale == 0 {
        return Err("a time scale of zero".to_owned());
    }
    let steps = table
        .stts
        .entries
        .iter()
        .flat_map(|e| std::iter::repeat_n(e.sample_delta, e.sample_count as usize))
        .chain(std::iter::repeat(0));
    let mut shifts = table
        .ctts
        .iter()
        .flat_map(|t| &t.entries)
        .flat_map(|e| std::iter::repeat_n(e.sample_offset, e.sample_count as usize));
    let mut decoded: i64 = 0;
    let mut shown: Vec<i64> = steps
        .take(count)
        .map(|step| {
            let at = decoded.saturating_add(shifts.next().unwrap_or(0));
            decoded = decoded.saturating_add(step.into());
            at
        })
        .collect();
    shown.sort_unstable();
    let first = shown.first().copied().unwrap_or(0);
    Ok(shown
        .iter()
        .map(|at| {
            let nanos = u128::from(at.abs_diff(first)) * 1_000_000_000 / scale;
            Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
        })
        .collect())
}
