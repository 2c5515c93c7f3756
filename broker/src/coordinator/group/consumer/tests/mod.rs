//! Consumer groups by scenario, by random histories, and in both protocols at once.

mod classic;
mod scenarios;
mod simulation;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use clap::Parser;
use sendlog_protocol::group_records::GroupRecord;
use sendlog_protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, ConsumerGroupHeartbeatTopicPartitions,
};
use uuid::Uuid;

use super::change::member_bytes;
use super::heartbeat::check;
use super::{Caller, ConsumerGroup, Refused};
use crate::config::group_config::GroupConfig;
use crate::config::scope::Overrides;
use crate::config::{Args, Config};
use crate::coordinator::group::assign::Assignment;
use crate::coordinator::group::{Effects, Env, Moment, TopicImage, TopicsImage};

const CALLER: Caller<'_> = Caller { client_id: "client", client_host: "/192.0.2.1" };

/// A group and the world around it.
struct World {
    group: ConsumerGroup,
    config: Config,
    topics: BTreeMap<String, (Uuid, i32)>,
    image: TopicsImage,
    now_ms: i64,
    /// Everything that was stored.
    log: Vec<GroupRecord>,
}

impl World {
    fn new(topics: &[(&str, i32)], settings: &[&str]) -> Self {
        let mut args = vec!["broker", "--data-dir", "/nowhere"];
        args.extend(settings.iter().flat_map(|setting| ["--set", setting]));
        let mut world = Self {
            group: ConsumerGroup::new(&"g".into()),
            config: Config::load(&Args::parse_from(args)).unwrap(),
            topics: BTreeMap::new(),
            image: TopicsImage::default(),
            now_ms: 1_000_000,
            log: Vec::new(),
        };
        for (name, partitions) in topics {
            world.set_topic(name, *partitions);
        }
        world
    }

    /// Creates a topic or gives it this many partitions; none deletes it.
    fn set_topic(&mut self, name: &str, partitions: i32) {
        if partitions == 0 {
            self.topics.remove(name);
        } else {
            self.topics.entry(name.to_owned()).or_insert_with(|| (Uuid::new_v4(), 0)).1 = partitions;
        }
        let image = |(name, (id, partitions)): (&String, &(Uuid, i32))| TopicImage {
            name: name.as_str().into(),
            id: *id,
            partitions: *partitions,
        };
        self.image = TopicsImage::new(self.image.version() + 1, self.topics.iter().map(image));
    }

