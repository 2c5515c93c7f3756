//! A broker inside the test process: for scenarios that start thousands of them.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use sendlog_broker::config::{Args, Config};
use sendlog_broker::server::{Server, ServerError};
use sendlog_broker::stop::{self, StopSender};
use sendlog_broker::storage::files::RealFs;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// Descriptors that one may have; a few dozen do.
const DESCRIPTORS: usize = 512;

/// A broker that serves until it is dropped.
pub struct Embedded {
    runtime: Runtime,
    serving: Option<JoinHandle<Result<(), ServerError>>>,
    stopper: StopSender,
    address: SocketAddr,
}

impl Embedded {
    /// Starts a broker on a data directory and a free port.
    ///
    /// # Errors
    /// Its refusal.
    ///
    /// # Panics
    /// Without a runtime.
    pub fn start(data_dir: &Path) -> Result<Self, ServerError> {
        let mut args = Args::for_data_dir(data_dir);
        args.listen = Some("127.0.0.1:0".to_owned());
        let config = Arc::new(Config::load(&args).expect("these arguments are fine"));
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().expect("a runtime can be made");
        let (stopper, stop) = stop::channel();
        let on_failure = stopper.clone();
        let server =
            runtime.block_on(Server::start(config, Arc::new(RealFs), DESCRIPTORS, stop, move || {
                on_failure.stop()
            }))?;
        let address = server.address();
        let serving = Some(runtime.spawn(server.serve()));
        Ok(Self { runtime, serving, stopper, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it; returns how it ended.
    ///
    /// # Errors
    /// Its failure.
    ///
    /// # Panics
    /// When it has panicked.
    pub fn stop(mut self) -> Result<(), ServerError> {
        self.end().expect("it has not ended yet")
    }

    fn end(&mut self) -> Option<Result<(), ServerError>> {
        self.stopper.stop();
        let serving = self.serving.take()?;
        Some(self.runtime.block_on(serving).expect("the broker does not panic"))
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            drop(self.end());
        }
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Embedded").field("address", &self.address).finish_non_exhaustive()
    }
}
