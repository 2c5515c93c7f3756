//! Who is compared under a produce load: the broker, a foreign broker, the append floor. Each run gets a topic or a file of
//! its own, removed afterwards, so that page cache and disk do not fill up.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::admin::Admin;
use crate::batch::Batch;
use crate::bench::{Bench, OWN};
use crate::connection::Endpoint;
use crate::load::closed_produce::ClosedProduce;
use crate::load::fetch::Loaded;
use crate::server::Server;

/// The name of the append floor in the tables.
pub const APPEND_FLOOR: &str = "append+fdatasync server";

/// Somebody who answers Produce requests.
pub struct Contender {
    pub name: String,
    kind: Kind,
}

enum Kind {
    Started(Server),
    Attached(Endpoint),
    AppendFloor,
}

/// A contender made ready for one run.
pub struct Session {
    pub endpoint: Endpoint,
    pub topic: String,
    floor: Option<(Server, PathBuf)>,
}

impl Contender {
    /// The broker on a fresh data directory, if there is one to start, and the foreign one, if there is one.
    pub fn brokers(bench: &Bench) -> io::Result<Vec<Self>> {
        let mut found = Vec::new();
        if bench.starts_brokers() {
            let server = bench.start_broker(&bench.new_folder()?, &[])?;
            found.push(Self { name: OWN.to_owned(), kind: Kind::Started(server) });
        }
        if let Some(address) = bench.options.address {
            let congestion = bench.options.congestion.clone();
            let endpoint = Endpoint { address, pid: bench.options.pid, congestion };
            found.push(Self { name: bench.options.name.clone(), kind: Kind::Attached(endpoint) });
        }
        Ok(found)
    }

    /// The broker on a fresh data directory, with arguments of its own.
    pub fn started(bench: &Bench, name: &str, arguments: &[&str]) -> io::Result<Self> {
        let server = bench.start_broker(&bench.new_folder()?, arguments)?;
        Ok(Self { name: name.to_owned(), kind: Kind::Started(server) })
    }

    /// The brokers and the append floor.
    pub fn with_append_floor(bench: &Bench) -> io::Result<Vec<Self>> {
        let mut all = Self::brokers(bench)?;
        all.push(Self { name: APPEND_FLOOR.to_owned(), kind: Kind::AppendFloor });
        Ok(all)
    }

    /// Where the broker is; a floor has no place before its session.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        match &self.kind {
            Kind::Started(server) => Some(&server.endpoint),
            Kind::Attached(endpoint) => Some(endpoint),
            Kind::AppendFloor => None,
        }
    }

    /// Creates a topic, or starts the floor on a new file.
    pub fn begin(&self, bench: &Bench, partitions: i32) -> io::Result<Session> {
        let topic = bench.new_topic();
        let Some(endpoint) = self.endpoint() else {
            let path = bench.new_path();
            let server = bench.start_floor(&["append"], &path, &topic)?;
            return Ok(Session { endpoint: server.endpoint.clone(), topic, floor: Some((server, path)) });
        };
        Admin::connect(endpoint)?.create_topic(&topic, partitions)?;
        Ok(Session { endpoint: endpoint.clone(), topic, floor: None })
    }
}

impl Session {
    /// Removes the topic or the file.
    pub fn end(self) -> io::Result<()> {
        match self.floor {
            Some((server, path)) => {
                server.kill()?;
                fs::remove_file(path)
            }
            None => Admin::connect(&self.endpoint)?.delete_topics(&[self.topic]),
        }
    }
}

/// Fills partition 0 of an existing topic with about `bytes` of equal batches.
pub fn fill(endpoint: &Endpoint, topic: &str, batch: &Batch, bytes: u64) -> io::Result<Loaded> {
    let requests = (bytes / batch.bytes.len() as u64).max(1);
    let load = ClosedProduce { endpoint, topic, partitions: &[0], batch, in_flight: 5 };
    load.run_count(requests)?;
    Ok(Loaded {
        topic: topic.to_owned(),
        batches: i64::try_from(requests).map_err(io::Error::other)?,
        batch_bytes: batch.bytes.len(),
        batch_records: batch.records,
    })
}
