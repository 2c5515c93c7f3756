//! AlterReplicaLogDirs (key 34): move replicas to other directories of a broker (KIP-113).

message! {
    /// Where replicas are to be.
    pub struct AlterReplicaLogDirsRequest: versions 1..=2, flexible from 2 {
        dirs: Vec<AlterReplicaLogDir>, 0..;
    }

    /// One directory.
    pub struct AlterReplicaLogDir {
        path: String, 0..;
        topics: Vec<AlterReplicaLogDirTopic>, 0..;
    }

    /// Partitions of one topic.
    pub struct AlterReplicaLogDirTopic {
        name: String, 0..;
        partitions: Vec<i32>, 0..;
    }
}

message! {
    /// What was begun.
    pub struct AlterReplicaLogDirsResponse: versions 1..=2, flexible from 2 {
        throttle_time_ms: i32, 0..;
        results: Vec<AlterReplicaLogDirTopicResult>, 0..;
    }

    /// Results of one topic.
    pub struct AlterReplicaLogDirTopicResult {
        topic_name: String, 0..;
        partitions: Vec<AlterReplicaLogDirPartitionResult>, 0..;
    }

    /// Result of one partition.
    pub struct AlterReplicaLogDirPartitionResult {
        partition_index: i32, 0..;
        error_code: i16, 0..;
    }
}
