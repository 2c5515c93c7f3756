//! InitProducerId (key 22): an id for an idempotent or transactional producer.

message! {
    /// Asks for a producer id, or for a new epoch of one.
    pub struct InitProducerIdRequest: versions 0..=5, flexible from 2 {
        /// Null for a producer that is idempotent only.
        transactional_id: Option<String>, 0.., nullable 0..;
        transaction_timeout_ms: i32, 0..;
        /// The id that the producer has, -1 for none (KIP-360).
        producer_id: i64 = -1, 3..;
        producer_epoch: i16 = -1, 3..;
    }
}

message! {
    /// The producer id and epoch to use.
    pub struct InitProducerIdResponse: versions 0..=5, flexible from 2 {
        throttle_time_ms: i32, 0..;
        error_code: i16, 0..;
        producer_id: i64 = -1, 0..;
        producer_epoch: i16, 0..;
    }
}
