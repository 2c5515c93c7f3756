//! What an admin sees and changes of a group, step by step with one group.

use std::collections::{BTreeMap, HashMap, HashSet};

use confluent_kafka::admin::{Admin, OffsetSpec};
use confluent_kafka::common::{Error, GroupState, TopicPartition};
use confluent_kafka::consumer::OffsetAndMetadata;

use crate::checks::{Outcome, equal, holds, run, told, unique, until};
use crate::load::{admin, fill, topic};
use crate::member::{Member, Order, numbers, split, values};

/// The offsets of a topic that a group committed, with their metadata, by partition.
pub async fn committed(group: &str, topic: &str) -> Outcome<Vec<(i32, i64, String)>> {
    let admin = admin()?;
    let found = offsets(&*admin, group).await?;
    admin.close().await;
    let own = found.into_iter().filter(|(at, _)| at.topic() == topic);
    let mut own: Vec<_> =
        own.map(|(at, found)| (at.partition(), found.offset(), found.metadata().to_owned())).collect();
    own.sort();
    Ok(own)
}

async fn offsets(admin: &dyn Admin, group: &str) -> Outcome<HashMap<TopicPartition, OffsetAndMetadata>> {
    let listed = admin.list_consumer_group_offsets_with_group_id(group).partitions_to_offset_and_metadata();
    let found = listed.map_err(told("listing offsets"))?.get().await.map_err(told("listing offsets"))?;
    Ok(found.into_iter().filter_map(|(at, offset)| Some((at, offset?))).collect())
}

struct Administered {
    admin: Box<dyn Admin>,
    topic: String,
    member: Member,
}

/// All these checks.
pub async fn checks() {
    let name = |check: &str| format!("consumer/{check}");
    let group = match Administered::new().await {
        Ok(group) => group,
        Err(reason) => return run(&name("lag"), async { Err(reason) }).await,
    };
    run(&name("lag"), group.lag()).await;
    run(&name("list and describe groups"), group.describe()).await;
    run(&name("groups with members are not deleted"), group.not_empty()).await;
    run(&name("unknown groups"), group.unknown()).await;
    run(&name("alter offsets of a group"), group.alter()).await;
    run(&name("delete offsets of a group"), group.delete_offsets()).await;
    run(&name("delete groups"), group.delete()).await;
    group.admin.close().await;
}

impl Administered {
    async fn new() -> Outcome<Self> {
        let topic = topic("admin", 2).await?;
        fill(&topic, 0, 20, 2).await?;
        let member = Member::manual(&topic).await?;
        split(&[&member], &topic, &[2]).await?;
        Ok(Self { admin: admin()?, topic, member })
    }

    fn partition(&self, number: i32) -> TopicPartition {
        TopicPartition::new(self.topic.as_str(), number)
    }

    async fn offsets(&self) -> Outcome<BTreeMap<i32, i64>> {
        let found = offsets(&*self.admin, &self.topic).await?;
        Ok(found.into_iter().map(|(at, found)| (at.partition(), found.offset())).collect())
    }

    async fn lag(&self) -> Outcome {
        values(&[&self.member], &numbers(0, 20)).await?;
        for (partition, offset) in [(0, 4), (1, 10)] {
            self.member.tell(Order::Commit((self.topic.clone(), partition), offset, "")).await?;
        }
        equal(self.offsets().await?, BTreeMap::from([(0, 4), (1, 10)]), "what is committed")?;
        let ends = HashMap::from([0, 1].map(|number| (self.partition(number), OffsetSpec::latest())));
        let ends = self.admin.list_offsets(&ends).all().get().await.map_err(told("listing offsets"))?;
        let ends: BTreeMap<_, _> = ends.into_iter().map(|(at, end)| (at.partition(), end.offset())).collect();
        equal(ends, BTreeMap::from([(0, 10), (1, 10)]), "the ends")
    }

    async fn state(&self) -> Outcome<(GroupState, String, Vec<HashSet<TopicPartition>>)> {
        let described =
            self.admin.describe_consumer_groups(std::slice::from_ref(&self.topic)).all().get().await;
        let mut described = described.map_err(told("describing the group"))?;
        let group = described.remove(&self.topic).ok_or("the group is not described")?;
        let assigned = group.members().iter().map(|member| member.assignment().topic_partitions().clone());
        Ok((group.group_state(), group.partition_assignor().to_owned(), assigned.collect()))
    }

    async fn listed(&self) -> Outcome<bool> {
        let listed = self.admin.list_groups().all().get().await.map_err(told("listing groups"))?;
        Ok(listed.iter().any(|group| group.group_id() == self.topic))
    }

    async fn describe(&self) -> Outcome {
        holds(self.listed().await?, || "the group is not listed".to_owned())?;
        let both = HashSet::from([self.partition(0), self.partition(1)]);
        equal(self.state().await?, (GroupState::Stable, "uniform".to_owned(), vec![both]), "the group")
    }

    async fn delete_group(&self, group: &str) -> Result<(), Error> {
        self.admin.delete_consumer_groups(&[group.to_owned()]).all().get().await
    }

    async fn not_empty(&self) -> Outcome {
        let refused = self.delete_group(&self.topic).await;
        let as_told = refused.as_ref().is_err_and(Error::is_group_not_empty_error);
        holds(as_told, || format!("deleting a group with a member gives {refused:?}"))?;
        self.member.tell(Order::Leave).await?;
        self.emptied().await
    }

    async fn emptied(&self) -> Outcome {
        until(async || {
            let state = self.state().await?;
            Ok((state.0 != GroupState::Empty || !state.2.is_empty())
                .then(|| format!("an empty group: {state:?}")))
        })
        .await
    }

    async fn unknown(&self) -> Outcome {
        let absent = unique("absent");
        equal(offsets(&*self.admin, &absent).await?.len(), 0, "number of offsets of an unknown group")?;
        let refused = self.delete_group(&absent).await;
        let as_told = refused.as_ref().is_err_and(Error::is_group_id_not_found_error);
        holds(as_told, || format!("deleting an unknown group gives {refused:?}"))
    }

    async fn alter(&self) -> Outcome {
        let offset = |offset| OffsetAndMetadata::new(offset).map_err(told("an offset"));
        let changes = HashMap::from([(self.partition(0), offset(7)?), (self.partition(1), offset(8)?)]);
        let altered = self.admin.alter_consumer_group_offsets(&self.topic, &changes).all().get().await;
        altered.map_err(told("altering offsets"))?;
        let again = Member::manual(&self.topic).await?;
        let behind: Vec<_> = [14, 16, 17, 18, 19].map(|number: i32| number.to_string()).to_vec();
        values(&[&again], &behind).await?;
        equal(again.seen()?.len(), behind.len(), "number of records behind the new offsets")?;
        again.tell(Order::Leave).await?;
        self.emptied().await
    }

    async fn delete_offsets(&self) -> Outcome {
        let second = HashSet::from([self.partition(1)]);
        let deleted = self.admin.delete_consumer_group_offsets(&self.topic, &second).all().get().await;
        deleted.map_err(told("deleting offsets"))?;
        equal(self.offsets().await?, BTreeMap::from([(0, 7)]), "offsets that are left")
    }

    async fn delete(&self) -> Outcome {
        self.delete_group(&self.topic).await.map_err(told("deleting the group"))?;
        holds(!self.listed().await?, || "the group is still listed".to_owned())?;
        equal(self.offsets().await?.len(), 0, "number of offsets of the deleted group")
    }
}
