//! DeleteGroups (key 42), versions 0 to 2.
//!
//! A group is deleted, with its offsets, when that is on disk.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse};

use super::{Context, Session, error};
use crate::coordinator::group::Meet;

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=2;

/// Deletes the groups, each for itself.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    let mut seen = HashSet::new();
    // A group that is named twice is answered for once.
    for group_id in request.groups_names.into_iter().filter(|group_id| seen.insert(group_id.clone())) {
        let deleted = context.groups.run(&group_id, Meet::Existing, |group, _env, fx| group.delete(fx)).await;
        let result = deleted.map_err(|failure| error::of_coordinator(&failure)).flatten();
        let error_code = result.err().unwrap_or(ErrorCode::None).code();
        results.push(DeletableGroupResult { group_id, error_code, ..Default::default() });
    }
    DeleteGroupsResponse { results, ..Default::default() }
}
