//! The server: clients over loopback and Unix sockets, in the clear and with a key.
#![allow(clippy::unwrap_used)] // helpers outside of test functions

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::*;
use neuralsmpl_packet::command::Operation;
use neuralsmpl_packet::reply::Outcome;
use neuralsmpl_packet::{CommandRepr, Message};
use neuralsmpl_sinks::{DropCause, Hub};
use snow::TransportState;

fn server(more: &str) -> (Hub, SocketAddr) {
    let hub = hub(&format!(
        "[[sink]]\ntype = \"tcp\"\nlisten = \"127.0.0.1:0\"\n{more}"
    ));
    let address = stats(&hub).address.unwrap();
    (hub, address)
}

fn connect(hub: &Hub, address: SocketAddr) -> TcpStream {
    let before = stats(hub).clients;
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(until(|| stats(hub).clients == before + 1));
    stream
}

/// Whether the server has closed the connection.
fn closed(stream: &mut impl Read) -> bool {
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(e) => return e.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

#[test]
fn every_client_gets_a_stream_of_its_own() {
    let (mut hub, address) = server("");
    hub.send(&pose(0)).unwrap();
    assert!(until(|| dropped(&hub, DropCause::NoClient) == 1));
    let mut first = connect(&hub, address);
    hub.send(&pose(1)).unwrap();
    assert!(until(|| stats(&hub).sent == 1));
    let mut second = connect(&hub, address);
    hub.send(&pose(2)).unwrap();

    let mut received = Receiver::default();
    received.read(&mut first, 2);
    assert_eq!(
        (received.numbers(), received.sequences()),
        (vec![1, 2], vec![0, 1])
    );
    let mut received = Receiver::default();
    received.read(&mut second, 1);
    assert_eq!(
        (received.numbers(), received.sequences()),
        (vec![2], vec![0])
    );

    drop(first);
    assert!(until(|| stats(&hub).clients == 1));
    assert_eq!(
        stats(&hub).dropped.faults(),
        0,
        "a missing client is no fault"
    );
    let flushed = hub.close(Duration::from_secs(5));
    assert!(flushed.sinks[0].ended);
    assert!(closed(&mut second));
}

#[test]
fn a_client_that_does_not_read_is_dropped_and_others_miss_nothing() {
    let (mut hub, address) = server("client_buffer = 4096\nqueue = 8192");
    let slow = connect(&hub, address);
    let mut quick = connect(&hub, address);
    let reader = std::thread::spawn(move || {
        let mut received = Receiver::default();
        received.read(&mut quick, usize::MAX);
        received
    });
    let mut n = 0;
    // The kernel's own buffers take megabytes before the client's lag shows.
    assert!(until(|| {
        for _ in 0..200 {
            hub.send(&pose(n)).unwrap();
            n += 1;
        }
        until(|| stats(&hub).queued == 0);
        stats(&hub).slow_clients == 1
    }));
    assert!(dropped(&hub, DropCause::SlowClient) > 1);
    assert_eq!(stats(&hub).clients, 1);
    drop(slow);
    assert!(hub.close(Duration::from_secs(10)).sinks[0].ended);
    let received = reader.join().unwrap();
    assert_eq!(received.numbers(), (0..n).collect::<Vec<_>>());
}

#[test]
fn a_full_house_turns_clients_away() {
    let (mut hub, address) = server("clients = 2");
    let mut inside = [connect(&hub, address), connect(&hub, address)];
    let mut third = TcpStream::connect(address).unwrap();
    assert!(closed(&mut third));
    assert_eq!(stats(&hub).refused_clients, 1);
    hub.send(&pose(7)).unwrap();
    for client in &mut inside {
        let mut received = Receiver::default();
        received.read(client, 1);
        assert_eq!(received.numbers(), [7]);
    }
}

#[test]
fn a_connection_that_breaks_leaves_the_others_alone() {
    let (mut hub, address) = server("");
    let broken = connect(&hub, address);
    let mut sound = connect(&hub, address);
    socket2::SockRef::from(&broken)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(broken); // a reset, not an orderly end
    for n in 0..50 {
        hub.send(&pose(n)).unwrap();
    }
    let mut received = Receiver::default();
    received.read(&mut sound, 50);
    assert_eq!(received.numbers(), (0..50).collect::<Vec<_>>());
    assert!(until(|| stats(&hub).clients == 1));
}

#[test]
fn commands_are_answered_to_whoever_asked() {
    let (mut hub, address) = server("control = true");
    let mut asks = connect(&hub, address);
    let mut listens = connect(&hub, address);
    asks.write_all(b"\x00noise\x00").unwrap();
    for (sequence, operation) in [(1, Operation::Pause), (2, Operation::Unknown(99))] {
        let repr = CommandRepr {
            sequence,
            operation,
            ..CommandRepr::default()
        };
        asks.write_all(&command(repr)).unwrap();
    }
    let mut answered = 0;
    assert!(until(|| {
        if let Some((token, command)) = hub.commands() {
            let reply = hub.apply(token, &command).unwrap();
            hub.reply(token, reply);
            answered += 1;
        }
        answered == 2
    }));
    let mut received = Receiver::default();
    received.read(&mut asks, 2);
    hub.send(&pose(0)).unwrap();
    hub.send(&status()).unwrap();
    received.read(&mut asks, 3);
    let outcomes: Vec<_> = received.messages[..2]
        .iter()
        .map(|message| match message {
            Message::Reply(reply) => (reply.sequence, reply.request, reply.outcome),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        outcomes,
        [(0, 1, Outcome::Done), (1, 2, Outcome::UnknownOperation)]
    );
    assert!(
        matches!(received.messages[2], Message::Status(s) if s.sequence == 2),
        "poses are paused"
    );
    let mut received = Receiver::default();
    received.read(&mut listens, 1);
    assert!(matches!(received.messages[0], Message::Status(s) if s.sequence == 0));
    assert_eq!(stats(&hub).garbage, 1);
}

#[test]
fn a_flood_of_commands_is_counted_and_packets_go_on() {
    let (mut hub, address) = server("control = true");
    let mut client = connect(&hub, address);
    let mut sender = client.try_clone().unwrap();
    let flood: Vec<u8> = (0..20_000)
        .flat_map(|sequence| {
            command(CommandRepr {
                sequence,
                ..CommandRepr::default()
            })
        })
        .collect();
    let writer = std::thread::spawn(move || sender.write_all(&flood).unwrap());
    for n in 0..100 {
        hub.send(&pose(n)).unwrap();
        sleep(Duration::from_millis(1));
    }
    let mut received = Receiver::default();
    received.read(&mut client, 100);
    assert_eq!(received.numbers().len(), 100);
    writer.join().unwrap();
    assert!(until(|| stats(&hub).commands == 20_000));
    assert_eq!(
        stats(&hub).control_overflows,
        20_000 - 16,
        "the queue holds 16"
    );
}

#[test]
fn a_port_that_is_taken_is_waited_for() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut hub = hub(&format!("[[sink]]\ntype = \"tcp\"\nlisten = \"{address}\""));
    assert!(!stats(&hub).connected);
    let next = send_until(&mut hub, 0, |hub| dropped(hub, DropCause::Unavailable) > 0);
    drop(taken);
    send_until(&mut hub, next, |hub| stats(hub).connected);
    connect(&hub, address);
}

#[test]
fn a_unix_socket_serves_as_well_and_is_cleared_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pose.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap()); // left by a crash
    let toml = format!(
        "[[sink]]\ntype = \"tcp\"\nlisten = \"unix:{}\"",
        path.display()
    );
    let mut hub = hub(&toml);
    let mut client = UnixStream::connect(&path).unwrap();
    assert!(until(|| stats(&hub).clients == 1));
    hub.send(&pose(3)).unwrap();
    let mut received = Receiver::default();
    received.read(&mut client, 1);
    assert_eq!(received.numbers(), [3]);

    let second = common::hub(&toml);
    assert!(
        !stats(&second).connected,
        "a socket in use is not taken over"
    );
    drop(second);
    assert!(path.exists());
    hub.close(Duration::from_secs(5));
    assert!(!path.exists());
}

