//! A consumer in a group, in a task of its own, and what it saw.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use confluent_kafka::common::serialization::ByteArrayDeserializer;
use confluent_kafka::common::{Error, TopicPartition};
use confluent_kafka::consumer::offset_commit_callback;
use confluent_kafka::consumer::{
    Consumer, ConsumerConfig, ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata,
    SubscriptionPattern,
};
use tokio::sync::{mpsc, oneshot};

use crate::checks::{Outcome, bootstrap, told, until};

/// A partition.
pub type At = (String, i32);

/// What a member is asked for.
#[derive(Clone, Default)]
pub struct Options {
    pub group: String,
    pub topic: String,
    /// Stands in the place of the topic.
    pub pattern: Option<String>,
    /// The id of a static member.
    pub instance: Option<String>,
    /// Turns committing in the background off.
    pub manual: bool,
}

/// A received record.
#[derive(Clone, Debug)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub value: String,
}

#[derive(Default)]
struct Seen {
    records: Vec<Record>,
    assigned: BTreeSet<At>,
    rebalances: usize,
    failure: Option<String>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Seen>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ConsumerRebalanceListener for Shared {
    async fn on_partitions_revoked(&self, partitions: &[TopicPartition]) -> Result<(), Error> {
        let mut seen = self.lock();
        seen.rebalances += usize::from(!partitions.is_empty());
        for partition in partitions {
            seen.assigned.remove(&(partition.topic().to_owned(), partition.partition()));
        }
        Ok(())
    }

    async fn on_partitions_assigned(&self, partitions: &[TopicPartition]) -> Result<(), Error> {
        let mut seen = self.lock();
        seen.rebalances += usize::from(!partitions.is_empty());
        seen.assigned.extend(partitions.iter().map(|p| (p.topic().to_owned(), p.partition())));
        Ok(())
    }
}

/// What a check has the consumer do.
pub enum Order {
    Commit(At, i64, &'static str),
    CommitAsync(At, i64, &'static str),
    Pause(At),
    Resume(At),
    Seek(At, i64),
    /// Commits what was read and leaves the group.
    Leave,
}

type Answer = oneshot::Sender<Outcome>;
type Bytes = KafkaConsumer<Vec<u8>, Vec<u8>>;

/// A consumer at work.
pub struct Member {
    orders: mpsc::UnboundedSender<(Order, Answer)>,
    shared: Shared,
}

impl Member {
    /// Joins the group that is named as its topic.
    pub async fn of(topic: &str) -> Outcome<Self> {
        Self::join(Options { group: topic.into(), topic: topic.into(), ..Options::default() }).await
    }

    /// As [`Member::of`], and commits when it is told to.
    pub async fn manual(topic: &str) -> Outcome<Self> {
        let options =
            Options { group: topic.into(), topic: topic.into(), manual: true, ..Options::default() };
        Self::join(options).await
    }

    pub async fn join(options: Options) -> Outcome<Self> {
        let shared = Shared::default();
        let consumer = subscribed(&options, &shared).await.map_err(told("subscribing"))?;
        let (orders, received) = mpsc::unbounded_channel();
        tokio::spawn(work(consumer, received, shared.clone()));
        Ok(Self { orders, shared })
    }

    /// Waits until it is done.
    pub async fn tell(&self, order: Order) -> Outcome {
        let (answer, answered) = oneshot::channel();
        self.orders.send((order, answer)).map_err(told("a consumer that has ended"))?;
        answered.await.map_err(told("a consumer that ends"))?
    }

    pub fn seen(&self) -> Outcome<Vec<Record>> {
        let seen = self.shared.lock();
        seen.failure.clone().map_or_else(|| Ok(seen.records.clone()), Err)
    }

    pub fn forget(&self) {
        self.shared.lock().records.clear();
    }

    pub fn assigned(&self) -> BTreeSet<At> {
        self.shared.lock().assigned.clone()
    }

    pub fn rebalances(&self) -> usize {
        self.shared.lock().rebalances
    }
}

/// The configuration that all clients of the checks share.
pub fn properties(further: &[(&str, &str)]) -> HashMap<String, String> {
    let own = [("bootstrap.servers", bootstrap())];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
    own.chain(further.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))).collect()
}

async fn subscribed(options: &Options, shared: &Shared) -> Result<Bytes, Error> {
    let commits = if options.manual { "false" } else { "true" };
    let mut further = vec![
        ("group.id", options.group.as_str()),
        ("group.protocol", "consumer"),
        ("auto.offset.reset", "earliest"),
        ("enable.auto.commit", commits),
        ("auto.commit.interval.ms", "500"),
        ("metadata.max.age.ms", "500"),
    ];
    further.extend(options.instance.as_deref().map(|instance| ("group.instance.id", instance)));
    let config = ConsumerConfig::new(&properties(&further))?;
    let mut consumer =
        Bytes::new(config, ByteArrayDeserializer::default(), ByteArrayDeserializer::default())?;
    let listener = Arc::new(shared.clone());
    match &options.pattern {
        Some(pattern) => {
            consumer.subscribe_with_pattern_listener(SubscriptionPattern::new(pattern), listener).await?;
        }
        None => consumer.subscribe_with_topics_listener(vec![options.topic.clone()], listener).await?,
    }
    Ok(consumer)
}

async fn work(mut consumer: Bytes, mut orders: mpsc::UnboundedReceiver<(Order, Answer)>, shared: Shared) {
    loop {
        while let Ok((order, answer)) = orders.try_recv() {
            let leaves = matches!(order, Order::Leave);
            let done = obey(&mut consumer, order).await.map_err(told("the consumer"));
            let _ = answer.send(done);
            if leaves {
                return;
            }
        }
        match consumer.poll(Duration::from_millis(50)).await {
            Ok(records) => shared.lock().records.extend(records.into_iter().map(|record| Record {
                partition: record.partition(),
                offset: record.offset(),
                value: String::from_utf8_lossy(record.value().map_or(&[], Vec::as_slice)).into_owned(),
            })),
            // A topic that is not there yet is no end of it.
            Err(error) if error.is_retriable_error() => {}
            Err(error) => {
                shared.lock().failure = Some(format!("consuming: {error}"));
                return;
            }
        }
    }
}

async fn obey(consumer: &mut Bytes, order: Order) -> Result<(), Error> {
    let partition = |(topic, number): At| TopicPartition::new(topic, number);
    match order {
        Order::Commit(at, offset, metadata) => {
            let offsets =
                HashMap::from([(partition(at), OffsetAndMetadata::with_metadata(offset, metadata)?)]);
            consumer.commit_sync_with_offsets(offsets).await
        }
        Order::CommitAsync(at, offset, metadata) => {
            let offsets =
                HashMap::from([(partition(at), OffsetAndMetadata::with_metadata(offset, metadata)?)]);
            let callback =
                offset_commit_callback::new(|_, error| error.map_or(Ok(()), |error| Err(error.clone())));
            consumer.commit_async_with_offsets_callback(offsets, Arc::new(callback)).await
        }
        Order::Pause(at) => consumer.pause(&[partition(at)]).await,
        Order::Resume(at) => consumer.resume(&[partition(at)]).await,
        Order::Seek(at, offset) => consumer.seek_with_offset(partition(at), offset).await,
        Order::Leave => consumer.close().await,
    }
}

/// Waits until the members share a topic's partitions, so many for each, in any order.
pub async fn split(members: &[&Member], topic: &str, counts: &[usize]) -> Outcome {
    until(async || {
        let mut all = BTreeSet::new();
        let mut found = Vec::new();
        for member in members {
            member.seen()?;
            let assigned = member.assigned();
            found.push(assigned.len());
            all.extend(assigned);
        }
        found.sort_unstable();
        let whole = all.len() == counts.iter().sum() && all.iter().all(|(name, _)| name == topic);
        Ok((found != counts || !whole).then(|| format!("a split into {counts:?}, but {found:?} of {all:?}")))
    })
    .await
}

/// Waits until the members together have received the values.
pub async fn values(members: &[&Member], expected: &[String]) -> Outcome {
    until(async || {
        let mut came = BTreeSet::new();
        for member in members {
            came.extend(member.seen()?.into_iter().map(|record| record.value));
        }
        let missing: Vec<_> = expected.iter().filter(|value| !came.contains(*value)).collect();
        Ok(missing.first().map(|first| {
            format!("{} of {} records did not come, the first is {first}", missing.len(), expected.len())
        }))
    })
    .await
}

/// The values of a load.
pub fn numbers(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|number| number.to_string()).collect()
}
