//! `watch`: what the cameras of a fleet publish, as a table or as JSON lines.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use neuralsmpl_packet::Message;
use neuralsmpl_packet::frame::Accumulator;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, MissedTickBehavior, interval};
use zenoh::Session;
use zenoh::sample::{Sample, SampleKind};

use crate::config::Link;
use crate::json;
use crate::keys::{Camera, ROOT, Topic, parse};
use crate::limits::WATCH_QUEUE;
use crate::session::{Role, SessionError, Setup, close, follow_router};
use crate::stop::Stop;
use crate::table::Table;

/// Why `watch` ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The session could not be opened.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Zenoh refused a declaration.
    #[error("Zenoh: {0}")]
    Zenoh(String),
    /// The output cannot be written.
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

impl From<zenoh::Error> for WatchError {
    fn from(error: zenoh::Error) -> Self {
        WatchError::Zenoh(error.to_string())
    }
}

/// What to watch and how to show it.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// One site; all if `None`.
    pub site: Option<String>,
    /// One camera name; all if `None`.
    pub camera: Option<String>,
    /// JSON lines instead of a table.
    pub json: bool,
    /// End after so long.
    pub duration: Option<Duration>,
}

/// Something a fleet has said.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// A packet of a camera.
    Packet(Camera, Message),
    /// A packet that was published before this watch began.
    Kept(Camera, Message),
    /// Bytes under a camera's key that are not packets: how many frames were damaged.
    Damaged(Camera, Topic, u32),
    /// A camera is there, or gone.
    Alive(Camera, bool),
    /// The counters of a camera's publisher.
    Bridge(Camera, Value),
}

