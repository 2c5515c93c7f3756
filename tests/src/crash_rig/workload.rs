//! What clients do while the disk is recorded: each workload is made to reach other code of the broker.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use sendlog_protocol::records::{BatchBuilder, Compression, NewRecord, ProducerStamp};

use super::mark::{Keeping, Place};
use super::recorder::Disk;
use super::witness::{Gone, Witness};
use crate::batches;
use crate::kafka::{Kafka, Producer};

/// Kafka's code for what retention has deleted.
const OFFSET_OUT_OF_RANGE: i16 = 1;

/// A way to use a broker.
#[derive(Clone, Copy)]
pub struct Workload {
    /// As on the command line.
    pub name: &'static str,
    /// One line.
    pub about: &'static str,
    /// The broker's settings, `KEY=VALUE`.
    pub settings: &'static [&'static str],
    /// The first broker is killed after so many acknowledgements, the second stopped when all is done.
    pub acks_until_kill: usize,
    /// Lets clients work; a broker that is gone ends them early.
    pub run: fn(&Stage) -> Result<(), Gone>,
}

impl fmt::Debug for Workload {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Workload {}", self.name)
    }
}

/// Where a workload takes place.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The broker.
    pub address: SocketAddr,
    /// The notebook.
    pub disk: Disk,
    /// What varies varies by this.
    pub seed: u64,
    /// How many brokers there were on the disk before.
    pub session: usize,
    /// Told of every acknowledgement.
    pub acked: Sender<()>,
}

/// What a client does.
pub type Client<'a> = Box<dyn FnOnce(Witness) -> Result<(), Gone> + Send + 'a>;

impl Stage {
    /// A client.
    ///
    /// # Panics
    /// When the broker is gone.
    pub fn witness(&self) -> Witness {
        Witness::new(Kafka::open(self.address), self.disk.clone(), self.acked.clone())
    }

    /// A client's source of batches. No two clients have the same number.
    pub fn source(&self, client: usize, identity: Option<Producer>) -> Source {
        let session = self.session as u64;
        let seed = self.seed.wrapping_mul(31).wrapping_add(session * 1000 + client as u64);
        Source {
            name: format!("session {session} client {client}"),
            random: SmallRng::seed_from_u64(seed),
            identity,
            batches: 0,
            records: 0,
        }
    }

    /// Runs clients beside one another, and a reader of each of these partitions until they are done.
    ///
    /// # Errors
    /// [`Gone`] if a client ended so.
    ///
    /// # Panics
    /// When a client does.
    pub fn run(&self, read: &[Place], clients: Vec<Client<'_>>) -> Result<(), Gone> {
        // All connect before any works: the broker is killed at work.
        let clients: Vec<_> = clients.into_iter().map(|client| (client, self.witness())).collect();
        let readers: Vec<_> = read.iter().map(|place| (place, self.witness())).collect();
        let mut closer = self.witness();
        thread::scope(|scope| {
            for (place, witness) in readers {
                scope.spawn(move || self.follow(place, witness));
            }
            let working: Vec<_> =
                clients.into_iter().map(|(client, witness)| scope.spawn(move || client(witness))).collect();
            let ends = working.into_iter().map(|client| client.join().expect("a client does not panic"));
            let ends: Vec<Result<(), Gone>> = ends.collect();
            for place in read {
                closer.send(place, self.last_word(place), 0)?;
            }
            ends.into_iter().collect()
        })
    }

    /// Reads a partition up to the last word, or the broker's end.
    fn follow(&self, place: &Place, mut witness: Witness) -> Result<(), Gone> {
        let last = batches::header(&self.last_word(place)).crc;
        let mut next = 0;
        loop {
            let fetched = witness.read(place, next)?;
            match (fetched.error_code, fetched.batches.last()) {
                (OFFSET_OUT_OF_RANGE, _) => next = witness.start(place)?,
                (0, Some(batch)) => next = batches::header(batch).next_offset(),
                (code, _) => assert_eq!(code, 0, "{place:?} at {next}"),
            }
            if fetched.batches.iter().any(|batch| batches::header(batch).crc == last) {
                return Ok(());
            }
        }
    }

    fn last_word(&self, place: &Place) -> Bytes {
        batches::of(&[format!("the last word of session {} to {place:?}", self.session)])
    }
}

/// Makes the batches of one client: no two are equal.
#[derive(Debug)]
pub struct Source {
    name: String,
    random: SmallRng,
    identity: Option<Producer>,
    batches: usize,
    records: i32,
}

impl Source {
    /// A batch of up to so many records with values of up to about so many bytes.
    ///
    /// # Panics
    /// When one of these is zero.
    pub fn batch(&mut self, records_max: usize, value_bytes_max: usize) -> Bytes {
        let count = self.random.random_range(1..=records_max);
        let mut values = Vec::new();
        for record in 0..count {
            let name = format!("{} batch {} record {record}", self.name, self.batches);
            values.push(batches::padded(&name, self.random.random_range(1..=value_bytes_max)));
        }
        let batch = match self.identity {
            Some(producer) => batches::numbered(producer, self.records, &values),
            None => batches::of(&values),
        };
        self.count(count);
        batch
    }

    /// A batch of up to so many records with one of so many keys; all but the first may be tombstones.
    ///
    /// # Panics
    /// When one of these is zero.
    pub fn keyed_batch(&mut self, records_max: usize, value_bytes_max: usize, keys: u32) -> Bytes {
        let count = self.random.random_range(1..=records_max);
        let mut builder = BatchBuilder::new();
        for record in 0..count {
            let key = format!("key {}", self.random.random_range(0..keys));
            let name = format!("{} batch {} record {record}", self.name, self.batches);
            let value = batches::padded(&name, self.random.random_range(1..=value_bytes_max));
            let value = (record == 0 || self.random.random_range(0..5) != 0).then_some(&value[..]);
            let record =
                NewRecord { timestamp: batches::EPOCH_MS, key: Some(key.as_bytes()), value, headers: &[] };
            builder.add(&record).expect("a small record");
        }
        let stamp = self.identity.map_or(ProducerStamp::NONE, |producer| ProducerStamp {
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            base_sequence: self.records,
        });
        let codec = Compression::ALL[self.batches % Compression::ALL.len()];
        let batch = builder.build(codec, stamp).expect("a batch with records");
        self.count(count);
        batch
    }

    fn count(&mut self, records: usize) {
        self.batches += 1;
        self.records += i32::try_from(records).expect("a batch is small");
    }
}

/// The partitions of a topic.
pub fn places(topic: &Arc<str>, partitions: i32) -> Vec<Place> {
    (0..partitions).map(|partition| Place { topic: Arc::clone(topic), partition }).collect()
}

/// Of a topic that keeps what it acknowledges.
pub const fn strict(partitions: i32) -> Keeping {
    Keeping { partitions, is_strict: true, retention_bytes: None, is_compacted: false }
}

/// Of a topic that keeps the last record of each key.
pub const fn compacted(partitions: i32) -> Keeping {
    Keeping { is_compacted: true, ..strict(partitions) }
}
