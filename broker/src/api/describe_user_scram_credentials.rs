//! DescribeUserScramCredentials (key 50), version 0: no user has any.

use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
    DescribeUserScramCredentialsResult,
};

use super::refusal::check_count;
use super::{Context, Session};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=0;

/// Lists the credentials.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    let users = request.users.unwrap_or_default();
    if let Err(refusal) = check_count(&context.config, users.len()) {
        return DescribeUserScramCredentialsResponse {
            error_code: refusal.code.code(),
            error_message: Some(refusal.message),
            ..Default::default()
        };
    }
    let results = users.into_iter().map(|user| DescribeUserScramCredentialsResult {
        error_code: ErrorCode::ResourceNotFound.code(),
        error_message: Some(format!(
            "Attempt to describe a user credential that does not exist: {}",
            user.name
        )),
        user: user.name,
        ..Default::default()
    });
    DescribeUserScramCredentialsResponse { results: results.collect(), ..Default::default() }
}
