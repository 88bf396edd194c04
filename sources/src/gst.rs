//! A GStreamer pipeline as a source: the user's description, then RGB, then an appsink that holds
//! one buffer.

use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;

use crate::clock::{Clock, Rate};
use crate::error::wrong_size;
use crate::limits::{POLL_MS, is_video_size};
use crate::{Frame, Pace, Read, Source, SourceConfig, SourceError};

/// Longest wait for a pipeline to start or to say why not, in seconds.
const START_S: u64 = 5;

/// A capture time further back than this is taken for a driver's error.
const MAX_AGE: Duration = Duration::from_secs(10);

pub(crate) struct Pipeline {
    name: String,
    config: SourceConfig,
    pipeline: gst::Pipeline,
    sink: AppSink,
    bus: gst::Bus,
    clock: Clock,
    /// Whether the pipeline has a live source: it gives nothing while paused.
    live: bool,
    size: (u32, u32),
    /// Stream time at which the current pass through the material began.
    offset: Duration,
    last: Duration,
    /// Frames of the current pass.
    passed: u64,
    last_came: Instant,
}

impl Pipeline {
    pub(crate) fn open(description: &str, config: &SourceConfig) -> Result<Self, SourceError> {
        let name = config.source.clone();
        let refuse = |found: String| {
            SourceError::unusable(
                &name,
                found,
                "a pipeline that ends in raw or encoded-and-decoded video",
                "try it with: gst-launch-1.0 PIPELINE ! videoconvert ! autovideosink",
            )
        };
        gst::init().map_err(|e| refuse(e.to_string()))?;
        let element = gst::parse::launch(&complete(description, config))
            .map_err(|e| refuse(e.to_string()))?;
        let pipeline = element
            .downcast::<gst::Pipeline>()
            .map_err(|_| refuse("a single element".to_owned()))?;
        let sink = pipeline
            .by_name(SINK)
            .and_then(|e| e.downcast::<AppSink>().ok())
            .ok_or_else(|| refuse("no appsink at its end".to_owned()))?;
        let bus = pipeline
            .bus()
            .ok_or_else(|| refuse("no message bus".to_owned()))?;
        let mut source = Self {
            name,
            config: config.clone(),
            pipeline,
            sink,
            bus,
            clock: Clock::start(),
            live: false,
            size: (0, 0),
            offset: Duration::ZERO,
            last: Duration::ZERO,
            passed: 0,
            last_came: Instant::now(),
        };
        source.start()?;
        Ok(source)
    }

    fn start(&mut self) -> Result<(), SourceError> {
        let paused = self.pipeline.set_state(gst::State::Paused);
        self.live = paused == Ok(gst::StateChangeSuccess::NoPreroll);
        if self.live && self.config.pace == Pace::RealTime {
            self.sink.set_drop(true);
        }
        let playing = paused.and_then(|_| self.pipeline.set_state(gst::State::Playing));
        if playing.is_err() {
            let wait = gst::ClockTime::from_seconds(START_S);
            let message = self
                .bus
                .timed_pop_filtered(wait, &[gst::MessageType::Error]);
            return Err(match message {
                Some(message) => self.fault(&message),
                None => SourceError::lost(&self.name, "the pipeline does not start"),
            });
        }
        self.last_came = Instant::now();
        Ok(())
    }

    /// The error of a bus message. What a camera, file or network lacks may come back; a
    /// pipeline that does not fit together will not.
    fn fault(&self, message: &gst::Message) -> SourceError {
        let gst::MessageView::Error(error) = message.view() else {
            return SourceError::lost(&self.name, "the pipeline has stopped");
        };
        let from = error.src().map_or("pipeline".into(), |s| s.name());
        let text = format!("{from}: {}", error.error());
        if error.error().is::<gst::ResourceError>() || self.clock.next() > 0 {
            SourceError::lost(&self.name, text)
        } else {
            SourceError::unusable(
                &self.name,
                text,
                "a pipeline of raw video",
                "try it with gst-launch-1.0",
            )
        }
    }

    /// Looks at what the pipeline has to say while no frame comes.
    fn attend(&mut self) -> Result<Read, SourceError> {
        let kinds = [
            gst::MessageType::Error,
            gst::MessageType::Warning,
            gst::MessageType::Eos,
        ];
        while let Some(message) = self.bus.pop_filtered(&kinds) {
            match message.view() {
                gst::MessageView::Warning(warning) => {
                    log::warn!("{}: {}", self.name, warning.error());
                }
                gst::MessageView::Eos(_) => return self.end(),
                _ => return Err(self.fault(&message)),
            }
        }
        let silent = self.last_came.elapsed();
        if silent > Duration::from_millis(self.config.timeout_ms) {
            return Err(SourceError::lost(
                &self.name,
                format!("nothing for {} ms", silent.as_millis()),
            ));
        }
        Ok(Read::Idle)
    }

