//! The command line of the crash rig.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Parser;
use sendlog_tests::broker_binary;
use sendlog_tests::crash_rig::sweep::{Losses, Plan};
use sendlog_tests::crash_rig::volume::FileSystemKind;
use sendlog_tests::crash_rig::workload::Workload;
use sendlog_tests::crash_rig::workloads;

/// Cuts the power at every operation of the disk, and starts the broker on what is left.
///
/// A workload runs against the broker on a real file system whose disk writes down every write and flush, with every
/// acknowledgement in between. Then, for each moment, the disk as it was is mounted, the broker started on it, and
/// everything compared with what had been acknowledged and read by then. The first run is always that of a broker that
/// does not sync: it must be caught, or the rig fails.
///
/// Takes root, /dev/fuse and loop devices; says "skipped" without. Exit code 1: a promise was broken.
#[derive(Parser, Debug)]
#[command(name = "crash-rig", max_term_width = 100, after_help = after_help())]
pub struct Options {
    /// Workload to run; may be repeated [default: all].
    #[arg(long = "workload", value_parser = workload_names())]
    workload: Vec<String>,
    /// File system; may be repeated.
    #[arg(long, value_enum, default_values_t = [FileSystemKind::Ext4, FileSystemKind::Xfs])]
    pub fs: Vec<FileSystemKind>,
    /// Varies the workload, the choice of moments and what is lost.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Power cuts for each workload and file system: a number, or all.
    #[arg(long, default_value = "60", value_parser = points)]
    points: Points,
    /// Whether the disk loses what no flush followed.
    #[arg(long, value_enum, default_value_t = Losses::Both)]
    losses: Losses,
    /// One in so many power cuts is followed by a second one, during the recovery or the appends behind it; 0: none.
    #[arg(long, default_value_t = 10)]
    second_every: usize,
    /// How many second ones are tried then.
    #[arg(long, default_value_t = 6)]
    second_points: usize,
    /// Trials beside one another.
    #[arg(long, default_value_t = NonZeroUsize::new(2).expect("not zero"))]
    jobs: NonZeroUsize,
    /// Seconds after which no further trial begins; each workload gets its share.
    #[arg(long)]
    pub budget: Option<u64>,
    /// Size of the disk, in MiB.
    #[arg(long, default_value_t = 64)]
    image_mib: u64,
    /// KEY=VALUE passed on to the broker as --set; may be repeated.
    #[arg(long)]
    set: Vec<String>,
    /// The broker that does not sync [default: `lying-broker`, built when it is out of date].
    #[arg(long, value_name = "PROGRAM")]
    pub known_bad: Option<PathBuf>,
    /// Leave the broker that does not sync out: for looking into a failure.
    #[arg(long)]
    pub no_control: bool,
    /// Being skipped is a failure.
    #[arg(long)]
    pub no_skip: bool,
    /// Where the disks of failed trials go [default: target/crash-rig].
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Write the figures here, too.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug)]
struct Points(Option<usize>);

impl Options {
    /// The chosen workloads.
    pub fn workloads(&self) -> Vec<Workload> {
        let is_chosen =
            |name: &str| self.workload.is_empty() || self.workload.iter().any(|chosen| chosen == name);
        workloads::ALL.iter().filter(|workload| is_chosen(workload.name)).copied().collect()
    }

    /// The arguments of the broker, but for the data directory.
    pub fn broker_args(&self, workload: &Workload) -> Vec<String> {
        // The disks are small: the reserve for bad times would be most of them.
        let always = ["sendlog.min.free.bytes=0", "sendlog.journal.bytes=4194304"];
        let settings = always.iter().chain(workload.settings).map(|setting| (*setting).to_owned());
        settings.chain(self.set.iter().cloned()).flat_map(|setting| ["--set".to_owned(), setting]).collect()
    }

    /// What to try of a recording.
    pub fn plan(&self) -> Plan {
        Plan {
            trials: self.points.0,
            losses: self.losses,
            is_late: false,
            second_every: self.second_every,
            second_trials: self.second_points,
            seed: self.seed,
            jobs: self.jobs,
            deadline: None,
            keep: self.keep.clone().unwrap_or_else(|| broker_binary::target_dir().join("crash-rig")),
        }
    }

    /// The size of a disk.
    pub fn image_bytes(&self) -> u64 {
        self.image_mib << 20
    }
}

fn points(text: &str) -> Result<Points, String> {
    match text {
        "all" => Ok(Points(None)),
        number => {
            number.parse().map(|number| Points(Some(number))).map_err(|_| "a number, or all".to_owned())
        }
    }
}

fn workload_names() -> Vec<&'static str> {
    workloads::ALL.iter().map(|workload| workload.name).collect()
}

fn after_help() -> String {
    let lines = workloads::ALL.iter().map(|workload| format!("  {:<12} {}\n", workload.name, workload.about));
    format!(
        "Workloads:\n{}\nThe columns of the table are explained in docs/testing.md.",
        lines.collect::<String>()
    )
}
