//! A well-behaved client beside the misbehaving ones: while it is served, the broker is unharmed.

use std::net::SocketAddr;

use bytes::Bytes;
use sendlog_protocol::error_code::ErrorCode;

use crate::broker::Broker;
use crate::sample_batches;
use crate::wire_client::WireClient;
use crate::wire_requests::{self, FetchFrom, FetchLimits, Topic};

/// A connection and a topic of its own.
#[derive(Debug)]
pub struct Canary {
    client: WireClient,
    topic: Topic,
    produced: u64,
}

impl Canary {
    /// Connects and creates a topic.
    pub fn new(broker: &Broker) -> Self {
        Self::at(broker.address())
    }

    /// As [`new`](Self::new), for a broker that the test itself has started.
    pub fn at(address: SocketAddr) -> Self {
        let mut client = WireClient::connect(address);
        let topic = wire_requests::create_topic(&mut client, "canary", 1, &[]);
        let mut canary = Self { client, topic, produced: 0 };
        canary.sing();
        canary
    }

    /// Produces a batch and fetches it back.
    ///
    /// # Panics
    /// When it is not served, or gets something else.
    pub fn sing(&mut self) {
        let batch = sample_batches::batch(self.produced, 1, 100);
        let produced = wire_requests::produce(&mut self.client, &self.topic.name, 0, batch.clone());
        assert_eq!(produced.error_code, ErrorCode::None.code(), "{:?}", produced.error_message);
        let from =
            FetchFrom { topic: &self.topic, partition: 0, offset: produced.base_offset, max_bytes: i32::MAX };
        let data = wire_requests::fetch(&mut self.client, from, FetchLimits::default());
        let fetched: Bytes = wire_requests::records(&data);
        assert_eq!(sample_batches::payload(&fetched), sample_batches::payload(&batch));
        self.produced += 1;
    }

    /// Sings once more, on the old connection and on a new one, and looks for panics in the broker's log.
    ///
    /// # Panics
    /// When the broker was harmed.
    pub fn expect_unharmed(&mut self, broker: &Broker) {
        self.sing();
        self.client = WireClient::connect(broker.address());
        self.sing();
        let log = broker.stderr().text();
        assert!(!log.contains("panicked"), "the broker panicked:\n{log}");
    }
}
