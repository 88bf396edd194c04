//! One client of the server: its handshake, its backlog, its commands.

use std::os::fd::AsFd;
use std::time::Instant;

use neuralsmpl_packet::frame::{DELIMITER, MAX_FRAME};
use rustix::io::Errno;
use rustix::net::SendFlags;
use snow::{HandshakeState, TransportState};

use super::stream::Stream;
use crate::control::Listener;
use crate::item::{Item, Numbering};
use crate::limits::{HANDSHAKE_TIMEOUT, MAX_NOISE_MESSAGE, READ_CHUNK};
use crate::sink::Shared;

/// Bytes that Noise adds: a length in front, a tag behind.
const NOISE: usize = 2 + 16;

/// Why a client was disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parting {
    /// It closed the connection, or the connection broke.
    Left,
    /// It read too slowly.
    Slow,
    /// It did not prove in time that it has the key.
    Stranger,
    /// It sent what does not decrypt.
    Garbage,
}

enum Session {
    Plain,
    Handshake {
        state: Box<HandshakeState>,
        until: Instant,
    },
    Noise(Box<TransportState>),
}

pub(crate) struct Client {
    pub id: u32,
    pub peer: String,
    stream: Stream,
    session: Session,
    numbering: Numbering,
    /// Takes commands; `None` where there is no control channel.
    listener: Option<Listener>,
    /// Bytes that the kernel has not taken: `out[pos..]`.
    out: Vec<u8>,
    pos: usize,
    budget: usize,
    /// Packets among them.
    pending: u64,
    /// The part of a Noise message that has come.
    input: Vec<u8>,
}

impl Client {
    /// A client that may lag behind by `budget` bytes.
    pub fn new(
        id: u32,
        (stream, peer): (Stream, String),
        handshake: Option<HandshakeState>,
        control: bool,
        budget: usize,
    ) -> Self {
        let mut client = Self {
            id,
            peer,
            stream,
            session: Session::Plain,
            numbering: Numbering::default(),
            listener: control.then(Listener::default),
            out: Vec::with_capacity(budget),
            pos: 0,
            budget,
            pending: 0,
            input: Vec::new(),
        };
        match handshake {
            Some(state) => {
                client.session = Session::Handshake {
                    state: Box::new(state),
                    until: Instant::now() + HANDSHAKE_TIMEOUT,
                };
                client.input.reserve_exact(2 + MAX_NOISE_MESSAGE);
            }
            None => client.out.push(DELIMITER),
        }
        client
    }

    /// Whether it gets packets.
    pub fn ready(&self) -> bool {
        !matches!(self.session, Session::Handshake { .. })
    }

    /// When its handshake must be done.
    pub fn until(&self) -> Option<Instant> {
        match &self.session {
            Session::Handshake { until, .. } => Some(*until),
            _ => None,
        }
    }

    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Whether bytes wait for the kernel.
    pub fn lags(&self) -> bool {
        self.pos < self.out.len()
    }

    /// Packets that it has not taken.
    pub fn pending(&self) -> u64 {
        self.pending
    }

    /// Adds a packet to its backlog.
    pub fn send(&mut self, item: &Item, shared: &Shared) -> Result<(), Parting> {
        let sequence = self.numbering.of(item);
        self.queue(item, sequence, shared)
    }

    /// Adds a packet that goes to this client alone.
    pub fn send_extra(&mut self, item: &Item, shared: &Shared) -> Result<(), Parting> {
        let sequence = self.numbering.extra();
        self.queue(item, sequence, shared)
    }

    fn queue(&mut self, item: &Item, sequence: u32, shared: &Shared) -> Result<(), Parting> {
        let (frame, len) = item.frame(sequence);
        let need = match self.session {
            Session::Plain => len,
            _ => len + NOISE,
        };
        let lag = |client: &Self| client.out.len() - client.pos;
        if lag(self) + need > self.budget {
            self.flush(shared)?;
        }
        if lag(self) + need > self.budget {
            return Err(Parting::Slow);
        }
        self.make_room(need);
        self.append(&frame[..len])?;
        self.pending += 1;
        Ok(())
    }

    /// Moves the backlog to the front where the buffer's end is near: it never grows.
    fn make_room(&mut self, need: usize) {
        if self.out.len() + need > self.budget {
            self.out.drain(..self.pos);
            self.pos = 0;
        }
    }

