//! What tools are shown of the group.

use sendlog_protocol::messages::{
    ConsumerGroupDescribeAssignment, ConsumerGroupDescribeMember, ConsumerGroupDescribeTopicPartitions,
    ConsumerGroupDescribedGroup,
};

use super::ConsumerGroup;
use super::member::Member;
use crate::coordinator::group::Env;
use crate::coordinator::group::assign::Assignment;

/// `MemberType` of members that speak the classic protocol.
const CLASSIC_MEMBER: i8 = 0;

/// `MemberType` of members that speak the consumer protocol.
const CONSUMER_MEMBER: i8 = 1;

impl ConsumerGroup {
    /// For ConsumerGroupDescribe.
    #[must_use]
    pub fn describe(&self, env: &Env<'_>) -> ConsumerGroupDescribedGroup {
        ConsumerGroupDescribedGroup {
            group_id: self.id.to_string(),
            group_state: self.state_name().to_owned(),
            group_epoch: self.epoch.epoch,
            assignment_epoch: self.target_epoch.epoch,
            assignor_name: self.assignor(env).name().to_owned(),
            members: self.members.iter().map(|(id, member)| self.describe_member(id, member, env)).collect(),
            ..Default::default()
        }
    }

    fn describe_member(&self, id: &str, member: &Member, env: &Env<'_>) -> ConsumerGroupDescribeMember {
        let profile = &member.profile;
        let target = self.targets.get(id).map(|target| described(target, env));
        ConsumerGroupDescribeMember {
            member_id: id.to_owned(),
            instance_id: profile.instance_id.clone(),
            rack_id: profile.rack_id.clone(),
            member_epoch: member.holding.epoch,
            client_id: profile.client_id.clone(),
            client_host: profile.client_host.clone(),
            subscribed_topic_names: profile.topic_names.iter().cloned().collect(),
            subscribed_topic_regex: Some(profile.topic_regex.clone()),
            assignment: described(&member.holding.owned(), env),
            target_assignment: target.unwrap_or_default(),
            member_type: if profile.is_classic() { CLASSIC_MEMBER } else { CONSUMER_MEMBER },
        }
    }
}

/// Topics that are gone have no name, and are left out as by Kafka.
fn described(assignment: &Assignment, env: &Env<'_>) -> ConsumerGroupDescribeAssignment {
    let topics = assignment.iter().filter_map(|(id, partitions)| {
        let topic = env.topics.by_id(*id)?;
        Some(ConsumerGroupDescribeTopicPartitions {
            topic_id: *id,
            topic_name: topic.name.to_string(),
            partitions: partitions.iter().copied().collect(),
        })
    });
    ConsumerGroupDescribeAssignment { topic_partitions: topics.collect() }
}
