//! The endpoint over real sockets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(feature = "http")]

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use neuralsmpl_health::config::HealthConfig;
use neuralsmpl_health::http::{Bounds, Endpoint, HttpError, router};
use neuralsmpl_health::metrics::{Faults, FrameReport, Metrics, MetricsSetup};
use neuralsmpl_health::process::VitalsWatch;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

fn metrics() -> Arc<Metrics> {
    let vitals = VitalsWatch::start(Duration::from_secs(3600)).unwrap();
    Arc::new(Metrics::new(&MetricsSetup::default(), vitals.reader()).unwrap())
}

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn open(metrics: &Arc<Metrics>, stale: Duration, bounds: Bounds) -> Endpoint {
    Endpoint::serve(loopback(), bounds, router(Arc::clone(metrics), stale)).unwrap()
}

const BOUNDS: Bounds = Bounds {
    connections: 8,
    timeout: PATIENCE,
};

/// Status line, headers and body of one request.
fn ask(address: SocketAddr, request: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

fn health(address: SocketAddr) -> (u16, serde_json::Value) {
    let (status, head, body) = ask(address, "GET /healthz");
    assert!(head.contains("content-type: application/json"), "{head}");
    (status, serde_json::from_str(&body).unwrap())
}

#[test]
fn metrics_are_served() {
    let metrics = metrics();
    metrics.captured(5);
    let endpoint = open(&metrics, PATIENCE, BOUNDS);
    for _ in 0..20 {
        let (status, head, body) = ask(endpoint.address(), "GET /metrics");
        assert_eq!(status, 200);
        assert!(
            head.contains("content-type: text/plain; version=0.0.4"),
            "{head}"
        );
        let page = common::exposition::parse(&body).unwrap();
        assert_eq!(
            page.value("neuralsmpl_frames_captured_total", ""),
            Some(5.0)
        );
    }
    assert_eq!(ask(endpoint.address(), "GET /other").0, 404);
    assert_eq!(ask(endpoint.address(), "POST /metrics").0, 405);
    assert_eq!(ask(endpoint.address(), "HEAD /metrics").2, "");
}

#[test]
fn health_follows_frames_and_faults() {
    let metrics = metrics();
    let patient = open(&metrics, PATIENCE, BOUNDS);
    let (status, json) = health(patient.address());
    assert_eq!((status, &json["status"]), (503, &"starting".into()));
    assert_eq!(json["last_frame_age_s"], serde_json::Value::Null);
    metrics.frame_done(&FrameReport::default());
    let (status, json) = health(patient.address());
    assert_eq!((status, &json["status"]), (200, &"ok".into()));
    assert!(json["last_frame_age_s"].as_f64().unwrap() < PATIENCE.as_secs_f64());
    metrics.set_faults(Faults::THERMAL);
    let (status, json) = health(patient.address());
    assert_eq!(
        (status, &json["faults"]),
        (200, &serde_json::json!(["thermal"]))
    );
    metrics.set_faults(Faults::THERMAL | Faults::SOURCE);
    let (status, json) = health(patient.address());
    assert_eq!((status, &json["status"]), (503, &"failing".into()));
    let impatient = open(&metrics, Duration::from_nanos(1), BOUNDS);
    let (status, json) = health(impatient.address());
    assert_eq!((status, &json["status"]), (503, &"stale".into()));
    assert!(json["reason"].as_str().unwrap().starts_with("no frame for"));
}

#[test]
fn the_configuration_decides() {
    let metrics = metrics();
    let off = Endpoint::open(&HealthConfig::default(), Arc::clone(&metrics));
    assert!(off.unwrap().is_none());
    let mut config = HealthConfig {
        listen: Some("0.0.0.0:0".parse().unwrap()),
        ..HealthConfig::default()
    };
    let error = Endpoint::open(&config, Arc::clone(&metrics)).unwrap_err();
    assert!(matches!(error, HttpError::Config(_)), "{error}");
    config.allow_remote = true;
    let endpoint = Endpoint::open(&config, Arc::clone(&metrics))
        .unwrap()
        .unwrap();
    assert_ne!(endpoint.address().port(), 0);

    let taken = TcpListener::bind(loopback()).unwrap();
    config.listen = Some(taken.local_addr().unwrap());
    let error = Endpoint::open(&config, metrics).unwrap_err().to_string();
    assert!(
        error.contains(&taken.local_addr().unwrap().to_string()),
        "{error}"
    );
}

#[test]
fn slow_clients_are_let_go() {
    let metrics = metrics();
    let bounds = Bounds {
        connections: 2,
        timeout: Duration::from_millis(500),
    };
    let endpoint = open(&metrics, PATIENCE, bounds);
    // Two who say nothing, or half of it, and hold every place.
    let mut silent = TcpStream::connect(endpoint.address()).unwrap();
    let mut halting = TcpStream::connect(endpoint.address()).unwrap();
    halting
        .write_all(b"GET /metrics HTTP/1.1\r\nHost:")
        .unwrap();
    // A third waits for its turn, and gets it.
    assert_eq!(ask(endpoint.address(), "GET /metrics").0, 200);
    for stream in [&mut silent, &mut halting] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut rest = Vec::new();
        // Closed, with or without a 408.
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.len() < 1000);
    }
}

#[test]
fn garbage_is_refused() {
    let metrics = metrics();
    let endpoint = open(&metrics, PATIENCE, BOUNDS);
    for garbage in [
        b"\0\x01\x02\x03\xff\xfe\r\n\r\n".to_vec(),
        [b"GET /".to_vec(), vec![b'a'; 100_000]].concat(),
    ] {
        let mut stream = TcpStream::connect(endpoint.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // The endpoint may close before everything is sent.
        let _ = stream.write_all(&garbage);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"));
    }
    assert_eq!(ask(endpoint.address(), "GET /metrics").0, 200);
}

#[test]
fn it_closes_with_clients_connected() {
    let metrics = metrics();
    let endpoint = open(&metrics, PATIENCE, BOUNDS);
    let address = endpoint.address();
    let _silent = TcpStream::connect(address).unwrap();
    let begun = Instant::now();
    drop(endpoint);
    assert!(begun.elapsed() < PATIENCE / 2);
    TcpListener::bind(address).unwrap();
}
