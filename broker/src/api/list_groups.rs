//! ListGroups (key 16), versions 0 to 5.

use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

use super::{Context, Session, error};
use crate::coordinator::group::group::Listed;

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=5;

/// Lists all groups that pass the filters. Until all are loaded that is an error: a list with gaps would look whole.
#[expect(clippy::unused_async, reason = "handlers have one form")]
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: ListGroupsRequest,
) -> ListGroupsResponse {
    let listed = match context.groups.list() {
        Ok(listed) => listed,
        Err(failure) => {
            let error_code = error::of_coordinator(&failure).code();
            return ListGroupsResponse { error_code, ..Default::default() };
        }
    };
    let wanted = listed.into_iter().filter(|group| {
        passes(&request.states_filter, group.state) && passes(&request.types_filter, group.kind)
    });
    let groups = wanted.map(respond).collect();
    ListGroupsResponse { error_code: ErrorCode::None.code(), groups, ..Default::default() }
}

/// Kafka compares without regard to case, and an empty filter lets everything through.
fn passes(filter: &[String], name: &str) -> bool {
    filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
}

fn respond(listed: Listed) -> ListedGroup {
    ListedGroup {
        group_id: listed.group_id.to_string(),
        protocol_type: listed.protocol_type,
        group_state: listed.state.to_owned(),
        group_type: listed.kind.to_owned(),
    }
}
