//! From a frame to an answer: the one match over API keys.

use std::future::Future;

use bytes::Bytes;
use sendlog_protocol::api_key::ApiKey;
use sendlog_protocol::header::RequestHeader;
use sendlog_protocol::messages::ApiVersionsRequest;
use sendlog_protocol::wire::Reader;
use sendlog_protocol::{Message, Piece, Request, decode_body_and_rest, encode_response};

use super::{Close, Context, Session};
use crate::storage::file_slice::FileSlice;

/// What goes back to the client.
#[derive(Debug)]
pub enum Answer {
    /// A response frame.
    Frame(Vec<Piece<FileSlice>>),
    /// Nothing: the client asked for no acknowledgement.
    Silence,
}

impl Answer {
    fn bytes(frame: Bytes) -> Self {
        Self::Frame(vec![Piece::Bytes(frame)])
    }
}

/// A request whose header was read.
#[derive(Debug)]
pub struct Incoming {
    /// The header.
    pub header: RequestHeader,
    key: ApiKey,
    body: Bytes,
}

impl Incoming {
    /// Reads the header of a frame.
    ///
    /// # Errors
    /// [`Close`] if it is no request header or names no API of ours.
    pub fn parse(frame: Bytes) -> Result<Self, Close> {
        let mut reader = Reader::new(frame);
        let header = RequestHeader::decode(&mut reader).map_err(Close::Header)?;
        let key = ApiKey::from_code(header.api_key)
            .ok_or(Close::Unsupported { key: header.api_key, version: header.api_version })?;
        Ok(Self { header, key, body: reader.into_remaining() })
    }

    /// Whether this is a Produce request, which is started before its turn to be answered.
    pub fn is_produce(&self) -> bool {
        self.key == ApiKey::Produce
    }

    fn decode<Q: Request>(&mut self) -> Result<Q, Close> {
        let version = self.header.api_version;
        let body = std::mem::take(&mut self.body);
        decode_body_and_rest(body, version).map_err(|error| Close::Body {
            api: self.key.name(),
            version,
            error,
        })
    }

    fn encode<M: Message>(&self, response: &M) -> Result<Answer, Close> {
        let frame = encode_response(self.key, self.header.api_version, self.header.correlation_id, response)?;
        Ok(Answer::bytes(frame))
    }
}

/// Validates and queues a produce request; the future ends with its answer.
///
/// # Errors
/// [`Close`] if it cannot be read.
pub async fn start_produce(
    context: &Context,
    session: &Session,
    mut incoming: Incoming,
) -> Result<impl Future<Output = Result<Answer, Close>> + Send + use<>, Close> {
    let version = incoming.header.api_version;
    if !super::produce::VERSIONS.contains(&version) {
        return Err(Close::Unsupported { key: incoming.header.api_key, version });
    }
    let request = incoming.decode()?;
    let started = super::produce::start(context, session, version, request).await;
    Ok(async move {
        match started.finish().await? {
            Some(response) => incoming.encode(&response),
            None => Ok(Answer::Silence),
        }
    })
}

/// Serves a request to its end.
///
/// # Errors
/// [`Close`] where Kafka has no error code to answer with.
pub async fn answer(context: &Context, session: &Session, incoming: Incoming) -> Result<Answer, Close> {
    let version = incoming.header.api_version;
    let unsupported = Close::Unsupported { key: incoming.header.api_key, version };
    if incoming.key == ApiKey::ApiVersions {
        return api_versions(context, session, incoming);
    }
    if !is_served(incoming.key, version) {
        return Err(unsupported);
    }
    serve(context, session, incoming).await
}

fn is_served(key: ApiKey, version: i16) -> bool {
    super::api_versions::served().iter().any(|served| served.key == key && served.versions.contains(&version))
}

/// Decodes, handles, encodes: the same for every API but the two hot ones and ApiVersions.
macro_rules! serve {
    ($context:expr, $session:expr, $incoming:expr, $handler:ident) => {{
        let request = $incoming.decode()?;
        let version = $incoming.header.api_version;
        let response = super::$handler::handle($context, $session, version, request).await;
        $incoming.encode(&response)
    }};
}

/// The same for APIs that want to know who calls.
macro_rules! serve_caller {
    ($context:expr, $session:expr, $incoming:expr, $handler:ident) => {{
        let request = $incoming.decode()?;
        let header = &$incoming.header;
        let client_id = header.client_id.as_deref().unwrap_or_default();
        let caller = super::Caller { session: $session, client_id };
        let response = super::$handler::handle($context, &caller, header.api_version, request).await;
        $incoming.encode(&response)
    }};
}

