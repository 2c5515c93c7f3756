//! OffsetDelete (key 47), version 0 (KIP-496).

use std::ops::RangeInclusive;
use std::sync::Arc;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    OffsetDeleteRequest, OffsetDeleteRequestTopic, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};

use super::{Context, Session, error};
use crate::catalog::Catalog;
use crate::coordinator::group::Meet;
use crate::coordinator::group::commits::Deletion;
use crate::coordinator::group::offsets::TopicPartition;

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=0;

/// Forgets the offsets.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: OffsetDeleteRequest,
) -> OffsetDeleteResponse {
    let refused = |code: ErrorCode| OffsetDeleteResponse { error_code: code.code(), ..Default::default() };
    if request.group_id.is_empty() {
        return refused(ErrorCode::InvalidGroupId);
    }
    let deleted = context.groups.run(&request.group_id, Meet::Existing, |group, _env, fx| {
        group.check_offset_delete()?;
        group.linger();
        // A topic without partitions is not answered for.
        let topics = request.topics.iter().filter(|topic| !topic.partitions.is_empty());
        let mut deletion = Deletion::default();
        let forget = &mut |partition: TopicPartition| deletion.delete(group, partition, fx);
        let topics = topics.map(|topic| delete(&context.catalog, topic, forget));
        Ok(topics.collect())
    });
    match deleted.await.map_err(|failure| error::of_coordinator(&failure)).flatten() {
        Ok(topics) => OffsetDeleteResponse { topics, ..Default::default() },
        Err(code) => refused(code),
    }
}

fn delete(
    catalog: &Catalog,
    wanted: &OffsetDeleteRequestTopic,
    forget: &mut impl FnMut(TopicPartition) -> Result<(), ErrorCode>,
) -> OffsetDeleteResponseTopic {
    let topic = catalog.topic(&wanted.name);
    let mut result = |partition: i32| {
        let topic = topic.as_ref().filter(|topic| topic.partition(partition).is_some());
        let topic = Arc::clone(topic.ok_or(ErrorCode::UnknownTopicOrPartition)?.name());
        forget(TopicPartition { topic, partition })
    };
    let partitions = wanted.partitions.iter().map(|wanted| OffsetDeleteResponsePartition {
        partition_index: wanted.partition_index,
        error_code: result(wanted.partition_index).err().unwrap_or(ErrorCode::None).code(),
    });
    let partitions = partitions.collect();
    OffsetDeleteResponseTopic { name: wanted.name.clone(), partitions }
}
