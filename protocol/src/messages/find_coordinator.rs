//! FindCoordinator (key 10): the broker that coordinates a group or a transaction.

message! {
    /// Groups or transactions to find the coordinator of.
    pub struct FindCoordinatorRequest: versions 0..=6, flexible from 3 {
        key: String, 0..=3;
        /// 0: group; 1: transaction; 2: share group.
        key_type: i8, 1..;
        /// Several at once (KIP-699).
        coordinator_keys: Vec<String>, 4..;
    }
}

message! {
    /// The coordinators.
    pub struct FindCoordinatorResponse: versions 0..=6, flexible from 3 {
        throttle_time_ms: i32, 1..;
        error_code: i16, 0..=3;
        error_message: Option<String>, 1..=3, nullable 1..=3;
        node_id: i32, 0..=3;
        host: String, 0..=3;
        port: i32, 0..=3;
        /// One for each key.
        coordinators: Vec<Coordinator>, 4..;
    }

    /// The coordinator of one key.
    pub struct Coordinator {
        key: String, 4..;
        node_id: i32, 4..;
        host: String, 4..;
        port: i32, 4..;
        error_code: i16, 4..;
        error_message: Option<String>, 4.., nullable 4..;
    }
}
