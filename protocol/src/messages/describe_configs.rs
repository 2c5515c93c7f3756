//! DescribeConfigs (key 32): settings of topics and brokers.

message! {
    /// Resources to describe.
    pub struct DescribeConfigsRequest: versions 1..=4, flexible from 4 {
        resources: Vec<DescribeConfigsResource>, 0..;
        include_synonyms: bool, 1..;
        include_documentation: bool, 3..;
    }

    /// One resource to describe.
    pub struct DescribeConfigsResource {
        /// 2: topic; 4: broker; 8: broker logger.
        resource_type: i8, 0..;
        resource_name: String, 0..;
        /// Null for all.
        configuration_keys: Option<Vec<String>> = Some(Vec::new()), 0.., nullable 0..;
    }
}

message! {
    /// The settings.
    pub struct DescribeConfigsResponse: versions 1..=4, flexible from 4 {
        throttle_time_ms: i32, 0..;
        results: Vec<DescribeConfigsResult>, 0..;
    }

    /// Settings of one resource.
    pub struct DescribeConfigsResult {
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
        resource_type: i8, 0..;
        resource_name: String, 0..;
        configs: Vec<DescribeConfigsResourceResult>, 0..;
    }

    /// One setting.
    pub struct DescribeConfigsResourceResult {
        name: String, 0..;
        value: Option<String>, 0.., nullable 0..;
        read_only: bool, 0..;
        /// 1: topic; 2: dynamic broker; 3: dynamic default; 4: static broker; 5: default.
        config_source: i8 = -1, 1..;
        is_sensitive: bool, 0..;
        synonyms: Vec<DescribeConfigsSynonym>, 1..;
        /// 1: boolean; 2: string; 3: int; 4: short; 5: long; 6: double; 7: list; 8: class; 9: password.
        config_type: i8, 3..;
        documentation: Option<String>, 3.., nullable 0..;
    }

    /// One place that a setting could come from.
    pub struct DescribeConfigsSynonym {
        name: String, 1..;
        value: Option<String>, 1.., nullable 0..;
        /// As `config_source`.
        source: i8, 1..;
    }
}
