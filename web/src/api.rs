//! What can be asked for: files, the body's mesh, and what buttons do.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};

use crate::assets::{self, POLICY};
use crate::desk::Command;
use crate::guard::Refusal;
use crate::limits::{FLUSH, MAX_SNAPSHOTS, OBEY_TIMEOUT, WRONG_TOKEN_PAUSE};
use crate::page::{Hall, lock};
use crate::record::Recorder;
use crate::viewers;

/// Time between two looks whether the frame thread has obeyed.
const LOOK: Duration = Duration::from_millis(10);

const SNAPSHOT: &str = "snapshot-";

/// The last snapshot.
pub(crate) struct Snapshot {
    name: String,
    jpeg: Bytes,
    json: Bytes,
}

pub(crate) fn router(hall: Arc<Hall>) -> Router {
    let read = Router::new()
        .route("/api/body", get(body))
        .route("/api/snapshot/{file}", get(snapshot_file))
        .route("/api/hello", get(hello))
        .route_layer(from_fn_with_state(Arc::clone(&hall), with_token));
    let act = Router::new()
        .route("/api/record/start", post(record_start))
        .route("/api/record/stop", post(record_stop))
        .route("/api/snapshot", post(snapshot))
        .route("/api/redetect", post(redetect))
        .route_layer(from_fn_with_state(Arc::clone(&hall), with_token))
        .route_layer(from_fn_with_state(Arc::clone(&hall), from_here));
    Router::new()
        .merge(read)
        .merge(act)
        .route("/api/live", get(viewers::live))
        .fallback(get(assets::serve))
        .layer(from_fn_with_state(Arc::clone(&hall), by_name))
        .layer(middleware::map_response(harden))
        .with_state(hall)
}

/// The answer to a request that may not be; a wrong token's takes its time.
pub(crate) async fn refuse(refusal: Refusal) -> Response {
    if refusal == Refusal::Token {
        sleep(WRONG_TOKEN_PAUSE).await;
    }
    refusal.answer().into_response()
}

async fn by_name(State(hall): State<Arc<Hall>>, request: Request, next: Next) -> Response {
    match hall.guard.host(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refuse(refusal).await,
    }
}

async fn from_here(State(hall): State<Arc<Hall>>, request: Request, next: Next) -> Response {
    match hall.guard.origin(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refuse(refusal).await,
    }
}

async fn with_token(State(hall): State<Arc<Hall>>, request: Request, next: Next) -> Response {
    match hall.guard.bearer(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refuse(refusal).await,
    }
}

