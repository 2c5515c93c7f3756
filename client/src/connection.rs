//! One TCP connection to a broker: requests go out as they come, answers are matched in order.
//!
//! A broker answers the requests of a connection in the order it got them, so the oldest unanswered request is the one that
//! an answer belongs to; the correlation id only confirms it. Any doubt (a wrong id, a late answer, bytes that make
//! no sense) poisons the connection: everything waiting on it fails and nothing new is taken. What to do about that is
//! for others to decide.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sendlog_protocol::api_key::ApiKey;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::frame;
use sendlog_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use sendlog_protocol::wire::Reader;
use sendlog_protocol::{Message, Request, decode_body, decode_response_header, encode_request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::config::ClientConfig;
use crate::error::{BrokerError, ConnectionError};
use crate::versions::VersionTable;

/// Requests that may wait for the socket before `send` waits, too.
const QUEUED_REQUESTS_MAX: usize = 16;
/// What a read makes room for at least.
const READ_BYTES_MIN: usize = 64 * 1024;
/// Makes room for the rest of a large answer, in steps of what has already come.
const READ_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A connection; clones share it. It is closed when the last clone and the last [`Answer`] are gone.
#[derive(Debug, Clone)]
pub struct Connection {
    shared: Arc<Shared>,
    versions: Arc<VersionTable>,
}

#[derive(Debug)]
struct Shared {
    address: String,
    client_id: String,
    request_timeout: Duration,
    next_correlation_id: AtomicI32,
    requests: mpsc::Sender<Outgoing>,
    poison: Arc<Poison>,
}

/// A frame to write, and who waits for what it is answered with.
#[derive(Debug)]
struct Outgoing {
    frame: Bytes,
    pending: Option<Pending>,
    /// Told when the frame was handed to the system, if no answer will come.
    written: Option<oneshot::Sender<()>>,
}

#[derive(Debug)]
struct Pending {
    correlation_id: i32,
    key: ApiKey,
    version: i16,
    answer: oneshot::Sender<Bytes>,
}

/// Requests that were written, or are about to be, oldest first.
type Unanswered = Arc<Mutex<VecDeque<Pending>>>;

/// The first failure of a connection, for all who wait on it.
#[derive(Debug)]
struct Poison(watch::Sender<Option<ConnectionError>>);

impl Poison {
    fn set(&self, error: ConnectionError) {
        self.0.send_if_modified(|slot| {
            let first = slot.is_none();
            if first {
                *slot = Some(error);
            }
            first
        });
    }

    fn get(&self) -> Option<ConnectionError> {
        self.0.borrow().clone()
    }

    /// Returns once there is a failure.
    async fn happened(&self) -> ConnectionError {
        let mut changes = self.0.subscribe();
        loop {
            if let Some(error) = changes.borrow_and_update().clone() {
                return error;
            }
            if changes.changed().await.is_err() {
                // The sender lives as long as `self`.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Connection {
    /// Connects and agrees on versions.
    ///
    /// # Errors
    /// The address cannot be reached, or what answers is no broker.
    pub async fn connect(address: &str, config: &ClientConfig) -> Result<Self, ConnectionError> {
        let connecting = tokio::time::timeout(config.connect_timeout, TcpStream::connect(address));
        let socket = connecting
            .await
            .map_err(|_| ConnectionError::ConnectTimeout {
                address: address.to_owned(),
                timeout_ms: config.connect_timeout.as_millis(),
            })?
            .and_then(|socket| socket.set_nodelay(true).map(|()| socket))
            .map_err(|error| ConnectionError::Connect {
                address: address.to_owned(),
                source: Arc::new(error),
            })?;
        let mut connection = Self::start(socket, address, config);
        connection.versions = Arc::new(connection.negotiate().await?);
        Ok(connection)
    }

    fn start(socket: TcpStream, address: &str, config: &ClientConfig) -> Self {
        let (read_half, write_half) = socket.into_split();
        let (requests, queue) = mpsc::channel(QUEUED_REQUESTS_MAX);
        let poison = Arc::new(Poison(watch::Sender::new(None)));
        let unanswered = Unanswered::default();
        let shared = Arc::new(Shared {
            address: address.to_owned(),
            client_id: config.client_id.clone(),
            request_timeout: config.request_timeout,
            next_correlation_id: AtomicI32::new(0),
            requests,
            poison: Arc::clone(&poison),
        });
        let incoming = Incoming {
            socket: read_half,
            address: address.to_owned(),
            unanswered: Arc::clone(&unanswered),
            buffer: BytesMut::new(),
            frame_bytes_max: config.response_bytes_max,
        };
        tokio::spawn(incoming.run(Arc::clone(&poison)));
        tokio::spawn(write_requests(write_half, queue, unanswered, poison, address.to_owned()));
        Self { shared, versions: Arc::default() }
    }

    /// `HOST:PORT` as it was connected to.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.shared.address
    }

    /// Why this connection can no longer be used, if so.
    #[must_use]
    pub fn failure(&self) -> Option<ConnectionError> {
        self.shared.poison.get()
    }

    /// What the broker supports.
    #[must_use]
    pub fn versions(&self) -> &VersionTable {
        &self.versions
    }

    /// The highest version of a request that both sides know, up to `max`.
    ///
    /// # Errors
    /// [`ConnectionError::NoCommonVersion`].
    pub fn version_of<Q: Request>(&self, max: i16) -> Result<i16, ConnectionError> {
        self.versions.pick::<Q>(max).ok_or_else(|| {
            let broker = self.versions.range(Q::KEY);
            ConnectionError::no_common_version(self.address(), Q::KEY, broker, Q::VERSIONS)
        })
    }

    /// Sends a request in the highest common version and waits for the answer.
    ///
    /// # Errors
    /// The connection failed, before or because of this request.
    pub async fn call<Q: Request>(&self, request: &Q) -> Result<Q::Response, ConnectionError> {
        let version = self.version_of::<Q>(i16::MAX)?;
        self.send(request, version).await?.wait().await
    }

    /// Sends a request; returns when it is queued for the socket. Requests go out in the order of these calls, and many may be
    /// unanswered at a time.
    ///
    /// # Errors
    /// The request does not fit the version, or the connection failed.
    pub async fn send<Q: Request>(
        &self,
        request: &Q,
        version: i16,
    ) -> Result<Answer<Q::Response>, ConnectionError> {
        let correlation_id = self.next_correlation_id();
        let (answer, receiver) = oneshot::channel();
        let pending = Pending { correlation_id, key: Q::KEY, version, answer };
        let frame = self.encode(request, version, correlation_id)?;
        let timeout = self.shared.request_timeout;
        let deadline = Instant::now() + timeout;
        self.queue(Outgoing { frame, pending: Some(pending), written: None }).await?;
        let (connection, response) = (self.clone(), std::marker::PhantomData);
        Ok(Answer { connection, receiver, key: Q::KEY, version, deadline, timeout, response })
    }

    /// Sends a request that is not answered (Produce with acks = 0); returns when the system has taken it.
    ///
    /// # Errors
    /// The request does not fit the version, or the connection failed.
    pub async fn send_unanswered<Q: Request>(
        &self,
        request: &Q,
        version: i16,
    ) -> Result<(), ConnectionError> {
        let frame = self.encode(request, version, self.next_correlation_id())?;
        let (written, receiver) = oneshot::channel();
        self.queue(Outgoing { frame, pending: None, written: Some(written) }).await?;
        match receiver.await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.shared.poison.happened().await),
        }
    }

    fn next_correlation_id(&self) -> i32 {
        self.shared.next_correlation_id.fetch_add(1, Ordering::Relaxed)
    }

    fn encode<Q: Request>(
        &self,
        request: &Q,
        version: i16,
        correlation_id: i32,
    ) -> Result<Bytes, ConnectionError> {
        encode_request(correlation_id, Some(&self.shared.client_id), version, request)
            .map_err(|source| ConnectionError::Encode { api: Q::KEY.name(), source })
    }

    async fn queue(&self, outgoing: Outgoing) -> Result<(), ConnectionError> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        match self.shared.requests.send(outgoing).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.shared.poison.happened().await),
        }
    }

    /// Asks for the broker's versions. A broker that does not know ours answers in version 0 and says which it knows
    /// (KIP-511).
    async fn negotiate(&self) -> Result<VersionTable, ConnectionError> {
        let request = ApiVersionsRequest {
            client_software_name: "sendlog".to_owned(),
            client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Default::default()
        };
        let mut version = *ApiVersionsRequest::VERSIONS.end();
        loop {
            let answer = self.send(&request, version).await?;
            let body = answer.body().await?;
            let response = decode_api_versions(body, version).map_err(|source| {
                self.poison(ConnectionError::Decode {
                    address: self.address().to_owned(),
                    api: ApiKey::ApiVersions.name(),
                    source,
                })
            })?;
            let table = VersionTable::new(&response.api_keys);
            match BrokerError::check(response.error_code, None) {
                Ok(()) => return Ok(table),
                Err(error) if error.error_code() == Some(ErrorCode::UnsupportedVersion) => {
                    let lower = table.pick::<ApiVersionsRequest>(version - 1).or(Some(0));
                    match lower.filter(|lower| *lower < version) {
                        Some(lower) => version = lower,
                        None => return Err(self.refused(error)),
                    }
                }
                Err(error) => return Err(self.refused(error)),
            }
        }
    }

    fn refused(&self, error: BrokerError) -> ConnectionError {
        self.poison(ConnectionError::Negotiation { address: self.address().to_owned(), error })
    }

    /// Gives the connection up; returns the reason.
    fn poison(&self, error: ConnectionError) -> ConnectionError {
        self.shared.poison.set(error.clone());
        error
    }
}

