//! A blocking client for network scenarios: typed requests over one connection, with the answers' very bytes at hand.
//!
//! Requests and answers are separate steps, so that a test can pipeline; [`WireClient::call`] is both. Nothing here
//! retries, reconnects or hides what the broker did.

use std::fmt::Debug;
use std::io::{self, ErrorKind, Read, Write};
use std::marker::PhantomData;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sendlog_protocol::api_key::ApiKey;
use sendlog_protocol::wire::Reader;
use sendlog_protocol::{Request, decode_body, decode_response_header, encode_request};
use socket2::{Domain, Socket, Type};

/// Ends a test whose broker neither answers nor closes the connection.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// A larger answer than any that a test asks for is a broken frame.
const FRAME_BYTES_MAX: usize = 1 << 30;
/// What the client calls itself.
const CLIENT_ID: &str = "scenario";

/// A connection to a broker.
#[derive(Debug)]
pub struct WireClient {
    stream: TcpStream,
    next_correlation_id: i32,
}

/// A request that was sent, and so the answer that is due.
#[derive(Debug)]
pub struct Due<Q> {
    /// Comes back in the answer.
    pub correlation_id: i32,
    /// Of the request, and so of the answer.
    pub version: i16,
    request: PhantomData<Q>,
}

impl WireClient {
    /// Connects.
    ///
    /// # Panics
    /// When nothing listens at `address`.
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).expect("the broker listens"))
    }

    /// Connects with a receive buffer of about so many bytes, which the kernel does not grow then.
    ///
    /// # Panics
    /// When nothing listens at `address`.
    pub fn connect_with_receive_buffer(address: SocketAddr, bytes: usize) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
        // Before the connection is made: its window follows from it.
        socket.set_recv_buffer_size(bytes).expect("a socket takes options");
        socket.connect(&address.into()).expect("the broker listens");
        Self::over(socket.into())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(ANSWER_LIMIT)).expect("the limit is not zero");
        stream.set_write_timeout(Some(ANSWER_LIMIT)).expect("the limit is not zero");
        stream.set_nodelay(true).expect("a connected socket takes options");
        Self { stream, next_correlation_id: 1 }
    }

    /// Sends a request and receives its answer.
    ///
    /// # Panics
    /// When the broker does not answer, or answers with something else.
    pub fn call<Q: Request<Response: Debug>>(&mut self, version: i16, request: &Q) -> Q::Response {
        let due = self.send(version, request);
        self.receive(&due)
    }

    /// Sends a request.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn send<Q: Request>(&mut self, version: i16, request: &Q) -> Due<Q> {
        let (due, frame) = self.frame(version, request);
        self.send_bytes(&frame).expect("the broker takes a request");
        due
    }

    /// A request as it would be sent next, so that several can be sent in one go.
    ///
    /// # Panics
    /// When the version does not have what the request says.
    pub fn frame<Q: Request>(&mut self, version: i16, request: &Q) -> (Due<Q>, Bytes) {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id += 1;
        let frame = encode_request(correlation_id, Some(CLIENT_ID), version, request);
        let due = Due { correlation_id, version, request: PhantomData };
        (due, frame.expect("a test's request fits its version"))
    }

    /// Receives the answer to a request; it must be the next one on the connection.
    ///
    /// # Panics
    /// When the broker closes the connection, or sends something else.
    pub fn receive<Q: Request<Response: Debug>>(&mut self, due: &Due<Q>) -> Q::Response {
        let frame = self.receive_frame().expect("the broker answers in time");
        let frame = frame.unwrap_or_else(|| {
            panic!("the broker closed the connection instead of answering {:?} v{}", Q::KEY, due.version)
        });
        due.decode(frame)
    }

    /// Receives the next frame without its length: correlation id and body. `None` when the broker has closed the
    /// connection before the frame's first byte.
    ///
    /// # Errors
    /// When the connection ends in the middle of a frame, or nothing comes for a long time.
    pub fn receive_frame(&mut self) -> io::Result<Option<Bytes>> {
        let mut prefix = [0; 4];
        match self.stream.read(&mut prefix) {
            Ok(0) => return Ok(None),
            Ok(read) => self.stream.read_exact(&mut prefix[read..])?,
            Err(error) if is_closing(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
        let length = usize::try_from(i32::from_be_bytes(prefix)).map_err(io::Error::other)?;
        if FRAME_BYTES_MAX < length {
            return Err(io::Error::other(format!("a frame of {length} bytes")));
        }
        let mut content = vec![0; length];
        self.stream.read_exact(&mut content)?;
        Ok(Some(content.into()))
    }

    /// Sends these bytes and nothing else.
    ///
    /// # Errors
    /// When the broker has closed the connection.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Waits until the broker closes the connection; what it sends before that is dropped.
    ///
    /// # Panics
    /// When it does not.
    pub fn expect_close(&mut self) {
        let mut dropped = [0; 4096];
        loop {
            match self.stream.read(&mut dropped) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if is_closing(&error) => return,
                Err(error) => panic!("the broker neither answers nor closes the connection: {error}"),
            }
        }
    }

    /// Whether something (an answer, the end) can be received now.
    ///
    /// # Panics
    /// When the system cannot tell.
    pub fn has_input(&self) -> bool {
        let mut interest = [PollFd::new(&self.stream, PollFlags::IN)];
        0 < poll(&mut interest, Some(&Timespec::default())).expect("a socket can be polled")
    }

    /// The client's own address: what the broker's log names.
    ///
    /// # Panics
    /// When the connection is gone.
    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().expect("a connected socket has an address")
    }

    /// The socket, for options and bare bytes.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Leaves without a farewell: the broker sees a reset.
    ///
    /// # Panics
    /// When the socket takes no options.
    pub fn reset(self) {
        let socket = Socket::from(self.stream);
        socket.set_linger(Some(Duration::ZERO)).expect("a socket takes options");
    }
}

impl<Q: Request<Response: Debug>> Due<Q> {
    /// Decodes the frame that answers the request.
    ///
    /// # Panics
    /// When it does not: the correlation id is another one, or the body is not that of the version.
    pub fn decode(&self, frame: Bytes) -> Q::Response {
        let mut reader = Reader::new(frame);
        let correlation_id = decode_response_header(Q::KEY, self.version, &mut reader);
        assert_eq!(correlation_id, Ok(self.correlation_id), "the answer belongs to another request");
        let body = decode_body(reader.into_remaining(), self.version);
        body.unwrap_or_else(|error| panic!("{:?} v{} is answered with {error}", Q::KEY, self.version))
    }
}

/// A request frame whose body is bytes, without a client id: length, header, `body`.
///
/// # Panics
/// When the body is longer than a frame can say.
pub fn raw_frame(key: ApiKey, version: i16, correlation_id: i32, body: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(15 + body.len());
    content.extend_from_slice(&key.code().to_be_bytes());
    content.extend_from_slice(&version.to_be_bytes());
    content.extend_from_slice(&correlation_id.to_be_bytes());
    content.extend_from_slice(&(-1_i16).to_be_bytes());
    if key.flexible_from() <= version {
        content.push(0);
    }
    content.extend_from_slice(body);
    with_length(&content)
}

/// A frame: the length of `content`, then `content`.
///
/// # Panics
/// When it is longer than a frame can say.
pub fn with_length(content: &[u8]) -> Vec<u8> {
    let length = i32::try_from(content.len()).expect("a test's frame is small");
    [&length.to_be_bytes(), content].concat()
}

/// How the end of a connection shows when the peer still had bytes of ours to read.
fn is_closing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}
