"""Share groups with confluent-kafka (librdkafka)."""

import threading

from confluent_kafka import AcknowledgeType, ShareConsumer
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from checks import bootstrap, equal, true
from groups import LIMIT, Groups, Load, Settled, wait, wait_for_values

# How long a record is locked where a check waits for the end of it; else it is long, so that no pause ends a lock.
SHORT_LOCK_MS = 2000
# How often a record is handed out by default.
DELIVERIES = 5


def connected(**settings):
    return {"bootstrap.servers": bootstrap(), "log_level": 0, **settings}


def share_consumer(group, topic, **settings):
    consumer = ShareConsumer(connected(**{"group.id": group, **settings}))
    consumer.subscribe([topic])
    return consumer


class Sharer(threading.Thread):
    """A member of a share group that accepts all it gets."""

    def __init__(self, topic):
        super().__init__(daemon=True)
        self.topic = topic
        self.records = []
        self.error = None
        self.leaving = threading.Event()
        self.start()

    def run(self):
        try:
            consumer = share_consumer(self.topic, self.topic)
            while not self.leaving.is_set():
                self.records += [m.value().decode() for m in consumer.poll(0.1) if not m.error()]
            consumer.close()
        except Exception as error:
            self.error = error

    def healthy(self):
        if self.error:
            raise self.error

    def values(self):
        return list(self.records)

    def leave(self):
        self.leaving.set()
        self.join(LIMIT)
        true(not self.is_alive(), "the consumer does not close")
        self.healthy()


class SettledShare(Settled):
    """Partitions are shared, so that there is no split to wait for: both members get records."""

    def before(self):
        seen = [len(member.records) for member in self.members]
        wait(lambda: all(n < len(m.records) for n, m in zip(seen, self.members)), "a member gets nothing")
        self.written = self.load.written

    def after(self):
        wait(lambda: self.written + 100 <= self.load.written or self.load.error, "the producer does not go on")
        wait_for_values(self.members, {f"{n}" for n in range(self.load.written)})
        self.before()


class Shares:
    def __init__(self, client):
        self.client = client
        self.groups = Groups(client, "share")

    def topic(self, what, **settings):
        """A topic of one partition, and a share group of the same name that reads it from its beginning."""
        name = self.groups.topic(what, 1)
        settings = {"share.auto.offset.reset": "earliest", **settings}
        changes = [ConfigEntry(k, v, incremental_operation=AlterConfigOpType.SET) for k, v in settings.items()]
        resource = ConfigResource(ResourceType.GROUP, name, incremental_configs=changes)
        (future,) = self.client.admin.admin.incremental_alter_configs([resource]).values()
        future.result(LIMIT)
        return name

    def explicit(self, topic):
        return share_consumer(topic, topic, **{"share.acknowledgement.mode": "explicit"})

    def two_members(self):
        topic = self.topic("two")
        group = SettledShare("share", topic, Load(self.client, topic, 1), [Sharer(topic), Sharer(topic)])
        group.before()
        wait_for_values(group.members, group.load.stop())
        for member in group.members:
            member.leave()
        values = [value for member in group.members for value in member.values()]
        equal(len(values), len(set(values)), "records in all")

    def take(self, consumer, count):
        """The next records, in order, all of one poll or of several: those of each must be acknowledged at once."""
        taken = []

        def enough():
            taken.extend(m for m in consumer.poll(0.2) if not m.error())
            return count <= len(taken)

        wait(enough, lambda: f"{count} records, but {len(taken)} came")
        return sorted(taken, key=lambda m: m.offset())

    def acknowledge(self, consumer, messages, kind):
        for message in messages:
            consumer.acknowledge(message, kind)
        for partition, error in consumer.commit_sync(float(LIMIT)).items():
            true(error is None, f"acknowledging in {partition}: {error}")

    def acknowledgements(self):
        topic = self.topic("kinds")
        self.groups.fill(topic, [(0, f"{n}") for n in range(6)])
        consumer = self.explicit(topic)
        first = self.take(consumer, 6)
        equal([m.delivery_count() for m in first], [1] * 6, "delivery counts")
        for message, kind in zip(first, list(AcknowledgeType) * 2):
            consumer.acknowledge(message, kind)
        self.acknowledge(consumer, [], AcknowledgeType.ACCEPT)
        again = self.take(consumer, 2)
        released = [m.offset() for m, kind in zip(first, list(AcknowledgeType) * 2) if kind == AcknowledgeType.RELEASE]
        equal([m.offset() for m in again], released, "offsets that come again")
        equal([m.delivery_count() for m in again], [2] * 2, "their delivery counts")
        self.acknowledge(consumer, again, AcknowledgeType.ACCEPT)
        self.groups.fill(topic, [(0, "last")])
        last = self.take(consumer, 1)
        equal([m.value() for m in last], [b"last"], "what comes after all is acknowledged")
        self.acknowledge(consumer, last, AcknowledgeType.ACCEPT)
        consumer.close()

    def locks(self):
        topic = self.topic("locks", **{"share.record.lock.duration.ms": f"{SHORT_LOCK_MS}"})
        self.groups.fill(topic, [(0, "held")])
        holder, other = self.explicit(topic), self.explicit(topic)
        (held,) = self.take(holder, 1)
        (taken,) = self.take(other, 1)
        equal((taken.value(), taken.delivery_count()), (held.value(), 2), "value and delivery count")
        self.acknowledge(other, [taken], AcknowledgeType.ACCEPT)
        other.close()
        holder.close()

    def delivery_limit(self):
        topic = self.topic("limit")
        self.groups.fill(topic, [(0, "never accepted")])
        consumer = self.explicit(topic)
        for delivery in range(1, DELIVERIES + 1):
            (message,) = self.take(consumer, 1)
            equal((message.value(), message.delivery_count()), (b"never accepted", delivery), "value and delivery count")
            self.acknowledge(consumer, [message], AcknowledgeType.RELEASE)
        self.groups.fill(topic, [(0, "next")])
        (message,) = self.take(consumer, 1)
        equal(message.value(), b"next", "value after the last delivery of the other record")
        self.acknowledge(consumer, [message], AcknowledgeType.ACCEPT)
        consumer.close()


def steps(client, checks):
    shares = Shares(client)
    features = {
        "members share a partition": shares.two_members,
        "accept, release and reject": shares.acknowledgements,
        "locks expire": shares.locks,
        "delivery limit": shares.delivery_limit,
    }
    return [lambda name=name, check=check: checks.run(f"share/{name}", check) for name, check in features.items()]


def settled(client):
    topic = Shares(client).topic("restarts")
    return SettledShare("share", topic, Load(client, topic, 1), [Sharer(topic), Sharer(topic)])
