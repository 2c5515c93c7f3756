"""aiokafka, default settings apart from the address."""

import asyncio

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition, errors
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from checks import Checks, bootstrap, equal, eventually_async, raises_async, true, unique
from samples import COUNT, FIRST_TIMESTAMP, TIMESTAMP_STEP, Sample, samples

CODECS = [None, "gzip", "snappy", "lz4", "zstd"]
LIMIT = 30
LIMIT_MS = LIMIT * 1000


def is_error(*kinds):
    return lambda error: isinstance(error, kinds)


async def produce(topic, partition, records, **settings):
    async with AIOKafkaProducer(bootstrap_servers=bootstrap(), **settings) as producer:
        sent = []
        for number, r in enumerate(records):
            future = await producer.send(
                topic, r.value, key=r.key, partition=partition, timestamp_ms=r.timestamp, headers=r.headers
            )
            sent.append(future)
            if number == COUNT // 2:
                await producer.flush()
        return await asyncio.wait_for(asyncio.gather(*sent), LIMIT)


def consumer(**settings):
    return AIOKafkaConsumer(bootstrap_servers=bootstrap(), **settings)


async def read_from(reader, count):
    messages = []
    while len(messages) < count:
        polled = await reader.getmany(timeout_ms=LIMIT_MS)
        true(polled, f"nothing came after {len(messages)} messages")
        for batch in polled.values():
            messages.extend(batch)
    return messages


async def read(topic, partition, offset, count, **settings):
    at = TopicPartition(topic, partition)
    async with consumer(**settings) as reader:
        reader.assign([at])
        if offset is None:
            await reader.seek_to_beginning(at)
        else:
            reader.seek(at, offset)
        return (await read_from(reader, count))[:count]


def as_sample(message):
    equal(message.timestamp_type, 0, "timestamp type")
    return Sample(message.key, message.value, list(message.headers), message.timestamp)


def check_topic_errors(response, field):
    """Raises the first error of a response about topics; this client hands the codes over."""
    for _, code, *rest in getattr(response, field):
        if code:
            raise errors.for_code(code)(*rest)


