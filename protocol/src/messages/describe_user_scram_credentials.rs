//! DescribeUserScramCredentials (key 50): which users have SCRAM credentials (KIP-554).

message! {
    /// The users.
    pub struct DescribeUserScramCredentialsRequest: versions 0..=0, flexible from 0 {
        /// Null or empty for all.
        users: Option<Vec<ScramUserName>> = Some(Vec::new()), 0.., nullable 0..;
    }

    /// One user.
    pub struct ScramUserName {
        name: String, 0..;
    }
}

message! {
    /// The credentials.
    pub struct DescribeUserScramCredentialsResponse: versions 0..=0, flexible from 0 {
        throttle_time_ms: i32, 0..;
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
        results: Vec<DescribeUserScramCredentialsResult>, 0..;
    }

    /// Those of one user.
    pub struct DescribeUserScramCredentialsResult {
        user: String, 0..;
        error_code: i16, 0..;
        error_message: Option<String>, 0.., nullable 0..;
        credential_infos: Vec<ScramCredentialInfo>, 0..;
    }

    /// One credential.
    pub struct ScramCredentialInfo {
        /// 1: SCRAM-SHA-256; 2: SCRAM-SHA-512.
        mechanism: i8, 0..;
        iterations: i32, 0..;
    }
}
