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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::Fixture;

    async fn ask(endpoint_type: i8, operations: bool) -> DescribeClusterResponse {
        let fixture = Fixture::with(&["node.id=7", "broker.rack=r1"]);
        let request = DescribeClusterRequest {
            endpoint_type,
            include_cluster_authorized_operations: operations,
            ..Default::default()
        };
        handle(&fixture.context, &fixture.session, 1, request).await
    }

    #[tokio::test]
    async fn the_broker_is_described() {
        let response = ask(1, true).await;
        let broker = &response.brokers[0];
        assert_eq!((broker.broker_id, broker.host.as_str(), broker.port), (7, "192.0.2.7", 9092));
        assert_eq!((broker.rack.as_deref(), response.controller_id), (Some("r1"), 7));
        assert_eq!(response.cluster_authorized_operations, 8096);
        assert_eq!(ask(1, false).await.cluster_authorized_operations, i32::MIN);
    }

    #[tokio::test]
    async fn other_endpoints_are_refused() {
        assert_eq!((ask(2, false).await.error_code, ask(3, false).await.error_code), (114, 115));
    }
}
