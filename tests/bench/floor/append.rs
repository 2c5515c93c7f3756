//! The produce floor: append the prebuilt bytes, fdatasync, answer; one request after the other.

use std::fs::File;
use std::io::{self, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Mutex;

use crate::floor::read_frame;
use crate::request::{PRODUCE_OFFSET_FROM_END, produce_answer, produce_prefix};
use crate::wire::CORRELATION_AT;

/// One file for all connections.
pub struct AppendFloor {
    tail: Mutex<Tail>,
    file: File,
    prefix: usize,
    answer: Vec<u8>,
    syncs: bool,
}

struct Tail {
    file: File,
    requests: i64,
}

impl AppendFloor {
    /// Starts with an empty file.
    pub fn create(path: &Path, topic: &str, syncs: bool) -> io::Result<Self> {
        let file = File::create(path)?;
        let tail = Mutex::new(Tail { file: file.try_clone()?, requests: 0 });
        Ok(Self { tail, file, prefix: produce_prefix(topic), answer: produce_answer(topic), syncs })
    }

    /// Serves one connection to its end.
    pub fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut frame = Vec::new();
        let mut answer = self.answer.clone();
        let offset_at = answer.len() - PRODUCE_OFFSET_FROM_END;
        loop {
            read_frame(&mut stream, &mut frame)?;
            let base_offset = self.append(&frame[self.prefix..])?;
            if self.syncs {
                self.file.sync_data()?;
            }
            answer[4..8].copy_from_slice(&frame[CORRELATION_AT..CORRELATION_AT + 4]);
            answer[offset_at..offset_at + 8].copy_from_slice(&base_offset.to_be_bytes());
            stream.write_all(&answer)?;
        }
    }

    fn append(&self, records: &[u8]) -> io::Result<i64> {
        let mut tail = self.tail.lock().map_err(|_| io::Error::other("another connection panicked"))?;
        tail.file.write_all(records)?;
        tail.requests += 1;
        Ok(tail.requests - 1)
    }
}
