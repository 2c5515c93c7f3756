//! What every scenario starts from: the options, a temporary folder, servers started in it, fresh topic names.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::meter::Window;
use crate::options::Options;
use crate::pool::Pool;
use crate::server::Server;

/// What the broker that the bench starts is called in the tables.
pub const OWN: &str = "sendlog";
/// Bytes written by one run where no pool limits them.
const RUN_BYTES_MAX: u64 = 4 << 30;
const GIB: f64 = (1u64 << 30) as f64;

/// One invocation.
pub struct Bench {
    pub options: Options,
    program: Option<PathBuf>,
    root: TempDir,
    names: Cell<u32>,
}

impl Bench {
    /// Finds the broker's binary and makes the temporary folder.
    pub fn new(options: Options) -> io::Result<Self> {
        let program = match (&options.broker, options.address) {
            (Some(path), _) => Some(path.clone()),
            (None, Some(_)) => None,
            (None, None) => Some(std::env::current_exe()?.with_file_name("broker")),
        };
        if let Some(path) = program.as_ref().filter(|path| !path.is_file()) {
            let hint = "build it with `cargo build --release --bin broker` or name it with --broker";
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("{}: no such broker; {hint}", path.display()),
            ));
        }
        let root = match &options.dir {
            Some(dir) => TempDir::with_prefix_in("sendlog-bench-", dir)?,
            None => TempDir::with_prefix("sendlog-bench-")?,
        };
        Ok(Self { options, program, root, names: Cell::new(0) })
    }

    fn next_number(&self) -> u32 {
        self.names.set(self.names.get() + 1);
        self.names.get()
    }

    /// A topic name that no earlier run against the same broker used.
    pub fn new_topic(&self) -> String {
        format!("bench-{}-{:06}", std::process::id(), self.next_number())
    }

    /// A path for a file or folder that is not there yet.
    pub fn new_path(&self) -> PathBuf {
        self.root.path().join(format!("{:06}", self.next_number()))
    }

    /// A new empty folder.
    pub fn new_folder(&self) -> io::Result<PathBuf> {
        let path = self.new_path();
        std::fs::create_dir(&path)?;
        Ok(path)
    }

    /// Whether the bench has a broker that it can start and stop.
    pub fn starts_brokers(&self) -> bool {
        self.program.is_some()
    }

    /// Starts the broker on a data directory; it may not be ready yet, only listening.
    pub fn start_broker(&self, data: &Path, extra: &[&str]) -> io::Result<Server> {
        let Some(program) = &self.program else {
            return Err(io::Error::other(
                "this scenario starts brokers itself: name the binary with --broker",
            ));
        };
        let mut command = Command::new(program);
        command.arg("--data-dir").arg(data).args(["--listen", "127.0.0.1:0"]).args(extra);
        if let Some(congestion) = &self.options.congestion {
            command.arg("--set").arg(format!("sendlog.socket.congestion.control={congestion}"));
        }
        for setting in &self.options.set {
            command.arg("--set").arg(setting);
        }
        Server::start(&mut command, &self.new_path(), self.options.congestion.as_deref())
    }

    /// Starts a floor server, which is this program again.
    pub fn start_floor(&self, kind: &[&str], file: &Path, topic: &str) -> io::Result<Server> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("floor").args(kind).arg("--file").arg(file).arg("--topic").arg(topic);
        if let Some(congestion) = &self.options.congestion {
            command.arg("--congestion").arg(congestion);
        }
        Server::start(&mut command, &self.new_path(), self.options.congestion.as_deref())
    }

    /// The window of a load that only reads.
    pub fn read_window(&self) -> Window {
        let length = Duration::from_secs_f64(self.options.seconds);
        Window {
            warm_up: Duration::from_secs_f64((self.options.seconds * 0.3).max(0.2)),
            length,
            bytes_max: u64::MAX,
        }
    }

    /// The window of a load that writes: it ends early rather than outgrow the pool.
    pub fn write_window(&self) -> Window {
        let pool = gib_to_bytes(self.options.pool_gib);
        Window { bytes_max: if pool == 0 { RUN_BYTES_MAX } else { pool }, ..self.read_window() }
    }

    /// How long one open-loop run is measured.
    pub fn open_length(&self) -> Duration {
        Duration::from_secs_f64(self.options.seconds * 5.0)
    }

    /// The pool that keeps memory warm for writes.
    pub fn pool(&self) -> io::Result<Pool> {
        Pool::new(gib_to_bytes(self.options.pool_gib))
    }

    /// `count` in another order each run, so that no contender always follows the same one.
    pub fn order(&self, run: u32, count: usize) -> impl Iterator<Item = usize> + use<> {
        let first = run as usize;
        (0..count).map(move |index| (index + first) % count)
    }
}

/// GiB of the command line to bytes.
pub fn gib_to_bytes(gib: f64) -> u64 {
    (gib.clamp(0.0, 1024.0) * GIB) as u64
}
