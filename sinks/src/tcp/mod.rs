//! A server over TCP or a Unix socket: many clients, none waited for.

mod client;
pub(crate) mod key;
mod stream;

use std::os::fd::AsFd;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use self::client::{Client, Parting};
use self::key::KEY;
use self::stream::Listener;
use crate::check::Listen;
use crate::config::TcpConfig;
use crate::item::Item;
use crate::limits::BACKOFF_MAX;
use crate::sink::{Shared, Sink, Watch};
use crate::stats::count;
use crate::{DropCause, Fault};

/// See the head of the file.
pub(crate) struct Tcp {
    config: TcpConfig,
    listen: Listen,
    key: Option<[u8; KEY]>,
    listener: Option<Listener>,
    clients: Vec<Client>,
    /// Counts connections.
    next_id: u32,
    /// Until then nobody is let in, because the last attempt failed.
    shut_until: Option<Instant>,
}

impl Tcp {
    pub fn new(config: TcpConfig, listen: Listen, key: Option<[u8; KEY]>) -> Self {
        Self {
            clients: Vec::with_capacity(config.clients),
            config,
            listen,
            key,
            listener: None,
            next_id: 0,
            shut_until: None,
        }
    }

    fn accept(&mut self, shared: &Shared) {
        self.shut_until = self.shut_until.filter(|until| Instant::now() < *until);
        let (Some(listener), None) = (&self.listener, self.shut_until) else {
            return;
        };
        // A flood of connections must not keep packets from clients.
        for _ in 0..self.config.clients {
            let connection = match listener.accept() {
                Ok(connection) => connection,
                // No connection waits, or the one that did has gone.
                Err(e) if accept_again(&e) => break,
                // Such as no free descriptor: those who are in stay.
                Err(error) => {
                    let fault = Fault::io("accept a client", &self.config.listen, &error);
                    shared.counters.failed(&fault.message);
                    self.shut_until = Some(Instant::now() + BACKOFF_MAX);
                    break;
                }
            };
            if self.clients.len() == self.config.clients {
                // Whoever has not proven the key makes room, so that strangers cannot fill the house.
                let stranger = self.clients.iter().position(|client| !client.ready());
                count(&shared.counters.refused_clients);
                let Some(stranger) = stranger else {
                    log::info!("{}: {} turned away, no room", shared.name, connection.1);
                    continue;
                };
                self.clients.swap_remove(stranger);
            }
            let handshake = match self.key.as_ref().map(key::responder).transpose() {
                Ok(handshake) => handshake,
                Err(error) => {
                    count(&shared.counters.refused_clients);
                    log::warn!("{}: no handshake ({error})", shared.name);
                    continue;
                }
            };
            self.next_id = self.next_id.wrapping_add(1);
            let budget = self.config.client_buffer;
            let control = self.config.control;
            self.clients.push(Client::new(
                self.next_id,
                connection,
                handshake,
                control,
                budget,
            ));
        }
    }

    /// Does `act` with every client and disconnects those that must part.
    fn each(&mut self, shared: &Shared, mut act: impl FnMut(&mut Client) -> Result<(), Parting>) {
        self.clients.retain_mut(|client| match act(client) {
            Ok(()) => true,
            Err(parting) => {
                part(client, parting, shared);
                false
            }
        });
    }
}

fn accept_again(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
    matches!(error.kind(), WouldBlock | Interrupted | ConnectionAborted)
}

fn part(client: &Client, parting: Parting, shared: &Shared) {
    let counters = &shared.counters;
    let lost = client.pending();
    match parting {
        Parting::Left => counters.drop_packets(DropCause::NoClient, lost),
        Parting::Slow => {
            count(&counters.slow_clients);
            counters.drop_packets(DropCause::SlowClient, lost + 1);
            log::warn!(
                "{}: {} reads too slowly and is disconnected",
                shared.name,
                client.peer
            );
        }
        Parting::Stranger => {
            count(&counters.refused_clients);
            log::warn!(
                "{}: {} did not prove the key and is disconnected",
                shared.name,
                client.peer
            );
        }
        Parting::Garbage => {
            count(&counters.garbage);
            counters.drop_packets(DropCause::NoClient, lost);
        }
    }
}

impl Sink for Tcp {
    fn open(&mut self, shared: &Shared) -> Result<(), Fault> {
        let listener = Listener::open(&self.listen)
            .map_err(|error| Fault::io("listen", &self.config.listen, &error))?;
        shared.counters.listens_at(listener.address());
        // After a fault the same port is asked for, not any.
        if let Some(address) = listener.address() {
            self.listen = Listen::Net(address);
        }
        self.listener = Some(listener);
        Ok(())
    }

    fn write(&mut self, item: &Item, shared: &Shared) -> Result<(), Fault> {
        if !self.clients.iter().any(Client::ready) {
            shared.counters.drop_packets(DropCause::NoClient, 1);
            return Ok(());
        }
        self.each(shared, |client| match client.ready() {
            true => client.send(item, shared),
            false => Ok(()),
        });
        Ok(())
    }

    fn pump(&mut self, shared: &Shared) -> Result<(), Fault> {
        self.accept(shared);
        while let Some((id, reply)) = shared.desk.reply() {
            if let Ok(item) = Item::new(&reply) {
                self.each(shared, |client| match client.id == id {
                    true => client.send_extra(&item, shared),
                    false => Ok(()),
                });
            }
        }
        self.each(shared, |client| client.pump(shared));
        let ready = self.clients.iter().filter(|client| client.ready()).count();
        shared.counters.clients.store(ready as u32, Relaxed);
        Ok(())
    }

    fn watch<'a>(&'a self, watch: &mut Watch<'a>) {
        if let (Some(listener), None) = (&self.listener, self.shut_until) {
            watch.readable(listener.as_fd());
        }
        for client in &self.clients {
            watch.both(client.stream().as_fd(), client.lags());
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        let clients = self.clients.iter().filter_map(Client::until);
        clients.chain(self.shut_until).min()
    }

    fn idle(&self) -> bool {
        !self.clients.iter().any(Client::lags)
    }

    fn release(&mut self) {
        self.listener = None;
        self.clients.clear();
    }

    fn finish(&mut self, shared: &Shared) {
        let pending = self.clients.iter().map(Client::pending).sum();
        shared.counters.drop_packets(DropCause::Shutdown, pending);
        if let (Listen::Unix(path), Some(_)) = (&self.listen, &self.listener) {
            let _ = std::fs::remove_file(path);
        }
        self.release();
    }
}
