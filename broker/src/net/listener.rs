//! Binds the address and accepts connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::budget::Budget;
use super::connection::{self, Limits};
use super::transmit::Path;
use crate::api::{Context, Line, LogLimit, Session};

/// Pause after an accept that failed for want of descriptors or memory: the listener stays
/// readable, and without a pause the loop would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// A flood of connections must not become a flood of log lines.
static REFUSALS: LogLimit = LogLimit::new(1, Duration::from_secs(1));

/// What the accept loop needs to serve a connection.
#[derive(Debug)]
pub struct Listener {
    /// The bound socket.
    pub socket: TcpListener,
    /// Limits of every connection.
    pub limits: Arc<Limits>,
    /// Bytes of requests over all connections.
    pub budget: Budget,
    /// Connections that may be open at a time.
    pub connections_max: usize,
    /// Whether record sets leave by `sendfile`.
    pub is_sendfile: bool,
    /// How long open connections may take to finish when the broker stops.
    pub drain_time: Duration,
}

/// Binds and listens. `congestion_control` is set on the listening socket: accepted ones inherit it.
///
/// # Errors
/// What the system says: the address is taken, not ours, or not permitted.
pub fn bind(address: SocketAddr, congestion_control: Option<&str>) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if let Some(name) = congestion_control {
        socket.set_tcp_congestion(name.as_bytes())?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

impl Listener {
    /// Accepts until the broker stops, then waits a while for open connections to finish.
    pub async fn run(self, context: Arc<Context>) {
        let mut connections = JoinSet::new();
        let stop = context.stop.clone();
        loop {
            tokio::select! {
                biased;
                () = stop.stopped() => break,
                Some(_) = connections.join_next() => {}
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, peer)) => self.take(stream, peer, &context, &mut connections),
                    Err(error) => pause_after(&error).await,
                },
            }
        }
        drop(self.socket);
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(self.drain_time, drained).await.is_err() {
            tracing::warn!("some connections did not finish in {:?} and are cut", self.drain_time);
        }
    }

    fn take(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        context: &Arc<Context>,
        connections: &mut JoinSet<()>,
    ) {
        let limit = self.connections_max.min(context.catalog.live().config.connections_max);
        if limit <= connections.len() {
            if let Line::Write { left_out } = REFUSALS.line() {
                tracing::warn!(%peer, limit, left_out, "connection closed: max.connections is reached");
            }
            return;
        }
        let local = match prepare(&stream) {
            Ok(local) => local,
            Err(error) => {
                tracing::debug!(%peer, %error, "connection lost before it was served");
                return;
            }
        };
        let session = Arc::new(Session::new(peer, local, &context.config));
        let path = if self.is_sendfile { Path::Sendfile } else { Path::Copy };
        connections.spawn(connection::serve(
            stream,
            Arc::clone(context),
            session,
            Arc::clone(&self.limits),
            self.budget.clone(),
            path,
        ));
    }
}

/// Socket options of an accepted connection; returns the address that its client dialled.
fn prepare(stream: &TcpStream) -> io::Result<SocketAddr> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)?;
    stream.local_addr()
}

async fn pause_after(error: &io::Error) {
    match error.kind() {
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted => {}
        _ => {
            tracing::warn!(%error, "a connection could not be accepted; trying again shortly");
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
}
