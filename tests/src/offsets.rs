//! Committing and fetching offsets, as scenarios do it.

use std::collections::BTreeMap;
use std::io;

use sendlog_protocol::messages::{
    ListGroupsRequest, OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};

use crate::kafka::Kafka;

/// COORDINATOR_LOAD_IN_PROGRESS.
pub const LOADING: i16 = 14;
/// Version in which scenarios commit: the last one with topic names.
const COMMIT_VERSION: i16 = 9;
/// Version in which scenarios list groups.
const LIST_VERSION: i16 = 5;
/// Version in which scenarios fetch offsets: the last one with topic names.
const FETCH_VERSION: i16 = 9;

/// A commit of offsets of one topic that no member makes.
pub fn commit_request(group: &str, topic: &str, offsets: &[(i32, i64)]) -> OffsetCommitRequest {
    let partition = |(partition_index, committed_offset): &(i32, i64)| OffsetCommitRequestPartition {
        partition_index: *partition_index,
        committed_offset: *committed_offset,
        committed_leader_epoch: 0,
        committed_metadata: Some(format!("{group} {committed_offset}")),
    };
    let topic = OffsetCommitRequestTopic {
        name: topic.to_owned(),
        partitions: offsets.iter().map(partition).collect(),
        ..Default::default()
    };
    OffsetCommitRequest { group_id: group.to_owned(), topics: vec![topic], ..Default::default() }
}

impl Kafka {
    /// Commits the offset of one partition; the error code, 0 for none.
    ///
    /// # Errors
    /// When the broker closes the connection instead of answering.
    pub fn try_commit(&mut self, group: &str, topic: &str, partition: i32, offset: i64) -> io::Result<i16> {
        let request = commit_request(group, topic, &[(partition, offset)]);
        let response = self.call(COMMIT_VERSION, &request)?;
        let code =
            response.topics.iter().flat_map(|topic| &topic.partitions).map(|one| one.error_code).next();
        code.ok_or_else(|| io::Error::other("an answer without the partition"))
    }

    /// Commits the offset of one partition, which must succeed.
    ///
    /// # Panics
    /// When it does not.
    pub fn commit(&mut self, group: &str, topic: &str, partition: i32, offset: i64) {
        let code = self.try_commit(group, topic, partition, offset).expect("a commit is answered");
        assert_eq!(code, 0, "{group} {topic}-{partition} {offset}");
    }

    /// The committed offsets of these partitions, -1 for none, or the error of the group. Metadata must be what
    /// [`commit_request`] gave them.
    ///
    /// # Panics
    /// When the broker closes the connection, or answers for other partitions.
    pub fn try_committed(&mut self, group: &str, topic: &str, partitions: &[i32]) -> Result<Vec<i64>, i16> {
        let topics = vec![OffsetFetchRequestTopics {
            name: topic.to_owned(),
            partition_indexes: partitions.to_vec(),
            ..Default::default()
        }];
        let wanted = OffsetFetchRequestGroup {
            group_id: group.to_owned(),
            topics: Some(topics),
            ..Default::default()
        };
        let request = OffsetFetchRequest { groups: vec![wanted], ..Default::default() };
        let response = self.ask(FETCH_VERSION, &request);
        let found = response.groups.first().expect("an answer for the group");
        if found.error_code != 0 {
            return Err(found.error_code);
        }
        let found: Vec<_> = found.topics.iter().flat_map(|topic| &topic.partitions).collect();
        assert_eq!(found.iter().map(|one| one.partition_index).collect::<Vec<_>>(), partitions);
        for one in found.iter().filter(|one| 0 <= one.committed_offset) {
            assert_eq!(one.metadata.as_deref(), Some(format!("{group} {}", one.committed_offset).as_str()));
        }
        Ok(found.iter().map(|one| one.committed_offset).collect())
    }

    /// As [`try_committed`](Self::try_committed), asked again while the broker is loading its groups.
    ///
    /// # Panics
    /// When there is another error.
    pub fn committed(&mut self, group: &str, topic: &str, partitions: &[i32]) -> Vec<i64> {
        loop {
            match self.try_committed(group, topic, partitions) {
                Ok(offsets) => return offsets,
                Err(LOADING) => std::thread::yield_now(),
                Err(code) => panic!("{group}: error {code}"),
            }
        }
    }

    /// All committed offsets by group, topic and partition.
    ///
    /// # Panics
    /// When there is an error other than that the broker is loading its groups.
    pub fn all_offsets(&mut self) -> BTreeMap<(String, String, i32), i64> {
        let listed = loop {
            let listed = self.ask(LIST_VERSION, &ListGroupsRequest::default());
            match listed.error_code {
                0 => break listed.groups,
                LOADING => std::thread::yield_now(),
                code => panic!("no list of groups: error {code}"),
            }
        };
        let groups = listed.into_iter().map(|group| OffsetFetchRequestGroup {
            group_id: group.group_id,
            topics: None,
            ..Default::default()
        });
        let request = OffsetFetchRequest { groups: groups.collect(), ..Default::default() };
        let mut found = BTreeMap::new();
        for group in self.ask(FETCH_VERSION, &request).groups {
            assert_eq!(group.error_code, 0, "{}", group.group_id);
            for topic in group.topics {
                for one in topic.partitions {
                    let key = (group.group_id.clone(), topic.name.clone(), one.partition_index);
                    found.insert(key, one.committed_offset);
                }
            }
        }
        found
    }
}
