//! Sends a response: bytes by `send`, record sets by `sendfile`.
//!
//! This is the end of the fetch path. Record bytes go from the page cache to the socket inside the
//! kernel; this process never sees them. What precedes file bytes is sent with `MSG_MORE`, so that
//! header and records share their packets.
//!
//! `sendfile` of pages that are not in the page cache would block its thread on the disk. So a
//! range is probed before it is sent, and a cold one is sent from a thread of the blocking pool:
//! a reader of old data never delays the reader of new data.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustix::net::SendFlags;
use sendlog_protocol::Piece;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::storage::file_slice::FileSlice;

/// Bytes asked of one `sendfile` call: large enough to be efficient, and short enough that a call
/// does not hold a worker for long.
const SENDFILE_BYTES_MAX: usize = 1 << 20;

/// The buffer of the copying path.
const COPY_BYTES_MAX: usize = 256 << 10;

/// How record bytes reach the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// `sendfile`: no copy in user space.
    Sendfile,
    /// Read and send, for comparison (`--no-sendfile`).
    Copy,
}

/// Sends to one socket.
#[derive(Debug)]
pub struct Transmitter {
    stream: Arc<TcpStream>,
    path: Path,
    stall_timeout: Duration,
}

impl Transmitter {
    /// Sends to `stream`, and gives up when nothing moves for `stall_timeout`.
    pub fn new(stream: Arc<TcpStream>, path: Path, stall_timeout: Duration) -> Self {
        Self { stream, path, stall_timeout }
    }

    /// Sends all pieces, in order and to the end.
    ///
    /// # Errors
    /// Any error of the socket or the file. The response may be partly sent then: the connection
    /// is of no more use. A file that ends early is `UnexpectedEof`; a peer that takes nothing for
    /// the stall time-out is `TimedOut`.
    pub async fn send(&self, pieces: Vec<Piece<FileSlice>>) -> io::Result<()> {
        let mut pieces = pieces.into_iter().peekable();
        while let Some(piece) = pieces.next() {
            let more = pieces.peek().is_some();
            match piece {
                Piece::Bytes(bytes) => self.send_bytes(&bytes, more).await?,
                Piece::Records(slice) => self.send_slice(&slice, more).await?,
            }
        }
        Ok(())
    }

    /// Sends `bytes` to the end; `more` says that file bytes follow at once.
    pub async fn send_bytes(&self, bytes: &[u8], more: bool) -> io::Result<()> {
        let flags = if more { SendFlags::NOSIGNAL | SendFlags::MORE } else { SendFlags::NOSIGNAL };
        let mut sent = 0;
        while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            sent += self.when_writable(|| Ok(rustix::net::send(&self.stream, rest, flags)?)).await?;
        }
        Ok(())
    }

    async fn send_slice(&self, slice: &FileSlice, more: bool) -> io::Result<()> {
        match self.path {
            Path::Sendfile => self.sendfile(slice).await,
            Path::Copy => self.copy(slice, more).await,
        }
    }

    async fn sendfile(&self, slice: &FileSlice) -> io::Result<()> {
        let mut sent = 0;
        // Probed and found in memory up to here.
        let mut warm_end = 0;
        while sent < slice.len() {
            if warm_end <= sent {
                let want = SENDFILE_BYTES_MAX.min(slice.len() - sent);
                if !slice.is_resident(sent, want) {
                    sent += self.sendfile_cold(slice, sent, want).await?;
                    continue;
                }
                warm_end = sent + want;
            }
            sent += self.when_writable(|| sendfile(&self.stream, slice, sent, warm_end - sent)).await?;
        }
        Ok(())
    }

    /// Sends a range that must come from the disk, on a thread that may wait for it.
    async fn sendfile_cold(&self, slice: &FileSlice, skip: usize, want: usize) -> io::Result<usize> {
        self.writable().await?;
        let (stream, slice) = (Arc::clone(&self.stream), slice.clone());
        let sending = tokio::task::spawn_blocking(move || {
            slice.read_ahead(skip, want);
            stream.try_io(Interest::WRITABLE, || sendfile(&stream, &slice, skip, want))
        });
        match sending.await.map_err(io::Error::other)? {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }

    /// The same bytes by read and send.
    async fn copy(&self, slice: &FileSlice, more: bool) -> io::Result<()> {
        let mut buffer = BytesMut::zeroed(COPY_BYTES_MAX.min(slice.len()));
        let mut sent = 0;
        while sent < slice.len() {
            let want = buffer.len().min(slice.len() - sent);
            let Some(part) = buffer.get_mut(..want) else { break };
            if slice.is_resident(sent, want) {
                slice.read_at(sent, part)?;
            } else {
                part.copy_from_slice(&read_cold(slice.clone(), sent, want).await?);
            }
            self.send_bytes(part, more || sent + want < slice.len()).await?;
            sent += want;
        }
        Ok(())
    }

    async fn when_writable(&self, operation: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
        let moved =
            tokio::time::timeout(self.stall_timeout, self.stream.async_io(Interest::WRITABLE, operation));
        moved.await.unwrap_or_else(|_| Err(stalled(self.stall_timeout)))
    }

    async fn writable(&self) -> io::Result<()> {
        let ready = tokio::time::timeout(self.stall_timeout, self.stream.writable());
        ready.await.unwrap_or_else(|_| Err(stalled(self.stall_timeout)))
    }
}

/// One `sendfile` call. A file that ends before its range does cannot be answered any more: the
/// length is already on the wire.
fn sendfile(stream: &TcpStream, slice: &FileSlice, skip: usize, want: usize) -> io::Result<usize> {
    let mut position = slice.position() + skip as u64;
    match rustix::fs::sendfile(stream, slice.as_fd(), Some(&mut position), want)? {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a segment is shorter than its records")),
        moved => Ok(moved),
    }
}

async fn read_cold(slice: FileSlice, skip: usize, want: usize) -> io::Result<Bytes> {
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = BytesMut::zeroed(want);
        slice.read_at(skip, &mut bytes)?;
        Ok(bytes.freeze())
    });
    reading.await.map_err(io::Error::other)?
}

fn stalled(timeout: Duration) -> io::Error {
    let message = format!("the peer took no bytes for {} s", timeout.as_secs());
    io::Error::new(io::ErrorKind::TimedOut, message)
}
