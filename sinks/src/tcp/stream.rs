//! A listener and its connections, over TCP or a Unix socket.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use socket2::{SockRef, TcpKeepalive};

use crate::check::Listen;
use crate::limits::KEEPALIVE;

/// Where clients come in.
pub(crate) enum Listener {
    Net(TcpListener),
    Unix(UnixListener),
}

/// A client's connection; never blocks.
pub(crate) enum Stream {
    Net(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    pub fn open(listen: &Listen) -> io::Result<Self> {
        match listen {
            // The standard library sets SO_REUSEADDR: a restart finds its port again.
            Listen::Net(address) => {
                let listener = TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                Ok(Listener::Net(listener))
            }
            Listen::Unix(path) => {
                remove_stale(path)?;
                let listener = UnixListener::bind(path)?;
                listener.set_nonblocking(true)?;
                Ok(Listener::Unix(listener))
            }
        }
    }

    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Listener::Net(listener) => listener.local_addr().ok(),
            Listener::Unix(_) => None,
        }
    }

    pub fn accept(&self) -> io::Result<(Stream, String)> {
        match self {
            Listener::Net(listener) => {
                let (stream, peer) = listener.accept()?;
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                let keepalive = TcpKeepalive::new()
                    .with_time(KEEPALIVE)
                    .with_interval(KEEPALIVE / 3)
                    .with_retries(3);
                SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
                Ok((Stream::Net(stream), peer.to_string()))
            }
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok((Stream::Unix(stream), "a local client".to_owned()))
            }
        }
    }
}

/// Removes the socket that an earlier process left, not one that a process still serves.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.file_type().is_socket() => {
            if UnixStream::connect(path).is_ok() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            fs::remove_file(path)
        }
        _ => Ok(()),
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Net(listener) => listener.as_fd(),
            Listener::Unix(listener) => listener.as_fd(),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Net(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}
