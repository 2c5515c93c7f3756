//! DeleteAcls (key 31), versions 1 to 3: there is no authorizer, as Apache Kafka says without one.

use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{DeleteAclsFilterResult, DeleteAclsRequest, DeleteAclsResponse};

use super::refusal::check_count;
use super::{Context, Session};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 1..=3;

/// Refuses every filter.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: DeleteAclsRequest,
) -> DeleteAclsResponse {
    // A request that is too long has each of its parts refused, and no text for each.
    let (code, error_message) = match check_count(&context.config, request.filters.len()) {
        Ok(()) => (ErrorCode::SecurityDisabled, Some("No Authorizer is configured.".to_owned())),
        Err(refusal) => (refusal.code, None),
    };
    let refused = DeleteAclsFilterResult { error_code: code.code(), error_message, ..Default::default() };
    DeleteAclsResponse { filter_results: vec![refused; request.filters.len()], ..Default::default() }
}
