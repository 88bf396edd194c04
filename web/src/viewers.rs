//! One viewer: the newest picture whenever it is ready for one, figures once a second. A viewer that is
//! slow gets fewer pictures; one that takes nothing is let go.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until, timeout};

use crate::api::refuse;
use crate::limits::{ACK_TIMEOUT, IN_FLIGHT, SEND_TIMEOUT, VIEWER_MESSAGE};
use crate::page::Hall;

/// The protocol of the page's WebSocket.
const PROTOCOL: &str = "nsmpl";

/// Closed because all places are taken; codes from 4000 are for applications.
const FULL: u16 = 4003;

/// What a viewer says once it has drawn a picture.
const READY: &str = "ready";

/// `GET /api/live`: becomes a WebSocket.
pub(crate) async fn live(
    State(hall): State<Arc<Hall>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let checked = hall
        .guard
        .origin(&headers)
        .and_then(|()| hall.guard.protocol(&headers));
    if let Err(refusal) = checked {
        return refuse(refusal).await;
    }
    let upgrade = upgrade
        .protocols([PROTOCOL])
        .max_message_size(VIEWER_MESSAGE)
        .max_frame_size(VIEWER_MESSAGE)
        .write_buffer_size(0);
    match Arc::clone(&hall.places).try_acquire_owned() {
        Ok(place) => upgrade
            .on_upgrade(move |socket| view(hall, socket, place))
            .into_response(),
        Err(_) => {
            let most = hall.config.viewers;
            upgrade.on_upgrade(move |socket| turn_away(socket, most))
        }
    }
}

/// Says why, in a way that a page can read.
async fn turn_away(mut socket: WebSocket, most: usize) {
    let reason = format!("all {most} places for viewers are taken (web.viewers)");
    let frame = CloseFrame {
        code: FULL,
        reason: reason.into(),
    };
    // Whoever does not take it is gone.
    let _ = timeout(SEND_TIMEOUT, socket.send(Message::Close(Some(frame)))).await;
    let _ = timeout(SEND_TIMEOUT, socket.recv()).await;
}

async fn view(hall: Arc<Hall>, mut socket: WebSocket, _place: OwnedSemaphorePermit) {
    let mut frames = hall.frames.subscribe();
    let mut figures = hall.figures.subscribe();
    let _watching = hall.watch();
    let mut in_flight = 0;
    let mut heard = Instant::now();
    let mut last = 0;
    loop {
        let message = tokio::select! {
            biased;
            said = socket.recv() => match said {
                Some(Ok(Message::Text(text))) if text.as_str() == READY => {
                    in_flight = u32::saturating_sub(in_flight, 1);
                    heard = Instant::now();
                    continue;
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                // Closed, gone, or talking something else.
                _ => return,
            },
            changed = figures.changed() => {
                if changed.is_err() {
                    return;
                }
                Message::Text(figures.borrow_and_update().clone())
            }
            changed = frames.changed(), if in_flight < IN_FLIGHT => {
                if changed.is_err() {
                    return;
                }
                let Some(frame) = frames.borrow_and_update().clone() else {
                    continue;
                };
                if last > 0 {
                    let skipped = frame.number.saturating_sub(last + 1);
                    hall.skipped.fetch_add(skipped, Ordering::Relaxed);
                }
                last = frame.number;
                if in_flight == 0 {
                    heard = Instant::now();
                }
                in_flight += 1;
                Message::Binary(frame.message.clone())
            }
            () = sleep_until(heard + ACK_TIMEOUT), if in_flight > 0 => return,
        };
        match timeout(SEND_TIMEOUT, socket.send(message)).await {
            Ok(Ok(())) => {}
            // Gone, or takes nothing.
            _ => return,
        }
    }
}
