//! `sendlog produce`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sendlog_client::{Acks, ClientConfig, NewRecord, Producer, ProducerConfig};

use crate::args::Produce;
use crate::error::CliError;
use crate::lines::{Lines, NO_NEWLINE};
use crate::signals::asked_to_stop;
use crate::size::show_size;

/// Large reads: most inputs are files.
const READ_BYTES: usize = 256 * 1024;

pub(crate) async fn run(client: ClientConfig, args: Produce) -> Result<(), CliError> {
    let batch_bytes = usize::try_from(args.batch_bytes).unwrap_or(usize::MAX);
    let defaults = ProducerConfig::default();
    let config = ProducerConfig {
        acks: args.acks,
        idempotent: args.acks == Acks::All,
        compression: args.compression,
        linger: Duration::from_millis(args.linger_ms),
        batch_bytes,
        request_bytes_max: defaults.request_bytes_max.max(batch_bytes),
        buffer_bytes: defaults.buffer_bytes.max(batch_bytes.saturating_mul(8)),
        ..defaults
    };
    let producer = Producer::connect(client, config).await?;
    let start = Instant::now();
    let mut shipped = Shipped::default();
    let ended = tokio::select! {
        ended = ship_all(&producer, &args, &mut shipped) => ended,
        () = asked_to_stop() => Err(CliError::Interrupted),
    };
    // What was taken is shipped, however it ended.
    producer.close().await?;
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("{} records, {} in {seconds:.2} s", shipped.records, show_size(shipped.bytes));
    ended
}

async fn ship_all(producer: &Producer, args: &Produce, shipped: &mut Shipped) -> Result<(), CliError> {
    let files = if args.files.is_empty() { vec![PathBuf::from("-")] } else { args.files.clone() };
    for path in &files {
        if path.as_os_str() == "-" {
            ship_input(producer, args, shipped).await?;
        } else {
            let file = File::open(path).map_err(|source| CliError::File { path: path.clone(), source })?;
            let reader = BufReader::with_capacity(READ_BYTES, file);
            ship(producer, args, reader, path, shipped).await?;
        }
    }
    Ok(())
}

/// How much was shipped.
#[derive(Debug, Default, Clone, Copy)]
struct Shipped {
    records: u64,
    bytes: u64,
}

async fn ship(
    producer: &Producer,
    args: &Produce,
    input: impl BufRead,
    path: &Path,
    shipped: &mut Shipped,
) -> Result<(), CliError> {
    let mut lines = Lines::new(input);
    let mut number = 0;
    let read_error = |source| CliError::File { path: path.to_owned(), source };
    while let Some(line) = lines.next_line().map_err(read_error)? {
        number += 1;
        send(producer, args, line.text, line.has_newline, shipped).await.map_err(|source| {
            CliError::Line { name: path.display().to_string(), number, source: Box::new(source) }
        })?;
    }
    Ok(())
}

async fn send(
    producer: &Producer,
    args: &Produce,
    text: &[u8],
    has_newline: bool,
    shipped: &mut Shipped,
) -> Result<(), sendlog_client::ClientError> {
    let mut record = NewRecord::value(text);
    if let Some(key) = &args.key {
        record = record.key(key);
    } else if !args.spread {
        record = record.partition(args.partition);
    }
    if !has_newline {
        record = record.header(NO_NEWLINE, Some(b""));
    }
    // Failures come together at the end.
    drop(producer.send(&args.topic, record).await?);
    shipped.records += 1;
    shipped.bytes += u64::try_from(text.len()).unwrap_or(0) + u64::from(has_newline);
    Ok(())
}

/// Lines from standard input, each shipped as it comes: reading blocks, so it has a thread of its own.
async fn ship_input(producer: &Producer, args: &Produce, shipped: &mut Shipped) -> Result<(), CliError> {
    let (to_ship, mut lines) = tokio::sync::mpsc::channel(16);
    let reading = std::thread::spawn(move || read_input(&to_ship));
    let mut number = 0;
    while let Some(chunk) = lines.recv().await {
        let chunk: Vec<u8> = chunk;
        let mut lines = Lines::new(chunk.as_slice());
        while let Some(line) = lines.next_line().map_err(CliError::Input)? {
            number += 1;
            send(producer, args, line.text, line.has_newline, shipped).await.map_err(|source| {
                CliError::Line { name: "standard input".to_owned(), number, source: Box::new(source) }
            })?;
        }
    }
    match reading.join() {
        Ok(read) => read.map_err(CliError::Input),
        Err(_) => Err(CliError::Input(std::io::Error::other("the reading thread failed"))),
    }
}

/// Hands over what standard input has, in pieces of whole lines (the last one perhaps without a newline).
fn read_input(to_ship: &tokio::sync::mpsc::Sender<Vec<u8>>) -> std::io::Result<()> {
    let mut input = std::io::stdin().lock();
    let mut piece = Vec::new();
    loop {
        let available = input.fill_buf()?;
        if available.is_empty() {
            break;
        }
        let bytes = available.len();
        piece.extend_from_slice(available);
        input.consume(bytes);
        if let Some(last) = piece.iter().rposition(|byte| *byte == b'\n') {
            let rest = piece.split_off(last + 1);
            if to_ship.blocking_send(std::mem::replace(&mut piece, rest)).is_err() {
                return Ok(());
            }
        }
    }
    if !piece.is_empty() {
        // Nobody takes it if shipping failed, which is told elsewhere.
        let _ = to_ship.blocking_send(piece);
    }
    Ok(())
}