fn decode_api_versions(
    body: Bytes,
    version: i16,
) -> Result<ApiVersionsResponse, sendlog_protocol::wire::DecodeError> {
    // The error code comes first in every version.
    let is_refusal = body.first_chunk() == Some(&ErrorCode::UnsupportedVersion.code().to_be_bytes());
    decode_body(body, if is_refusal { 0 } else { version })
}

/// The right to the answer of a request that is on its way. Dropping it abandons the answer, not the request.
#[derive(Debug)]
pub struct Answer<M> {
    connection: Connection,
    receiver: oneshot::Receiver<Bytes>,
    key: ApiKey,
    version: i16,
    deadline: Instant,
    timeout: Duration,
    response: std::marker::PhantomData<fn() -> M>,
}

impl<M: Message> Answer<M> {
    /// The version that was asked in.
    #[must_use]
    pub fn version(&self) -> i16 {
        self.version
    }

    /// Waits for the answer.
    ///
    /// # Errors
    /// The connection failed; [`ConnectionError::Timeout`] and [`ConnectionError::Decode`] are such failures.
    pub async fn wait(self) -> Result<M, ConnectionError> {
        let (connection, key, version) = (self.connection.clone(), self.key, self.version);
        let body = self.body().await?;
        decode_body(body, version).map_err(|source| {
            let address = connection.address().to_owned();
            connection.poison(ConnectionError::Decode { address, api: key.name(), source })
        })
    }

