//! From a shot to what viewers get: one binary message.
//!
//! ```text
//! u32 LE  bytes of the JSON text
//! JSON    the frame (docs/page.md), padded with spaces so that what follows is aligned to 4 bytes
//! for each person: i16 LE × 3 × vertices, offsets from the person's origin_m in steps of
//!         vertex_step_m; then map_side² bytes, the map of visibility; padded to 4 bytes
//! JPEG    the reduced picture
//! ```

use std::sync::Arc;

use axum::body::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use neuralsmpl_health::metrics::Stage;
use neuralsmpl_packet::Message;
use neuralsmpl_packet::pose::JOINTS;
use neuralsmpl_sinks::message_json;
use serde::Serialize;

use crate::limits::{MAX_PERSONS, VERTEX_STEP_M};
use crate::shot::{MapRegion, Shot, ShotPerson};
use crate::{Poser, Topology};

/// A shot, ready to be sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Developed {
    /// Counts from 1.
    pub number: u64,
    /// See the head of the file.
    pub message: Bytes,
    /// The JSON text in it.
    pub json: Bytes,
    /// The picture in it.
    pub jpeg: Bytes,
    /// When it was captured, µs since the Unix epoch.
    pub time_us: u64,
}

#[derive(Serialize)]
struct Head<'a> {
    frame: u64,
    time_us: u64,
    image_size: [u32; 2],
    picture_size: [u32; 2],
    /// Pixels of the whole image that the picture shows, from its top left corner.
    covers: [u32; 2],
    camera: Camera,
    stages_ms: Stages,
    vertex_step_m: f32,
    jpeg_bytes: usize,
    model_id: &'a str,
}

#[derive(Serialize)]
struct Camera {
    fx: f32,
    fy: f32,
    cx: f32,
    cy: f32,
    k1: f32,
    k2: f32,
    p1: f32,
    p2: f32,
}

#[derive(Serialize)]
struct Stages {
    capture: Option<f64>,
    locate: Option<f64>,
    fit: Option<f64>,
    emit: Option<f64>,
    total: Option<f64>,
}

#[derive(Serialize)]
struct PersonHead {
    box_px: [f32; 4],
    origin_m: [f32; 3],
    joints_m: [[f32; 3]; JOINTS],
    betas: [f32; 10],
    vertices: usize,
    map_side: usize,
    map_region: MapRegion,
}

/// Develops shots; keeps its buffers.
pub(crate) struct Darkroom {
    poser: Box<dyn Poser>,
    model: String,
    quality: u8,
    number: u64,
    jpeg: Vec<u8>,
    vertices: Vec<[f32; 3]>,
    solid: Vec<u8>,
}

impl Darkroom {
    pub fn new(poser: Box<dyn Poser>, quality: u8) -> (Self, Topology) {
        let topology = poser.topology();
        let room = Self {
            poser,
            model: model_name(topology.model_id),
            quality,
            number: 0,
            jpeg: Vec::new(),
            vertices: Vec::new(),
            solid: Vec::new(),
        };
        (room, topology)
    }

    /// Another body from now on.
    pub fn set_poser(&mut self, poser: Box<dyn Poser>) -> Topology {
        let topology = poser.topology();
        self.model = model_name(topology.model_id);
        self.poser = poser;
        topology
    }

    /// The shot as a message; `None` where it holds no picture.
    pub fn develop(&mut self, shot: &Shot) -> Option<Arc<Developed>> {
        let (width, height) = shot.picture.size();
        self.jpeg.clear();
        let encoded = JpegEncoder::new_with_quality(&mut self.jpeg, self.quality).write_image(
            shot.picture.rgb(),
            width,
            height,
            ExtendedColorType::Rgb8,
        );
        if let Err(error) = encoded {
            log::warn!("the page's picture cannot be encoded: {error}");
            return None;
        }
        self.solid.clear();
        let mut json = self.head(shot);
        json.pop();
        json.push_str(",\"persons\":[");
        for (i, person) in shot.persons().iter().enumerate().take(MAX_PERSONS) {
            if i > 0 {
                json.push(',');
            }
            self.person(person, &mut json);
        }
        json.push_str("]}");
        let text = json.len();
        while !json.len().is_multiple_of(4) {
            json.push(' ');
        }
        let mut message = Vec::with_capacity(4 + json.len() + self.solid.len() + self.jpeg.len());
        message.extend_from_slice(&(json.len() as u32).to_le_bytes());
        message.extend_from_slice(json.as_bytes());
        message.extend_from_slice(&self.solid);
        let picture = message.len();
        message.extend_from_slice(&self.jpeg);
        let message = Bytes::from(message);
        self.number += 1;
        Some(Arc::new(Developed {
            number: self.number,
            json: message.slice(4..4 + text),
            jpeg: message.slice(picture..),
            message,
            time_us: shot.time_us,
        }))
    }

    fn head(&self, shot: &Shot) -> String {
        let (width, height) = shot.picture.size();
        let step = shot.picture.step();
        let [fx, fy, cx, cy, k1, k2, p1, p2] = shot.camera;
        let time = |stage: Stage| shot.stages[stage as usize].map(|t| short(t.as_secs_f64() * 1e3));
        text(&Head {
            frame: shot.frame,
            time_us: shot.time_us,
            image_size: shot.image_size,
            picture_size: [width, height],
            covers: [width * step, height * step],
            camera: Camera {
                fx,
                fy,
                cx,
                cy,
                k1,
                k2,
                p1,
                p2,
            },
            stages_ms: Stages {
                capture: time(Stage::Capture),
                locate: time(Stage::Locate),
                fit: time(Stage::Fit),
                emit: time(Stage::Emit),
                total: time(Stage::Total),
            },
            vertex_step_m: VERTEX_STEP_M,
            jpeg_bytes: self.jpeg.len(),
            model_id: &self.model,
        })
    }

    fn person(&mut self, person: &ShotPerson, json: &mut String) {
        let mut joints = [[0.0; 3]; JOINTS];
        self.poser
            .pose(&person.pose, &person.betas, &mut self.vertices, &mut joints);
        let origin = joints[0];
        for vertex in &self.vertices {
            for (at, from) in vertex.iter().zip(&origin) {
                // A cast saturates, and takes what is no number for 0.
                let steps = ((at - from) / VERTEX_STEP_M).round() as i16;
                self.solid.extend_from_slice(&steps.to_le_bytes());
            }
        }
        self.solid.extend_from_slice(&person.map);
        while !self.solid.len().is_multiple_of(4) {
            self.solid.push(0);
        }
        let head = PersonHead {
            box_px: person.square_px,
            origin_m: origin,
            joints_m: joints,
            betas: person.betas,
            vertices: self.vertices.len(),
            map_side: person.map_side,
            map_region: person.region,
        };
        json.push_str(&text(&head));
        json.pop();
        json.push_str(",\"packet\":");
        let packet = message_json(&Message::Pose(person.pose));
        json.push_str(packet.as_deref().unwrap_or("null"));
        json.push('}');
    }
}

/// As the page compares it.
pub(crate) fn model_name(id: u32) -> String {
    format!("{id:08x}")
}

fn text<T: Serialize>(value: &T) -> String {
    // Cannot fail for structs of numbers.
    serde_json::to_string(value).unwrap_or_else(|_| "{}".to_owned())
}

/// To a microsecond.
fn short(millis: f64) -> f64 {
    (millis * 1e3).round() / 1e3
}
