//! What the program `broker` is asked to do: to serve, unless a subcommand says otherwise.

use clap::{Parser, Subcommand};

use crate::adopt::AdoptArgs;
use crate::check::CheckArgs;
use crate::config::Args;

/// A Kafka-compatible log broker: one process, one data directory, any Kafka client.
#[derive(Debug, Clone, Parser)]
#[command(name = "broker", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
pub struct Command {
    /// How to serve.
    #[command(flatten)]
    pub serve: Args,

    /// What to do instead.
    #[command(subcommand)]
    pub task: Option<Task>,
}

/// Offline work on a data directory.
#[derive(Debug, Clone, Subcommand)]
pub enum Task {
    /// Take over the topics of a stopped Apache Kafka.
    Adopt(AdoptArgs),
    /// Check the data directory of a stopped broker, and repair it.
    Check(CheckArgs),
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Command::command().debug_assert();
    }

    #[test]
    fn without_a_subcommand_it_serves() {
        let command = Command::parse_from(["broker", "--data-dir", "d"]);
        assert!(command.task.is_none());
        assert_eq!(command.serve.data_dir, Some(PathBuf::from("d")));
    }

    #[test]
    fn a_subcommand_has_its_own_arguments() {
        let command =
            Command::parse_from(["broker", "adopt", "--from", "a", "--from", "b", "--data-dir", "d"]);
        let Some(Task::Adopt(adopt)) = command.task else { panic!("not adopt") };
        assert_eq!(adopt.from, [PathBuf::from("a"), PathBuf::from("b")]);
        assert!(Command::try_parse_from(["broker", "--listen", "x:1", "adopt", "--from", "a"]).is_err());
        assert!(Command::try_parse_from(["broker", "--data-dir", "d", "check", "--data-dir", "d"]).is_err());
    }

    #[test]
    fn a_check_says_whether_it_changes_anything() {
        let check = |args: &[&str]| {
            let args = ["broker", "check", "--data-dir", "d"].iter().chain(args);
            Command::try_parse_from(args).map(|command| command.task)
        };
        assert!(matches!(check(&["--repair", "--apply"]), Ok(Some(Task::Check(args))) if args.apply));
        assert!(matches!(check(&["--read-only"]), Ok(Some(Task::Check(args))) if args.dry_run));
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
