//! DescribeTransactions (key 65), version 0: there are none, for transactions are not served yet.

use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, DescribedTransactionState,
};

use super::refusal::check_count;
use super::{Context, Session};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=0;

/// Describes the transactions.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    // The answer has no error of its own, so a request that is too long has each of its parts refused.
    let code = match check_count(&context.config, request.transactional_ids.len()) {
        Ok(()) => ErrorCode::TransactionalIdNotFound,
        Err(refusal) => refusal.code,
    };
    let states = request.transactional_ids.into_iter().map(|transactional_id| DescribedTransactionState {
        error_code: code.code(),
        transactional_id,
        ..Default::default()
    });
    DescribeTransactionsResponse { transaction_states: states.collect(), ..Default::default() }
}
