//! IncrementalAlterConfigs (key 44): change single settings (KIP-339).

message! {
    /// Resources to configure.
    pub struct IncrementalAlterConfigsRequest: versions 0..=1, flexible from 1 {
        resources: Vec<IncrementalAlterConfigsResource>, 0..;
        validate_only: bool, 0..;
    }

    /// Changes to one resource.
    pub struct IncrementalAlterConfigsResource {
        /// 2: topic; 4: broker; 8: broker logger.
        resource_type: i8, 0..;
        resource_name: String, 0..;
        configs: Vec<IncrementalAlterableConfig>, 0..;
    }

    /// One change.
    pub struct IncrementalAlterableConfig {
        name: String, 0..;
        /// 0: set; 1: delete; 2: append; 3: subtract.
        config_operation: i8, 0..;
        value: Option<String>, 0.., nullable 0..;
    }
}

message! {
    /// What became of the resources.
    pub struct IncrementalAlterConfigsResponse: versions 0..=1, flexible from 1 {
        throttle_time_ms: i32, 0..;
        responses: Vec<IncrementalAlterConfigsResourceResponse>, 0..;
    }

    /// Result of one resource.
    pub struct IncrementalAlterConfigsResourceResponse {
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
        resource_type: i8, 0..;
        resource_name: String, 0..;
    }
}
