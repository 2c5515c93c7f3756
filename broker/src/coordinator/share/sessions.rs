//! Share sessions: which partitions a member of a share group fetches, so that its requests need not name them each time.
//!
//! A session belongs to one connection and ends with it. Each request carries the session's epoch, so that one that was lost
//! or came twice is noticed. Sessions and their partitions are bounded, over all groups together.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use thiserror::Error;
use uuid::Uuid;

/// A partition of a topic, by the topic's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic.
    pub topic_id: Uuid,
    /// The partition's number.
    pub partition: i32,
}

/// Whose session it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    /// The group.
    pub group_id: Arc<str>,
    /// The member.
    pub member_id: Arc<str>,
}

/// Partitions of all sessions together.
const PARTITIONS_MAX: usize = 500_000;

/// Why a request is not of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SessionError {
    /// There is none.
    #[error("there is no share session of this member")]
    NotFound,
    /// It is at another epoch.
    #[error("the share session is at epoch {expected}, not {found}")]
    InvalidEpoch {
        /// The epoch of the next request.
        expected: i32,
        /// The one that came.
        found: i32,
    },
    /// There are too many.
    #[error("there are as many share sessions as the broker has room for")]
    LimitReached,
}

/// A member's session.
#[derive(Debug)]
struct Session {
    /// The epoch of the next request.
    next_epoch: i32,
    connection: u64,
    partitions: BTreeSet<TopicPartition>,
}

/// All sessions.
#[derive(Debug, Default)]
pub struct Sessions {
    by_key: HashMap<SessionKey, Session>,
    by_connection: HashMap<u64, BTreeSet<SessionKey>>,
    partition_count: usize,
}

impl Sessions {
    /// Begins a session, in the place of the member's last one.
    ///
    /// # Errors
    /// [`SessionError::LimitReached`].
    pub fn open(
        &mut self,
        key: SessionKey,
        connection: u64,
        partitions: BTreeSet<TopicPartition>,
        sessions_max: usize,
    ) -> Result<(), SessionError> {
        self.close(&key);
        if sessions_max <= self.by_key.len() || PARTITIONS_MAX < self.partition_count + partitions.len() {
            return Err(SessionError::LimitReached);
        }
        self.partition_count += partitions.len();
        self.by_connection.entry(connection).or_default().insert(key.clone());
        self.by_key.insert(key, Session { next_epoch: 1, connection, partitions });
        Ok(())
    }

