//! The live page: camera picture with the fitted bodies over it, the body in 3D, visibility of each joint,
//! timings, memory, drops and outputs, and buttons for recording, snapshots and another look for people
//! (docs/page.md).
//!
//! [`Page::open`] starts a thread that serves it and returns the frame thread's side, a [`Desk`]. The frame
//! thread fills a [`Shot`] now and then while somebody views; pictures, JSON and sockets are the page
//! thread's work, at the lowest priority. What is slow there costs pictures, never a frame.

#![forbid(unsafe_code)]

mod api;
mod assets;
pub mod config;
mod desk;
mod develop;
mod error;
mod figures;
mod guard;
pub mod limits;
mod page;
mod record;
mod shot;
mod viewers;

pub use config::{Token, WebConfig};
pub use desk::{Desk, Request};
pub use error::{RecordError, WebError};
pub use figures::SourceState;
pub use page::{Page, Setup};
pub use record::{Recorded, Recorder};
pub use shot::{MapRegion, Picture, Shot, ShotPerson};

use neuralsmpl_packet::PoseRepr;
use neuralsmpl_packet::pose::JOINTS;

/// What the page knows of a body's mesh.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Topology {
    /// The model's id, as in packets.
    pub model_id: u32,
    /// Triangles, counter-clockwise from outside.
    pub faces: Vec<[u32; 3]>,
    /// The joint that each vertex belongs to.
    pub limbs: Vec<u8>,
    /// Parent of each joint.
    pub parents: Vec<Option<u8>>,
}

/// Poses a body's mesh, on the page's thread.
pub trait Poser: Send {
    /// The mesh.
    fn topology(&self) -> Topology;

    /// Vertices and joints in the camera frame (x right, y down, z forward), metres. `vertices` has the
    /// mesh's length afterwards.
    fn pose(
        &mut self,
        pose: &PoseRepr,
        betas: &[f32; 10],
        vertices: &mut Vec<[f32; 3]>,
        joints: &mut [[f32; 3]; JOINTS],
    );
}
