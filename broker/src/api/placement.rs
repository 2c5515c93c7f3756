//! Replicas that a client places by hand. There is one broker to place them on.
//!
//! Messages are those of Kafka's `ReplicationControlManager`.

use sendlog_protocol::error_code::ErrorCode;

use super::refusal::Refusal;

/// Most partitions that one request may make, as in Kafka.
pub(super) const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;

/// Whether the replicas of one partition can be placed so on the broker `node_id`.
pub(super) fn check(broker_ids: &[i32], node_id: i32) -> Result<(), Refusal> {
    let refused = |message: String| {
        Err(Refusal::new(
            ErrorCode::InvalidReplicaAssignment,
            format!("The manual partition assignment includes {message}"),
        ))
    };
    if broker_ids.is_empty() {
        return refused("an empty replica list.".to_owned());
    }
    if let Some(other) = broker_ids.iter().find(|id| **id != node_id) {
        return refused(format!("broker {other}, but no such broker is registered."));
    }
    if 1 < broker_ids.len() {
        return refused(format!("the broker {node_id} more than once."));
    }
    Ok(())
}