class Aio:
    def __init__(self, admin):
        self.admin = admin
        self.plain = unique("aiokafka")
        self.wide = unique("aiokafka-wide")

    async def create(self, name, partitions=1, **config):
        configs = {"retention.ms": "-1", **{k.replace("_", "."): v for k, v in config.items()}}
        response = await self.admin.create_topics([NewTopic(name, partitions, 1, topic_configs=configs)])
        check_topic_errors(response, "topic_errors")

        async def visible():
            equal(await self.partition_count(name), partitions, "partitions")

        await eventually_async(visible)

    async def partition_count(self, name):
        (topic,) = await self.admin.describe_topics([name])
        return len(topic["partitions"])

    async def cluster(self):
        cluster = await self.admin.describe_cluster()
        (node,) = cluster["brokers"]
        equal(f"{node['host']}:{node['port']}", bootstrap(), "advertised address")
        true(cluster["cluster_id"], "no cluster id")
        equal(cluster["controller_id"], node["node_id"], "controller")

    async def create_topics(self):
        await self.create(self.plain)
        await self.create(self.wide, 4, max_message_bytes="200000")
        (topic,) = await self.admin.describe_topics([self.wide])
        for partition in topic["partitions"]:
            equal(partition["isr"], [partition["leader"]], "in-sync replicas")
        true({self.plain, self.wide} <= set(await self.admin.list_topics()), "a topic is not listed")

    async def bad_topics(self):
        async def refused(expected, what, *args, **config):
            await raises_async(lambda: self.create(*args, **config), is_error(expected), what)

        await refused(errors.TopicAlreadyExistsError, "creating it again", self.plain)
        await refused(errors.InvalidTopicError, "name a/b", "a/b")
        await refused(errors.InvalidPartitionsError, "no partitions", unique("p"), 0)
        await refused(errors.InvalidConfigurationError, "retention.ms=soon", unique("c"), retention_ms="soon")

    async def round_trip(self, codec, **settings):
        topic = unique(f"aiokafka-codec-{codec or 'none'}")
        await self.create(topic)
        expected = samples(str(codec))
        placed = await produce(topic, 0, expected, compression_type=codec, **settings)
        # This client reports the first timestamp of a batch for each of its records.
        equal([p.offset for p in placed], list(range(COUNT)), "record metadata")
        messages = await read(topic, 0, None, COUNT)
        equal([m.offset for m in messages], list(range(COUNT)), "offsets")
        for message, record in zip(messages, expected):
            equal(as_sample(message), record, f"record {message.offset}")
        for offset in [1, 17, COUNT // 2 + 5, COUNT - 1]:
            (message,) = await read(topic, 0, offset, 1)
            equal(message.offset, offset, "offset")
            equal(as_sample(message), expected[offset], f"record {offset}")
        await self.times(TopicPartition(topic, 0))

    async def times(self, at):
        async with consumer() as reader:

            async def look_up(timestamp):
                found = (await reader.offsets_for_times({at: timestamp}))[at]
                return found and (found.offset, found.timestamp)

            for i in [0, 1, 29, 42, COUNT - 1]:
                time = FIRST_TIMESTAMP + i * TIMESTAMP_STEP
                equal(await look_up(time), (i, time), f"offset for the time of record {i}")
                equal(await look_up(time - 1), (i, time), f"offset for the time just before record {i}")
            equal(await look_up(FIRST_TIMESTAMP + COUNT * TIMESTAMP_STEP), None, "offset for a later time")

    async def idempotent(self):
        await self.round_trip(None, enable_idempotence=True)

    async def partitions(self):
        at = [TopicPartition(self.wide, p) for p in range(4)]
        for p in range(4):
            await produce(self.wide, p, samples(f"partition {p}")[: 10 + p])
        async with consumer() as reader:
            reader.assign(at)
            await reader.seek_to_beginning(*at)
            messages = await read_from(reader, 46)
            equal(await reader.end_offsets(at), {at[p]: 10 + p for p in range(4)}, "end offsets")
            equal(await reader.beginning_offsets(at), {at[p]: 0 for p in range(4)}, "beginning offsets")
        for p in range(4):
            values = [m.value for m in messages if m.partition == p]
            equal(values, [r.value for r in samples(f"partition {p}")[: 10 + p]], f"partition {p}")

    async def acknowledgements(self):
        for acks in [0, 1, "all"]:
            topic = unique(f"aiokafka-acks-{acks}")
            await self.create(topic)
            records = samples(f"acks {acks}")
            await produce(topic, 0, records, acks=acks)
            messages = await read(topic, 0, None, COUNT)
            equal([as_sample(m) for m in messages], records, f"records with acks={acks}")

    async def config(self, name):
        resource = ConfigResource(ConfigResourceType.TOPIC, self.wide)
        (response,) = await self.admin.describe_configs([resource])
        ((_, _, _, _, entries),) = response.resources
        return {entry[0]: entry[1] for entry in entries}[name]

    async def configs(self):
        equal(await self.config("max.message.bytes"), "200000", "max.message.bytes")
        # This request replaces all of a topic's settings.
        new = {"max.message.bytes": "200000", "retention.ms": "-1", "retention.bytes": "123456789"}
        (response,) = await self.admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, self.wide, new)])
        equal([code for code, *_ in response.resources], [0], "error codes")

        async def changed():
            equal(await self.config("retention.bytes"), "123456789", "retention.bytes")

        await eventually_async(changed)
        equal(await self.config("max.message.bytes"), "200000", "max.message.bytes after the change")

    async def create_partitions(self):
        await self.admin.create_partitions({self.wide: NewPartitions(6)})

        async def visible():
            equal(await self.partition_count(self.wide), 6, "partitions")

        await eventually_async(visible)
        await raises_async(
            lambda: self.admin.create_partitions({self.wide: NewPartitions(2)}),
            is_error(errors.InvalidPartitionsError),
            "fewer partitions",
        )

    async def delete_records(self):
        at = TopicPartition(self.wide, 3)
        equal(await self.admin.delete_records({at: RecordsToDelete(7)}), {at: 7}, "low watermark")
        equal([m.offset for m in await read(self.wide, 3, None, 6)], list(range(7, 13)), "offsets")
        (message,) = await read(self.wide, 3, 2, 1, auto_offset_reset="earliest")
        equal(message.offset, 7, "offset after the reset")
        await raises_async(
            lambda: read(self.wide, 3, 2, 1, auto_offset_reset="none"),
            is_error(errors.OffsetOutOfRangeError),
            "reading below the log start",
        )

    async def oversized_record(self):
        big = Sample(None, b"x" * 300_000, [], FIRST_TIMESTAMP)
        await raises_async(
            lambda: produce(self.wide, 0, [big]),
            is_error(errors.MessageSizeTooLargeError),
            "a record above max.message.bytes",
        )

    async def unknown_topic(self):
        response = await self.admin.delete_topics([unique("aiokafka-absent")])
        ((_, code),) = response.topic_error_codes
        equal(code, errors.UnknownTopicOrPartitionError.errno, "error of deleting an unknown topic")

    async def auto_create(self):
        name = unique("aiokafka-auto")
        records = samples("auto")[:5]
        await produce(name, None, records)
        equal([m.value for m in await read(name, 0, None, 5)], [r.value for r in records], "values")

    async def delete_topics(self):
        await self.admin.delete_topics([self.plain])

        async def gone():
            true(self.plain not in await self.admin.list_topics(), "the topic is still listed")

        await eventually_async(gone)


async def main():
    checks = Checks("aiokafka", aiokafka.__version__)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap())
    await admin.start()
    suite = Aio(admin)
    await checks.run_async("describe cluster", suite.cluster)
    await checks.run_async("create, describe and list topics", suite.create_topics)
    await checks.run_async("create topics: existing and invalid", suite.bad_topics)
    for codec in CODECS:
        await checks.run_async(f"round trip, offsets and times: {codec or 'none'}", suite.round_trip, codec)
    await checks.run_async("round trip: idempotent producer", suite.idempotent)
    await checks.run_async("acks 0, 1 and all", suite.acknowledgements)
    await checks.run_async("several partitions at once", suite.partitions)
    await checks.run_async("describe and alter configs", suite.configs)
    await checks.run_async("create partitions", suite.create_partitions)
    await checks.run_async("delete records, offset out of range", suite.delete_records)
    await checks.run_async("oversized record", suite.oversized_record)
    await checks.run_async("unknown topic", suite.unknown_topic)
    await checks.run_async("topic made by producing to it", suite.auto_create)
    await checks.run_async("delete topics", suite.delete_topics)
    await admin.close()
    checks.finish()


if __name__ == "__main__":
    asyncio.run(main())
