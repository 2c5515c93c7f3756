//! DescribeTransactions (key 65): state of transactions (KIP-664).

message! {
    /// The transactions.
    pub struct DescribeTransactionsRequest: versions 0..=0, flexible from 0 {
        transactional_ids: Vec<String>, 0..;
    }
}

message! {
    /// Their state.
    pub struct DescribeTransactionsResponse: versions 0..=0, flexible from 0 {
        throttle_time_ms: i32, 0..;
        transaction_states: Vec<DescribedTransactionState>, 0..;
    }

    /// State of one transaction.
    pub struct DescribedTransactionState {
        error_code: i16, 0..;
        transactional_id: String, 0..;
        transaction_state: String, 0..;
        transaction_timeout_ms: i32, 0..;
        transaction_start_time_ms: i64, 0..;
        producer_id: i64, 0..;
        producer_epoch: i16, 0..;
        topics: Vec<DescribedTransactionTopic>, 0..;
    }

    /// Partitions of one topic in the transaction.
    pub struct DescribedTransactionTopic {
        topic: String, 0..;
        partitions: Vec<i32>, 0..;
    }
}
