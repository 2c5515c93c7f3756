//! DescribeCluster (key 60): brokers and the cluster id (KIP-700).

message! {
    /// Asks for the cluster.
    pub struct DescribeClusterRequest: versions 0..=2, flexible from 0 {
        include_cluster_authorized_operations: bool, 0..;
        /// 1: brokers; 2: controllers.
        endpoint_type: i8 = 1, 1..;
        include_fenced_brokers: bool, 2..;
    }
}

message! {
    /// The cluster.
    pub struct DescribeClusterResponse: versions 0..=2, flexible from 0 {
        throttle_time_ms: i32, 0..;
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
        /// 1: brokers; 2: controllers.
        endpoint_type: i8 = 1, 1..;
        cluster_id: String, 0..;
        controller_id: i32 = -1, 0..;
        brokers: Vec<DescribeClusterBroker>, 0..;
        /// Bit field; `i32::MIN` if not asked for.
        cluster_authorized_operations: i32 = i32::MIN, 0..;
    }

    /// One broker.
    pub struct DescribeClusterBroker {
        broker_id: i32, 0..;
        host: String, 0..;
        port: i32, 0..;
        rack: Option<String>, 0.., nullable 0..;
        is_fenced: bool, 2..;
    }
}
