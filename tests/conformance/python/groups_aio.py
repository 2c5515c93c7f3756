"""Groups with aiokafka, default settings apart from the address and what a check is about."""

import asyncio
import logging
import threading
from contextlib import contextmanager

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, OffsetAndMetadata, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment as Assignment
from aiokafka.errors import TopicAlreadyExistsError

import groups
from checks import bootstrap, eventually, true

# What it logs while a broker is away is told by the checks where it matters.
logging.disable()


class Looped:
    """A loop of its own, which runs while it is called by the one thread that uses it."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()

    def wait(self, coroutine):
        return self.loop.run_until_complete(coroutine)


class Driver(Looped):
    def __init__(self, member, wanted):
        super().__init__()
        self.admin, self.group = member.client.admin, wanted.group
        settings = {"session_timeout_ms": wanted.session_ms} if wanted.session_ms else {}

        async def start():
            self.consumer = AIOKafkaConsumer(
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
            await self.consumer.start()

        self.wait(start())

    def poll(self):
        polled = self.wait(self.consumer.getmany(timeout_ms=50))
        return [(m.topic, m.partition, m.offset, m.value.decode()) for batch in polled.values() for m in batch]

    def assignment(self):
        return map(tuple, self.consumer.assignment())

    def commit(self, topic, partition, offset, metadata):
        self.wait(self.consumer.commit({TopicPartition(topic, partition): OffsetAndMetadata(offset, metadata)}))

    def committed(self, topic, partition):
        # The consumer's own method leaves the metadata out.
        return self.admin.committed_with_metadata(self.group).get((topic, partition))

    def pause(self, topic, partition):
        async def pause():
            self.consumer.pause(TopicPartition(topic, partition))

        self.wait(pause())

    def resume(self, topic, partition):
        self.consumer.resume(TopicPartition(topic, partition))

    def seek(self, topic, partition, offset):
        self.consumer.seek(TopicPartition(topic, partition), offset)

    def close(self):
        self.wait(self.consumer.stop())
        self.loop.close()


class Writer(Looped):
    def __init__(self):
        super().__init__()

        async def start():
            self.producer = AIOKafkaProducer(bootstrap_servers=bootstrap())
            await self.producer.start()

        self.wait(start())

    def write(self, topic, pairs):
        async def send():
            sent = [await self.producer.send(topic, value.encode(), partition=partition) for partition, value in pairs]
            await asyncio.wait_for(asyncio.gather(*sent), groups.LIMIT)

        self.wait(send())

    def close(self):
        self.wait(self.producer.stop())
        self.loop.close()


class Admin:
    """Used by all threads, so its loop runs in one of its own."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

        async def start():
            self.admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap())
            await self.admin.start()

        self.wait(start())

    def wait(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(groups.LIMIT)

    def list_groups(self):
        return {group for group, *_ in self.wait(self.admin.list_consumer_groups())}

    def describe(self, group):
        (response,) = self.wait(self.admin.describe_consumer_groups([group]))
        (_, _, state, _, assignor, members, *_) = response.groups[0]
        assigned = [Assignment.decode(member[4]).partitions() for member in members]
        return {"state": state.lower(), "assignor": assignor, "members": [frozenset(map(tuple, a)) for a in assigned]}

    def committed_with_metadata(self, group):
        found = self.wait(self.admin.list_consumer_group_offsets(group))
        return {tuple(at): (committed.offset, committed.metadata) for at, committed in found.items()}

    def committed(self, group):
        return {at: offset for at, (offset, _) in self.committed_with_metadata(group).items()}

    def end_offsets(self, partitions):
        async def look_up():
            async with AIOKafkaConsumer(bootstrap_servers=bootstrap()) as consumer:
                return await consumer.end_offsets([TopicPartition(*at) for at in partitions])

        return {tuple(at): end for at, end in self.wait(look_up()).items()}


class Aio(groups.Client):
    name = "aiokafka"
    protocols = ["classic"]
    assignors = {"classic": "roundrobin"}
    lacks = frozenset(
        {
            "async commit",
            "cooperative rebalancing",
            "groups with members are not deleted",
            "unknown groups",
            "alter offsets of a group",
            "delete offsets of a group",
            "delete groups",
        }
    )
    consumer = Driver

    def __init__(self):
        self.admin = Admin()

    @contextmanager
    def producer(self):
        writer = Writer()
        yield writer
        writer.close()

    def create(self, topic, partitions, exists=False):
        admin = self.admin.admin
        created = self.admin.wait(admin.create_topics([NewTopic(topic, partitions, 1)]))
        for _, code, *_ in created.topic_errors:
            true(not code or exists and code == TopicAlreadyExistsError.errno, f"creating {topic}: error {code}")
        eventually(lambda: true(self.admin.wait(admin.describe_topics([topic]))[0]["partitions"], "no partitions"))


if __name__ == "__main__":
    groups.main(Aio(), aiokafka.__version__)
