"""Groups with kafka-python, default settings apart from the address and what a check is about."""

import threading
from contextlib import contextmanager

import kafka
from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import NewTopic, OffsetSpec
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import NoError, TopicAlreadyExistsError

import groups
from checks import bootstrap, eventually, true

ASSIGNORS = {"cooperative-sticky": CooperativeStickyAssignor}


class Driver:
    def __init__(self, member, wanted):
        settings = {"partition_assignment_strategy": [ASSIGNORS[wanted.assignor]]} if wanted.assignor else {}
        settings.update({"session_timeout_ms": wanted.session_ms} if wanted.session_ms else {})
        self.consumer = KafkaConsumer(
            bootstrap_servers=bootstrap(),
            group_id=wanted.group,
            group_instance_id=wanted.instance,
            auto_offset_reset="earliest",
            enable_auto_commit=wanted.auto_commit,
            heartbeat_interval_ms=500,
            # Five minutes by default.
            metadata_max_age_ms=1000,
            **settings,
        )
        told = groups.listener(ConsumerRebalanceListener, member)
        self.consumer.subscribe(topics=wanted.topics or (), pattern=wanted.pattern, listener=told)

    def poll(self):
        # A poll that ends before a join does leaves some members without partitions, with Apache Kafka too.
        polled = self.consumer.poll(timeout_ms=2000)
        return [(m.topic, m.partition, m.offset, m.value.decode()) for batch in polled.values() for m in batch]

    def assignment(self):
        return map(tuple, self.consumer.assignment())

    def commit(self, topic, partition, offset, metadata):
        self.consumer.commit({TopicPartition(topic, partition): OffsetAndMetadata(offset, metadata, -1)})

    def commit_async(self, topic, partition, offset, metadata):
        self.consumer.commit_async({TopicPartition(topic, partition): OffsetAndMetadata(offset, metadata, -1)})

    def committed(self, topic, partition):
        found = self.consumer.committed(TopicPartition(topic, partition), metadata=True)
        return None if found is None else (found.offset, found.metadata)

    def pause(self, topic, partition):
        self.consumer.pause(TopicPartition(topic, partition))

    def resume(self, topic, partition):
        self.consumer.resume(TopicPartition(topic, partition))

    def seek(self, topic, partition, offset):
        self.consumer.seek(TopicPartition(topic, partition), offset)

    def close(self):
        self.consumer.close()


class Writer:
    def __init__(self, producer):
        self.producer = producer

    def write(self, topic, pairs):
        sent = [self.producer.send(topic, value.encode(), partition=partition) for partition, value in pairs]
        for future in sent:
            future.get(groups.LIMIT)


class Refused(Exception):
    """An error that the admin client returns instead of raising it."""


class OneByOne:
    """The admin client refuses a request while others are under way."""

    def __init__(self, admin):
        self.admin, self.lock = admin, threading.Lock()

    def __getattr__(self, name):
        method = getattr(self.admin, name)

        def call(*args):
            with self.lock:
                return method(*args)

        return call


class Admin:
    def __init__(self):
        self.admin = OneByOne(KafkaAdminClient(bootstrap_servers=bootstrap()))

    def list_groups(self):
        return {group["group_id"] for group in self.admin.list_groups()}

    def describe(self, group):
        found = self.admin.describe_groups([group])[group]
        assigned = [member["member_assignment"]["assigned_partitions"] for member in found["members"]]
        return {
            "state": found["group_state"].lower(),
            "assignor": found["protocol_data"],
            "members": [frozenset((t["topic"], p) for t in topics for p in t["partitions"]) for topics in assigned],
        }

    def committed(self, group):
        found = self.admin.list_group_offsets(group)[group]
        return {tuple(at): committed.offset for at, committed in found.items()}

    def end_offsets(self, partitions):
        found = self.admin.list_partition_offsets({TopicPartition(*at): OffsetSpec.LATEST for at in partitions})
        return {tuple(at): result.offset for at, result in found.items()}

    def alter(self, group, offsets):
        changes = {TopicPartition(*at): OffsetAndMetadata(offset, "", -1) for at, offset in offsets.items()}
        self.no_errors(self.admin.alter_group_offsets(group, changes))

    def delete_offsets(self, group, partitions):
        self.no_errors(self.admin.delete_group_offsets(group, [TopicPartition(*at) for at in partitions]))

    def no_errors(self, results):
        for at, error in results.items():
            true(error is NoError, f"{at}: {error}")

    def delete_group(self, group):
        ((_, error),) = self.admin.delete_groups([group]).items()
        if error != "OK":
            # The client tells the name of its class for the error.
            raise Refused(error)


class KafkaPython(groups.Client):
    name = "kafka-python"
    protocols = ["classic"]
    assignors = {"classic": "range"}
    consumer = Driver

    def __init__(self):
        self.admin = Admin()

    @contextmanager
    def producer(self):
        producer = KafkaProducer(bootstrap_servers=bootstrap())
        yield Writer(producer)
        producer.close()

    def create(self, topic, partitions, exists=False):
        try:
            self.admin.admin.create_topics([NewTopic(topic, partitions, 1)])
        except TopicAlreadyExistsError:
            true(exists, f"{topic} exists")
        eventually(lambda: true(self.admin.admin.describe_topics([topic])[0]["partitions"], "no partitions"))

    def is_error(self, name):
        kind = {"NON_EMPTY_GROUP": "NonEmptyGroupError", "GROUP_ID_NOT_FOUND": "GroupIdNotFoundError"}[name]
        return lambda error: isinstance(error, Refused) and error.args == (kind,)


if __name__ == "__main__":
    groups.main(KafkaPython(), kafka.__version__)
