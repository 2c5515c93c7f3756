//! ApiVersions (key 18): which APIs and versions a broker serves.
//!
//! The answer to a version that the broker lacks is in version 0 with error 35 (KIP-511).

message! {
    /// What the client is.
    pub struct ApiVersionsRequest: versions 0..=5, flexible from 3 {
        client_software_name: String, 3..;
        client_software_version: String, 3..;
        /// The cluster that the client believes to connect to (KIP-1242).
        cluster_id: Option<String>, 5.., nullable 5..;
        /// The node that the client believes to connect to, -1 for any.
        node_id: i32 = -1, 5..;
    }
}

message! {
    /// What the broker serves.
    pub struct ApiVersionsResponse: versions 0..=5, flexible from 3 {
        error_code: i16, 0..;
        api_keys: Vec<ApiVersion>, 0..;
        throttle_time_ms: i32, 1..;
        supported_features: Vec<SupportedFeatureKey>, 3.., tag 0;
        /// -1 if unknown.
        finalized_features_epoch: i64 = -1, 3.., tag 1;
        finalized_features: Vec<FinalizedFeatureKey>, 3.., tag 2;
        zk_migration_ready: bool, 3.., tag 3;
    }

    /// Versions of one API.
    pub struct ApiVersion {
        api_key: i16, 0..;
        min_version: i16, 0..;
        max_version: i16, 0..;
    }

    /// Versions of a feature that the broker could run with.
    pub struct SupportedFeatureKey {
        name: String, 3..;
        min_version: i16, 3..;
        max_version: i16, 3..;
    }

    /// Version of a feature that the cluster runs with.
    pub struct FinalizedFeatureKey {
        name: String, 3..;
        max_version_level: i16, 3..;
        min_version_level: i16, 3..;
    }
}
