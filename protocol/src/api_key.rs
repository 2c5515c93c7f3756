//! The APIs that this codec knows.

use std::ops::RangeInclusive;

use bytes::Bytes;

use crate::message::{Message, Request};
use crate::messages;

macro_rules! api_keys {
    ($($name:ident = $code:literal, $request:ident => $response:ty;)*) => {
        /// An API, by its number on the wire.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ApiKey {
            $(
                #[doc = concat!("API ", stringify!($code), ".")]
                $name = $code,
            )*
        }

        impl ApiKey {
            /// Every API, by ascending number.
            pub const ALL: &'static [ApiKey] = &[$(ApiKey::$name),*];

            /// The API of a number from the wire.
            #[must_use]
            pub const fn from_code(code: i16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> i16 {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// Kafka's name, such as `CreateTopics`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// Versions that this codec knows; a broker may serve fewer.
            #[must_use]
            pub const fn versions(self) -> RangeInclusive<i16> {
                match self {
                    $(Self::$name => messages::$request::VERSIONS,)*
                }
            }

            /// First version with compact lengths and tagged fields, in headers and bodies.
            #[must_use]
            pub const fn flexible_from(self) -> i16 {
                match self {
                    $(Self::$name => messages::$request::FLEXIBLE_FROM,)*
                }
            }
        }

        $(
            impl Request for messages::$request {
                const KEY: ApiKey = ApiKey::$name;
                type Response = $response;
            }

            // Request and response change their form together, so one number serves both headers.
            const _: () = assert!(
                messages::$request::FLEXIBLE_FROM == <$response>::FLEXIBLE_FROM
                    && *messages::$request::VERSIONS.start() == *<$response>::VERSIONS.start()
                    && *messages::$request::VERSIONS.end() == *<$response>::VERSIONS.end()
            );
        )*
    };
}

api_keys! {
    Produce = 0, ProduceRequest => messages::ProduceResponse;
    Fetch = 1, FetchRequest => messages::FetchResponse<Bytes>;
    ListOffsets = 2, ListOffsetsRequest => messages::ListOffsetsResponse;
    Metadata = 3, MetadataRequest => messages::MetadataResponse;
    OffsetCommit = 8, OffsetCommitRequest => messages::OffsetCommitResponse;
    OffsetFetch = 9, OffsetFetchRequest => messages::OffsetFetchResponse;
    FindCoordinator = 10, FindCoordinatorRequest => messages::FindCoordinatorResponse;
    JoinGroup = 11, JoinGroupRequest => messages::JoinGroupResponse;
    Heartbeat = 12, HeartbeatRequest => messages::HeartbeatResponse;
    LeaveGroup = 13, LeaveGroupRequest => messages::LeaveGroupResponse;
    SyncGroup = 14, SyncGroupRequest => messages::SyncGroupResponse;
    DescribeGroups = 15, DescribeGroupsRequest => messages::DescribeGroupsResponse;
    ListGroups = 16, ListGroupsRequest => messages::ListGroupsResponse;
    ApiVersions = 18, ApiVersionsRequest => messages::ApiVersionsResponse;
    CreateTopics = 19, CreateTopicsRequest => messages::CreateTopicsResponse;
    DeleteTopics = 20, DeleteTopicsRequest => messages::DeleteTopicsResponse;
    DeleteRecords = 21, DeleteRecordsRequest => messages::DeleteRecordsResponse;
    InitProducerId = 22, InitProducerIdRequest => messages::InitProducerIdResponse;
    OffsetForLeaderEpoch = 23, OffsetForLeaderEpochRequest => messages::OffsetForLeaderEpochResponse;
    DescribeAcls = 29, DescribeAclsRequest => messages::DescribeAclsResponse;
    CreateAcls = 30, CreateAclsRequest => messages::CreateAclsResponse;
    DeleteAcls = 31, DeleteAclsRequest => messages::DeleteAclsResponse;
    DescribeConfigs = 32, DescribeConfigsRequest => messages::DescribeConfigsResponse;
    AlterConfigs = 33, AlterConfigsRequest => messages::AlterConfigsResponse;
    AlterReplicaLogDirs = 34, AlterReplicaLogDirsRequest => messages::AlterReplicaLogDirsResponse;
    DescribeLogDirs = 35, DescribeLogDirsRequest => messages::DescribeLogDirsResponse;
    CreatePartitions = 37, CreatePartitionsRequest => messages::CreatePartitionsResponse;
    DeleteGroups = 42, DeleteGroupsRequest => messages::DeleteGroupsResponse;
    ElectLeaders = 43, ElectLeadersRequest => messages::ElectLeadersResponse;
    IncrementalAlterConfigs = 44, IncrementalAlterConfigsRequest => messages::IncrementalAlterConfigsResponse;
    AlterPartitionReassignments = 45, AlterPartitionReassignmentsRequest => messages::AlterPartitionReassignmentsResponse;
    ListPartitionReassignments = 46, ListPartitionReassignmentsRequest => messages::ListPartitionReassignmentsResponse;
    OffsetDelete = 47, OffsetDeleteRequest => messages::OffsetDeleteResponse;
    DescribeClientQuotas = 48, DescribeClientQuotasRequest => messages::DescribeClientQuotasResponse;
    AlterClientQuotas = 49, AlterClientQuotasRequest => messages::AlterClientQuotasResponse;
    DescribeUserScramCredentials = 50, DescribeUserScramCredentialsRequest => messages::DescribeUserScramCredentialsResponse;
    DescribeQuorum = 55, DescribeQuorumRequest => messages::DescribeQuorumResponse;
    UpdateFeatures = 57, UpdateFeaturesRequest => messages::UpdateFeaturesResponse;
    DescribeCluster = 60, DescribeClusterRequest => messages::DescribeClusterResponse;
    DescribeProducers = 61, DescribeProducersRequest => messages::DescribeProducersResponse;
    DescribeTransactions = 65, DescribeTransactionsRequest => messages::DescribeTransactionsResponse;
    ListTransactions = 66, ListTransactionsRequest => messages::ListTransactionsResponse;
    ConsumerGroupHeartbeat = 68, ConsumerGroupHeartbeatRequest => messages::ConsumerGroupHeartbeatResponse;
    ConsumerGroupDescribe = 69, ConsumerGroupDescribeRequest => messages::ConsumerGroupDescribeResponse;
    ListConfigResources = 74, ListConfigResourcesRequest => messages::ListConfigResourcesResponse;
    DescribeTopicPartitions = 75, DescribeTopicPartitionsRequest => messages::DescribeTopicPartitionsResponse;
    ShareGroupHeartbeat = 76, ShareGroupHeartbeatRequest => messages::ShareGroupHeartbeatResponse;
    ShareGroupDescribe = 77, ShareGroupDescribeRequest => messages::ShareGroupDescribeResponse;
    ShareFetch = 78, ShareFetchRequest => messages::ShareFetchResponse<Bytes>;
    ShareAcknowledge = 79, ShareAcknowledgeRequest => messages::ShareAcknowledgeResponse;
    DescribeShareGroupOffsets = 90, DescribeShareGroupOffsetsRequest => messages::DescribeShareGroupOffsetsResponse;
    AlterShareGroupOffsets = 91, AlterShareGroupOffsetsRequest => messages::AlterShareGroupOffsetsResponse;
    DeleteShareGroupOffsets = 92, DeleteShareGroupOffsetsRequest => messages::DeleteShareGroupOffsetsResponse;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ascend_and_have_versions() {
        assert!(ApiKey::ALL.windows(2).all(|pair| pair[0].code() < pair[1].code()));
        for key in ApiKey::ALL {
            assert_eq!(ApiKey::from_code(key.code()), Some(*key));
            assert!(!key.versions().is_empty() && 0 <= *key.versions().start(), "{}", key.name());
        }
        assert_eq!(ApiKey::from_code(-1), None);
        assert_eq!(ApiKey::from_code(71), None);
    }
}