/// Shows what comes until told to stop. The table goes to standard output once a second.
///
/// # Errors
/// [`WatchError`]. A closed pipe is an orderly end.
pub async fn watch(
    link: &Link,
    options: &Options,
    mut stop: Stop,
    mut log: impl FnMut(&str),
) -> Result<(), WatchError> {
    let setup = Setup::new(link, Role::Client)?;
    let waiting = format!("waiting for a router on {}", setup.endpoints);
    let opening = setup.open();
    tokio::pin!(opening);
    let end = options.duration.map(|duration| Instant::now() + duration);
    let session = loop {
        tokio::select! {
            session = &mut opening => break session?,
            () = stop.requested() => return Ok(()),
            () = at(end) => return Ok(()),
            () = tokio::time::sleep(Duration::from_secs(5)) => log(&waiting),
        }
    };
    let result = show(&session, options, &mut stop, end).await;
    close(session).await;
    match result {
        Err(WatchError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

async fn at(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

async fn show(
    session: &Session,
    options: &Options,
    stop: &mut Stop,
    end: Option<Instant>,
) -> Result<(), WatchError> {
    let (sender, mut news) = channel(WATCH_QUEUE);
    let overrun = Arc::new(AtomicU64::new(0));
    subscribe(session, options, &sender, &overrun).await?;
    let router_up = Arc::new(AtomicBool::new(true));
    let router = follow_router(session, &router_up);
    tokio::pin!(router);
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut table = Table::default();
    let mut out = io::stdout().lock();
    let clear = out.is_terminal();
    loop {
        tokio::select! {
            biased;
            () = stop.requested() => break,
            () = at(end) => break,
            () = &mut router => {}
            _ = seconds.tick() => if !options.json {
                let text = table.render(
                    std::time::Instant::now(),
                    now_us(),
                    router_up.load(Relaxed),
                    overrun.load(Relaxed),
                );
                out.write_all(if clear { b"\x1b[H\x1b[2J" } else { b"" })?;
                out.write_all(text.as_bytes())?;
                out.flush()?;
            },
            Some(first) = news.recv() => {
                take(first, &mut news, |item| {
                    if options.json {
                        writeln!(out, "{}", line(&item))
                    } else {
                        table.take(item);
                        Ok(())
                    }
                })?;
                if options.json {
                    out.flush()?;
                }
            }
        }
    }
    if overrun.load(Relaxed) > 0 && options.json {
        writeln!(out, "{{\"overrun\":{}}}", overrun.load(Relaxed))?;
    }
    Ok(())
}

/// Handles the first and whatever else waits, at most a queue full.
fn take(
    first: News,
    news: &mut Receiver<News>,
    mut handle: impl FnMut(News) -> io::Result<()>,
) -> io::Result<()> {
    handle(first)?;
    for _ in 0..WATCH_QUEUE {
        match news.try_recv() {
            Ok(item) => handle(item)?,
            Err(_) => break,
        }
    }
    Ok(())
}

/// Subscribes to samples and liveliness, and asks for what was published before.
async fn subscribe(
    session: &Session,
    options: &Options,
    sender: &Sender<News>,
    overrun: &Arc<AtomicU64>,
) -> zenoh::Result<()> {
    let any = "*".to_owned();
    let site = options.site.as_ref().unwrap_or(&any);
    let camera = options.camera.as_ref().unwrap_or(&any);
    let key = |topic: &str| format!("{ROOT}/{site}/{camera}/{topic}");

    session
        .declare_subscriber(key("*"))
        .callback(handler(sender, overrun, News::Packet))
        .background()
        .await?;
    session
        .liveliness()
        .declare_subscriber(key(Topic::Alive.suffix()))
        .history(true)
        .callback(handler(sender, overrun, News::Packet))
        .background()
        .await?;
    for topic in [Topic::Subject, Topic::Status] {
        let take = handler(sender, overrun, News::Kept);
        session
            .get(key(topic.suffix()))
            .callback(move |reply| {
                if let Ok(sample) = reply.into_result() {
                    take(sample);
                }
            })
            .await?;
    }
    Ok(())
}

/// Turns samples into news, and never waits where the output is slow.
fn handler(
    sender: &Sender<News>,
    overrun: &Arc<AtomicU64>,
    packet: fn(Camera, Message) -> News,
) -> impl Fn(Sample) + Send + Sync + 'static {
    let (sender, overrun) = (sender.clone(), overrun.clone());
    move |sample| {
        for item in read(&sample, packet) {
            if sender.try_send(item).is_err() {
                overrun.fetch_add(1, Relaxed);
            }
        }
    }
}

/// What one sample says.
fn read(sample: &Sample, packet: fn(Camera, Message) -> News) -> Vec<News> {
    let Some((camera, topic)) = parse(sample.key_expr().as_str()) else {
        return Vec::new();
    };
    match topic {
        Topic::Alive => vec![News::Alive(camera, sample.kind() == SampleKind::Put)],
        Topic::Bridge => match serde_json::from_slice(&sample.payload().to_bytes()) {
            Ok(value) => vec![News::Bridge(camera, value)],
            Err(_) => vec![News::Damaged(camera, topic, 1)],
        },
        Topic::Pose | Topic::Subject | Topic::Status => {
            let mut accumulator = Accumulator::new();
            let mut news = Vec::with_capacity(1);
            let mut damaged = 0;
            accumulator.extend(
                &sample.payload().to_bytes(),
                |payload| match Message::parse(payload) {
                    Ok(message) => news.push(packet(camera.clone(), message)),
                    Err(_) => damaged += 1,
                },
            );
            damaged += accumulator.drops().total();
            if damaged > 0 {
                news.push(News::Damaged(camera, topic, damaged));
            }
            news
        }
        _ => Vec::new(),
    }
}

/// One line of JSON.
#[derive(Debug, Serialize)]
struct Line<'a> {
    site: &'a str,
    camera: &'a str,
    received_us: u64,
    #[serde(flatten)]
    what: What<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum What<'a> {
    Packet(Option<json::Packet>),
    Kept(Option<json::Packet>),
    Damaged { topic: &'static str, frames: u32 },
    Alive(bool),
    Bridge(&'a Value),
}

fn line(news: &News) -> String {
    let (camera, what) = match news {
        News::Packet(camera, message) => (camera, What::Packet(json::packet(message))),
        News::Kept(camera, message) => (camera, What::Kept(json::packet(message))),
        News::Damaged(camera, topic, frames) => {
            let (topic, frames) = (topic.suffix(), *frames);
            (camera, What::Damaged { topic, frames })
        }
        News::Alive(camera, alive) => (camera, What::Alive(*alive)),
        News::Bridge(camera, value) => (camera, What::Bridge(value)),
    };
    json::line(&Line {
        site: &camera.site,
        camera: &camera.name,
        received_us: now_us(),
        what,
    })
}

/// Microseconds since the Unix epoch on this machine's clock.
fn now_us() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_who_and_what() {
        let camera = Camera {
            site: "hall".into(),
            name: "north".into(),
        };
        let parse = |news: News| -> Value { serde_json::from_str(&line(&news)).unwrap() };
        let packet = Message::Status(neuralsmpl_packet::StatusRepr::default());
        let value = parse(News::Packet(camera.clone(), packet));
        assert_eq!(
            (&value["site"], &value["camera"]),
            (&"hall".into(), &"north".into())
        );
        assert_eq!(value["packet"]["kind"], "status");
        assert_eq!(parse(News::Alive(camera.clone(), false))["alive"], false);
        let damaged = parse(News::Damaged(camera, Topic::PoseJson, 3));
        assert_eq!(damaged["damaged"]["topic"], "pose/json");
        assert_eq!(damaged["damaged"]["frames"], 3);
    }
}
