//! `sendlog consume`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::time::Duration;

use sendlog_client::{Admin, Assignment, ClientConfig, Consumer, ConsumerConfig, OffsetQuery, Start};

use crate::args::{Consume, Place};
use crate::error::CliError;
use crate::lines::write_record;

const WRITE_BYTES: usize = 256 * 1024;
/// How long a poll waits; what is written is flushed in between.
const POLL: Duration = Duration::from_millis(200);

pub(crate) async fn run(client: ClientConfig, args: Consume) -> Result<(), CliError> {
    let admin = Admin::connect(client.clone()).await?;
    let topic = admin.describe_topic(&args.topic).await?;
    let all = 0..i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    let partitions: Vec<i32> = match args.partition {
        Some(partition) if !all.contains(&partition) => {
            let last = all.end - 1;
            let reason = format!("topic {} has the partitions 0 to {last}, not {partition}", args.topic);
            return Err(CliError::Usage(reason));
        }
        Some(partition) => vec![partition],
        None => all.collect(),
    };
    let consumer = Consumer::connect(client, ConsumerConfig::default()).await?;
    let left = args.max.unwrap_or(u64::MAX);
    let mut printing = Printing { out: output(&args)?, consumer, left };
    let mut assignments = Vec::new();
    for partition in partitions {
        let range = range_of(&admin, &args, partition).await?;
        assignments.push((Assignment::new(&args.topic, partition, Start::Offset(range.start)), range));
    }
    if args.follow {
        printing.consumer.assign(assignments.into_iter().map(|(assignment, _)| assignment));
        return printing.print_on().await;
    }
    for (assignment, range) in assignments {
        if !range.is_empty() {
            printing.print_until(assignment, range.end).await?;
        }
    }
    printing.flush()
}

/// The offsets to print: as far as they are in the log as it is now.
async fn range_of(admin: &Admin, args: &Consume, partition: i32) -> Result<Range<i64>, CliError> {
    let offset = |query| admin.list_offset(&args.topic, partition, query);
    let earliest = offset(OffsetQuery::Earliest).await?.unwrap_or(0);
    let latest = offset(OffsetQuery::Latest).await?.unwrap_or(earliest);
    let place = async |place| match place {
        Place::Earliest => Ok(earliest),
        Place::Latest => Ok(latest),
        Place::Offset(offset) => Ok(offset),
        Place::Time(time) => Ok::<_, CliError>(offset(OffsetQuery::Timestamp(time)).await?.unwrap_or(latest)),
    };
    let start = place(args.from).await?.clamp(earliest, latest.max(earliest));
    Ok(start..place(args.until).await?.min(latest))
}

fn output(args: &Consume) -> Result<Output, CliError> {
    let Some(path) = &args.output else {
        return Ok(Output {
            out: Box::new(BufWriter::with_capacity(WRITE_BYTES, std::io::stdout())),
            path: None,
        });
    };
    let file = File::create_new(path).map_err(|source| CliError::File { path: path.clone(), source })?;
    Ok(Output { out: Box::new(BufWriter::with_capacity(WRITE_BYTES, file)), path: Some(path.clone()) })
}

/// Where records go.
struct Output {
    out: Box<dyn Write + Send>,
    path: Option<std::path::PathBuf>,
}

impl Output {
    fn error(&self, source: std::io::Error) -> CliError {
        match &self.path {
            Some(path) => CliError::File { path: path.clone(), source },
            None => CliError::Output(source),
        }
    }
}

struct Printing {
    out: Output,
    consumer: Consumer,
    /// Records that may still be printed.
    left: u64,
}

impl Printing {
    /// Prints one partition up to an offset.
    async fn print_until(&mut self, assignment: Assignment, end: i64) -> Result<(), CliError> {
        let (topic, partition) = (assignment.topic.clone(), assignment.partition);
        self.consumer.assign([assignment]);
        while 0 < self.left && self.consumer.position(&topic, partition).is_none_or(|at| at < end) {
            let polled = self.consumer.poll(POLL).await?;
            let is_quiet = polled.records.is_empty();
            for record in polled.records.iter().take_while(|record| record.offset < end) {
                self.print(record)?;
            }
            if is_quiet {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Prints what comes, until enough was printed or the process is stopped.
    async fn print_on(&mut self) -> Result<(), CliError> {
        while 0 < self.left {
            for record in &self.consumer.poll(POLL).await?.records {
                self.print(record)?;
            }
            self.flush()?;
        }
        Ok(())
    }

    fn print(&mut self, record: &sendlog_client::Record) -> Result<(), CliError> {
        if self.left == 0 {
            return Ok(());
        }
        self.left -= 1;
        write_record(&mut self.out.out, record).map_err(|error| self.out.error(error))
    }

    fn flush(&mut self) -> Result<(), CliError> {
        self.out.out.flush().map_err(|error| self.out.error(error))
    }
}
