//! The command line of `broker check`.

use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  broker check --data-dir data
      Reads everything and changes nothing: one line a finding, a summary at the end.
  broker check --data-dir data --repair
      Says what a repair would do.
  broker check --data-dir data --repair --apply
      Does it. Damaged bytes go into files beside their segments, nothing is thrown away.

The broker must be stopped. Severities:
  damage      stored data or state is wrong or missing
  warning     nothing is lost, but it is not as it should be: an index, a folder that no topic claims
  unfinished  what a crash leaves; the next start of the broker deals with it
  info        ranges that were set aside before, files of others
  unreadable  the system refused to read it

Exit codes: 0 neither damage nor warnings, 1 some, 2 wrong arguments, 3 it could not be checked.
docs/checking.md has the rest.";

/// Check the data directory of a stopped broker, and repair it.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES, max_term_width = 100)]
pub struct CheckArgs {
    /// The data directory.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,

    /// Also decompress every batch and walk its records.
    #[arg(long)]
    pub records: bool,

    /// Print what a repair would do, too; do it with --apply.
    #[arg(long)]
    pub repair: bool,

    /// With --repair: do it.
    #[arg(long, requires = "repair", conflicts_with = "dry_run")]
    pub apply: bool,

    /// Change nothing; this is so without --apply anyway.
    #[arg(long, visible_alias = "read-only")]
    pub dry_run: bool,

    /// Lines for people or one JSON object a line.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    pub format: Format,
}

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}
