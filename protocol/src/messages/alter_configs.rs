//! AlterConfigs (key 33): replace all settings of topics and brokers.

message! {
    /// Resources to configure.
    pub struct AlterConfigsRequest: versions 0..=2, flexible from 2 {
        resources: Vec<AlterConfigsResource>, 0..;
        validate_only: bool, 0..;
    }

    /// All settings of one resource.
    pub struct AlterConfigsResource {
        /// 2: topic; 4: broker; 8: broker logger.
        resource_type: i8, 0..;
        resource_name: String, 0..;
        configs: Vec<AlterableConfig>, 0..;
    }

    /// One setting.
    pub struct AlterableConfig {
        name: String, 0..;
        value: Option<String>, 0.., nullable 0..;
    }
}

message! {
    /// What became of the resources.
    pub struct AlterConfigsResponse: versions 0..=2, flexible from 2 {
        throttle_time_ms: i32, 0..;
        responses: Vec<AlterConfigsResourceResponse>, 0..;
    }

    /// Result of one resource.
    pub struct AlterConfigsResourceResponse {
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
        resource_type: i8, 0..;
        resource_name: String, 0..;
    }
}
