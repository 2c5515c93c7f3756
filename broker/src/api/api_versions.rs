//! ApiVersions (key 18), versions 0 to 5; any other is answered in version 0 with error 35 (KIP-511).
//!
//! The list is put together from the `VERSIONS` of the handlers. Features are those that clients go by; what only
//! Kafka's own nodes agree on is not listed.

use std::ops::RangeInclusive;

use sendlog_protocol::api_key::ApiKey;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};

use super::{Context, Session};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=5;

/// The first version that names the client's software (KIP-511).
const FIRST_WITH_SOFTWARE: i16 = 3;

/// The first version in which a supported feature may begin at 0.
///
/// Java's clients from 3.3 to 3.7 end their network thread at such a range; Kafka too names none to those that ask in an
/// earlier version (KAFKA-17492).
const FIRST_WITH_FEATURES_FROM_ZERO: i16 = 4;

/// Features with their highest version, which is the one in force: `group.version` 1 is the consumer protocol (KIP-848),
/// `share.version` 1 are share groups (KIP-932).
pub(super) const FEATURES: &[(&str, i16)] = &[("group.version", 1), ("share.version", 1)];

/// Of the features in force. They change with the program only.
const FEATURES_EPOCH: i64 = 0;

/// An API with the versions that are served.
#[derive(Debug, Clone)]
pub(super) struct Served {
    /// The API.
    pub(super) key: ApiKey,
    /// Its versions.
    pub(super) versions: RangeInclusive<i16>,
}

/// Every API, by ascending key.
#[must_use]
pub(super) fn served() -> &'static [Served] {
    const fn api(key: ApiKey, versions: RangeInclusive<i16>) -> Served {
        Served { key, versions }
    }
    static SERVED: &[Served] = &[
        api(ApiKey::Produce, super::produce::VERSIONS),
        api(ApiKey::Fetch, super::fetch::VERSIONS),
        api(ApiKey::ListOffsets, super::list_offsets::VERSIONS),
        api(ApiKey::Metadata, super::metadata::VERSIONS),
        api(ApiKey::OffsetCommit, super::offset_commit::VERSIONS),
        api(ApiKey::OffsetFetch, super::offset_fetch::VERSIONS),
        api(ApiKey::FindCoordinator, super::find_coordinator::VERSIONS),
        api(ApiKey::JoinGroup, super::join_group::VERSIONS),
        api(ApiKey::Heartbeat, super::heartbeat::VERSIONS),
        api(ApiKey::LeaveGroup, super::leave_group::VERSIONS),
        api(ApiKey::SyncGroup, super::sync_group::VERSIONS),
        api(ApiKey::DescribeGroups, super::describe_groups::VERSIONS),
        api(ApiKey::ListGroups, super::list_groups::VERSIONS),
        api(ApiKey::ApiVersions, VERSIONS),
        api(ApiKey::CreateTopics, super::create_topics::VERSIONS),
        api(ApiKey::DeleteTopics, super::delete_topics::VERSIONS),
        api(ApiKey::DeleteRecords, super::delete_records::VERSIONS),
        api(ApiKey::InitProducerId, super::init_producer_id::VERSIONS),
        api(ApiKey::OffsetForLeaderEpoch, super::offset_for_leader_epoch::VERSIONS),
        api(ApiKey::DescribeAcls, super::describe_acls::VERSIONS),
        api(ApiKey::CreateAcls, super::create_acls::VERSIONS),
        api(ApiKey::DeleteAcls, super::delete_acls::VERSIONS),
        api(ApiKey::DescribeConfigs, super::describe_configs::VERSIONS),
        api(ApiKey::AlterConfigs, super::alter_configs::VERSIONS),
        api(ApiKey::AlterReplicaLogDirs, super::alter_replica_log_dirs::VERSIONS),
        api(ApiKey::DescribeLogDirs, super::describe_log_dirs::VERSIONS),
        api(ApiKey::CreatePartitions, super::create_partitions::VERSIONS),
        api(ApiKey::DeleteGroups, super::delete_groups::VERSIONS),
        api(ApiKey::ElectLeaders, super::elect_leaders::VERSIONS),
        api(ApiKey::IncrementalAlterConfigs, super::incremental_alter_configs::VERSIONS),
        api(ApiKey::AlterPartitionReassignments, super::alter_partition_reassignments::VERSIONS),
        api(ApiKey::ListPartitionReassignments, super::list_partition_reassignments::VERSIONS),
        api(ApiKey::OffsetDelete, super::offset_delete::VERSIONS),
        api(ApiKey::DescribeClientQuotas, super::describe_client_quotas::VERSIONS),
        api(ApiKey::DescribeUserScramCredentials, super::describe_user_scram_credentials::VERSIONS),
        api(ApiKey::UpdateFeatures, super::update_features::VERSIONS),
        api(ApiKey::DescribeCluster, super::describe_cluster::VERSIONS),
        api(ApiKey::DescribeProducers, super::describe_producers::VERSIONS),
        api(ApiKey::DescribeTransactions, super::describe_transactions::VERSIONS),
        api(ApiKey::ListTransactions, super::list_transactions::VERSIONS),
        api(ApiKey::ConsumerGroupHeartbeat, super::consumer_group_heartbeat::VERSIONS),
        api(ApiKey::ConsumerGroupDescribe, super::consumer_group_describe::VERSIONS),
        api(ApiKey::ListConfigResources, super::list_config_resources::VERSIONS),
        api(ApiKey::DescribeTopicPartitions, super::describe_topic_partitions::VERSIONS),
        api(ApiKey::ShareGroupHeartbeat, super::share_group_heartbeat::VERSIONS),
        api(ApiKey::ShareGroupDescribe, super::share_group_describe::VERSIONS),
        api(ApiKey::ShareFetch, super::share_fetch::VERSIONS),
        api(ApiKey::ShareAcknowledge, super::share_acknowledge::VERSIONS),
        api(ApiKey::DescribeShareGroupOffsets, super::describe_share_group_offsets::VERSIONS),
        api(ApiKey::AlterShareGroupOffsets, super::alter_share_group_offsets::VERSIONS),
        api(ApiKey::DeleteShareGroupOffsets, super::delete_share_group_offsets::VERSIONS),
    ];
    SERVED
}

