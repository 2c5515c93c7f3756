//! The command line of `broker adopt`.

use std::path::PathBuf;

use clap::Args;

const EXAMPLES: &str = "\
Examples:
  broker adopt --from /var/lib/kafka/data --data-dir data --dry-run
      Checks every batch, says what would be adopted, and writes nothing.
  broker adopt --from /disk1/kafka --from /disk2/kafka --data-dir data
      Takes all topics of a Kafka with two log directories. Then: broker --data-dir data
  broker adopt --from /var/lib/kafka/data --data-dir data --topic orders --topic customers
      Takes these two only.

Kafka must be stopped. Its directories are read and never changed; sendlog works on copies, which share their
blocks with the originals where the file system can do that (XFS, Btrfs). All topics come, or none does; after an
interruption run it again. Consumer groups' offsets and transactions' state are not taken over.";

/// Take over the topics of a stopped Apache Kafka.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = EXAMPLES)]
pub struct AdoptArgs {
    /// A log directory of Kafka (log.dirs); may be repeated.
    #[arg(long, value_name = "KAFKA_LOG_DIR", required = true)]
    pub from: Vec<PathBuf>,

    /// sendlog's data directory: a new or empty one, or one that has no topics of these names.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,

    /// Only this topic; may be repeated.
    #[arg(long, value_name = "TOPIC")]
    pub topic: Vec<String>,

    /// All topics but this one; may be repeated.
    #[arg(long, value_name = "TOPIC")]
    pub skip: Vec<String>,

    /// Adopt topics with aborted or unfinished transactions too: every consumer will see their records.
    #[arg(long)]
    pub allow_aborted: bool,

    /// Check everything, write nothing.
    #[arg(long)]
    pub dry_run: bool,
}
