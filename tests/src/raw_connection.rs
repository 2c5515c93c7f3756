//! A connection to a broker that sends exactly the bytes it is told to, well-formed or not.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Ends a test whose broker neither answers nor closes the connection.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// The largest answer that a test expects; a larger length is a broken frame.
const FRAME_BYTES_MAX: usize = 1 << 30;

/// A TCP connection that speaks in frames or in bare bytes.
#[derive(Debug)]
pub struct RawConnection {
    stream: TcpStream,
}

impl RawConnection {
    /// Connects.
    ///
    /// # Panics
    /// When nothing listens at `address`.
    pub fn open(address: SocketAddr) -> Self {
        Self::try_open(address).expect("the broker listens")
    }

    /// Connects to a broker that may be gone by now.
    ///
    /// # Errors
    /// When nothing listens at `address`.
    pub fn try_open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    /// Sends these bytes and nothing else.
    ///
    /// # Errors
    /// When the broker has closed the connection.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a frame: the length, then `content`.
    ///
    /// # Errors
    /// When the broker has closed the connection.
    ///
    /// # Panics
    /// When the content is longer than a frame can say.
    pub fn send_frame(&mut self, content: &[u8]) -> io::Result<()> {
        let length = i32::try_from(content.len()).expect("a test's frame is small");
        self.stream.write_all(&[&length.to_be_bytes(), content].concat())
    }

    /// Sends a request with a header of version 1 (API key, version, correlation id, no client id), followed by the
    /// empty tag buffer of version 2 for a `flexible` request.
    ///
    /// # Errors
    /// When the broker has closed the connection.
    pub fn send_request(&mut self, request: RawRequest<'_>) -> io::Result<()> {
        let mut content = Vec::with_capacity(11 + request.body.len());
        content.extend_from_slice(&request.api_key.to_be_bytes());
        content.extend_from_slice(&request.api_version.to_be_bytes());
        content.extend_from_slice(&request.correlation_id.to_be_bytes());
        content.extend_from_slice(&(-1_i16).to_be_bytes());
        content.extend_from_slice(if request.flexible { &[0] } else { &[] });
        content.extend_from_slice(request.body);
        self.send_frame(&content)
    }

    /// Receives the content of one frame (correlation id and body); `None` when the broker closed the connection
    /// before the frame's first byte.
    ///
    /// # Errors
    /// When the connection ends in the middle of a frame, or nothing comes for a long time.
    pub fn receive_frame(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut length = [0; 4];
        match self.read(&mut length) {
            Ok(0) => return Ok(None),
            Ok(read) => self.stream.read_exact(&mut length[read..])?,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(error),
        }
        let length = usize::try_from(i32::from_be_bytes(length)).map_err(io::Error::other)?;
        if FRAME_BYTES_MAX < length {
            return Err(io::Error::other(format!("a frame of {length} bytes")));
        }
        let mut content = vec![0; length];
        self.stream.read_exact(&mut content)?;
        Ok(Some(content))
    }

    /// Whether the broker closes the connection next, without a further byte. Waits for it.
    ///
    /// # Errors
    /// When the broker neither sends nor closes for a long time.
    pub fn is_closed_by_broker(&mut self) -> io::Result<bool> {
        match self.read(&mut [0]) {
            Ok(read) => Ok(read == 0),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// A read with a time limit ends early when the process is stopped and continued, by a debugger or a frozen machine.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Tells the broker that no more bytes will come, and goes on receiving.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn finish_sending(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// The socket, for options and slow reading.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }
}

/// A request whose body is already bytes.
#[derive(Clone, Copy, Debug)]
pub struct RawRequest<'a> {
    /// Which API.
    pub api_key: i16,
    /// In which version.
    pub api_version: i16,
    /// Comes back in the answer.
    pub correlation_id: i32,
    /// Whether the version's header ends with a tag buffer.
    pub flexible: bool,
    /// What follows the header.
    pub body: &'a [u8],
}
