//! Who may see and use the page, over real sockets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::net::TcpListener;
use std::time::Instant;

use common::{PATIENCE, TOKEN, ask, config, open, press};
use neuralsmpl_web::{Page, Request, WebError};

#[test]
fn files_are_in_the_program_and_may_load_nothing_else() {
    let (page, _desk) = open(&config(""));
    for (path, kind, part) in [
        ("/", "text/html; charset=utf-8", "<!doctype html>"),
        ("/page.js", "text/javascript; charset=utf-8", "import"),
        ("/page.css", "text/css; charset=utf-8", "--paper"),
        (
            "/three.min.js",
            "text/javascript; charset=utf-8",
            "SPDX-License-Identifier: MIT",
        ),
        ("/three.LICENSE.txt", "text/plain; charset=utf-8", "MIT"),
        ("/icon.svg", "image/svg+xml", "<svg"),
    ] {
        let answer = ask(page.address(), &format!("GET {path}"), &[]);
        assert_eq!(answer.status, 200, "{path}");
        assert!(
            answer.head.contains(&format!("content-type: {kind}")),
            "{path}: {}",
            answer.head
        );
        assert!(answer.text().contains(part), "{path}");
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            assert!(answer.head.contains(header), "{path}: {header}");
        }
    }
    for path in ["/other", "/../Cargo.toml", "/assets/page.js"] {
        assert_eq!(ask(page.address(), &format!("GET {path}"), &[]).status, 404);
    }
    assert_eq!(ask(page.address(), "GET /api/redetect", &[]).status, 405);
}

#[test]
fn every_file_of_the_page_is_served() {
    let (page, _desk) = open(&config(""));
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/assets");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if ["README.md", "index.html"].contains(&name.as_str()) {
            continue;
        }
        let answer = ask(page.address(), &format!("GET /{name}"), &[]);
        assert!(answer.body == std::fs::read(&path).unwrap(), "{name}");
    }
}

#[test]
fn a_token_is_asked_for() {
    let (page, mut desk) = open(&config(&format!("token = '{TOKEN}'")));
    let address = page.address();
    let origin = format!("http://{address}");
    let right = format!("Bearer {TOKEN}");
    assert_eq!(ask(address, "GET /", &[]).status, 200);
    for (token, status) in [
        (None, 401),
        (Some("Bearer 0123456789abcdef-tokeN"), 401),
        (Some("Basic eDp4"), 401),
        (Some(right.as_str()), 200),
    ] {
        let mut headers = vec![("Origin", origin.as_str())];
        headers.extend(token.map(|token| ("Authorization", token)));
        for request in ["GET /api/hello", "GET /api/body"] {
            let begun = Instant::now();
            let answer = ask(address, request, &headers);
            assert_eq!(answer.status, status, "{request} {token:?}");
            assert!(status == 200 || begun.elapsed().as_millis() >= 300);
        }
        let answer = ask(address, "POST /api/record/start", &headers);
        // The right one gets as far as the missing folder.
        assert_eq!(answer.status, if status == 200 { 409 } else { 401 });
        let upgrade = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Protocol", "nsmpl, token.0123456789abcdef"),
            ("Origin", origin.as_str()),
        ];
        assert_eq!(ask(address, "GET /api/live", &upgrade).status, 401);
    }
    assert_eq!(desk.request(), None);
}

#[test]
fn other_sites_can_press_no_button() {
    let (page, mut desk) = open(&config("hosts = ['robot.local']"));
    let address = page.address();
    let host = address.to_string();
    for (host, origin, status) in [
        (host.as_str(), Some("http://evil.example"), 403),
        (host.as_str(), Some("http://127.0.0.1:1"), 403),
        (host.as_str(), Some("null"), 403),
        (host.as_str(), None, 403),
        ("evil.example", Some("http://evil.example"), 403),
        (
            "robot.local.evil.example",
            Some("http://robot.local.evil.example"),
            403,
        ),
        ("robot.local", Some("http://robot.local"), 409),
    ] {
        let mut headers = vec![("Host", host)];
        headers.extend(origin.map(|origin| ("Origin", origin)));
        for path in ["/api/record/start", "/api/record/stop"] {
            let answer = ask(address, &format!("POST {path}"), &headers);
            assert_eq!(answer.status, status, "{host} {origin:?} {path}");
        }
        if status == 403 {
            for path in ["/api/redetect", "/api/snapshot"] {
                let answer = ask(address, &format!("POST {path}"), &headers);
                assert_eq!(answer.status, 403, "{host} {origin:?} {path}");
            }
        }
    }
    let stranger = ask(address, "GET /", &[("Host", "evil.example")]);
    assert_eq!(stranger.status, 403);
    assert!(stranger.text().contains("web.hosts"), "{}", stranger.text());
    assert_eq!(
        ask(address, "GET /", &[("Host", "robot.local")]).status,
        200
    );
    assert_eq!(desk.request(), None);
}

#[test]
fn commands_reach_the_frame_thread() {
    let (page, mut desk) = open(&config(""));
    let address = page.address();
    let pressed = std::thread::spawn(move || press(address, "/api/redetect").status);
    let begun = Instant::now();
    loop {
        match desk.request() {
            Some(request) => break assert_eq!(request, Request::Redetect),
            None => assert!(begun.elapsed() < PATIENCE),
        }
        std::thread::yield_now();
    }
    assert_eq!(pressed.join().unwrap(), 204);
}

#[test]
fn a_frame_loop_that_hangs_is_named() {
    let (page, _desk) = open(&config(""));
    let answer = press(page.address(), "/api/redetect");
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("frame loop"), "{}", answer.text());
    let answer = press(page.address(), "/api/snapshot");
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("no picture"), "{}", answer.text());
}

#[test]
fn the_address_must_be_free() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config("");
    config.listen = Some(taken.local_addr().unwrap());
    let vitals = neuralsmpl_health::process::VitalsWatch::start(PATIENCE).unwrap();
    let metrics = neuralsmpl_health::metrics::Metrics::new(
        &neuralsmpl_health::metrics::MetricsSetup::default(),
        vitals.reader(),
    );
    let setup = neuralsmpl_web::Setup {
        version: "1",
        metrics: std::sync::Arc::new(metrics.unwrap()),
        vitals: vitals.reader(),
        sinks: common::sinks(),
        source: Box::new(neuralsmpl_web::SourceState::default),
        poser: Box::new(common::Pyramid),
    };
    let error = Page::open(&config, setup).err().unwrap();
    assert!(matches!(error, WebError::Listen { .. }), "{error}");
    let place = taken.local_addr().unwrap().to_string();
    assert!(error.to_string().contains(&place), "{error}");
}

#[test]
fn it_closes_with_clients_connected() {
    let (page, _desk) = open(&config(""));
    let address = page.address();
    let _silent = std::net::TcpStream::connect(address).unwrap();
    let begun = Instant::now();
    drop(page);
    assert!(begun.elapsed() < PATIENCE / 2);
    TcpListener::bind(address).unwrap();
}