async fn harden(mut response: Response) -> Response {
    let fixed: [(HeaderName, &str); 5] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in fixed {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether the token, if one is needed, is right.
async fn hello(State(hall): State<Arc<Hall>>) -> Response {
    #[derive(Serialize)]
    struct Hello {
        version: &'static str,
        token: bool,
    }
    json(&Hello {
        version: hall.gauges.version,
        token: hall.guard.asks_for_token(),
    })
}

async fn body(State(hall): State<Arc<Hall>>) -> Response {
    let text = lock(&hall.body).clone();
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// Makes the frame thread look for people anew, and waits until it has been told.
async fn redetect(State(hall): State<Arc<Hall>>) -> Response {
    let before = hall.shared.obeyed.load(Ordering::Acquire);
    if hall.shared.commands.push(Command::Redetect).is_err() {
        return busy();
    }
    let end = Instant::now() + OBEY_TIMEOUT;
    while hall.shared.obeyed.load(Ordering::Acquire) == before {
        if Instant::now() >= end {
            return busy();
        }
        sleep(LOOK).await;
    }
    StatusCode::NO_CONTENT.into_response()
}

async fn record_start(State(hall): State<Arc<Hall>>) -> Response {
    let _one_at_a_time = hall.recording.lock().await;
    let Some(folder) = hall.config.folder.clone() else {
        return fault(
            StatusCode::CONFLICT,
            "no folder for recordings is configured (web.folder, --web-folder)",
        );
    };
    hall.collect().await;
    if lock(&hall.record).running.is_some() {
        return fault(StatusCode::CONFLICT, "a recording runs already");
    }
    let (file_bytes, total_bytes) = (hall.config.file_bytes, hall.config.total_bytes);
    let started = tokio::task::spawn_blocking(move || {
        Recorder::start(&folder, file_bytes, total_bytes).map_err(|e| e.to_string())
    })
    .await
    .map_err(|e| e.to_string());
    let recorder = match started.flatten() {
        Ok(recorder) => recorder,
        Err(message) => {
            lock(&hall.record).fault = Some(message.clone());
            return fault(StatusCode::INTERNAL_SERVER_ERROR, &message);
        }
    };
    let progress = recorder.progress();
    if let Err(Command::Record(recorder)) = hall.shared.commands.push(Command::Record(recorder)) {
        // Nothing waits in it.
        drop(tokio::task::spawn_blocking(move || recorder.close(FLUSH)).await);
        return busy();
    }
    let mut record = lock(&hall.record);
    record.running = Some(progress);
    record.fault = None;
    drop(record);
    hall.tell_figures();
    json(&hall.record_now())
}

async fn record_stop(State(hall): State<Arc<Hall>>) -> Response {
    let _one_at_a_time = hall.recording.lock().await;
    if lock(&hall.record).running.is_none() {
        return fault(StatusCode::CONFLICT, "no recording runs");
    }
    if hall.shared.commands.push(Command::Stop).is_err() {
        return busy();
    }
    let end = Instant::now() + OBEY_TIMEOUT;
    loop {
        hall.collect().await;
        if lock(&hall.record).running.is_none() {
            hall.tell_figures();
            return json(&hall.record_now());
        }
        if Instant::now() >= end {
            return busy();
        }
        sleep(LOOK).await;
    }
}

/// Takes the next picture and its poses; keeps them in the folder, if there is one.
async fn snapshot(State(hall): State<Arc<Hall>>) -> Response {
    #[derive(Serialize)]
    struct Taken {
        name: String,
        /// Where they are kept; null without a folder.
        saved: Option<PathBuf>,
        files: [String; 2],
    }
    let mut frames = hall.frames.subscribe();
    let _watching = hall.watch();
    let next = async {
        loop {
            if frames.changed().await.is_err() {
                return None;
            }
            if let Some(frame) = frames.borrow_and_update().clone() {
                return Some(frame);
            }
        }
    };
    let Ok(Some(frame)) = timeout(OBEY_TIMEOUT, next).await else {
        return fault(
            StatusCode::SERVICE_UNAVAILABLE,
            "no picture came within 5 s; see whether the source delivers frames",
        );
    };
    let name = format!("{SNAPSHOT}{}", frame.time_us);
    let mut saved = None;
    if let Some(folder) = hall.config.folder.clone() {
        let (name, jpeg, json) = (name.clone(), frame.jpeg.clone(), frame.json.clone());
        let kept = tokio::task::spawn_blocking(move || keep(folder, &name, &jpeg, &json)).await;
        match kept.map_err(|e| e.to_string()).flatten() {
            Ok(path) => saved = Some(path),
            Err(message) => return fault(StatusCode::INTERNAL_SERVER_ERROR, &message),
        }
    }
    let answer = json(&Taken {
        files: ["jpg", "json"].map(|ending| format!("{name}.{ending}")),
        name: name.clone(),
        saved,
    });
    *lock(&hall.snapshot) = Some(Snapshot {
        name,
        jpeg: frame.jpeg.clone(),
        json: frame.json.clone(),
    });
    answer
}

/// Writes both files; a folder that is full of snapshots takes no more.
fn keep(folder: PathBuf, name: &str, jpeg: &[u8], json: &[u8]) -> Result<PathBuf, String> {
    let fault = |e: std::io::Error| {
        format!(
            "cannot keep the snapshot in {}: {e}; see that it may be written to",
            folder.display()
        )
    };
    std::fs::create_dir_all(&folder).map_err(fault)?;
    let is_snapshot = |e: &std::fs::DirEntry| {
        let name = e.file_name();
        let name = name.to_string_lossy();
        name.starts_with(SNAPSHOT) && name.ends_with(".json")
    };
    let there = std::fs::read_dir(&folder)
        .map_err(fault)?
        .flatten()
        .filter(is_snapshot)
        .count();
    if there >= MAX_SNAPSHOTS {
        return Err(format!(
            "{} holds {there} snapshots, expected fewer than {MAX_SNAPSHOTS}; move some away",
            folder.display()
        ));
    }
    std::fs::write(folder.join(format!("{name}.jpg")), jpeg).map_err(fault)?;
    std::fs::write(folder.join(format!("{name}.json")), json).map_err(fault)?;
    Ok(folder)
}

/// The last snapshot's files, for viewers without access to the folder.
async fn snapshot_file(State(hall): State<Arc<Hall>>, Path(file): Path<String>) -> Response {
    let snapshot = lock(&hall.snapshot);
    let found = snapshot.as_ref().and_then(|s| {
        let ending = file.strip_prefix(s.name.as_str())?;
        match ending {
            ".jpg" => Some((s.jpeg.clone(), "image/jpeg")),
            ".json" => Some((s.json.clone(), "application/json")),
            _ => None,
        }
    });
    match found {
        Some((bytes, kind)) => ([(header::CONTENT_TYPE, kind)], bytes).into_response(),
        None => fault(
            StatusCode::NOT_FOUND,
            "only the last snapshot can be had here",
        ),
    }
}

fn json<T: Serialize>(value: &T) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => fault(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn busy() -> Response {
    fault(
        StatusCode::SERVICE_UNAVAILABLE,
        "the frame loop does not answer; see whether frames are worked on",
    )
}

fn fault(status: StatusCode, message: &str) -> Response {
    (status, format!("{message}\n")).into_response()
}