async fn serve(context: &Context, session: &Session, mut incoming: Incoming) -> Result<Answer, Close> {
    match incoming.key {
        ApiKey::Produce => start_produce(context, session, incoming).await?.await,
        ApiKey::Fetch => {
            let request = incoming.decode()?;
            let header = &incoming.header;
            let response = super::fetch::handle(context, session, header.api_version, request).await;
            let (version, correlation_id) = (header.api_version, header.correlation_id);
            Ok(Answer::Frame(sendlog_protocol::encode_fetch_response(version, correlation_id, response)?))
        }
        ApiKey::ListOffsets => serve!(context, session, incoming, list_offsets),
        ApiKey::Metadata => serve!(context, session, incoming, metadata),
        ApiKey::OffsetCommit => serve!(context, session, incoming, offset_commit),
        ApiKey::OffsetFetch => serve!(context, session, incoming, offset_fetch),
        ApiKey::FindCoordinator => serve!(context, session, incoming, find_coordinator),
        ApiKey::JoinGroup => serve_caller!(context, session, incoming, join_group),
        ApiKey::Heartbeat => serve!(context, session, incoming, heartbeat),
        ApiKey::LeaveGroup => serve!(context, session, incoming, leave_group),
        ApiKey::SyncGroup => serve!(context, session, incoming, sync_group),
        ApiKey::DescribeGroups => serve!(context, session, incoming, describe_groups),
        ApiKey::ListGroups => serve!(context, session, incoming, list_groups),
        ApiKey::CreateTopics => serve!(context, session, incoming, create_topics),
        ApiKey::DeleteTopics => serve!(context, session, incoming, delete_topics),
        ApiKey::DeleteRecords => serve!(context, session, incoming, delete_records),
        ApiKey::InitProducerId => serve!(context, session, incoming, init_producer_id),
        ApiKey::OffsetForLeaderEpoch => serve!(context, session, incoming, offset_for_leader_epoch),
        ApiKey::DescribeConfigs => serve!(context, session, incoming, describe_configs),
        ApiKey::AlterConfigs => serve!(context, session, incoming, alter_configs),
        ApiKey::IncrementalAlterConfigs => serve!(context, session, incoming, incremental_alter_configs),
        ApiKey::CreatePartitions => serve!(context, session, incoming, create_partitions),
        ApiKey::DescribeLogDirs => serve!(context, session, incoming, describe_log_dirs),
        ApiKey::DeleteGroups => serve!(context, session, incoming, delete_groups),
        ApiKey::OffsetDelete => serve!(context, session, incoming, offset_delete),
        ApiKey::DescribeCluster => serve!(context, session, incoming, describe_cluster),
        ApiKey::DescribeProducers => serve!(context, session, incoming, describe_producers),
        ApiKey::ConsumerGroupHeartbeat => {
            serve_caller!(context, session, incoming, consumer_group_heartbeat)
        }
        ApiKey::ConsumerGroupDescribe => serve!(context, session, incoming, consumer_group_describe),
        ApiKey::DescribeAcls => serve!(context, session, incoming, describe_acls),
        ApiKey::CreateAcls => serve!(context, session, incoming, create_acls),
        ApiKey::DeleteAcls => serve!(context, session, incoming, delete_acls),
        ApiKey::AlterReplicaLogDirs => serve!(context, session, incoming, alter_replica_log_dirs),
        ApiKey::ElectLeaders => serve!(context, session, incoming, elect_leaders),
        ApiKey::AlterPartitionReassignments => {
            serve!(context, session, incoming, alter_partition_reassignments)
        }
        ApiKey::ListPartitionReassignments => {
            serve!(context, session, incoming, list_partition_reassignments)
        }
        ApiKey::DescribeClientQuotas => serve!(context, session, incoming, describe_client_quotas),
        ApiKey::DescribeUserScramCredentials => {
            serve!(context, session, incoming, describe_user_scram_credentials)
        }
        ApiKey::DescribeTransactions => serve!(context, session, incoming, describe_transactions),
        ApiKey::ListTransactions => serve!(context, session, incoming, list_transactions),
        ApiKey::ListConfigResources => serve!(context, session, incoming, list_config_resources),
        ApiKey::DescribeTopicPartitions => serve!(context, session, incoming, describe_topic_partitions),
        ApiKey::ShareGroupHeartbeat => serve_caller!(context, session, incoming, share_group_heartbeat),
        ApiKey::ShareGroupDescribe => serve!(context, session, incoming, share_group_describe),
        ApiKey::ShareFetch => share_fetch(context, session, incoming).await,
        ApiKey::ShareAcknowledge => serve!(context, session, incoming, share_acknowledge),
        ApiKey::DescribeShareGroupOffsets => serve!(context, session, incoming, describe_share_group_offsets),
        ApiKey::AlterShareGroupOffsets => serve!(context, session, incoming, alter_share_group_offsets),
        ApiKey::DeleteShareGroupOffsets => serve!(context, session, incoming, delete_share_group_offsets),
        ApiKey::UpdateFeatures => serve!(context, session, incoming, update_features),
        ApiKey::ApiVersions => api_versions(context, session, incoming),
        // The codec knows more APIs than are served; `answer` lets none of those through.
        _ => Err(Close::Unsupported { key: incoming.header.api_key, version: incoming.header.api_version }),
    }
}

async fn share_fetch(context: &Context, session: &Session, mut incoming: Incoming) -> Result<Answer, Close> {
    let request = incoming.decode()?;
    let (version, correlation_id) = (incoming.header.api_version, incoming.header.correlation_id);
    let response = super::share_fetch::handle(context, session, version, request).await;
    Ok(Answer::Frame(sendlog_protocol::encode_share_fetch_response(version, correlation_id, response)?))
}

/// ApiVersions is special: a version that the broker does not know is answered in version 0.
fn api_versions(context: &Context, session: &Session, mut incoming: Incoming) -> Result<Answer, Close> {
    if !super::api_versions::VERSIONS.contains(&incoming.header.api_version) {
        incoming.header.api_version = 0;
        return incoming.encode(&super::api_versions::unsupported());
    }
    let request: ApiVersionsRequest = incoming.decode()?;
    let version = incoming.header.api_version;
    incoming.encode(&super::api_versions::handle(context, session, version, &request))
}