    /// The next request of a session, which adds partitions and takes others out; returns those that it has then.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn fetch(
        &mut self,
        key: &SessionKey,
        epoch: i32,
        added: &[TopicPartition],
        forgotten: &[TopicPartition],
    ) -> Result<Vec<TopicPartition>, SessionError> {
        let room = PARTITIONS_MAX.saturating_sub(self.partition_count);
        let session = Self::next(&mut self.by_key, key, epoch)?;
        let before = session.partitions.len();
        if room < added.len() {
            return Err(SessionError::LimitReached);
        }
        session.partitions.extend(added);
        for partition in forgotten {
            session.partitions.remove(partition);
        }
        self.partition_count = self.partition_count - before + session.partitions.len();
        Ok(session.partitions.iter().copied().collect())
    }

    /// The next request of a session, which only acknowledges.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn acknowledge(&mut self, key: &SessionKey, epoch: i32) -> Result<(), SessionError> {
        Self::next(&mut self.by_key, key, epoch).map(drop)
    }

    /// Whether the member has one.
    pub fn has(&self, key: &SessionKey) -> bool {
        self.by_key.contains_key(key)
    }

    /// Ends a session; returns its partitions.
    pub fn close(&mut self, key: &SessionKey) -> BTreeSet<TopicPartition> {
        let Some(session) = self.by_key.remove(key) else { return BTreeSet::new() };
        self.partition_count -= session.partitions.len();
        if let Some(keys) = self.by_connection.get_mut(&session.connection) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_connection.remove(&session.connection);
            }
        }
        session.partitions
    }

    /// Ends all sessions of a connection.
    pub fn disconnected(&mut self, connection: u64) -> Vec<(SessionKey, BTreeSet<TopicPartition>)> {
        let keys = self.by_connection.get(&connection).cloned().unwrap_or_default();
        keys.into_iter().map(|key| (key.clone(), self.close(&key))).collect()
    }

    fn next<'a>(
        by_key: &'a mut HashMap<SessionKey, Session>,
        key: &SessionKey,
        epoch: i32,
    ) -> Result<&'a mut Session, SessionError> {
        let session = by_key.get_mut(key).ok_or(SessionError::NotFound)?;
        if session.next_epoch != epoch {
            return Err(SessionError::InvalidEpoch { expected: session.next_epoch, found: epoch });
        }
        // 0 begins a session.
        session.next_epoch = epoch.checked_add(1).unwrap_or(1);
        Ok(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(member: &str) -> SessionKey {
        SessionKey { group_id: "g".into(), member_id: member.into() }
    }

    fn partitions(indexes: &[i32]) -> Vec<TopicPartition> {
        indexes.iter().map(|&partition| TopicPartition { topic_id: Uuid::from_u128(1), partition }).collect()
    }

    fn set(indexes: &[i32]) -> BTreeSet<TopicPartition> {
        partitions(indexes).into_iter().collect()
    }

    #[test]
    fn a_session_goes_from_epoch_to_epoch() {
        let mut sessions = Sessions::default();
        assert_eq!(sessions.acknowledge(&key("a"), 1), Err(SessionError::NotFound));
        sessions.open(key("a"), 7, set(&[0, 1]), 10).unwrap();
        assert_eq!(
            sessions.fetch(&key("a"), 1, &partitions(&[2]), &partitions(&[0])),
            Ok(partitions(&[1, 2]))
        );
        let again = sessions.fetch(&key("a"), 1, &[], &[]);
        assert_eq!(again, Err(SessionError::InvalidEpoch { expected: 2, found: 1 }));
        assert_eq!(sessions.acknowledge(&key("a"), 2), Ok(()));
        sessions.open(key("a"), 7, set(&[5]), 10).unwrap();
        assert_eq!(sessions.fetch(&key("a"), 1, &[], &[]), Ok(partitions(&[5])), "it began anew");
        assert_eq!(sessions.close(&key("a")), set(&[5]));
        assert!(sessions.close(&key("a")).is_empty());
        assert_eq!((sessions.partition_count, sessions.by_connection.len()), (0, 0));
    }

    #[test]
    fn sessions_are_counted_and_end_with_their_connection() {
        let mut sessions = Sessions::default();
        sessions.open(key("a"), 1, set(&[0]), 2).unwrap();
        sessions.open(key("b"), 1, set(&[0, 1]), 2).unwrap();
        assert_eq!(sessions.open(key("c"), 2, set(&[0]), 2), Err(SessionError::LimitReached));
        sessions.open(key("b"), 2, set(&[1]), 2).unwrap();
        assert_eq!(sessions.disconnected(1), [(key("a"), set(&[0]))]);
        assert_eq!(sessions.disconnected(1), []);
        assert!(sessions.has(&key("b")) && sessions.by_key.len() == 1);
        sessions.open(key("c"), 2, set(&[0]), 2).unwrap();
        assert_eq!(sessions.disconnected(2).len(), 2);
        assert_eq!(sessions.partition_count, 0);
    }

    #[test]
    fn the_last_epoch_is_followed_by_one() {
        let mut sessions = Sessions::default();
        sessions.open(key("a"), 1, set(&[]), 2).unwrap();
        sessions.by_key.get_mut(&key("a")).unwrap().next_epoch = i32::MAX;
        sessions.acknowledge(&key("a"), i32::MAX).unwrap();
        assert_eq!(sessions.acknowledge(&key("a"), 1), Ok(()));
    }
}