    fn end(&mut self) -> Result<Read, SourceError> {
        if self.live() {
            return Err(SourceError::lost(&self.name, "end of stream"));
        }
        let again = self.config.looped
            && self.passed > 0
            && self
                .pipeline
                .seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::ZERO)
                .is_ok();
        if !again {
            return Ok(Read::End);
        }
        self.offset = self.last + self.config.rate().unwrap_or_default().at(1);
        self.passed = 0;
        self.last_came = Instant::now();
        Ok(Read::Idle)
    }

    fn take(&mut self, sample: &gst::Sample, into: &mut Frame) -> Result<(), String> {
        let caps = sample.caps().ok_or("a buffer without caps")?;
        let structure = caps.structure(0).ok_or("a buffer without caps")?;
        let side = |key| structure.get::<i32>(key).unwrap_or(0).max(0) as u32;
        let (width, height) = (side("width"), side("height"));
        if !is_video_size(width, height) {
            return Err(wrong_size(width.into(), height.into()));
        }
        let buffer = sample.buffer().ok_or("a sample without a buffer")?;
        let map = buffer.map_readable().map_err(|e| e.to_string())?;
        // An appsink offers no video meta, so rows are padded to four bytes.
        let (row, stride) = (3 * width as usize, (3 * width as usize).next_multiple_of(4));
        if map.len() < stride * (height as usize - 1) + row {
            return Err(format!("{} bytes for {width} x {height}", map.len()));
        }
        let lines = into.reshape(width, height).chunks_exact_mut(row);
        for (line, from) in lines.zip(map.chunks(stride)) {
            line.copy_from_slice(&from[..row]);
        }
        self.size = (width, height);
        self.passed += 1;
        self.stamp(sample, buffer, into);
        Ok(())
    }

    fn stamp(&mut self, sample: &gst::Sample, buffer: &gst::BufferRef, into: &mut Frame) {
        let running = buffer.pts().and_then(|pts| {
            let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
            segment.to_running_time(pts)
        });
        if !self.live() {
            let at = running.map_or_else(
                || {
                    let rate = self.config.rate().unwrap_or_default();
                    rate.at(self.clock.next())
                },
                |at| self.offset + Duration::from_nanos(at.nseconds()),
            );
            self.last = self.last.max(at);
            self.clock.stamp_at(self.last, into);
            return;
        }
        let age = running
            .and_then(|at| at.checked_add(self.pipeline.base_time()?))
            .and_then(|at| Some(self.pipeline.clock()?.time().saturating_sub(at)))
            .map_or(Duration::ZERO, |age| Duration::from_nanos(age.nseconds()));
        let now = Instant::now();
        let captured = if age > MAX_AGE {
            None
        } else {
            now.checked_sub(age)
        };
        self.clock.stamp_live(captured.unwrap_or(now), into);
    }
}

const SINK: &str = "neuralsmpl";

/// The user's description with what makes RGB frames of it.
fn complete(description: &str, config: &SourceConfig) -> String {
    let mut caps = "video/x-raw,format=RGB".to_owned();
    if let (Some(width), Some(height)) = (config.width, config.height) {
        caps += &format!(",width={width},height={height}");
    }
    let scale = if config.width.is_some() {
        "videoscale ! "
    } else {
        ""
    };
    let rate = config.rate().map_or(String::new(), |rate: Rate| {
        let thousandths = (rate.hertz() * 1e3).round() as u64;
        caps += &format!(",framerate={thousandths}/1000");
        "videorate ! ".to_owned()
    });
    format!(
        "{description} ! videoconvert ! {scale}{rate}{caps} \
         ! appsink name={SINK} max-buffers=1 drop=false sync=false enable-last-sample=false"
    )
}

impl Source for Pipeline {
    fn read(&mut self, into: &mut Frame) -> Result<Read, SourceError> {
        let wait = gst::ClockTime::from_mseconds(POLL_MS);
        let Some(sample) = self.sink.try_pull_sample(wait) else {
            return self.attend();
        };
        self.last_came = Instant::now();
        match self.take(&sample, into) {
            Ok(()) => Ok(Read::Frame),
            Err(cause) => Err(SourceError::Corrupt {
                sequence: self.clock.skip(),
                cause,
            }),
        }
    }

    fn describe(&self) -> String {
        let kind = if self.live { "live" } else { "not live" };
        match self.size {
            (0, 0) => format!("{}: GStreamer, {kind}", self.name),
            (w, h) => format!("{}: GStreamer, {kind}, {w} x {h}", self.name),
        }
    }

    fn live(&self) -> bool {
        self.live && self.config.pace == Pace::RealTime
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // Nothing is left to do if it does not stop.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

#[cfg(test)]
mod tests;
