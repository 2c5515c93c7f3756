//! UpdateFeatures (key 57): change the versions of features that the cluster runs with (KIP-584).

message! {
    /// The versions.
    pub struct UpdateFeaturesRequest: versions 0..=2, flexible from 0 {
        timeout_ms: i32 = 60000, 0..;
        feature_updates: Vec<FeatureUpdateKey>, 0..;
        validate_only: bool, 1..;
    }

    /// One feature.
    pub struct FeatureUpdateKey {
        feature: String, 0..;
        /// Less than 1 removes the feature.
        max_version_level: i16, 0..;
        allow_downgrade: bool, 0..=0;
        /// 1: upgrade; 2: downgrade that loses nothing; 3: any downgrade.
        upgrade_type: i8 = 1, 1..;
    }
}

message! {
    /// What was changed.
    pub struct UpdateFeaturesResponse: versions 0..=2, flexible from 0 {
        throttle_time_ms: i32, 0..;
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
        results: Vec<UpdatableFeatureResult>, 0..=1;
    }

    /// Result of one feature.
    pub struct UpdatableFeatureResult {
        feature: String, 0..;
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
    }
}
