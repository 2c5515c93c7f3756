//! CreateAcls (key 30), versions 1 to 3: there is no authorizer, as Apache Kafka says without one.

use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{AclCreationResult, CreateAclsRequest, CreateAclsResponse};

use super::refusal::check_count;
use super::{Context, Session};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 1..=3;

/// Refuses every list.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: CreateAclsRequest,
) -> CreateAclsResponse {
    // A request that is too long has each of its parts refused, and no text for each.
    let (code, error_message) = match check_count(&context.config, request.creations.len()) {
        Ok(()) => (ErrorCode::SecurityDisabled, Some("No Authorizer is configured.".to_owned())),
        Err(refusal) => (refusal.code, None),
    };
    let refused = AclCreationResult { error_code: code.code(), error_message };
    CreateAclsResponse { results: vec![refused; request.creations.len()], ..Default::default() }
}
