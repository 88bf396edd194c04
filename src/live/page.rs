//! The live page's place in the frame loop (docs/page.md): one atomic load while nobody views, one copy
//! of a reduced picture and of the people now and then while somebody does. Allocates nothing after the
//! start.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use glam::{Mat3, Quat, Vec3};
use neuralsmpl_health::metrics::Metrics;
use neuralsmpl_health::percentiles::Percentiles;
use neuralsmpl_health::plan::MemoryPlan;
use neuralsmpl_health::process::VitalsReader;
use neuralsmpl_packet::pose::JOINTS;
use neuralsmpl_packet::{Message, PoseRepr};
use neuralsmpl_sinks::Hub;
use neuralsmpl_sources::{Frame, Grabber};
use neuralsmpl_web::{
    Desk, MapRegion, Page, Poser, Request, Setup, Shot, SourceState, Topology, WebConfig, WebError,
    limits,
};
use serde::Serialize;

use super::messages::Stamp;
use super::{Follower, messages};
use crate::body::{Body, Pose};
use crate::cpu::pose::{self, Joints};
use crate::cpu::skin;
use crate::frame::Intrinsics;
use crate::limits::{MAX_BETAS, MAX_GRID, MAX_JOINTS, MAX_PERSONS};
use crate::pack::Pack;

/// The page and the frame thread's side of it.
pub(super) struct LivePage {
    page: Page,
    desk: Desk,
    /// When the frame was taken, and when the one before was done with.
    taken: Instant,
    done: Instant,
    showing: bool,
    /// What handing over has cost the frame thread.
    costs: Percentiles,
}

/// What the page has cost the frame thread.
#[derive(Clone, Debug, Serialize)]
pub struct PageSummary {
    /// Frames handed over to the page.
    pub shots: u64,
    /// Frames for which the page had no place free.
    pub missed: u64,
    /// Milliseconds of a hand-over: p50, p90, p99, greatest.
    pub ms: [f64; 4],
}

impl LivePage {
    /// Serves the page that the configuration asks for.
    pub fn open(
        config: &WebConfig,
        metrics: Arc<Metrics>,
        vitals: VitalsReader,
        hub: &Hub,
        grabber: &Grabber,
        source: &str,
        pack: &Pack,
    ) -> Result<Option<Self>, WebError> {
        if config.listen.is_none() {
            return Ok(None);
        }
        let (monitor, name) = (grabber.monitor(), source.to_owned());
        let source = move || {
            let stats = monitor.stats();
            SourceState {
                name: name.clone(),
                connected: stats.connected,
                size: [stats.width, stats.height],
                reopened: stats.reopened,
                last_error: monitor.last_error(),
            }
        };
        let setup = Setup {
            version: env!("CARGO_PKG_VERSION"),
            metrics,
            vitals,
            sinks: hub.monitor(),
            source: Box::new(source),
            poser: BodyPoser::boxed(pack),
        };
        let opened = Page::open(config, setup)?;
        Ok(opened.map(|(page, desk)| Self {
            page,
            desk,
            taken: Instant::now(),
            done: Instant::now(),
            showing: false,
            costs: Percentiles::new(),
        }))
    }

    pub fn address(&self) -> SocketAddr {
        self.page.address()
    }

    /// A frame has been taken at `now`. Whether it is to be shown.
    pub fn begin(&mut self, now: Instant) -> bool {
        self.taken = now;
        self.showing = self.desk.due(now);
        self.showing
    }

    /// Does what buttons ask for.
    pub fn obey(&mut self, follower: &mut Follower) {
        while let Some(Request::Redetect) = self.desk.request() {
            follower.redetect();
        }
    }

    /// Hands a packet to the recording, if one runs.
    pub fn record(&mut self, message: &Message) {
        self.desk.send(message);
    }

    /// Another pack is in use.
    pub fn body_changed(&mut self, pack: &Pack) {
        self.desk.set_poser(BodyPoser::boxed(pack));
    }

    /// Hands the frame that has just been sent over, where [`LivePage::begin`] said so.
    pub fn show(
        &mut self,
        frame: &Frame,
        follower: &Follower,
        stamp: &Stamp,
        stages: &[Option<Duration>; 5],
        k: &Intrinsics,
    ) {
        let begun = Instant::now();
        self.desk.pace(self.taken - self.done, begun - self.taken);
        self.done = begun;
        if !self.showing {
            return;
        }
        let Some(mut shot) = self.desk.shot(begun) else {
            return;
        };
        fill(&mut shot, frame, follower, stamp, k);
        shot.stages = *stages;
        self.desk.give(shot);
        self.done = Instant::now();
        self.costs.record(self.done - begun);
    }

