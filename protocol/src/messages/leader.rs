//! Hints at a new leader, which Produce and Fetch answers can carry (KIP-951).

message! {
    /// The leader of a partition.
    pub struct LeaderIdAndEpoch {
        /// -1 if unknown.
        leader_id: i32 = -1, 0..;
        /// -1 if unknown.
        leader_epoch: i32 = -1, 0..;
    }

    /// Address of a broker.
    pub struct NodeEndpoint {
        node_id: i32, 0..;
        host: String, 0..;
        port: i32, 0..;
        rack: Option<String>, 0.., nullable 0..;
    }
}
