//! What the program `broker` can be asked for: to serve, which is what it does without a command, or one of the commands here.

use clap::{Parser, Subcommand};

use crate::check::CheckArgs;
use crate::config::Args;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// None serves.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// How to serve.
    #[command(flatten)]
    pub serve: Args,
}

/// Commands beside serving; each works on the data directory of a broker that does not run.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check the data directory of a stopped broker, and repair it.
    Check(CheckArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_the_broker_serves() {
        let cli = Cli::parse_from(["broker", "--data-dir", "d"]);
        assert!(cli.command.is_none());
        assert_eq!(cli.serve.data_dir, Some("d".into()));
        assert!(Cli::try_parse_from(["broker", "--data-dir", "d", "check", "--data-dir", "d"]).is_err());
        let check = |args: &[&str]| {
            let args = ["broker", "check", "--data-dir", "d"].iter().chain(args);
            Cli::try_parse_from(args).map(|cli| cli.command)
        };
        assert!(matches!(check(&["--repair", "--apply"]), Ok(Some(Command::Check(args))) if args.apply));
        assert!(matches!(check(&["--read-only"]), Ok(Some(Command::Check(args))) if args.dry_run));
        for wrong in [
            &["--apply"][..],
            &["--repair", "--apply", "--dry-run"],
            &["--listen", "x:1"],
            &["--format", "xml"],
        ] {
            assert!(check(wrong).is_err(), "{wrong:?}");
        }
    }
}
