//! DescribeGroups (key 15), versions 0 to 6: classic groups, and groups that have offsets only.
//!
//! Before version 6 a group that is not there is one in the state `Dead`, without an error. Groups of other kinds are not
//! there for this API.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup};

use super::{Context, Session, error};
use crate::coordinator::group::{CoordinatorError, Group, Kind, Meet};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=6;

/// The first version that says that there is no such group.
const FIRST_WITH_NOT_FOUND: i16 = 6;

/// What one may do to a group without ACLs: read, delete, describe, describe and alter its settings (`AclOperation`, one
/// bit each).
pub(super) const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

/// Describes the groups.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    version: i16,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let operations = if request.include_authorized_operations { GROUP_OPERATIONS } else { i32::MIN };
    let mut groups = Vec::with_capacity(request.groups.len());
    // A group that is named thousands of times is not answered in kind.
    let mut seen = HashSet::new();
    for group_id in request.groups.into_iter().filter(|group_id| seen.insert(group_id.clone())) {
        let described =
            context.groups.run(&group_id, Meet::Existing, |group, _env, _fx| describe(group)).await;
        let described = described.map_err(|failure| match failure {
            CoordinatorError::UnknownGroup => {
                (ErrorCode::GroupIdNotFound, format!("Group {group_id} not found."))
            }
            failure => (error::of_coordinator(&failure), failure.to_string()),
        });
        let mut group = match described.flatten() {
            Ok(group) => DescribedGroup { group_id, ..group },
            Err((code, message)) => refused(version, group_id, code, message),
        };
        if group.error_code == ErrorCode::None.code() {
            group.authorized_operations = operations;
        }
        groups.push(group);
    }
    DescribeGroupsResponse { groups, ..Default::default() }
}

fn describe(group: &Group) -> Result<DescribedGroup, (ErrorCode, String)> {
    match group.kind() {
        Kind::Simple => Ok(DescribedGroup { group_state: "Empty".to_owned(), ..Default::default() }),
        Kind::Classic(classic) => Ok(classic.describe()),
        Kind::Consumer(_) | Kind::Share(_) => {
            Err((ErrorCode::GroupIdNotFound, format!("Group {} is not a classic group.", group.id())))
        }
    }
}

fn refused(version: i16, group_id: String, code: ErrorCode, message: String) -> DescribedGroup {
    let is_absent = code == ErrorCode::GroupIdNotFound;
    let code = if is_absent && version < FIRST_WITH_NOT_FOUND { ErrorCode::None } else { code };
    DescribedGroup {
        error_code: code.code(),
        error_message: Some(message).filter(|_| code != ErrorCode::None),
        group_id,
        group_state: if is_absent { "Dead" } else { "" }.to_owned(),
        ..Default::default()
    }
}
