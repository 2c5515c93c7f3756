//! ListPartitionReassignments (key 46), version 0: nothing is ever moved, for there is one broker.

use std::ops::RangeInclusive;

use sendlog_protocol::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};

use super::{Context, Session};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=0;

/// Lists what is being moved.
pub(super) async fn handle(
    _context: &Context,
    _session: &Session,
    _version: i16,
    _request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    ListPartitionReassignmentsResponse::default()
}
