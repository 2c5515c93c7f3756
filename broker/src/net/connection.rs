//! One socket: read frames, start them, answer in request order.
//!
//! Two loops run side by side in one task. The reader splits frames off and starts what may be
//! started; the writer awaits the answers in the order of the requests. So a produce request is
//! appended while an earlier one still waits for its sync, which is what fills a group commit.
//! Everything else runs when its turn to be answered comes, exactly as if the connection took one
//! request at a time; a produce request behind such a one waits for its turn too.
//!
//! Bounds: requests and bytes in flight per connection, and the bytes of all connections
//! ([`Budget`]). A frame's buffer grows as its bytes arrive, never by its length prefix.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sendlog_protocol::{Piece, frame};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout};

use super::budget::{Budget, Charge};
use super::transmit::{Path, Patience, Transmitter};
use crate::api::{self, Answer, Close, Context, Incoming, Session};
use crate::storage::file_slice::FileSlice;

/// The first buffer of a connection, which the budget is not asked for: whoever uses the budget up,
/// small requests of others are read all the same.
const FIRST_READ_BYTES: usize = 4 << 10;

/// A request that takes longer than this rate, and the stall time-out on top, is given up.
const BYTES_PER_SECOND_MIN: f64 = 16_384.0;

/// Answers are gathered into one send up to this many bytes.
const GATHER_BYTES_MAX: usize = 64 << 10;

/// Limits of one connection.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest request frame, without its length prefix.
    pub frame_bytes_max: usize,
    /// Requests read and not yet answered.
    pub inflight_requests_max: usize,
    /// Their bytes; a single larger request is let through alone.
    pub inflight_bytes_max: usize,
    /// A connection that sends nothing for so long, between requests, is closed.
    pub idle_timeout: Duration,
    /// A frame that stays incomplete for so long without a new byte is given up, and so is a peer
    /// that takes no bytes of its answer.
    pub stall_timeout: Duration,
    /// How long the peer may go on taking records of a segment that was deleted.
    pub deleted_kept: Duration,
}

type AnswerFuture = Pin<Box<dyn Future<Output = Result<Answer, Close>> + Send>>;

/// A request whose answer is due.
struct Pending {
    answer: AnswerFuture,
    /// Counts the requests that run at their turn; absent for one that was started at once.
    turn: Option<Turn>,
    _charge: Charge,
    _inflight: OwnedSemaphorePermit,
}

