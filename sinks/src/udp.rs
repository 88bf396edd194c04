//! UDP: a datagram for each packet, to one receiver or a group.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::io::Errno;
use rustix::net::SendFlags;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::config::UdpConfig;
use crate::item::{Item, Numbering};
use crate::sink::{Shared, Sink};
use crate::{DropCause, Fault};

/// See the head of the file.
pub(crate) struct Udp {
    config: UdpConfig,
    target: SocketAddr,
    socket: Option<Socket>,
    numbering: Numbering,
}

impl Udp {
    pub fn new(config: UdpConfig, target: SocketAddr) -> Self {
        Self {
            config,
            target,
            socket: None,
            numbering: Numbering::default(),
        }
    }

    fn socket(&self) -> std::io::Result<Socket> {
        let target = self.target;
        let socket = Socket::new(
            Domain::for_address(target),
            Type::DGRAM.cloexec().nonblocking(),
            Some(Protocol::UDP),
        )?;
        let index = match &self.config.interface {
            Some(name) => rustix::net::netdevice::name_to_index(&socket, name)?,
            None => 0,
        };
        // An unconnected socket does not fail a send because an earlier one found no receiver.
        let any: SocketAddr = match target {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        socket.bind(&SockAddr::from(any))?;
        match (target.ip().is_multicast(), target) {
            (true, SocketAddr::V4(_)) => {
                socket.set_multicast_ttl_v4(self.config.ttl)?;
                if index != 0 {
                    rustix::net::sockopt::set_ip_multicast_if_with_ifindex(
                        &socket,
                        &Ipv4Addr::UNSPECIFIED,
                        &Ipv4Addr::UNSPECIFIED,
                        index,
                    )?;
                }
            }
            (true, SocketAddr::V6(_)) => {
                socket.set_multicast_hops_v6(self.config.ttl)?;
                if index != 0 {
                    socket.set_multicast_if_v6(index)?;
                }
            }
            (false, _) => {}
        }
        Ok(socket)
    }
}

impl Sink for Udp {
    fn open(&mut self, _shared: &Shared) -> Result<(), Fault> {
        let socket = self
            .socket()
            .map_err(|error| Fault::io("open", self.target, &error))?;
        self.socket = Some(socket);
        Ok(())
    }

    fn write(&mut self, item: &Item, shared: &Shared) -> Result<(), Fault> {
        let (frame, len) = item.frame(self.numbering.of(item));
        let Some(socket) = &self.socket else {
            return Ok(());
        };
        let sent = rustix::net::sendto(socket, &frame[..len], SendFlags::NOSIGNAL, &self.target);
        match sent {
            Ok(_) => {
                shared.counters.sent(1, len);
                Ok(())
            }
            // The kernel's buffer is full: the next one may fit again.
            Err(Errno::AGAIN | Errno::NOBUFS | Errno::INTR) => {
                shared.counters.drop_packets(DropCause::QueueFull, 1);
                Ok(())
            }
            Err(error) => Err(Fault::io("send", self.target, &error.into())),
        }
    }

    fn release(&mut self) {
        self.socket = None;
    }
}
