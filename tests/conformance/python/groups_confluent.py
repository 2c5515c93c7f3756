"""Groups with confluent-kafka (librdkafka), default settings apart from the address and what a check is about."""

from contextlib import contextmanager

import confluent_kafka
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

import groups
import shares_confluent
from checks import eventually, true
from shares_confluent import connected

LIMIT = 30


def one(futures):
    (future,) = futures.values()
    return future.result(timeout=LIMIT)


def names(partitions):
    return [(p.topic, p.partition) for p in partitions]


class Driver:
    def __init__(self, member, wanted):
        settings = {
            "group.id": wanted.group,
            "group.protocol": wanted.protocol,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": wanted.auto_commit,
        }
        if wanted.protocol == "classic":
            settings["heartbeat.interval.ms"] = 500
            settings.update({"session.timeout.ms": wanted.session_ms} if wanted.session_ms else {})
        settings.update({"group.instance.id": wanted.instance} if wanted.instance else {})
        settings.update({"partition.assignment.strategy": wanted.assignor} if wanted.assignor else {})
        # Both are minutes by default.
        settings["topic.metadata.refresh.interval.ms"] = 1000
        self.consumer = Consumer(connected(**settings))
        self.consumer.subscribe(
            wanted.topics or [wanted.pattern],
            on_assign=lambda _, partitions: member.on_assign(names(partitions)),
            on_revoke=lambda _, partitions: member.on_revoke(names(partitions)),
        )

    def poll(self):
        messages = self.consumer.consume(500, 0.05)
        for message in messages:
            # An unknown topic is told as a message, and waited for.
            error = message.error()
            true(not error or error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART or error.retriable(), f"error: {error}")
        return [(m.topic(), m.partition(), m.offset(), m.value().decode()) for m in messages if not m.error()]

    def assignment(self):
        return names(self.consumer.assignment())

    def commit(self, topic, partition, offset, metadata):
        at = TopicPartition(topic, partition, offset, metadata)
        (committed,) = self.consumer.commit(offsets=[at], asynchronous=False)
        true(not committed.error, f"commit: {committed.error}")

    def commit_async(self, topic, partition, offset, metadata):
        self.consumer.commit(offsets=[TopicPartition(topic, partition, offset, metadata)], asynchronous=True)

    def committed(self, topic, partition):
        (found,) = self.consumer.committed([TopicPartition(topic, partition)], timeout=LIMIT)
        return None if found.offset < 0 else (found.offset, found.metadata or "")

    def pause(self, topic, partition):
        self.consumer.pause([TopicPartition(topic, partition)])

    def resume(self, topic, partition):
        self.consumer.resume([TopicPartition(topic, partition)])

    def seek(self, topic, partition, offset):
        self.consumer.seek(TopicPartition(topic, partition, offset))

    def close(self):
        self.consumer.close()


class Writer:
    def __init__(self):
        self.producer = Producer(connected())

    def write(self, topic, pairs):
        failures = []
        for partition, value in pairs:
            self.producer.produce(
                topic, value, partition=partition, on_delivery=lambda error, _: error and failures.append(error)
            )
        left = self.producer.flush(groups.LIMIT)
        true(not left and not failures, f"{left} records are left, errors {failures}")


class Admin:
    def __init__(self):
        self.admin = AdminClient(connected())

    def list_groups(self):
        return {g.group_id for g in self.admin.list_consumer_groups().result(LIMIT).valid}

    def describe(self, group):
        found = one(self.admin.describe_consumer_groups([group]))
        return {
            "state": found.state.name.lower(),
            "assignor": found.partition_assignor,
            "members": [frozenset(names(m.assignment.topic_partitions)) for m in found.members],
        }

    def committed(self, group):
        found = one(self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))
        return {(p.topic, p.partition): p.offset for p in found.topic_partitions}

    def end_offsets(self, partitions):
        found = self.admin.list_offsets({TopicPartition(*at): OffsetSpec.latest() for at in partitions})
        return {(at.topic, at.partition): future.result(LIMIT).offset for at, future in found.items()}

    def alter(self, group, offsets):
        changes = [TopicPartition(*at, offset) for at, offset in offsets.items()]
        altered = one(self.admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, changes)]))
        for partition in altered.topic_partitions:
            true(not partition.error, f"altering: {partition.error}")

    def delete_group(self, group):
        one(self.admin.delete_consumer_groups([group]))


class Confluent(groups.Client):
    name = "confluent-kafka"
    protocols = ["classic", "consumer"]
    assignors = {"classic": "range", "consumer": "uniform"}
    lacks = {"delete offsets of a group"}
    consumer = Driver

    def __init__(self):
        self.admin = Admin()

    @contextmanager
    def producer(self):
        yield Writer()

    def create(self, topic, partitions, exists=False):
        try:
            one(self.admin.admin.create_topics([NewTopic(topic, partitions, 1)]))
        except KafkaException as error:
            true(exists and error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS, f"creating {topic}: {error}")
        eventually(lambda: true(self.admin.admin.list_topics(topic, LIMIT).topics[topic].partitions, "no partitions"))

    def further_steps(self, checks):
        return shares_confluent.steps(self, checks)

    def further_groups(self):
        return [shares_confluent.settled(self)]

    def is_error(self, name):
        codes = {"NON_EMPTY_GROUP": KafkaError.NON_EMPTY_GROUP, "GROUP_ID_NOT_FOUND": KafkaError.GROUP_ID_NOT_FOUND}
        return lambda error: isinstance(error, KafkaException) and error.args[0].code() == codes[name]


if __name__ == "__main__":
    version = f"{confluent_kafka.__version__} (librdkafka {confluent_kafka.libversion()[0]})"
    groups.main(Confluent(), version)