/// Alive while a request that runs at its turn has not been answered.
struct Turn(Arc<AtomicUsize>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// Serves one connection until the peer leaves, misbehaves, or the broker stops.
pub async fn serve(
    stream: TcpStream,
    context: Arc<Context>,
    session: Arc<Session>,
    limits: Arc<Limits>,
    budget: Budget,
    path: Path,
) {
    let stream = Arc::new(stream);
    let (pending, answers) = mpsc::channel(limits.inflight_requests_max);
    let patience = Patience { stall: limits.stall_timeout, deleted: limits.deleted_kept };
    let transmitter = Transmitter::new(Arc::clone(&stream), path, patience);
    let reader = Reader {
        stream,
        inflight: Arc::new(Semaphore::new(limits.inflight_bytes_max)),
        turns: Arc::new(AtomicUsize::new(0)),
        context: Arc::clone(&context),
        session: Arc::clone(&session),
        limits,
        budget,
        buffer: BytesMut::new(),
        charge: Charge::default(),
        frame_bytes_usual: FIRST_READ_BYTES,
        frame_began: Instant::now(),
    };
    let write = write_answers(answers, transmitter);
    let read = async {
        let end = reader.read_requests(pending).await;
        session.reading_ended();
        end
    };
    let (mut read, mut write) = (std::pin::pin!(read), std::pin::pin!(write));
    let end = tokio::select! {
        biased;
        end = &mut write => end,
        // The peer sends no more; what it sent before is still answered. A peer that broke the
        // protocol gets nothing more: its stream can't be trusted.
        end = &mut read => match end {
            Ok(()) => write.await,
            Err(close) => Err(close),
        },
    };
    if let Err(close) = end {
        close.log(session.peer);
    }
    api::disconnected(&context, &session);
}

struct Reader {
    stream: Arc<TcpStream>,
    context: Arc<Context>,
    session: Arc<Session>,
    limits: Arc<Limits>,
    budget: Budget,
    inflight: Arc<Semaphore>,
    /// Requests in the queue that run at their turn.
    turns: Arc<AtomicUsize>,
    buffer: BytesMut,
    /// What `buffer` is charged.
    charge: Charge,
    /// Size of the last whole frame: the next one is expected to be like it.
    frame_bytes_usual: usize,
    /// When the frame in the buffer began.
    frame_began: Instant,
}

impl Reader {
    async fn read_requests(mut self, pending: mpsc::Sender<Pending>) -> Result<(), Close> {
        let stop = self.context.stop.clone();
        loop {
            let frame = tokio::select! {
                biased;
                () = stop.stopped() => return Ok(()),
                frame = self.read_frame() => frame?,
            };
            let Some((frame, charge)) = frame else { return Ok(()) };
            let request = self.start(frame, charge).await?;
            if pending.send(request).await.is_err() {
                return Ok(());
            }
        }
    }

    /// The next frame without its length prefix; `None` when the peer has closed between frames.
    async fn read_frame(&mut self) -> Result<Option<(Bytes, Charge)>, Close> {
        self.frame_began = Instant::now();
        loop {
            if let Some(frame) = self.take_frame()? {
                self.frame_bytes_usual = frame.len() + frame::PREFIX_SIZE;
                let charge = self.charge.split(self.frame_bytes_usual);
                return Ok(Some((frame, charge)));
            }
            let due = self.bytes_due()?;
            let between_frames = self.buffer.is_empty();
            if between_frames {
                // An idle connection holds no buffer.
                self.buffer = BytesMut::new();
                self.charge.keep(0);
            }
            if !self.wait_readable(between_frames).await? {
                return Ok(None);
            }
            self.make_room(due).await?;
            if !self.read_once(between_frames)? {
                return Ok(None);
            }
        }
    }

    fn take_frame(&mut self) -> Result<Option<Bytes>, Close> {
        let frame = frame::take(&mut self.buffer, self.limits.frame_bytes_max);
        frame.map_err(|error| Close::frame(error, &self.buffer))
    }

    /// Bytes until the present frame is whole, as far as it can be told.
    fn bytes_due(&self) -> Result<usize, Close> {
        let size = frame::peek_size(&self.buffer, self.limits.frame_bytes_max);
        let size = size.map_err(|error| Close::frame(error, &self.buffer))?;
        Ok((frame::PREFIX_SIZE + size.unwrap_or(0)).saturating_sub(self.buffer.len()))
    }

    async fn wait_readable(&self, between_frames: bool) -> Result<bool, Close> {
        let patience = if between_frames {
            self.limits.idle_timeout
        } else {
            let allowed = self.limits.stall_timeout + self.time_for_received();
            self.limits.stall_timeout.min(allowed.saturating_sub(self.frame_began.elapsed()))
        };
        match timeout(patience, self.stream.readable()).await {
            Ok(ready) => ready.map(|()| true).map_err(Close::Socket),
            Err(_) if between_frames => Ok(false),
            Err(_) => {
                let waited = self.frame_began.elapsed();
                Err(Close::HalfFrame { received: self.buffer.len(), waited })
            }
        }
    }

    /// What a peer that is just fast enough has needed: bytes that trickle in must not hold memory for
    /// ever.
    fn time_for_received(&self) -> Duration {
        Duration::from_secs_f64(self.buffer.len() as f64 / BYTES_PER_SECOND_MIN)
    }

    /// Makes room for the bytes that are due: at once for a frame no larger than the last one, in
    /// doubling steps beyond that.
    async fn make_room(&mut self, due: usize) -> Result<(), Close> {
        if self.buffer.len() < self.buffer.capacity() {
            return Ok(());
        }
        let received = self.buffer.len();
        let step = received.max(FIRST_READ_BYTES).max(self.frame_bytes_usual.saturating_sub(received));
        let room = due.max(FIRST_READ_BYTES.saturating_sub(received)).min(step).max(1);
        let uncharged = (received + room).saturating_sub(self.charge.bytes() + FIRST_READ_BYTES);
        let charge = self.budget.charge(uncharged, self.limits.stall_timeout).await.ok_or(Close::NoBudget)?;
        self.charge.merge(charge);
        self.buffer.reserve(room);
        Ok(())
    }

    /// Reads what is there; `false` when the peer has closed.
    fn read_once(&mut self, between_frames: bool) -> Result<bool, Close> {
        match self.stream.try_read_buf(&mut self.buffer) {
            Ok(0) if between_frames => Ok(false),
            Ok(0) => Err(Close::Truncated { received: self.buffer.len() }),
            Ok(_) => {
                if between_frames {
                    self.frame_began = Instant::now();
                }
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(error) if between_frames && error.kind() == io::ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(Close::Socket(error)),
        }
    }

    async fn start(&self, frame: Bytes, charge: Charge) -> Result<Pending, Close> {
        let bytes = frame.len().clamp(1, self.limits.inflight_bytes_max);
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let inflight = Arc::clone(&self.inflight).acquire_many_owned(permits);
        let inflight = inflight.await.map_err(|_| Close::NoBudget)?;
        let request = Incoming::parse(frame)?;
        let (context, session) = (Arc::clone(&self.context), Arc::clone(&self.session));
        if request.is_produce() && self.turns.load(Ordering::Acquire) == 0 {
            let answer = Box::pin(api::start_produce(&context, &session, request).await?);
            return Ok(Pending { answer, turn: None, _charge: charge, _inflight: inflight });
        }
        self.turns.fetch_add(1, Ordering::Relaxed);
        let turn = Some(Turn(Arc::clone(&self.turns)));
        let answer = Box::pin(async move { api::answer(&context, &session, request).await });
        Ok(Pending { answer, turn, _charge: charge, _inflight: inflight })
    }
}

/// Sends the answers in the order of their requests. Those that are ready together leave together.
async fn write_answers(mut answers: mpsc::Receiver<Pending>, transmitter: Transmitter) -> Result<(), Close> {
    let mut next = None;
    let mut gathered = Vec::new();
    loop {
        let pending = match next.take() {
            Some(pending) => pending,
            None => match answers.recv().await {
                Some(pending) => pending,
                None => return Ok(()),
            },
        };
        gather(&mut gathered, finish(pending).await?);
        while gathered_bytes(&gathered) < GATHER_BYTES_MAX {
            let Ok(mut pending) = answers.try_recv() else { break };
            // Requests that run at their turn may take their time; what is ready must not wait.
            let ready = if pending.turn.is_none() { poll_once(&mut pending.answer).await } else { None };
            match ready {
                Some(answer) => gather(&mut gathered, answer?),
                None => {
                    next = Some(pending);
                    break;
                }
            }
        }
        if !gathered.is_empty() {
            transmitter.send(std::mem::take(&mut gathered)).await.map_err(Close::Socket)?;
        }
    }
}

async fn finish(pending: Pending) -> Result<Answer, Close> {
    pending.answer.await
}

fn gather(gathered: &mut Vec<Piece<FileSlice>>, answer: Answer) {
    let Answer::Frame(pieces) = answer else { return };
    for piece in pieces {
        match (gathered.last_mut(), piece) {
            (Some(Piece::Bytes(last)), Piece::Bytes(bytes)) => {
                let mut joined = BytesMut::from(std::mem::take(last));
                joined.extend_from_slice(&bytes);
                *last = joined.freeze();
            }
            (_, piece) => gathered.push(piece),
        }
    }
}

/// Bytes that wait to be sent; a record set ends the gathering.
fn gathered_bytes(gathered: &[Piece<FileSlice>]) -> usize {
    gathered
        .iter()
        .map(|piece| match piece {
            Piece::Bytes(bytes) => bytes.len(),
            Piece::Records(_) => GATHER_BYTES_MAX,
        })
        .sum()
}

async fn poll_once(answer: &mut AnswerFuture) -> Option<Result<Answer, Close>> {
    std::future::poll_fn(|context| match answer.as_mut().poll(context) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
