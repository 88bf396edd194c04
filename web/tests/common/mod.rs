//! A page over real sockets, without a camera behind it.
#![allow(dead_code, reason = "not every test uses everything")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use neuralsmpl_health::metrics::{Metrics, MetricsSetup};
use neuralsmpl_health::process::VitalsWatch;
use neuralsmpl_packet::PoseRepr;
use neuralsmpl_packet::pose::JOINTS;
use neuralsmpl_sinks::{Context, Hub, Monitor};
use neuralsmpl_web::{Desk, MapRegion, Page, Poser, Setup, SourceState, Topology, WebConfig};

/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const TOKEN: &str = "0123456789abcdef-token";

/// A tetrahedron.
pub struct Pyramid;

impl Poser for Pyramid {
    fn topology(&self) -> Topology {
        Topology {
            model_id: 7,
            faces: vec![[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]],
            limbs: vec![0, 1, 2, 15],
            parents: vec![None; JOINTS],
        }
    }

    fn pose(
        &mut self,
        pose: &PoseRepr,
        _betas: &[f32; 10],
        vertices: &mut Vec<[f32; 3]>,
        joints: &mut [[f32; 3]; JOINTS],
    ) {
        let [x, y, z] = pose.translation;
        vertices.clear();
        vertices.extend([[x, y, z], [x + 1.0, y, z], [x, y + 1.0, z], [x, y, z - 9.0]]);
        *joints = [pose.translation; JOINTS];
    }
}

pub fn config(text: &str) -> WebConfig {
    toml::from_str(&format!("listen = '127.0.0.1:0'\n{text}")).unwrap()
}

pub fn sinks() -> Monitor {
    Hub::start(&[], Context::default()).unwrap().monitor()
}

pub fn open(config: &WebConfig) -> (Page, Desk) {
    let vitals = VitalsWatch::start(Duration::from_secs(3600)).unwrap();
    let metrics = Metrics::new(&MetricsSetup::default(), vitals.reader()).unwrap();
    let setup = Setup {
        version: "1.2.3",
        metrics: Arc::new(metrics),
        vitals: vitals.reader(),
        sinks: sinks(),
        source: Box::new(SourceState::default),
        poser: Box::new(Pyramid),
    };
    Page::open(config, setup).unwrap().unwrap()
}

/// Hands a shot with one person over, if it is time for one.
pub fn show(desk: &mut Desk, frame: u64, rgb: &[u8], size: (u32, u32)) -> bool {
    let Some(mut shot) = desk.shot(Instant::now()) else {
        return false;
    };
    shot.frame = frame;
    shot.time_us = 1_000_000 + frame;
    shot.image_size = [size.0, size.1];
    shot.camera = [800.0, 800.0, 320.0, 240.0, 0.1, 0.0, 0.0, 0.0];
    shot.picture.take(rgb, size.0, size.1);
    shot.clear();
    if let Some(person) = shot.add() {
        person.pose = PoseRepr {
            person_id: 3,
            time_us: shot_time(frame),
            translation: [0.5, -0.25, 3.0],
            ..PoseRepr::default()
        };
        person.take_map(MapRegion::default(), &[0, 1, 128, 255]);
    }
    desk.give(shot);
    true
}

pub fn shot_time(frame: u64) -> u64 {
    1_000_000 + frame
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// One request with these header lines; a header `Host` is added where there is none.
pub fn ask(address: SocketAddr, request: &str, headers: &[(&str, &str)]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = format!("{request} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        text += &format!("Host: {address}\r\n");
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    stream
        .write_all(format!("{text}Content-Length: 0\r\n\r\n").as_bytes())
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let split = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..split]).to_lowercase();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head,
        body: answer[split + 4..].to_vec(),
    }
}

/// A button as the page presses it.
pub fn press(address: SocketAddr, path: &str) -> Answer {
    let origin = format!("http://{address}");
    ask(address, &format!("POST {path}"), &[("Origin", &origin)])
}