    /// Ends a recording with its queue written, for `deadline` at most.
    pub fn close(mut self, deadline: Duration) {
        if let Some(recorder) = self.desk.take_recorder() {
            let recorded = recorder.close(deadline);
            log::info!(
                "{}: {} packets, {} lost",
                recorded.path.display(),
                recorded.packets,
                recorded.lost
            );
        }
    }

    pub fn summary(&self) -> PageSummary {
        let (shots, missed) = self.desk.counts();
        let costs = self.costs.summary();
        PageSummary {
            shots,
            missed,
            ms: [costs.p50, costs.p90, costs.p99, costs.max].map(|t| t.as_secs_f64() * 1e3),
        }
    }

    pub fn memory_plan(&self, plan: &mut MemoryPlan) {
        let bytes = limits::SHOTS * Shot::bytes() + limits::STACK;
        let note = "pictures handed over, its thread's stack; more with each viewer";
        plan.add("page", bytes as u64 + self.costs.bytes(), note);
    }
}

fn fill(shot: &mut Shot, frame: &Frame, follower: &Follower, stamp: &Stamp, k: &Intrinsics) {
    let (width, height) = frame.image.dimensions();
    shot.frame = frame.sequence;
    shot.time_us = stamp.time_us;
    shot.image_size = [width, height];
    shot.camera = [k.fx, k.fy, k.cx, k.cy, k.k1, k.k2, k.p1, k.p2];
    shot.picture.take(frame.image.as_raw(), width, height);
    shot.clear();
    for person in follower.people() {
        let Some(place) = shot.add() else {
            break;
        };
        place.pose = messages::pose(person, stamp);
        place.betas = person.smooth.betas;
        place.square_px = person.square_px;
        let (region, map) = follower.map(person);
        let region = MapRegion {
            center: region.center.to_array(),
            side: region.side,
            angle: region.angle,
        };
        place.take_map(region, map);
    }
}

/// Poses the pack's body for the page, on the page's thread.
struct BodyPoser {
    body: Body,
    model_id: u32,
    joints: Joints,
    vertices: Vec<Vec3>,
}

impl BodyPoser {
    fn boxed(pack: &Pack) -> Box<dyn Poser> {
        Box::new(Self {
            body: pack.body.clone(),
            model_id: pack.model_id(),
            joints: Joints::default(),
            vertices: vec![Vec3::ZERO; pack.body.vertices.len()],
        })
    }
}

impl Poser for BodyPoser {
    fn topology(&self) -> Topology {
        Topology {
            model_id: self.model_id,
            faces: self.body.faces.clone(),
            limbs: self.body.vertex_limb.clone(),
            parents: self.body.parents.clone(),
        }
    }

    fn pose(
        &mut self,
        packet: &PoseRepr,
        betas: &[f32; MAX_BETAS],
        vertices: &mut Vec<[f32; 3]>,
        joints: &mut [[f32; 3]; JOINTS],
    ) {
        let body = &self.body;
        let state = Pose {
            rotations: packet.rotations.map(|rotation| {
                let q = rotation.to_quaternion();
                Mat3::from_quat(Quat::from_xyzw(q.x, q.y, q.z, q.w).normalize())
            }),
            translation: Vec3::from_array(packet.translation),
            betas: *betas,
        };
        pose::pose(body, &state, &mut self.joints);
        let mut feature = [0.0; 9 * MAX_JOINTS];
        let n = skin::pose_feature(body, &state, &mut feature);
        skin::skin(
            &body.vertices,
            &body.posedirs,
            &feature[..n],
            &self.joints,
            betas,
            &mut self.vertices,
        );
        vertices.clear();
        vertices.extend(self.vertices.iter().map(Vec3::to_array));
        for (to, from) in joints.iter_mut().zip(&self.joints.position) {
            *to = from.to_array();
        }
    }
}

const _: () = assert!(MAX_PERSONS == limits::MAX_PERSONS && JOINTS == MAX_JOINTS);
const _: () = assert!(MAX_GRID * MAX_GRID <= limits::MAP_CELLS);