/// The answer to a version that is not served: readable in version 0, with the versions that are.
#[must_use]
pub(super) fn unsupported() -> ApiVersionsResponse {
    ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: vec![advertised(&Served { key: ApiKey::ApiVersions, versions: VERSIONS })],
        ..Default::default()
    }
}

/// Says what the broker serves.
#[must_use]
pub(super) fn handle(
    context: &Context,
    _session: &Session,
    version: i16,
    request: &ApiVersionsRequest,
) -> ApiVersionsResponse {
    let names = [&request.client_software_name, &request.client_software_version];
    if FIRST_WITH_SOFTWARE <= version && !names.into_iter().all(|name| is_software_name(name)) {
        let error_code = ErrorCode::InvalidRequest.code();
        return ApiVersionsResponse { error_code, ..Default::default() };
    }
    if !is_meant(context, request) {
        let error_code = ErrorCode::RebootstrapRequired.code();
        return ApiVersionsResponse { error_code, ..Default::default() };
    }
    let supported = |(name, max_version): &(&str, i16)| SupportedFeatureKey {
        name: (*name).to_owned(),
        min_version: 0,
        max_version: *max_version,
    };
    let finalized = |(name, level): &(&str, i16)| FinalizedFeatureKey {
        name: (*name).to_owned(),
        max_version_level: *level,
        min_version_level: *level,
    };
    // All of ours begin at 0.
    let nameable = if version < FIRST_WITH_FEATURES_FROM_ZERO { &[] } else { FEATURES };
    ApiVersionsResponse {
        api_keys: served().iter().map(advertised).collect(),
        supported_features: nameable.iter().map(supported).collect(),
        finalized_features_epoch: FEATURES_EPOCH,
        finalized_features: FEATURES.iter().map(finalized).collect(),
        ..Default::default()
    }
}

