//! DescribeLogDirs (key 35), versions 1 to 4.
//!
//! There is one log directory, the data directory.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sendlog_protocol::messages::{
    DescribableLogDirTopic, DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};

use super::refusal::blocking;
use super::{Context, Session};
use crate::catalog::{Catalog, Topic, Topics};
use crate::config::Config;
use crate::partition::Partition;

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 1..=4;

/// Describes the data directory and the sizes of the partitions that are asked for.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let work = move |config: &Config, catalog: &Catalog| {
        describe(&catalog.topics(), &config.data_dir, request.topics)
    };
    DescribeLogDirsResponse { results: vec![blocking(context, work).await], ..Default::default() }
}

fn describe(
    topics: &Topics,
    dir: &Path,
    wanted: Option<Vec<DescribableLogDirTopic>>,
) -> DescribeLogDirsResult {
    let space = rustix::fs::statvfs(dir).ok();
    let bytes_of = |blocks: u64, size: u64| i64::try_from(blocks.saturating_mul(size)).unwrap_or(i64::MAX);
    // Clients show the path, and it should tell more than "data".
    let path = std::path::absolute(dir).unwrap_or_else(|_| PathBuf::from(dir));
    let topics = match wanted {
        None => topics.iter().map(|topic| sizes(topic, topic.partitions().to_vec())).collect(),
        Some(wanted) => wanted_topics(topics, wanted),
    };
    DescribeLogDirsResult {
        log_dir: path.to_string_lossy().into_owned(),
        topics,
        total_bytes: space.as_ref().map_or(-1, |space| bytes_of(space.f_blocks, space.f_frsize)),
        usable_bytes: space.as_ref().map_or(-1, |space| bytes_of(space.f_bavail, space.f_frsize)),
        ..Default::default()
    }
}

/// What exists of what is wanted, each once; Kafka leaves the rest out as well.
fn wanted_topics(topics: &Topics, wanted: Vec<DescribableLogDirTopic>) -> Vec<DescribeLogDirsTopic> {
    let mut seen = HashSet::new();
    let mut described = Vec::new();
    for wanted in wanted {
        let Some(topic) = topics.by_name(&wanted.topic) else { continue };
        let indexes = wanted.partitions.into_iter().filter(|index| seen.insert((topic.id(), *index)));
        let partitions: Vec<Arc<Partition>> = indexes.filter_map(|index| topic.partition(index)).collect();
        if !partitions.is_empty() {
            described.push(sizes(topic, partitions));
        }
    }
    described
}

fn sizes(topic: &Topic, partitions: Vec<Arc<Partition>>) -> DescribeLogDirsTopic {
    let partition = |partition: Arc<Partition>| DescribeLogDirsPartition {
        partition_index: partition.index(),
        partition_size: i64::try_from(partition.size_bytes()).unwrap_or(i64::MAX),
        // The only replica lags behind nobody.
        offset_lag: 0,
        is_future_key: false,
    };
    DescribeLogDirsTopic {
        name: topic.name().to_string(),
        partitions: partitions.into_iter().map(partition).collect(),
    }
}

#[cfg(test)]
mod tests {
    use sendlog_protocol::records::ProducerStamp;

    use super::*;
    use crate::api::testing::Fixture;

    async fn ask(fixture: &Fixture, topics: Option<Vec<DescribableLogDirTopic>>) -> DescribeLogDirsResult {
        let request = DescribeLogDirsRequest { topics };
        handle(&fixture.context, &fixture.session, 4, request).await.results.remove(0)
    }

    #[tokio::test]
    async fn sizes_and_space_are_told() {
        let fixture = Fixture::new();
        fixture.create("a", 2).await;
        fixture.create("b", 1).await;
        fixture.append("b", ProducerStamp::NONE).await;
        let all = ask(&fixture, None).await;
        assert_eq!(all.topics.iter().map(|topic| topic.partitions.len()).sum::<usize>(), 3);
        let sizes: Vec<i64> = all.topics.iter().map(|topic| topic.partitions[0].partition_size).collect();
        assert!(sizes[0] == 0 && 61 < sizes[1], "{sizes:?}");
        assert!(0 < all.usable_bytes && all.usable_bytes <= all.total_bytes);
        assert!(Path::new(&all.log_dir).is_absolute());
        let wanted = |topic: &str, partitions| DescribableLogDirTopic { topic: topic.to_owned(), partitions };
        let some = vec![wanted("a", vec![1, 1, 9]), wanted("none", vec![0])];
        let some = ask(&fixture, Some(some)).await.topics;
        assert_eq!((some.len(), some[0].partitions.len(), some[0].partitions[0].partition_index), (1, 1, 1));
    }
}
