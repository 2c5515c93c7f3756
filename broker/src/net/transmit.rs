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
use tokio::time::Instant;

use crate::storage::file_slice::FileSlice;

/// Bytes asked of one `sendfile` call: large enough to be efficient, and short enough that a call
/// does not hold a worker for long.
const SENDFILE_BYTES_MAX: usize = 1 << 20;

/// The buffer of the copying path.
const COPY_BYTES_MAX: usize = 256 << 10;

/// Longest time between two looks whether a file that is being sent was deleted.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How record bytes reach the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// `sendfile`: no copy in user space.
    Sendfile,
    /// Read and send, for comparison (`--no-sendfile`).
    Copy,
}

/// How slow a peer may be.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// It may take no byte at all for this long.
    pub stall: Duration,
    /// It may go on taking records of a segment that was deleted for this long: their space is not free until it is
    /// through, and whoever takes a byte a minute would keep it for ever.
    pub deleted: Duration,
}

impl Patience {
    /// Time between two looks whether a file that is being sent was deleted.
    fn look_interval(self) -> Duration {
        // Not zero: that would be no pause at all.
        LOOK_INTERVAL.min(self.deleted).max(Duration::from_millis(10))
    }
}

/// Sends to one socket.
#[derive(Debug)]
pub struct Transmitter {
    stream: Arc<TcpStream>,
    path: Path,
    patience: Patience,
}

/// Looks after the files of one response while it is sent.
struct Watch {
    /// Not yet sent, in reverse.
    slices: Vec<FileSlice>,
    next_look: Instant,
    deleted_since: Option<Instant>,
}

impl Transmitter {
    /// Sends to `stream`, and gives up on a peer that tries its patience.
    pub fn new(stream: Arc<TcpStream>, path: Path, patience: Patience) -> Self {
        Self { stream, path, patience }
    }

    /// Sends all pieces, in order and to the end.
    ///
    /// # Errors
    /// Any error of the socket or the file. The response may be partly sent then: the connection
    /// is of no more use. A file that ends early is `UnexpectedEof`; a peer that takes nothing for
    /// the stall time-out is `TimedOut`.
    pub async fn send(&self, pieces: Vec<Piece<FileSlice>>) -> io::Result<()> {
        let mut watch = Watch::over(&pieces);
        let mut pieces = pieces.into_iter().peekable();
        while let Some(piece) = pieces.next() {
            let more = pieces.peek().is_some();
            match piece {
                Piece::Bytes(bytes) => self.send_bytes(&bytes, more, &mut watch).await?,
                Piece::Records(slice) => {
                    self.send_slice(&slice, more, &mut watch).await?;
                    watch.slices.pop();
                }
            }
        }
        Ok(())
    }

    /// Sends `bytes` to the end; `more` says that file bytes follow at once.
    async fn send_bytes(&self, bytes: &[u8], more: bool, watch: &mut Watch) -> io::Result<()> {
        let flags = if more { SendFlags::NOSIGNAL | SendFlags::MORE } else { SendFlags::NOSIGNAL };
        let mut sent = 0;
        while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            sent += self.when_writable(watch, || Ok(rustix::net::send(&self.stream, rest, flags)?)).await?;
        }
        Ok(())
    }

    async fn send_slice(&self, slice: &FileSlice, more: bool, watch: &mut Watch) -> io::Result<()> {
        match self.path {
            Path::Sendfile => self.sendfile(slice, watch).await,
            Path::Copy => self.copy(slice, more, watch).await,
        }
    }

    async fn sendfile(&self, slice: &FileSlice, watch: &mut Watch) -> io::Result<()> {
        let mut sent = 0;
        // Probed and found in memory up to here.
        let mut warm_end = 0;
        while sent < slice.len() {
            if warm_end <= sent {
                let want = SENDFILE_BYTES_MAX.min(slice.len() - sent);
                if !slice.is_resident(sent, want) {
                    sent += self.sendfile_cold(slice, sent, want, watch).await?;
                    continue;
                }
                warm_end = sent + want;
            }
            sent +=
                self.when_writable(watch, || sendfile(&self.stream, slice, sent, warm_end - sent)).await?;
        }
        Ok(())
    }

    /// Sends a range that must come from the disk, on a thread that may wait for it.
    async fn sendfile_cold(
        &self,
        slice: &FileSlice,
        skip: usize,
        want: usize,
        watch: &mut Watch,
    ) -> io::Result<usize> {
        self.watched(watch, || self.stream.writable()).await?;
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
    async fn copy(&self, slice: &FileSlice, more: bool, watch: &mut Watch) -> io::Result<()> {
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
            self.send_bytes(part, more || sent + want < slice.len(), watch).await?;
            sent += want;
        }
        Ok(())
    }

    async fn when_writable(
        &self,
        watch: &mut Watch,
        mut operation: impl FnMut() -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            self.watched(watch, || self.stream.writable()).await?;
            match self.stream.try_io(Interest::WRITABLE, &mut operation) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    /// Waits as long as the patience goes. Looks after the files meanwhile: a peer that takes next to nothing
    /// is never seen to be ready, so there is no other moment to do that.
    async fn watched<F: Future<Output = io::Result<()>>>(
        &self,
        watch: &mut Watch,
        mut ready: impl FnMut() -> F,
    ) -> io::Result<()> {
        let began = Instant::now();
        loop {
            watch.look(self.patience)?;
            let left = self.patience.stall.saturating_sub(began.elapsed());
            match tokio::time::timeout(left.min(self.patience.look_interval()), ready()).await {
                Ok(ready) => return ready,
                Err(_) if self.patience.stall <= began.elapsed() => return Err(stalled(self.patience.stall)),
                Err(_) => {}
            }
        }
    }
}

impl Watch {
    fn over(pieces: &[Piece<FileSlice>]) -> Self {
        let slices = pieces.iter().rev().filter_map(|piece| match piece {
            Piece::Records(slice) => Some(slice.clone()),
            Piece::Bytes(_) => None,
        });
        Self { slices: slices.collect(), next_look: Instant::now() + LOOK_INTERVAL, deleted_since: None }
    }

    /// Looks from time to time whether files that are still to be sent were deleted, and for how long they have been.
    fn look(&mut self, patience: Patience) -> io::Result<()> {
        let now = Instant::now();
        if now < self.next_look {
            return Ok(());
        }
        self.next_look = now + patience.look_interval();
        if !self.slices.iter().any(FileSlice::is_deleted) {
            self.deleted_since = None;
            return Ok(());
        }
        let since = *self.deleted_since.get_or_insert(now);
        if patience.deleted < now - since {
            let message =
                "the peer takes too long over a segment that was deleted: log.segment.delete.delay.ms";
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
        Ok(())
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
