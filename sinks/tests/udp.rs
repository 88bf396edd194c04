//! UDP over loopback.
#![allow(clippy::unwrap_used)] // helpers outside of test functions

mod common;

use std::net::{Ipv4Addr, UdpSocket};

use common::*;
use neuralsmpl_packet::frame::MAX_FRAME;
use neuralsmpl_sinks::DropCause;

fn receiver(address: Ipv4Addr) -> (UdpSocket, u16) {
    let socket = UdpSocket::bind((address, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

#[test]
fn each_packet_is_a_datagram() {
    let (socket, port) = receiver(Ipv4Addr::LOCALHOST);
    let mut hub = hub(&format!(
        "[[sink]]\ntype = \"udp\"\ntarget = \"127.0.0.1:{port}\""
    ));
    let sent = [subject(), pose(0), pose(1), status()];
    sent.iter().for_each(|message| hub.send(message).unwrap());
    let mut received = Receiver::default();
    for n in 1..=sent.len() {
        let mut datagram = [0; 2 * MAX_FRAME];
        let len = socket.recv(&mut datagram).unwrap();
        received.feed(&datagram[..len]);
        assert_eq!(received.messages.len(), n, "whole and alone");
    }
    assert_eq!(received.sequences(), [0, 1, 2, 3]);
    assert!(until(|| stats(&hub).sent == 4));
}

#[test]
fn a_group_on_an_interface_hears_it() {
    let (socket, port) = receiver(Ipv4Addr::UNSPECIFIED);
    let group = Ipv4Addr::new(239, 255, 71, 0);
    if let Err(error) = socket.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST) {
        println!("SKIPPED: loopback has no multicast ({error})");
        return;
    }
    let mut hub = hub(&format!(
        "[[sink]]\ntype = \"udp\"\ntarget = \"{group}:{port}\"\ninterface = \"lo\"\nttl = 1"
    ));
    hub.send(&pose(5)).unwrap();
    let mut datagram = [0; MAX_FRAME];
    let len = socket.recv(&mut datagram).unwrap();
    let mut received = Receiver::default();
    received.feed(&datagram[..len]);
    assert_eq!(received.numbers(), [5]);
}

#[test]
fn nobody_listening_is_no_fault() {
    let (socket, port) = receiver(Ipv4Addr::LOCALHOST);
    drop(socket);
    let mut hub = hub(&format!(
        "[[sink]]\ntype = \"udp\"\ntarget = \"127.0.0.1:{port}\""
    ));
    (0..20).for_each(|n| hub.send(&pose(n)).unwrap());
    assert!(until(|| stats(&hub).sent == 20));
    assert_eq!(stats(&hub).dropped.faults(), 0);
}

#[test]
fn a_network_that_refuses_is_counted_and_tried_again() {
    // Broadcast without permission: the kernel refuses every datagram.
    let mut hub = hub("[[sink]]\ntype = \"udp\"\ntarget = \"255.255.255.255:7100\"");
    send_until(&mut hub, 0, |hub| {
        stats(hub).faults >= 3 && dropped(hub, DropCause::Unavailable) >= 3
    });
    assert_eq!(stats(&hub).sent, 0);
    assert!(hub.last_fault(0).unwrap().contains("255.255.255.255:7100"));
}

#[test]
fn an_interface_that_is_missing_is_waited_for() {
    let hub =
        hub("[[sink]]\ntype = \"udp\"\ntarget = \"239.1.2.3:7100\"\ninterface = \"nsmpl-none0\"");
    assert!(!stats(&hub).connected);
}