/// A client that speaks Noise.
struct Secret {
    stream: TcpStream,
    noise: TransportState,
}

fn send_message(stream: &mut TcpStream, message: &[u8]) {
    stream
        .write_all(&(message.len() as u16).to_be_bytes())
        .unwrap();
    stream.write_all(message).unwrap();
}

fn read_message(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

impl Secret {
    /// `None` where the server ends the connection.
    fn connect(address: SocketAddr, key: &[u8; 32]) -> Option<Self> {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let params = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s".parse().unwrap();
        let builder = snow::Builder::new(params).prologue(b"nsmpl1").unwrap();
        let mut noise = builder.psk(0, key).unwrap().build_initiator().unwrap();
        let mut buffer = [0; 512];
        let n = noise.write_message(&[], &mut buffer).unwrap();
        send_message(&mut stream, &buffer[..n]);
        let answer = read_message(&mut stream).ok()?;
        noise.read_message(&answer, &mut buffer).ok()?;
        let noise = noise.into_transport_mode().unwrap();
        Some(Self { stream, noise })
    }

    fn read(&mut self, received: &mut Receiver, count: usize) {
        let mut plain = [0; 512];
        while received.messages.len() < count {
            let sealed = read_message(&mut self.stream).unwrap();
            let n = self.noise.read_message(&sealed, &mut plain).unwrap();
            received.feed(&plain[..n]);
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut sealed = [0; 512];
        let n = self.noise.write_message(bytes, &mut sealed).unwrap();
        send_message(&mut self.stream, &sealed[..n]);
    }
}

const KEY: [u8; 32] = [0x5a; 32];

fn key_file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "5a".repeat(32)).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    (folder, path)
}