    fn append(&mut self, plain: &[u8]) -> Result<(), Parting> {
        match &mut self.session {
            Session::Plain => self.out.extend_from_slice(plain),
            Session::Handshake { .. } => {}
            Session::Noise(noise) => {
                let mut sealed = [0; MAX_FRAME + NOISE];
                let len = noise
                    .write_message(plain, &mut sealed)
                    .map_err(|_| Parting::Garbage)?;
                self.out.extend_from_slice(&(len as u16).to_be_bytes());
                self.out.extend_from_slice(&sealed[..len]);
            }
        }
        Ok(())
    }

    /// Reads and writes what can be moved without waiting.
    pub fn pump(&mut self, shared: &Shared) -> Result<(), Parting> {
        if self.until().is_some_and(|until| Instant::now() >= until) {
            return Err(Parting::Stranger);
        }
        self.read(shared)?;
        self.flush(shared)
    }

    fn flush(&mut self, shared: &Shared) -> Result<(), Parting> {
        while self.pos < self.out.len() {
            let rest = &self.out[self.pos..];
            match rustix::net::send(self.stream.as_fd(), rest, SendFlags::NOSIGNAL) {
                Ok(n) => {
                    self.pos += n;
                    shared.counters.sent(0, n);
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(_) => return Err(Parting::Left),
            }
        }
        shared.counters.sent(std::mem::take(&mut self.pending), 0);
        self.out.clear();
        self.pos = 0;
        Ok(())
    }

    fn read(&mut self, shared: &Shared) -> Result<(), Parting> {
        let mut chunk = [0; READ_CHUNK];
        match rustix::io::read(self.stream.as_fd(), &mut chunk) {
            Ok(0) => Err(Parting::Left),
            Ok(n) => self.take(&chunk[..n], shared),
            Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(_) => Err(Parting::Left),
        }
    }

    fn take(&mut self, bytes: &[u8], shared: &Shared) -> Result<(), Parting> {
        if matches!(self.session, Session::Plain) {
            if let Some(listener) = &mut self.listener {
                listener.feed(bytes, self.id, shared);
            }
            return Ok(());
        }
        for byte in bytes {
            self.input.push(*byte);
            let Some((length, message)) = self.input.split_first_chunk::<2>() else {
                continue;
            };
            let expected = usize::from(u16::from_be_bytes(*length));
            if expected > MAX_NOISE_MESSAGE {
                return Err(self.broken());
            }
            if message.len() == expected {
                let done = self.message(shared);
                self.input.clear();
                done?;
            }
        }
        Ok(())
    }

    /// A whole Noise message is in `input`.
    fn message(&mut self, shared: &Shared) -> Result<(), Parting> {
        let broken = self.broken();
        let sealed = self.input.get(2..).unwrap_or_default();
        let mut plain = [0; MAX_NOISE_MESSAGE];
        match &mut self.session {
            Session::Plain => Ok(()),
            Session::Noise(noise) => {
                let n = noise.read_message(sealed, &mut plain).map_err(|_| broken)?;
                if let Some(listener) = &mut self.listener {
                    listener.feed(&plain[..n], self.id, shared);
                }
                Ok(())
            }
            Session::Handshake { state, .. } => {
                state.read_message(sealed, &mut plain).map_err(|_| broken)?;
                let mut answer = [0; MAX_NOISE_MESSAGE];
                let n = state.write_message(&[], &mut answer).map_err(|_| broken)?;
                self.out.extend_from_slice(&(n as u16).to_be_bytes());
                self.out.extend_from_slice(&answer[..n]);
                self.establish(broken)
            }
        }
    }

    fn establish(&mut self, broken: Parting) -> Result<(), Parting> {
        let session = std::mem::replace(&mut self.session, Session::Plain);
        let Session::Handshake { state, .. } = session else {
            return Err(broken);
        };
        let noise = state.into_transport_mode().map_err(|_| broken)?;
        self.session = Session::Noise(Box::new(noise));
        self.append(&[DELIMITER])
    }

    /// Before the key is proven, bad input is a stranger's.
    fn broken(&self) -> Parting {
        match self.session {
            Session::Noise(_) => Parting::Garbage,
            _ => Parting::Stranger,
        }
    }
}
