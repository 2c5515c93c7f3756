//! DescribeCluster (key 60), versions 0 to 1.
//!
//! The broker is its own controller; controllers as such have no endpoint here (KIP-919).

use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse};

use super::{Context, Session};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=1;

/// What one may do to the cluster without ACLs: create, alter, describe, act as a broker, describe and alter its settings,
/// write idempotently (`AclOperation`, one bit each).
pub(super) const CLUSTER_OPERATIONS: i32 = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;

/// Endpoints of brokers.
const BROKERS: i8 = 1;
/// Endpoints of controllers.
const CONTROLLERS: i8 = 2;

/// Describes the broker.
pub(super) async fn handle(
    context: &Context,
    session: &Session,
    _version: i16,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    let refused = |code: ErrorCode, message: String| DescribeClusterResponse {
        error_code: code.code(),
        error_message: Some(message),
        endpoint_type: request.endpoint_type,
        ..Default::default()
    };
    match request.endpoint_type {
        BROKERS => {}
        CONTROLLERS => {
            let message = "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type \
                           CONTROLLER";
            return refused(ErrorCode::MismatchedEndpointType, message.to_owned());
        }
        other => {
            return refused(ErrorCode::UnsupportedEndpointType, format!("Unsupported endpoint type {other}"));
        }
    }
    let operations = request.include_cluster_authorized_operations;
    DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: context.cluster_id.clone(),
        controller_id: context.config.node_id,
        brokers: vec![DescribeClusterBroker {
            broker_id: context.config.node_id,
            host: session.advertised_host.clone(),
            port: i32::from(session.advertised_port),
            rack: context.config.rack.clone(),
            ..Default::default()
        }],
        cluster_authorized_operations: if operations { CLUSTER_OPERATIONS } else { i32::MIN },
        ..Default::default()
    }
}