/// Whether the client takes this broker for what it is. A client that was sent elsewhere by a stale address has to begin
/// anew (KIP-1242). It says both names or none.
fn is_meant(context: &Context, request: &ApiVersionsRequest) -> bool {
    match &request.cluster_id {
        Some(cluster_id) if 0 <= request.node_id => {
            *cluster_id == context.cluster_id && request.node_id == context.config.node_id
        }
        _ => true,
    }
}

fn advertised(served: &Served) -> ApiVersion {
    ApiVersion {
        api_key: served.key.code(),
        min_version: *served.versions.start(),
        max_version: *served.versions.end(),
    }
}

/// `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?` (KIP-511).
fn is_software_name(name: &str) -> bool {
    let is_outer = |byte: &u8| byte.is_ascii_alphanumeric();
    let bytes = name.as_bytes();
    bytes.first().is_some_and(is_outer)
        && bytes.last().is_some_and(is_outer)
        && bytes.iter().all(|byte| is_outer(byte) || b"-.".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::Fixture;

    #[test]
    fn keys_ascend_and_no_range_is_wider_than_the_codec() {
        assert!(served().is_sorted_by_key(|served| served.key.code()));
        for served in served() {
            let codec = served.key.versions();
            // Produce is advertised from 0 (KAFKA-18659) and answered from there, with an error below 3.
            let is_read = codec.contains(served.versions.start()) || served.key == ApiKey::Produce;
            assert!(is_read && codec.contains(served.versions.end()), "{:?}", served.key);
        }
    }

    #[test]
    fn software_names_are_checked_where_they_are_sent() {
        for name in ["librdkafka", "apache-kafka-java", "1", "2.15.0", "a-.b"] {
            assert!(is_software_name(name), "{name}");
        }
        for name in ["", "-a", "a.", "a b", "ä"] {
            assert!(!is_software_name(name), "{name}");
        }
        let fixture = Fixture::new();
        let request = ApiVersionsRequest {
            client_software_name: "a b".into(),
            client_software_version: "1".into(),
            ..Default::default()
        };
        let answer = |version| handle(&fixture.context, &fixture.session, version, &request).error_code;
        assert_eq!((answer(2), answer(3)), (0, ErrorCode::InvalidRequest.code()));
    }

    #[test]
    fn no_supported_feature_begins_at_zero_where_clients_cannot_bear_it() {
        let fixture = Fixture::new();
        let request = ApiVersionsRequest {
            client_software_name: "a".into(),
            client_software_version: "1".into(),
            ..Default::default()
        };
        for version in VERSIONS {
            let answer = handle(&fixture.context, &fixture.session, version, &request);
            let begins_at_zero = answer.supported_features.iter().any(|feature| feature.min_version == 0);
            assert_eq!(begins_at_zero, 4 <= version, "version {version}");
            assert_eq!(answer.finalized_features.len(), FEATURES.len(), "version {version}");
        }
    }

    #[test]
    fn a_client_that_means_another_broker_is_told_so() {
        let fixture = Fixture::new();
        let answer = |cluster_id: Option<&str>, node_id| {
            let request = ApiVersionsRequest {
                client_software_name: "a".into(),
                client_software_version: "1".into(),
                cluster_id: cluster_id.map(str::to_owned),
                node_id,
            };
            handle(&fixture.context, &fixture.session, 5, &request).error_code
        };
        let ours = fixture.context.cluster_id.clone();
        assert_eq!((answer(None, -1), answer(Some(&ours), 1), answer(Some("other"), -1)), (0, 0, 0));
        let rebootstrap = ErrorCode::RebootstrapRequired.code();
        assert_eq!((answer(Some("other"), 1), answer(Some(&ours), 2)), (rebootstrap, rebootstrap));
    }

    #[test]
    fn an_unsupported_version_is_told_the_supported_ones() {
        let keys = unsupported().api_keys;
        assert_eq!(keys.len(), 1);
        assert_eq!((keys[0].api_key, keys[0].min_version, keys[0].max_version), (18, 0, 5));
    }
}
