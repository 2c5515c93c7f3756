//! ElectLeaders (key 43): let other replicas lead (KIP-460).

message! {
    /// Partitions to elect a leader for.
    pub struct ElectLeadersRequest: versions 0..=2, flexible from 2 {
        /// 0: the preferred replica; 1: one that misses records, if no other lives.
        election_type: i8, 1..;
        /// Null for all.
        topic_partitions: Option<Vec<ElectLeadersTopicPartitions>> = Some(Vec::new()), 0.., nullable 0..;
        timeout_ms: i32 = 60000, 0..;
    }

    /// Partitions of one topic.
    pub struct ElectLeadersTopicPartitions {
        topic: String, 0..;
        partitions: Vec<i32>, 0..;
    }
}

message! {
    /// Who was elected.
    pub struct ElectLeadersResponse: versions 0..=2, flexible from 2 {
        throttle_time_ms: i32, 0..;
        error_code: i16, 1..;
        replica_election_results: Vec<ReplicaElectionResult>, 0..;
    }

    /// Results of one topic.
    pub struct ReplicaElectionResult {
        topic: String, 0..;
        partition_result: Vec<ElectLeadersPartitionResult>, 0..;
    }

    /// Result of one partition.
    pub struct ElectLeadersPartitionResult {
        partition_id: i32, 0..;
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
    }
}
