//! A Kafka client for scenarios: one blocking connection, one request at a time unless the scenario pipelines.
//!
//! It speaks through `sendlog_protocol`, hides nothing and repeats nothing. What a scenario expects to succeed panics
//! with the broker's error when it does not; what may fail returns a result.

mod records;
mod topics;

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::wire::Reader;
use sendlog_protocol::{Message, Request, decode_body, decode_response_header, encode_request};

use crate::raw_connection::RawConnection;

pub use records::{Fetched, Produce, ProduceAnswer, ProduceFailure, Producer};

/// A connection that sends requests and decodes their answers.
#[derive(Debug)]
pub struct Kafka {
    connection: RawConnection,
    sent: i32,
    received: i32,
}

impl Kafka {
    /// Connects.
    ///
    /// # Panics
    /// When nothing listens at `address`.
    pub fn open(address: SocketAddr) -> Self {
        Self { connection: RawConnection::open(address), sent: 0, received: 0 }
    }

    /// Connects to a broker that may be gone by now.
    ///
    /// # Errors
    /// When nothing listens at `address`.
    pub fn try_open(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { connection: RawConnection::try_open(address)?, sent: 0, received: 0 })
    }

    /// Sends a request and receives its answer.
    ///
    /// # Errors
    /// When the broker closes the connection instead.
    pub fn call<Q: Request>(&mut self, version: i16, request: &Q) -> io::Result<Q::Response> {
        self.send(version, request)?;
        self.receive::<Q>(version)
    }

    /// As [`call`](Self::call), for a request that must be answered.
    ///
    /// # Panics
    /// When it is not.
    pub fn ask<Q: Request>(&mut self, version: i16, request: &Q) -> Q::Response {
        self.call(version, request).unwrap_or_else(|error| panic!("{} is answered: {error}", Q::NAME))
    }

    /// Sends a request and does not wait.
    ///
    /// # Errors
    /// When the broker has closed the connection.
    ///
    /// # Panics
    /// When the request cannot be expressed in this version.
    pub fn send<Q: Request>(&mut self, version: i16, request: &Q) -> io::Result<()> {
        let frame =
            encode_request(self.sent, Some("scenario"), version, request).expect("the request encodes");
        self.connection.send_bytes(&frame)?;
        self.sent += 1;
        Ok(())
    }

    /// Receives the answer to the oldest request that has none.
    ///
    /// # Errors
    /// When the broker closes the connection instead: `UnexpectedEof`, or as the socket says.
    ///
    /// # Panics
    /// When the answer is not one to that request.
    pub fn receive<Q: Request>(&mut self, version: i16) -> io::Result<Q::Response> {
        let Some(frame) = self.connection.receive_frame()? else {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the broker closed the connection"));
        };
        let mut input = Reader::new(Bytes::from(frame));
        let correlation_id = decode_response_header(Q::KEY, version, &mut input).expect("a response header");
        assert_eq!(correlation_id, self.received, "answers come in the order of the requests");
        self.received += 1;
        let answer = decode_body(input.into_remaining(), version);
        Ok(answer.unwrap_or_else(|error| panic!("{}: {error}", Q::Response::NAME)))
    }

    /// Says that the last request sent gets no answer (acks=0).
    pub fn expect_no_answer(&mut self) {
        // The next answer carries the number of a later request.
        self.received += 1;
    }

    /// The connection, for what a well-behaved client does not do.
    pub fn raw(&mut self) -> &mut RawConnection {
        &mut self.connection
    }
}

/// Kafka's name of an error code.
pub fn error_name(code: i16) -> String {
    ErrorCode::from_code(code).map_or_else(|| format!("error {code}"), |error| error.name().to_owned())
}

fn assert_ok(code: i16, message: Option<&str>, what: &str) {
    assert_eq!(code, 0, "{what}: {} {}", error_name(code), message.unwrap_or_default());
}
