//! What the broker knows of one connection.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use crate::config::Config;

/// One connection, as handlers see it.
#[derive(Debug)]
pub struct Session {
    /// Another one for every connection.
    pub id: u64,
    /// The client's address.
    pub peer: SocketAddr,
    /// Host that this client is told to connect to.
    pub advertised_host: String,
    /// Port that this client is told to connect to.
    pub advertised_port: u16,
    reading_ended: watch::Sender<bool>,
}

impl Session {
    /// A connection from `peer` that dialled `local`. Unless an address is configured, a client is
    /// told the one that it dialled: that one it can reach.
    pub fn new(peer: SocketAddr, local: SocketAddr, config: &Config) -> Self {
        let (advertised_host, advertised_port) = match &config.advertise {
            Some(address) => (address.host.clone(), address.port),
            None => (unmapped(local).to_string(), local.port()),
        };
        static IDS: AtomicU64 = AtomicU64::new(0);
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        Self { id, peer, advertised_host, advertised_port, reading_ended: watch::Sender::new(false) }
    }

    /// The client sends no more requests: nothing should wait on its behalf.
    pub fn reading_ended(&self) {
        self.reading_ended.send_replace(true);
    }

    /// Waits until [`Session::reading_ended`].
    pub async fn until_reading_ended(&self) {
        // The sender lives in `self`, so the wait ends with the flag and not before.
        let _ = self.reading_ended.subscribe().wait_for(|ended| *ended).await;
    }
}

/// The address without the IPv6 wrapping that a dual-stack socket gives to IPv4 peers.
fn unmapped(address: SocketAddr) -> std::net::IpAddr {
    address.ip().to_canonical()
}
