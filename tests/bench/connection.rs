//! A blocking client connection, and answers read off it with few system calls.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// No answer within this time ends the run with an error: every load is bounded.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Where a broker or a floor listens and how clients connect to it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub address: SocketAddr,
    /// Whose CPU time and memory are counted, if it is known.
    pub pid: Option<u32>,
    /// TCP congestion control set on client sockets; the machine's default otherwise.
    pub congestion: Option<String>,
}

impl Endpoint {
    /// Connects without Nagle's delay.
    pub fn connect(&self) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, Some(Protocol::TCP))?;
        if let Some(congestion) = &self.congestion {
            socket.set_tcp_congestion(congestion.as_bytes())?;
        }
        socket.set_tcp_nodelay(true)?;
        let connected = socket.connect(&self.address.into());
        connected.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.address)))?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(stream)
    }
}

/// Buffers the read side of a connection and hands out whole frames.
pub struct Answers {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Answers {
    pub fn new() -> Self {
        Self { buffer: vec![0; 4096], start: 0, end: 0 }
    }

    /// The next frame without its length; waits for it.
    pub fn next(&mut self, stream: &mut impl Read) -> io::Result<&[u8]> {
        loop {
            if let Some(range) = self.buffered() {
                self.start = range.end;
                return Ok(&self.buffer[range]);
            }
            self.fill(stream)?;
        }
    }

    fn buffered(&self) -> Option<std::ops::Range<usize>> {
        let waiting = &self.buffer[self.start..self.end];
        let length = usize::try_from(i32::from_be_bytes(*waiting.first_chunk()?)).unwrap_or(0);
        (length + 4 <= waiting.len()).then(|| self.start + 4..self.start + 4 + length)
    }

    fn fill(&mut self, stream: &mut impl Read) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let read = stream.read(&mut self.buffer[self.end..])?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the broker closed the connection"));
        }
        self.end += read;
        Ok(())
    }
}

/// One request and its answer.
pub fn exchange<'a>(
    stream: &mut TcpStream,
    answers: &'a mut Answers,
    request: &[u8],
) -> io::Result<&'a [u8]> {
    stream.write_all(request)?;
    answers.next(stream)
}