    /// Has an event happen and keeps what it stores.
    fn event<R>(&mut self, event: impl FnOnce(&mut ConsumerGroup, &Env<'_>, &mut Effects) -> R) -> R {
        let env = Env {
            now: Moment { wall_ms: self.now_ms + 1_700_000_000_000, steady_ms: self.now_ms },
            config: &self.config,
            group: &GroupConfig::resolve(&self.config.groups, &Overrides::new()),
            topics: &self.image,
            fresh_id: Uuid::new_v4(),
        };
        let mut fx = Effects::default();
        let result = event(&mut self.group, &env, &mut fx);
        self.log.extend(fx.records);
        self.check_owners();
        result
    }

    fn heartbeat(
        &mut self,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<ConsumerGroupHeartbeatResponse, Refused> {
        let stored = self.log.len();
        let answer = self.event(|group, env, fx| {
            check(request, 1, env.config)?;
            group.heartbeat(request.clone(), CALLER, env, fx)
        });
        if answer.is_err() {
            assert_eq!(self.log.len(), stored, "what is refused changes nothing");
        }
        answer
    }

    /// Lets time pass and does what is due.
    fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
        if self.group.next_deadline_ms().is_some_and(|at_ms| at_ms <= self.now_ms) {
            self.event(ConsumerGroup::on_deadline);
            assert!(
                self.group.next_deadline_ms().is_none_or(|at_ms| self.now_ms < at_ms),
                "all that was due is done"
            );
        }
    }

    /// The group that the log makes.
    fn replayed(&self) -> ConsumerGroup {
        let mut group = ConsumerGroup::new(&"g".into());
        self.log.iter().for_each(|record| group.replay(record));
        group
    }

    /// The broker stops and starts.
    fn restart(&mut self) {
        self.group = self.replayed();
        self.event(ConsumerGroup::loaded);
    }

    /// A partition has one owner, and the index of the owners tells the truth.
    fn check_owners(&self) {
        let mut owners: HashMap<(Uuid, i32), Arc<str>> = HashMap::new();
        for (id, member) in &self.group.members {
            for partition in member.holding.partitions() {
                assert_eq!(owners.insert(partition, Arc::clone(id)), None, "{partition:?} has two owners");
            }
        }
        assert_eq!(owners, self.group.owners);
        let members = self.group.members.iter().map(|(id, member)| member_bytes(id, &member.profile));
        let regexes = self.group.regexes.iter().map(|(regex, resolved)| resolved.bytes(regex));
        assert_eq!(self.group.bytes, members.chain(regexes).sum::<usize>());
    }

    /// Log and snapshot make the same group.
    fn check_stored(&self) {
        let now = stored(&self.group);
        let replayed = self.replayed();
        assert_eq!(stored(&replayed), now, "the log makes the group");
        assert_eq!(replayed.owners, self.group.owners);
        assert_eq!(replayed.bytes, self.group.bytes);
        let mut copy = ConsumerGroup::new(&"g".into());
        self.group.snapshot().iter().for_each(|record| copy.replay(record));
        assert_eq!(stored(&copy), now, "the snapshot makes the group");
        assert_eq!(copy.owners, self.group.owners);
        self.group.tombstones().iter().for_each(|record| copy.replay(record));
        assert!(
            copy.is_vacant() && copy.owners.is_empty() && copy.targets.is_empty() && copy.regexes.is_empty()
        );
        assert_eq!(copy.bytes, 0);
    }

    /// What a member may read now.
    fn assigned(&self, id: &str) -> Assignment {
        super::member::without_epochs(&self.group.holding(id).assigned)
    }

    fn size(&self, id: &str) -> usize {
        self.assigned(id).values().map(BTreeSet::len).sum()
    }

    fn all_of(&self, topic: &str) -> Assignment {
        let (id, partitions) = self.topics[topic];
        Assignment::from([(id, (0..partitions).collect())])
    }
}

/// What of a group is stored, for comparison.
fn stored(group: &ConsumerGroup) -> String {
    let members: Vec<_> =
        group.members.iter().map(|(id, member)| (id, &member.profile, &member.holding)).collect();
    let targets: BTreeMap<_, _> = group.targets.iter().collect();
    let instances: BTreeMap<_, _> = group.instances.iter().collect();
    let ConsumerGroup { epoch, target_epoch, regexes, .. } = group;
    format!("{epoch:?} {target_epoch:?} {members:#?} {targets:#?} {regexes:?} {instances:?}")
}

/// A member joins with names of topics.
fn join(id: &str, topics: &[&str]) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: "g".to_owned(),
        member_id: id.to_owned(),
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(topics.iter().map(|topic| (*topic).to_owned()).collect()),
        topic_partitions: Some(Vec::new()),
        ..Default::default()
    }
}

/// A member says that it lives.
fn beat(id: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: "g".to_owned(),
        member_id: id.to_owned(),
        member_epoch: epoch,
        ..Default::default()
    }
}

/// A member says what it owns.
fn own(id: &str, epoch: i32, owned: &Assignment) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest { topic_partitions: Some(reported(owned)), ..beat(id, epoch) }
}

fn reported(owned: &Assignment) -> Vec<ConsumerGroupHeartbeatTopicPartitions> {
    let topic = |(topic_id, partitions): (&Uuid, &BTreeSet<i32>)| ConsumerGroupHeartbeatTopicPartitions {
        topic_id: *topic_id,
        partitions: partitions.iter().copied().collect(),
    };
    owned.iter().map(topic).collect()
}

fn received(answer: &ConsumerGroupHeartbeatResponse) -> Option<Assignment> {
    let topics = &answer.assignment.as_ref()?.topic_partitions;
    Some(topics.iter().map(|topic| (topic.topic_id, topic.partitions.iter().copied().collect())).collect())
}
