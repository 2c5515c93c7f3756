//! `sendlog demo`: a broker of its own, real log files through it and back, and what that took.

mod broker;
mod corpus;
mod plan;
mod read;
mod report;
mod ship;
mod usage;

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use sendlog_client::{Admin, ClientConfig, NewTopic};

use crate::args::Demo;
use crate::error::CliError;
use crate::signals::asked_to_stop;
use crate::size::show_size;
use broker::Broker;
use corpus::Corpus;
use report::{Report, Row};

const TOPIC: &str = "logs";

/// How the broker moves records from its files to sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transfer {
    Sendfile,
    ReadAndWrite,
}

pub(crate) async fn run(args: Demo) -> Result<(), CliError> {
    tokio::select! {
        done = demonstrate(&args) => done,
        () = asked_to_stop() => Err(CliError::Interrupted),
    }
}

async fn demonstrate(args: &Demo) -> Result<(), CliError> {
    let corpus = Corpus::find(&args.paths)?;
    let program = broker::find(args.broker.as_deref())?;
    let directory = Directory::new(args.data_dir.as_deref())?;
    eprintln!(
        "{} of text in {} files, repeated to {}; broker {}, data in {}",
        show_size(corpus.bytes()),
        corpus.files().len(),
        show_size(args.size),
        program.display(),
        directory.path().display(),
    );
    let mut report = Report::default();

    let broker = Broker::start(&program, directory.path(), Transfer::Sendfile)?;
    let client = client(&broker);
    let topic = NewTopic::new(TOPIC).partitions(args.partitions);
    let topic = topic.config("max.message.bytes", ship::BATCH_BYTES_MAX.to_string());
    Admin::connect(client.clone()).await?.create_topic(&topic).await?;
    let bar = bar("shipping", args.size);
    let before = broker.usage()?;
    let shipped = ship::ship(client.clone(), &corpus, args, &bar).await?;
    bar.finish_and_clear();
    report.add(Row::new(
        "ship, on disk before the ack",
        1,
        shipped.total,
        shipped.took,
        before,
        broker.usage()?,
    ));

    read_with(&broker, Transfer::Sendfile, args, &shipped.plan, &mut report).await?;
    broker.stop()?;
    let broker = Broker::start(&program, directory.path(), Transfer::ReadAndWrite)?;
    read_with(&broker, Transfer::ReadAndWrite, args, &shipped.plan, &mut report).await?;
    broker.stop()?;

    report.print().map_err(CliError::Output)?;
    Ok(())
}

async fn read_with(
    broker: &Broker,
    transfer: Transfer,
    args: &Demo,
    plan: &plan::Plan,
    report: &mut Report,
) -> Result<(), CliError> {
    let name = match transfer {
        Transfer::Sendfile => "read, sendfile",
        Transfer::ReadAndWrite => "read, --no-sendfile",
    };
    for &readers in &args.readers {
        let bar = bar(&format!("{name}, {readers} readers"), plan.total().bytes * u64::from(readers));
        let before = broker.usage()?;
        let read = read::read(&client(broker), plan, readers, &bar).await?;
        bar.finish_and_clear();
        report.add(Row::new(name, readers, read.total, read.took, before, broker.usage()?));
    }
    Ok(())
}

fn client(broker: &Broker) -> ClientConfig {
    ClientConfig { client_id: "sendlog-demo".to_owned(), ..ClientConfig::new(broker.address()) }
}

/// A bar on standard error, if that is a terminal.
fn bar(what: &str, bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    // A template that does not parse leaves the bar as it comes.
    if let Ok(style) = ProgressStyle::with_template(
        "{msg:28} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
    ) {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar
}

/// Where the broker keeps its data.
enum Directory {
    Temporary(tempfile::TempDir),
    Given(PathBuf),
}

impl Directory {
    fn new(given: Option<&Path>) -> Result<Self, CliError> {
        match given {
            Some(path) => Ok(Self::Given(path.to_owned())),
            None => tempfile::Builder::new()
                .prefix("sendlog-demo-")
                .tempdir()
                .map(Self::Temporary)
                .map_err(|source| CliError::File { path: std::env::temp_dir(), source }),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(directory) => directory.path(),
            Self::Given(path) => path,
        }
    }
}
