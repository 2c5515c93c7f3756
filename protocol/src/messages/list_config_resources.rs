//! ListConfigResources (key 74): names of things with settings (KIP-1142).
//!
//! Version 0 was ListClientMetricsResources (KIP-714) and knows client metrics alone.

message! {
    /// Which kinds to list.
    pub struct ListConfigResourcesRequest: versions 0..=1, flexible from 0 {
        /// Empty for all.
        resource_types: Vec<i8>, 1..;
    }
}

message! {
    /// The names.
    pub struct ListConfigResourcesResponse: versions 0..=1, flexible from 0 {
        throttle_time_ms: i32, 0..;
        error_code: i16, 0..;
        config_resources: Vec<ConfigResource>, 0..;
    }

    /// One thing.
    pub struct ConfigResource {
        resource_name: String, 0..;
        /// 2: topic; 4: broker; 8: broker logger; 16: client metrics; 32: group.
        resource_type: i8 = 16, 1..;
    }
}