    async fn body(self) -> Result<Bytes, ConnectionError> {
        match tokio::time::timeout_at(self.deadline, self.receiver).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(_)) => Err(self.connection.shared.poison.happened().await),
            Err(_) => Err(self.connection.poison(ConnectionError::Timeout {
                address: self.connection.address().to_owned(),
                api: self.key.name(),
                timeout_ms: self.timeout.as_millis(),
            })),
        }
    }
}

async fn write_requests(
    mut socket: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Outgoing>,
    unanswered: Unanswered,
    poison: Arc<Poison>,
    address: String,
) {
    let writing = async {
        while let Some(outgoing) = queue.recv().await {
            if let Some(pending) = outgoing.pending {
                // Before the bytes, for the answer may be quick.
                lock(&unanswered).push_back(pending);
            }
            socket.write_all(&outgoing.frame).await?;
            if let Some(written) = outgoing.written {
                // Nobody may be waiting any more.
                let _ = written.send(());
            }
        }
        io::Result::Ok(())
    };
    let error = tokio::select! {
        written = writing => match written {
            Ok(()) => ConnectionError::Closed { address },
            Err(error) => ConnectionError::Io { address, source: Arc::new(error) },
        },
        error = poison.happened() => error,
    };
    poison.set(error);
}

fn lock(unanswered: &Unanswered) -> std::sync::MutexGuard<'_, VecDeque<Pending>> {
    // No code that can panic runs under this lock.
    unanswered.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The reading side.
struct Incoming {
    socket: OwnedReadHalf,
    address: String,
    unanswered: Unanswered,
    buffer: BytesMut,
    frame_bytes_max: usize,
}

impl Incoming {
    async fn run(mut self, poison: Arc<Poison>) {
        let error = tokio::select! {
            error = self.read_answers() => error,
            error = poison.happened() => error,
        };
        poison.set(error);
        // Their receivers learn that nothing will come and ask for the reason.
        lock(&self.unanswered).clear();
    }

    async fn read_answers(&mut self) -> ConnectionError {
        loop {
            match frame::take(&mut self.buffer, self.frame_bytes_max) {
                Ok(Some(frame)) => {
                    if let Err(error) = self.hand_over(frame) {
                        return error;
                    }
                    continue;
                }
                Ok(None) => {}
                Err(source) => return ConnectionError::Frame { address: self.address.clone(), source },
            }
            self.make_room();
            match self.socket.read_buf(&mut self.buffer).await {
                Ok(0) => return ConnectionError::Closed { address: self.address.clone() },
                Ok(_) => {}
                Err(error) => {
                    return ConnectionError::Io { address: self.address.clone(), source: Arc::new(error) };
                }
            }
        }
    }

    /// Grows with what has come, not with what is announced.
    fn make_room(&mut self) {
        let announced = frame::peek_size(&self.buffer, self.frame_bytes_max).ok().flatten().unwrap_or(0);
        let missing = (announced + frame::PREFIX_SIZE).saturating_sub(self.buffer.len());
        let step = self.buffer.len().clamp(READ_BYTES_MIN, READ_BYTES_MAX);
        self.buffer.reserve(missing.clamp(READ_BYTES_MIN, step.max(READ_BYTES_MIN)));
    }

    fn hand_over(&self, frame: Bytes) -> Result<(), ConnectionError> {
        let Some(pending) = lock(&self.unanswered).pop_front() else {
            return Err(ConnectionError::Unrequested { address: self.address.clone() });
        };
        let mut input = Reader::new(frame);
        let found = decode_response_header(pending.key, pending.version, &mut input).map_err(|source| {
            ConnectionError::Decode { address: self.address.clone(), api: pending.key.name(), source }
        })?;
        if found != pending.correlation_id {
            return Err(ConnectionError::OutOfOrder {
                address: self.address.clone(),
                api: pending.key.name(),
                expected: pending.correlation_id,
                found,
            });
        }
        // Whoever asked may have gone.
        let _ = pending.answer.send(input.into_remaining());
        Ok(())
    }
}
