//! DescribeAcls (key 29), versions 1 to 3: there is no authorizer, as Apache Kafka says without one.

use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{DescribeAclsRequest, DescribeAclsResponse};

use super::{Context, Session};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 1..=3;

/// Says that there are no access control lists.
pub(super) async fn handle(
    _context: &Context,
    _session: &Session,
    _version: i16,
    _request: DescribeAclsRequest,
) -> DescribeAclsResponse {
    DescribeAclsResponse {
        error_code: ErrorCode::SecurityDisabled.code(),
        error_message: Some("No Authorizer is configured on the broker".to_owned()),
        ..Default::default()
    }
}
