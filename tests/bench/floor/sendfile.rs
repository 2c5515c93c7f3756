//! The fetch floor: a head of fixed size, then sendfile of the range that the broker would send.

use std::fs::File;
use std::io::{self, Write};
use std::net::TcpStream;
use std::path::Path;

use rustix::fs::sendfile;
use rustix::net::{SendFlags, send};

use crate::floor::read_frame;
use crate::request::{FetchFrame, fetch_answer_head};
use crate::wire::CORRELATION_AT;

/// One file of equal batches for all connections.
pub struct SendfileFloor {
    file: File,
    file_bytes: u64,
    head: Vec<u8>,
    batch_bytes: u64,
    batch_records: u64,
}

impl SendfileFloor {
    pub fn open(path: &Path, topic: &str, batch_bytes: u64, batch_records: u64) -> io::Result<Self> {
        let file = File::open(path)?;
        let file_bytes = file.metadata()?.len();
        Ok(Self { file, file_bytes, head: fetch_answer_head(topic), batch_bytes, batch_records })
    }

    /// Serves one connection to its end.
    pub fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut frame = Vec::new();
        let mut head = self.head.clone();
        let records_at = head.len() - 4;
        loop {
            read_frame(&mut stream, &mut frame)?;
            let offset: [u8; 8] = field(&frame, FetchFrame::OFFSET_FROM_END);
            let bytes_max: [u8; 4] = field(&frame, FetchFrame::BYTES_MAX_FROM_END);
            let position = u64::from_be_bytes(offset) / self.batch_records * self.batch_bytes;
            let batches = (u64::from(u32::from_be_bytes(bytes_max)) / self.batch_bytes).max(1);
            let len = (batches * self.batch_bytes).min(self.file_bytes - position);

            let records = u32::try_from(len).map_err(io::Error::other)?;
            let length = u32::try_from(head.len() - 4).map_err(io::Error::other)? + records;
            head[..4].copy_from_slice(&length.to_be_bytes());
            head[4..8].copy_from_slice(&frame[CORRELATION_AT..CORRELATION_AT + 4]);
            head[records_at..].copy_from_slice(&records.to_be_bytes());
            let sent = send(&stream, &head, SendFlags::MORE)?;
            stream.write_all(&head[sent..])?;
            self.transmit(&stream, position, position + len)?;
        }
    }

    fn transmit(&self, stream: &TcpStream, mut position: u64, end: u64) -> io::Result<()> {
        while position < end {
            let left = usize::try_from(end - position).map_err(io::Error::other)?;
            if sendfile(stream, &self.file, Some(&mut position), left)? == 0 {
                return Err(io::Error::other("the floor's file ends inside a range"));
            }
        }
        Ok(())
    }
}

fn field<const N: usize>(frame: &[u8], from_end: usize) -> [u8; N] {
    let at = frame.len() - from_end;
    *frame[at..].first_chunk().expect("the field stands before the frame's end")
}
