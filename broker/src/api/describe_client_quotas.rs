//! DescribeClientQuotas (key 48), versions 0 to 1: there are no quotas.
//!
//! AlterClientQuotas is not served: a quota that nobody keeps would be a lie.

use std::ops::RangeInclusive;

use sendlog_protocol::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};

use super::{Context, Session};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=1;

/// Lists the quotas.
pub(super) async fn handle(
    _context: &Context,
    _session: &Session,
    _version: i16,
    _request: DescribeClientQuotasRequest,
) -> DescribeClientQuotasResponse {
    DescribeClientQuotasResponse::default()
}
