//! The broker that conformance programs talk to: a fresh one of ours, or any other that the environment names.

use std::env;
use std::path::Path;
use std::process::Command;

use crate::broker::{Broker, BrokerOptions};

/// HOST:PORT of the broker, for the programs; set for the tests themselves, it names a broker to use instead of ours.
const BOOTSTRAP: &str = "SENDLOG_TEST_BOOTSTRAP";
/// Tells the programs that the broker does some time later what it has answered, as Apache Kafka does.
const EVENTUAL: &str = "SENDLOG_TEST_EVENTUAL";

/// How a broker ends before it starts again.
#[derive(Clone, Copy, Debug)]
pub enum Restart {
    /// SIGTERM.
    Stop,
    /// SIGKILL.
    Kill,
}

/// A broker to test.
#[derive(Debug)]
pub struct Target {
    bootstrap: String,
    ours: Option<Broker>,
}

impl Target {
    /// The broker at `SENDLOG_TEST_BOOTSTRAP`, else a fresh one of ours.
    ///
    /// # Panics
    /// When our broker does not start.
    pub fn open() -> Self {
        Self::open_with(BrokerOptions::default())
    }

    /// As [`open`](Self::open), with options for ours.
    ///
    /// # Panics
    /// When our broker does not start.
    pub fn open_with(options: BrokerOptions) -> Self {
        if let Ok(bootstrap) = env::var(BOOTSTRAP) {
            return Self { bootstrap, ours: None };
        }
        let broker = Broker::start(options);
        Self { bootstrap: broker.bootstrap(), ours: Some(broker) }
    }

    /// Its address, as clients take it.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Whether it is another broker than ours, which may do some time later what it has answered.
    pub fn is_eventual(&self) -> bool {
        self.ours.is_none()
    }

    /// The data directory of our broker.
    pub fn data_dir(&self) -> Option<&Path> {
        self.ours.as_ref().map(Broker::data_dir)
    }

    /// Sets the environment of a program.
    pub fn announce_to(&self, command: &mut Command) {
        command.env(BOOTSTRAP, &self.bootstrap);
        if self.is_eventual() {
            command.env(EVENTUAL, "1");
        } else {
            command.env_remove(EVENTUAL);
        }
    }

    /// Ends our broker, in order or by SIGKILL, and starts it again on the same port; whether it is ours to do so.
    ///
    /// # Panics
    /// When it does not stop or not start.
    pub fn restart(&mut self, how: Restart) -> bool {
        let Some(broker) = &mut self.ours else {
            return false;
        };
        match how {
            Restart::Stop => drop(broker.terminate()),
            Restart::Kill => broker.kill(),
        }
        broker.restart_on_same_port();
        true
    }

    /// Stops our broker with SIGTERM.
    ///
    /// # Errors
    /// When it had ended before, says that it failed, or has panicked on the way.
    pub fn close(&mut self) -> Result<(), String> {
        let Some(mut broker) = self.ours.take() else {
            return Ok(());
        };
        let status = broker.terminate();
        let log = broker.stderr().text();
        if !status.success() || log.contains("panicked") {
            return Err(format!("{status}; its log:\n{log}"));
        }
        Ok(())
    }
}
