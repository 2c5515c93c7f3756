//! The shipping part of the demonstration.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use sendlog_client::{ClientConfig, NewRecord, Producer, ProducerConfig};

use super::TOPIC;
use super::corpus::Corpus;
use super::plan::{Digest, Plan, Total};
use crate::args::Demo;
use crate::error::CliError;
use crate::lines::{Lines, NO_NEWLINE};

/// The largest batch, and so about the longest line, that the topic takes.
pub(super) const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
const READ_BYTES: usize = 256 * 1024;
/// Lines between two looks at the progress bar.
const LINES_PER_TICK: u64 = 1000;

pub(super) struct Shipped {
    pub(super) plan: Plan,
    pub(super) total: Total,
    /// Until the last acknowledgement.
    pub(super) took: Duration,
}

/// Ships the files again and again until there is enough; every acknowledged line is on disk.
pub(super) async fn ship(
    client: ClientConfig,
    corpus: &Corpus,
    args: &Demo,
    bar: &ProgressBar,
) -> Result<Shipped, CliError> {
    let config = ProducerConfig {
        compression: args.compression,
        request_bytes_max: BATCH_BYTES_MAX,
        ..ProducerConfig::default()
    };
    let producer = Producer::connect(client, config).await?;
    let start = Instant::now();
    let mut shipping = Shipping { producer, bar, size: args.size, shipped: 0, ticked: 0 };
    let mut plan = Plan::new(args.partitions);
    let mut turn = 0;
    'enough: loop {
        let before = shipping.shipped;
        for (number, path) in (0..).zip(corpus.files()) {
            let partition = turn % args.partitions;
            let digest = shipping.ship_file(path, partition).await?;
            plan.add(usize::try_from(partition).unwrap_or(0), number, &digest);
            turn = turn.wrapping_add(1) & i32::MAX;
            if args.size <= shipping.shipped {
                break 'enough;
            }
        }
        if before == shipping.shipped {
            return Err(CliError::NoFiles("the files found (they are empty by now)".to_owned()));
        }
    }
    shipping.producer.close().await?;
    let total = plan.total();
    Ok(Shipped { plan, total, took: start.elapsed() })
}

struct Shipping<'a> {
    producer: Producer,
    bar: &'a ProgressBar,
    size: u64,
    /// Bytes.
    shipped: u64,
    /// What the bar shows.
    ticked: u64,
}

impl Shipping<'_> {
    /// Ships a file, or as much of it as there is need for.
    async fn ship_file(&mut self, path: &Path, partition: i32) -> Result<Digest, CliError> {
        let read_error = |source| CliError::File { path: path.to_owned(), source };
        let file = File::open(path).map_err(read_error)?;
        let mut lines = Lines::new(BufReader::with_capacity(READ_BYTES, file));
        let mut digest = Digest::default();
        while let Some(line) = lines.next_line().map_err(read_error)? {
            digest.add(line.text, line.has_newline);
            let mut record = NewRecord::value(line.text).partition(partition);
            if !line.has_newline {
                record = record.header(NO_NEWLINE, Some(b""));
            }
            // Failures come together when the producer is closed.
            drop(self.producer.send(TOPIC, record).await.map_err(|source| {
                let (name, number) = (path.display().to_string(), digest.total().lines);
                CliError::Line { name, number, source: Box::new(source) }
            })?);
            if digest.total().lines % LINES_PER_TICK == 0 {
                self.tick(digest.total().bytes);
            }
            if self.size <= self.shipped + digest.total().bytes {
                break;
            }
        }
        self.shipped += digest.total().bytes;
        self.tick(0);
        Ok(digest)
    }

    fn tick(&mut self, of_this_file: u64) {
        let now = self.shipped + of_this_file;
        self.bar.inc(now - self.ticked);
        self.ticked = now;
    }
}
