//! Reading a camera's bytes, wherever they come from.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, Stdin};
use tokio::net::{TcpStream, UdpSocket};

use crate::address::Source;
use crate::limits::CONNECT_TIMEOUT;

/// An open source.
#[derive(Debug)]
pub enum Reader {
    /// Datagrams.
    Udp(UdpSocket),
    /// A TCP stream.
    Tcp(TcpStream),
    /// A file.
    File(File),
    /// Standard input.
    Stdin(Stdin),
}

/// What one read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    /// So many bytes of a stream.
    Bytes(usize),
    /// A datagram of so many bytes: whole frames, whatever came before it.
    Datagram(usize, IpAddr),
    /// The stream has ended.
    End,
}

impl Reader {
    /// Opens a source.
    ///
    /// # Errors
    /// What the system says.
    pub async fn open(source: &Source) -> io::Result<Self> {
        Ok(match source {
            Source::Udp(address) => Reader::Udp(bind(*address).await?),
            Source::Tcp(address) => {
                let connect = TcpStream::connect(address.as_str());
                let stream = tokio::time::timeout(CONNECT_TIMEOUT, connect).await??;
                Reader::Tcp(stream)
            }
            Source::File(path) => Reader::File(File::open(path).await?),
            Source::Stdin => Reader::Stdin(tokio::io::stdin()),
        })
    }

    /// Waits for bytes. Nothing is lost where the future is dropped before it is ready.
    ///
    /// # Errors
    /// What the system says.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<Chunk> {
        match self {
            Reader::Udp(socket) => {
                let (len, from) = socket.recv_from(buffer).await?;
                Ok(Chunk::Datagram(len, from.ip().to_canonical()))
            }
            Reader::Tcp(stream) => stream_chunk(stream, buffer).await,
            Reader::File(file) => stream_chunk(file, buffer).await,
            Reader::Stdin(stdin) => stream_chunk(stdin, buffer).await,
        }
    }
}

async fn stream_chunk(from: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> io::Result<Chunk> {
    Ok(match from.read(buffer).await? {
        0 => Chunk::End,
        len => Chunk::Bytes(len),
    })
}

async fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let group = address.ip();
    if !group.is_multicast() {
        return UdpSocket::bind(address).await;
    }
    // Bound to the group itself, the socket takes nothing that is sent to other addresses.
    let socket = UdpSocket::bind(address).await?;
    match group {
        IpAddr::V4(group) => socket.join_multicast_v4(group, Ipv4Addr::UNSPECIFIED)?,
        IpAddr::V6(group) => {
            socket.join_multicast_v6(&group, 0)?;
        }
    }
    Ok(socket)
}
