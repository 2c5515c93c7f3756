//! The command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};
use sendlog_client::{Acks, Compression};

use crate::size::parse_size;

const EXAMPLES: &str = "\
Examples:
  sendlog demo
      Starts a broker of its own, ships log files through it and prints what that took.
  sendlog produce app /var/log/app.log
  tail -F /var/log/app.log | sendlog produce app
      One record a line.
  sendlog consume app > app.log
      The same bytes again.
  sendlog consume app --from @1700000000000 --follow
      Everything since a time, and what is yet to come.";

/// Ships lines to a Kafka broker and back.
#[derive(Debug, Parser)]
#[command(name = "sendlog", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Args {
    /// Brokers to ask first, HOST:PORT separated by commas.
    #[arg(
        long,
        short,
        global = true,
        env = "SENDLOG_BOOTSTRAP",
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:9092"
    )]
    pub(crate) bootstrap: String,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ship files or standard input, one record a line.
    Produce(Produce),
    /// Print records, one line each.
    Consume(Consume),
    /// List, create, describe and delete topics.
    Topics {
        #[command(subcommand)]
        action: TopicAction,
    },
    /// Show what a broker does: ship log files, read them back, print throughput, CPU time and memory.
    Demo(Demo),
}

/// A record is a line without its newline; every other byte is kept, carriage returns included. If the input does not
/// end in a newline, its last record has the header `sendlog.no-newline`, so that `sendlog consume` gives
/// back the same bytes.
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
pub(crate) struct Produce {
    /// Topic; the broker may create it.
    pub(crate) topic: String,

    /// Files in this order, `-` for standard input [default: -].
    pub(crate) files: Vec<PathBuf>,

    /// Partition for all lines, so that their order is kept.
    #[arg(long, short, default_value_t = 0, conflicts_with_all = ["spread", "key"])]
    pub(crate) partition: i32,

    /// Use all partitions; only the order within each is kept.
    #[arg(long)]
    pub(crate) spread: bool,

    /// Key of all records; it decides on the partition.
    #[arg(long, short)]
    pub(crate) key: Option<String>,

    /// none, gzip, snappy, lz4 or zstd.
    #[arg(long, short = 'z', default_value = "none", value_parser = parse_compression)]
    pub(crate) compression: Compression,

    /// Who has a record before it counts as shipped: all, 1 (the leader) or 0 (nobody).
    #[arg(long, default_value = "all", value_parser = parse_acks)]
    pub(crate) acks: Acks,

    /// How long lines wait for more before they are sent, ms.
    #[arg(long, default_value_t = 5, value_name = "MS")]
    pub(crate) linger_ms: u64,

    /// Size at which a batch of lines is sent.
    #[arg(long, default_value = "1000000", value_name = "SIZE", value_parser = parse_size)]
    pub(crate) batch_bytes: u64,
}

/// Prints the value of each record and a newline, which a record with the header `sendlog.no-newline` does not get:
/// what `sendlog produce` shipped comes back byte for byte. A record without a value is an empty line. Partitions are
/// printed one after another, with --follow as records come.
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
pub(crate) struct Consume {
    /// Topic.
    pub(crate) topic: String,

    /// One partition [default: all].
    #[arg(long, short)]
    pub(crate) partition: Option<i32>,

    /// Where to begin: earliest, latest, an offset (moved into the log), or @ and a time in ms since 1970.
    #[arg(long, default_value = "earliest", value_name = "PLACE")]
    pub(crate) from: Place,

    /// Where to stop, before it and at the end at the latest: latest, an offset, or @ and a time in ms since 1970.
    #[arg(long, default_value = "latest", value_name = "PLACE", conflicts_with = "follow")]
    pub(crate) until: Place,

    /// Go on at the end, for ever.
    #[arg(long, short)]
    pub(crate) follow: bool,

    /// Stop after this many records.
    #[arg(long, short = 'n', value_name = "RECORDS")]
    pub(crate) max: Option<u64>,

    /// Write to a file, which must not exist, instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopicAction {
    /// Print all topics and their number of partitions.
    List,
    /// Create a topic.
    Create {
        /// Name.
        topic: String,
        /// Number of partitions [default: the broker's].
        #[arg(long, short)]
        partitions: Option<i32>,
        /// A config by Kafka's name; may be repeated.
        #[arg(long, short, value_name = "NAME=VALUE")]
        config: Vec<String>,
    },
    /// Print partitions, offsets and configs of a topic.
    Describe {
        /// Name.
        topic: String,
    },
    /// Delete a topic and all its records.
    Delete {
        /// Name.
        topic: String,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Demo {
    /// Log files, or directories of them [default: text files of this machine].
    pub(crate) paths: Vec<PathBuf>,

    /// How much to ship; the files are repeated up to it.
    #[arg(long, default_value = "1GiB", value_name = "SIZE", value_parser = parse_size)]
    pub(crate) size: u64,

    /// The broker [default: the `broker` beside this program, else the one in PATH].
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) broker: Option<PathBuf>,

    /// Where the broker keeps its data; emptied by nobody [default: a temporary directory].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Number of partitions; a file goes to one of them.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub(crate) partitions: i32,

    /// Numbers of concurrent readers; each reads everything.
    #[arg(long, default_value = "1,4,8", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) readers: Vec<u32>,

    /// none, gzip, snappy, lz4 or zstd.
    #[arg(long, short = 'z', default_value = "none", value_parser = parse_compression)]
    pub(crate) compression: Compression,
}

/// A place in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Earliest,
    Latest,
    Offset(i64),
    Time(i64),
}

impl std::str::FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| text.parse::<i64>().ok().filter(|number| 0 <= *number);
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            _ => match text.strip_prefix('@') {
                Some(time) => number(time).map(Self::Time),
                None => number(text).map(Self::Offset),
            }
            .ok_or_else(|| "expected earliest, latest, an offset, or @ and ms since 1970".to_owned()),
        }
    }
}

fn parse_compression(text: &str) -> Result<Compression, String> {
    Compression::from_name(text).ok_or_else(|| "expected none, gzip, snappy, lz4 or zstd".to_owned())
}

fn parse_acks(text: &str) -> Result<Acks, String> {
    match text {
        "all" | "-1" => Ok(Acks::All),
        "1" => Ok(Acks::Leader),
        "0" => Ok(Acks::None),
        _ => Err("expected all, 1 or 0".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn places_are_words_offsets_and_times() {
        assert_eq!("earliest".parse(), Ok(Place::Earliest));
        assert_eq!("latest".parse(), Ok(Place::Latest));
        assert_eq!("17".parse(), Ok(Place::Offset(17)));
        assert_eq!("@1700000000000".parse(), Ok(Place::Time(1_700_000_000_000)));
        for bad in ["", "@", "-1", "@-1", "end", "1.5"] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }
}