fn secret_server(more: &str) -> (Hub, SocketAddr, tempfile::TempDir) {
    let (folder, path) = key_file();
    let (hub, address) = server(&format!("key_file = \"{}\"\n{more}", path.display()));
    (hub, address, folder)
}

#[test]
fn with_the_key_packets_and_commands_pass() {
    let (mut hub, address, _folder) = secret_server("control = true");
    let mut client = Secret::connect(address, &KEY).unwrap();
    assert!(until(|| stats(&hub).clients == 1));
    (0..20).for_each(|n| hub.send(&pose(n)).unwrap());
    let mut received = Receiver::default();
    client.read(&mut received, 20);
    assert_eq!(received.numbers(), (0..20).collect::<Vec<_>>());

    let asked = CommandRepr {
        sequence: 9,
        ..CommandRepr::default()
    };
    client.write(&command(asked));
    let mut got = None;
    assert!(until(|| {
        got = hub.commands();
        got.is_some()
    }));
    let (token, received) = got.unwrap();
    assert_eq!(received, asked);
    assert_eq!(
        hub.apply(token, &received),
        None,
        "status is the sender's to give"
    );
    hub.send(&status()).unwrap();
    let mut received = Receiver::default();
    client.read(&mut received, 1);
    assert!(matches!(received.messages[0], Message::Status(s) if s.sequence == 20));
}

#[test]
fn strangers_get_nothing() {
    let (mut hub, address, _folder) = secret_server("control = true");
    assert!(Secret::connect(address, &[0x5b; 32]).is_none(), "wrong key");
    assert!(until(|| stats(&hub).refused_clients == 1));

    let mut plain = TcpStream::connect(address).unwrap();
    plain.write_all(&[0, 4, 1, 2, 3, 4]).unwrap();
    assert!(closed(&mut plain));
    let mut long = TcpStream::connect(address).unwrap();
    long.write_all(&[0xff, 0xff]).unwrap();
    assert!(closed(&mut long), "longer than any message");
    assert!(until(|| stats(&hub).refused_clients == 3));

    // Who waits in silence gets no packet.
    let mut silent = TcpStream::connect(address).unwrap();
    hub.send(&pose(0)).unwrap();
    assert!(until(|| dropped(&hub, DropCause::NoClient) == 1));
    silent.set_nonblocking(true).unwrap();
    assert!(silent.read(&mut [0; 16]).is_err(), "not a byte");
    assert_eq!((stats(&hub).clients, stats(&hub).sent), (0, 0));
    silent.set_nonblocking(false).unwrap();
    let start = Instant::now();
    assert!(closed(&mut silent));
    assert!(start.elapsed() > Duration::from_secs(3), "it had time");
    assert!(until(|| stats(&hub).refused_clients == 4));
}

#[test]
fn strangers_cannot_fill_the_house() {
    let (hub, address, _folder) = secret_server("clients = 2");
    let _silent: Vec<_> = (0..4)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let first = Secret::connect(address, &KEY);
    assert!(first.is_some());
    assert!(until(|| stats(&hub).clients == 1));
}

#[test]
fn a_changed_message_ends_the_connection() {
    let (hub, address, _folder) = secret_server("control = true");
    let mut client = Secret::connect(address, &KEY).unwrap();
    assert!(until(|| stats(&hub).clients == 1));
    let mut sealed = [0; 512];
    let frame = command(CommandRepr::default());
    let n = client.noise.write_message(&frame, &mut sealed).unwrap();
    sealed[3] ^= 1;
    send_message(&mut client.stream, &sealed[..n]);
    assert!(closed(&mut client.stream));
    assert!(until(|| stats(&hub).clients == 0));
    assert_eq!((stats(&hub).commands, stats(&hub).garbage), (0, 1));
}
