//! FindCoordinator (key 10), versions 0 to 5.
//!
//! There are no groups and no transactions yet, so no broker coordinates any: every answer is
//! `COORDINATOR_NOT_AVAILABLE`, as Apache Kafka's before its group topic is there. The API is served
//! because librdkafka takes a broker without it for one that has no LZ4 (`rdkafka_feature.c`), and
//! would send batches uncompressed without a word.

use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};

use super::{Context, Session};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=5;

/// The first version that asks for several.
const FIRST_WITH_LIST: i16 = 4;

const MESSAGE: &str =
    "sendlog does not serve consumer groups and transactions yet: assign partitions instead";

/// Finds no coordinator.
#[expect(clippy::unused_async, reason = "handlers have one form")]
pub(super) async fn handle(
    _context: &Context,
    session: &Session,
    version: i16,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    tracing::debug!(peer = %session.peer, "{MESSAGE}");
    let error_code = ErrorCode::CoordinatorNotAvailable.code();
    let error_message = Some(MESSAGE.to_owned());
    let (node_id, host, port) = (-1, String::new(), -1);
    if version < FIRST_WITH_LIST {
        return FindCoordinatorResponse {
            error_code,
            error_message,
            node_id,
            host,
            port,
            ..Default::default()
        };
    }
    let coordinators = request.coordinator_keys.into_iter().map(|key| Coordinator {
        key,
        node_id,
        host: String::new(),
        port,
        error_code,
        error_message: error_message.clone(),
    });
    FindCoordinatorResponse { coordinators: coordinators.collect(), ..Default::default() }
}
