//! Viewers over real WebSockets: what they get, how many there may be, what becomes of slow ones.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use common::{PATIENCE, TOKEN, ask, config, open, press, shot_time, show};
use neuralsmpl_web::Desk;
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

type Viewer = WebSocket<TcpStream>;

fn connect(address: SocketAddr, protocols: &str) -> Result<Viewer, tungstenite::Error> {
    let mut request = format!("ws://{address}/api/live")
        .into_client_request()
        .unwrap();
    let headers = request.headers_mut();
    headers.insert("Origin", format!("http://{address}").parse().unwrap());
    headers.insert("Sec-WebSocket-Protocol", protocols.parse().unwrap());
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    match tungstenite::client(request, stream) {
        Ok((viewer, _)) => Ok(viewer),
        Err(tungstenite::HandshakeError::Failure(error)) => Err(error),
        Err(tungstenite::HandshakeError::Interrupted(_)) => panic!("the socket blocks"),
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The next picture, with figures left out.
fn picture(viewer: &mut Viewer) -> Vec<u8> {
    loop {
        if let Message::Binary(bytes) = viewer.read().unwrap() {
            return bytes.to_vec();
        }
    }
}

fn parts(message: &[u8]) -> (serde_json::Value, &[u8]) {
    let bytes = u32::from_le_bytes(message[..4].try_into().unwrap()) as usize;
    let json = serde_json::from_slice(&message[4..4 + bytes]).unwrap();
    (json, &message[4 + bytes..])
}

fn grey(width: u32, height: u32) -> Vec<u8> {
    vec![128; (3 * width * height) as usize]
}

#[test]
fn a_viewer_gets_pictures_bodies_and_figures() {
    let (page, mut desk) = open(&config(&format!("token = '{TOKEN}'\nfps = 30.0")));
    assert!(!desk.wanted());
    assert!(!show(&mut desk, 1, &grey(64, 48), (64, 48)), "nobody views");
    let mut viewer = connect(page.address(), &format!("nsmpl, token.{TOKEN}")).unwrap();
    wait_until("a viewer is wanted", || desk.wanted());
    wait_until("a shot is due", || {
        show(&mut desk, 5, &grey(1280, 960), (1280, 960))
    });
    let Message::Text(figures) = viewer.read().unwrap() else {
        panic!("figures come first");
    };
    let figures: serde_json::Value = serde_json::from_str(&figures).unwrap();
    assert_eq!(figures["version"], "1.2.3");
    assert_eq!(figures["page"]["viewers"], 1);
    assert!(figures["memory"]["resident_bytes"].as_u64().unwrap() > 0);

    let message = picture(&mut viewer);
    let (json, solid) = parts(&message);
    assert_eq!(
        (&json["frame"], &json["time_us"]),
        (&5.into(), &shot_time(5).into())
    );
    assert_eq!(json["picture_size"], serde_json::json!([640, 480]));
    assert_eq!(json["covers"], serde_json::json!([1280, 960]));
    assert_eq!(json["model_id"], "00000007");
    let person = &json["persons"][0];
    assert_eq!(person["packet"]["person_id"], 3);
    assert_eq!(person["packet"]["joints"].as_array().unwrap().len(), 24);
    assert_eq!(
        (&person["vertices"], &person["map_side"]),
        (&4.into(), &2.into())
    );
    let steps: Vec<i16> = solid[..24]
        .as_chunks::<2>()
        .0
        .iter()
        .map(|b| i16::from_le_bytes(*b))
        .collect();
    // Offsets from the pelvis, 1 m and, beyond what fits, the most that does.
    assert_eq!(steps[..6], [0, 0, 0, 16_384, 0, 0]);
    assert_eq!(steps[11], i16::MIN);
    assert_eq!(solid[24..28], [0, 1, 128, 255]);
    let jpeg = &solid[28..];
    assert_eq!(jpeg.len() as u64, json["jpeg_bytes"].as_u64().unwrap());
    let decoded = image::load_from_memory(jpeg).unwrap().to_rgb8();
    assert_eq!(decoded.dimensions(), (640, 480));
    assert!(
        decoded
            .get_pixel(99, 99)
            .0
            .iter()
            .all(|v| v.abs_diff(128) < 4)
    );

    drop(viewer);
    wait_until("a viewer who leaves is noticed", || !desk.wanted());
}

#[test]
fn a_viewer_without_the_token_is_refused() {
    let (page, desk) = open(&config(&format!("token = '{TOKEN}'")));
    for protocols in ["nsmpl", "nsmpl, token.0123456789abcdef-tokeN"] {
        let error = connect(page.address(), protocols).err().unwrap();
        let tungstenite::Error::Http(answer) = error else {
            panic!("{error}");
        };
        assert_eq!(answer.status(), 401);
    }
    assert!(!desk.wanted());
}

#[test]
fn one_viewer_too_many_is_told_so() {
    let (page, _desk) = open(&config("viewers = 2"));
    let viewers: Vec<Viewer> = (0..2)
        .map(|_| connect(page.address(), "nsmpl").unwrap())
        .collect();
    let mut third = connect(page.address(), "nsmpl").unwrap();
    let Message::Close(Some(frame)) = third.read().unwrap() else {
        panic!("the third is turned away");
    };
    assert_eq!(u16::from(frame.code), 4003);
    assert!(frame.reason.contains("all 2 places"), "{}", frame.reason);
    drop(viewers);
    wait_until("places become free", || {
        let mut next = connect(page.address(), "nsmpl").unwrap();
        matches!(next.read(), Ok(Message::Text(_)))
    });
}

/// Shows frames for a while; returns how many were taken.
fn play(desk: &mut Desk, first: u64, shots: u64, rgb: &[u8], size: (u32, u32)) -> u64 {
    let mut frame = first;
    wait_until("shots are due", || {
        if show(desk, frame, rgb, size) {
            frame += 1;
        }
        frame >= first + shots
    });
    frame
}

#[test]
fn a_slow_viewer_gets_fewer_pictures_and_holds_up_nobody() {
    let (page, mut desk) = open(&config("fps = 30.0"));
    let rgb = grey(64, 48);
    let mut slow = connect(page.address(), "nsmpl").unwrap();
    let mut quick = connect(page.address(), "nsmpl").unwrap();
    wait_until("viewers are there", || desk.wanted());
    let reader = std::thread::spawn(move || {
        let mut seen = Vec::new();
        while seen.last() != Some(&59) {
            let (json, _) = parts(&picture(&mut quick));
            seen.push(json["frame"].as_u64().unwrap());
            quick.send(Message::Text("ready".into())).unwrap();
        }
        seen
    });
    // The slow one takes nothing and says nothing, until all has been shown.
    let end = play(&mut desk, 0, 60, &rgb, (64, 48));
    assert_eq!(end, 60);
    let mut shown = desk.counts().0;
    let mut again = 59;
    wait_until("the quick one sees the last frame", || {
        // A frame may be overtaken by the next on the page's thread: the last is shown until seen.
        if show(&mut desk, 59, &rgb, (64, 48)) {
            shown += 1;
            again += 1;
        }
        reader.is_finished()
    });
    let seen = reader.join().unwrap();
    assert!(seen.len() >= 20, "{seen:?}");
    let (first, second) = (picture(&mut slow), picture(&mut slow));
    let frame = |message: &[u8]| parts(message).0["frame"].as_u64().unwrap();
    assert!(frame(&first) < frame(&second) && frame(&second) < 59);
    slow.send(Message::Text("ready".into())).unwrap();
    // One that is ready again gets the newest, not what it has missed.
    assert_eq!(frame(&picture(&mut slow)), 59);
    let mut figures = serde_json::Value::Null;
    while figures["page"]["skipped"].as_u64().is_none_or(|n| n < 10) {
        if let Message::Text(text) = slow.read().unwrap() {
            figures = serde_json::from_str(&text).unwrap();
        }
    }
    assert!(again >= 59);
}

#[test]
fn a_viewer_that_talks_is_let_go() {
    let (page, desk) = open(&config(""));
    for words in ["x".repeat(10_000), "something else".to_owned()] {
        let mut viewer = connect(page.address(), "nsmpl").unwrap();
        wait_until("the viewer is there", || desk.wanted());
        viewer.send(Message::Text(words.into())).unwrap();
        wait_until("it is let go", || !desk.wanted());
    }
}

#[test]
fn recordings_hold_the_packets_that_were_sent_meanwhile() {
    use neuralsmpl_packet::{Message as Packet, PoseRepr};
    let folder = tempfile::tempdir().unwrap();
    let mut config = config("");
    config.folder = Some(folder.path().to_owned());
    let (page, mut desk) = open(&config);
    let address = page.address();
    let packet = |n: u64| {
        Packet::Pose(PoseRepr {
            time_us: n,
            ..PoseRepr::default()
        })
    };
    desk.send(&packet(0));
    assert_eq!(press(address, "/api/record/start").status, 200);
    assert_eq!(press(address, "/api/record/start").status, 409);
    assert_eq!(desk.request(), None);
    (1..=500).for_each(|n| desk.send(&packet(n)));
    let stopped = std::thread::spawn(move || press(address, "/api/record/stop"));
    wait_until("the recording ends", || {
        assert_eq!(desk.request(), None);
        stopped.is_finished()
    });
    desk.send(&packet(501));
    let answer = stopped.join().unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let last = &answer.json()["last"];
    assert_eq!((&last["packets"], &last["lost"]), (&500.into(), &0.into()));
    let bytes = std::fs::read(folder.path().join("recording.bin")).unwrap();
    let mut times = Vec::new();
    neuralsmpl_packet::frame::Accumulator::new().extend(&bytes, |payload| {
        if let Ok(Packet::Pose(pose)) = Packet::parse(payload) {
            times.push(pose.time_us);
        }
    });
    assert_eq!(times, (1..=500).collect::<Vec<u64>>());
    assert_eq!(press(address, "/api/record/stop").status, 409);
}

#[test]
fn a_recording_that_cannot_be_written_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let mut config = config("");
    config.folder = Some(file.join("below"));
    let (page, _desk) = open(&config);
    let answer = press(page.address(), "/api/record/start");
    assert_eq!(answer.status, 500);
    assert!(
        answer.text().contains("cannot record to"),
        "{}",
        answer.text()
    );
}

#[test]
fn a_snapshot_is_kept_and_can_be_fetched() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config("");
    config.folder = Some(folder.path().join("kept"));
    let (page, mut desk) = open(&config);
    let address = page.address();
    let pressed = std::thread::spawn(move || press(address, "/api/snapshot"));
    wait_until("the snapshot is taken", || {
        show(&mut desk, 8, &grey(64, 48), (64, 48));
        pressed.is_finished()
    });
    let answer = pressed.join().unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!desk.wanted());
    for file in answer.json()["files"].as_array().unwrap() {
        let file = file.as_str().unwrap();
        let fetched = ask(address, &format!("GET /api/snapshot/{file}"), &[]);
        let kept = std::fs::read(folder.path().join("kept").join(file)).unwrap();
        assert!(fetched.status == 200 && fetched.body == kept, "{file}");
        if file.ends_with("json") {
            let json = fetched.json();
            assert_eq!(json["persons"][0]["packet"]["person_id"], 3);
        } else {
            assert!(image::load_from_memory(&kept).is_ok());
        }
    }
    let other = ask(address, "GET /api/snapshot/..%2fkept%2fx.json", &[]);
    assert_eq!(other.status, 404);
}
