//! ListTransactions (key 66), versions 0 to 2: there are none, for transactions are not served yet.

use std::ops::RangeInclusive;

use sendlog_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse};

use super::{Context, Session};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=2;

/// Kafka's states of a transaction.
const STATES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];

/// Lists the transactions.
pub(super) async fn handle(
    _context: &Context,
    _session: &Session,
    _version: i16,
    request: ListTransactionsRequest,
) -> ListTransactionsResponse {
    let mut unknown = request.state_filters;
    unknown.retain(|state| !STATES.contains(&state.as_str()));
    ListTransactionsResponse { unknown_state_filters: unknown, ..Default::default() }
}
