//! DeleteGroups (key 42), versions 0 to 2.
//!
//! A group is deleted, with its offsets, when that is on disk.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse};

use super::{Context, Session, error};
use crate::coordinator::group::{Effects, Env, Group, Kind, Meet};

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
        let result = match delete_share_states(context, &group_id).await {
            Ok(()) => {
                let deletion = |group: &mut Group, _: &Env<'_>, fx: &mut Effects| group.delete(fx);
                let deleted = context.groups.run(&group_id, Meet::Existing, deletion).await;
                deleted.map_err(|failure| error::of_coordinator(&failure)).flatten()
            }
            Err(code) => Err(code),
        };
        let error_code = result.err().unwrap_or(ErrorCode::None).code();
        results.push(DeletableGroupResult { group_id, error_code, ..Default::default() });
    }
    DeleteGroupsResponse { results, ..Default::default() }
}

/// Deletes what a share group without members has done with records. Before the group: one that is left without them begins
/// anew, while states that are left without a group would come back with the next one of that name.
async fn delete_share_states(context: &Context, group_id: &str) -> Result<(), ErrorCode> {
    let look = |group: &Group| match group.kind() {
        Kind::Share(share) if share.is_empty() => {
            share.initialized().map(|(topic_id, _, partitions)| (topic_id, partitions.clone())).collect()
        }
        _ => Vec::new(),
    };
    // What is wrong with the group is told by its own deletion.
    let topics = context.groups.look(group_id, look).unwrap_or_default();
    let group_id: Arc<str> = group_id.into();
    for (topic_id, partitions) in topics {
        let deleted = context.shares.delete(&group_id, topic_id, &partitions).await;
        deleted.map_err(|failure| error::of_share(&failure))?;
    }
    Ok(())
}
