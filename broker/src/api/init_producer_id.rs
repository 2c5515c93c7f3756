//! InitProducerId (key 22), versions 0 to 5.
//!
//! Idempotent producers get a new id each time they ask, as in Apache Kafka.
//!
//! Differs from Apache Kafka: transactional ids are refused, because transactions are not served
//! yet; their clients give up earlier, for FindCoordinator refuses them too.

use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};
use sendlog_protocol::records::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID};

use super::{Context, Session, error};

/// Advertised and served.
pub const VERSIONS: RangeInclusive<i16> = 0..=5;

/// Gives out a producer id.
pub async fn handle(
    context: &Context,
    session: &Session,
    _version: i16,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let refused = |code: ErrorCode| InitProducerIdResponse {
        error_code: code.code(),
        producer_id: -1,
        producer_epoch: -1,
        ..Default::default()
    };
    if (request.producer_id == NO_PRODUCER_ID) != (request.producer_epoch == NO_PRODUCER_EPOCH) {
        return refused(ErrorCode::InvalidRequest);
    }
    match request.transactional_id.as_deref() {
        Some("") => return refused(ErrorCode::InvalidRequest),
        Some(_) => return refused(ErrorCode::TransactionalIdAuthorizationFailed),
        None => {}
    }
    let ids = std::sync::Arc::clone(&context.producer_ids);
    match tokio::task::spawn_blocking(move || ids.next()).await {
        Ok(Ok(producer_id)) => {
            InitProducerIdResponse { producer_id, producer_epoch: 0, ..Default::default() }
        }
        Ok(Err(storage_error)) => {
            tracing::error!(peer = %session.peer, error = %storage_error, "no producer id could be given out");
            refused(error::of_storage(&storage_error))
        }
        Err(_) => refused(ErrorCode::UnknownServerError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::Fixture;

    #[tokio::test]
    async fn an_id_comes_with_its_epoch_or_not_at_all() {
        let fixture = Fixture::new();
        let ask = async |producer_id, producer_epoch| {
            let request = InitProducerIdRequest { producer_id, producer_epoch, ..Default::default() };
            handle(&fixture.context, &fixture.session, 4, request).await.error_code
        };
        assert_eq!([ask(-1, -1).await, ask(5, 0).await], [0, 0]);
        let invalid = ErrorCode::InvalidRequest.code();
        assert_eq!([ask(5, -1).await, ask(-1, 0).await], [invalid, invalid]);
    }
}
