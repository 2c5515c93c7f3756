//! The command line.

use std::path::PathBuf;

use clap::Parser;

const EXAMPLES: &str = "\
Examples:
  broker --data-dir data
      Listens on 127.0.0.1:9092; an acknowledged record is on disk. Try it:
      kcat -b 127.0.0.1:9092 -t demo -P
  broker --data-dir /var/lib/sendlog --listen 0.0.0.0:9092 --advertise log.example.org:9092
      Serves other machines, which reach this one as log.example.org.
  broker --data-dir data --flush interval:100 --set num.partitions=4
      Acknowledges from memory and syncs within 100 ms; new topics get four partitions.
  broker --config server.properties
      Reads Kafka's names from a file of key=value lines; log.dirs is the data directory.

--flush sync: before the acknowledgement; interval:MS: so long after it at the latest; os: when
the kernel writes them. The last two can lose acknowledged records when the machine crashes.

A flag wins over --set, and --set over the file. Every setting is in docs/configuration.md.";

/// A Kafka-compatible log broker: one process, one data directory, any Kafka client.
#[derive(Debug, Clone, Default, Parser)]
#[command(name = "broker", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Args {
    /// Where the data is; created if it does not exist.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Where to listen; an empty host is every interface [default: 127.0.0.1:9092].
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,

    /// The address that clients are told [default: the one they dialled].
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise: Option<String>,

    /// A file of settings, one key=value a line, as Kafka's server.properties.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// When acknowledged records are on disk: sync, interval:MS or os [default: sync].
    #[arg(long, value_name = "MODE")]
    pub flush: Option<String>,

    /// Send fetched records by read and write instead of sendfile.
    #[arg(long)]
    pub no_sendfile: bool,

    /// A setting, by Kafka's name or sendlog's; may be repeated, the last one wins.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// Log lines for people or for machines: human or json [default: human].
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,

    /// Least severe log line: error, warn, info, debug or trace [default: info].
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

impl Args {
    /// The arguments of `broker --data-dir DIR`, for programs that run the broker inside.
    #[must_use]
    pub fn for_data_dir(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: Some(data_dir.into()), ..Self::default() }
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
    fn flags_are_read() {
        let args =
            Args::parse_from(["broker", "--data-dir", "d", "--set", "a=1", "--set", "b=2", "--no-sendfile"]);
        assert_eq!(args.data_dir, Some(PathBuf::from("d")));
        assert_eq!(args.set, ["a=1", "b=2"]);
        assert!(args.no_sendfile);
    }
}
