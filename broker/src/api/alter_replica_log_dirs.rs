//! AlterReplicaLogDirs (key 34), versions 1 to 2: a partition can be in the one directory there is.

use std::ops::RangeInclusive;
use std::path::Path;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
};

use super::refusal::check_count;
use super::{Context, Session};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 1..=2;

/// Checks where partitions are to be.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: AlterReplicaLogDirsRequest,
) -> AlterReplicaLogDirsResponse {
    let topics = request.dirs.iter().flat_map(|dir| &dir.topics);
    let too_many = check_count(&context.config, topics.map(|topic| topic.partitions.len()).sum()).err();
    let results = request.dirs.into_iter().flat_map(|dir| {
        let is_ours = is_same(Path::new(&dir.path), &context.config.data_dir);
        dir.topics.into_iter().map(move |topic| (is_ours, topic))
    });
    let results = results.map(|(is_ours, topic)| {
        let result = |partition_index| {
            let code = match &too_many {
                Some(refusal) => refusal.code,
                None if !is_ours => ErrorCode::LogDirNotFound,
                None => match context.catalog.partition(&topic.name, partition_index) {
                    Some(_) => ErrorCode::None,
                    None => ErrorCode::UnknownTopicOrPartition,
                },
            };
            AlterReplicaLogDirPartitionResult { partition_index, error_code: code.code() }
        };
        let partitions = topic.partitions.into_iter().map(result).collect();
        AlterReplicaLogDirTopicResult { topic_name: topic.name, partitions }
    });
    AlterReplicaLogDirsResponse { results: results.collect(), ..Default::default() }
}

/// DescribeLogDirs tells the whole path of a directory that was given by a part of it, and that is what comes back.
fn is_same(path: &Path, data_dir: &Path) -> bool {
    path == data_dir || std::path::absolute(data_dir).is_ok_and(|whole| path == whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::Fixture;
    use sendlog_protocol::messages::{AlterReplicaLogDir, AlterReplicaLogDirTopic};

    #[tokio::test]
    async fn there_is_one_directory() {
        let fixture = Fixture::new();
        fixture.create("a", 1).await;
        let dir = |path: &str| AlterReplicaLogDir {
            path: path.to_owned(),
            topics: vec![AlterReplicaLogDirTopic { name: "a".to_owned(), partitions: vec![0, 9] }],
        };
        let ours = fixture.context.config.data_dir.to_str().unwrap().to_owned();
        let request = AlterReplicaLogDirsRequest { dirs: vec![dir(&ours), dir("/nowhere")] };
        let response = handle(&fixture.context, &fixture.session, 2, request).await;
        let results = response.results.iter().flat_map(|topic| &topic.partitions);
        let codes: Vec<i16> = results.map(|result| result.error_code).collect();
        assert_eq!(codes, [0, 3, 57, 57]);
    }

    #[test]
    fn the_directory_is_known_by_what_describe_log_dirs_says() {
        let whole = std::path::absolute("data").unwrap();
        assert!(is_same(&whole, Path::new("data")) && is_same(&whole, &whole));
        assert!(is_same(Path::new("data"), Path::new("data")));
        assert!(!is_same(Path::new("other"), Path::new("data")));
    }
}
