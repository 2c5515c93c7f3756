//! ListTransactions (key 66): transactions of a broker (KIP-664).

message! {
    /// Which transactions. What is empty, null or negative matches all.
    pub struct ListTransactionsRequest: versions 0..=2, flexible from 0 {
        state_filters: Vec<String>, 0..;
        producer_id_filters: Vec<i64>, 0..;
        /// Those that last longer, in milliseconds (KIP-994).
        duration_filter: i64 = -1, 1..;
        /// In RE2 syntax (KIP-1152).
        transactional_id_pattern: Option<String>, 2.., nullable 2..;
    }
}

message! {
    /// The transactions.
    pub struct ListTransactionsResponse: versions 0..=2, flexible from 0 {
        throttle_time_ms: i32, 0..;
        error_code: i16, 0..;
        /// Words of the request that name no state.
        unknown_state_filters: Vec<String>, 0..;
        transaction_states: Vec<ListedTransactionState>, 0..;
    }

    /// One transaction.
    pub struct ListedTransactionState {
        transactional_id: String, 0..;
        producer_id: i64, 0..;
        transaction_state: String, 0..;
    }
}
