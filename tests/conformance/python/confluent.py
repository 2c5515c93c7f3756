"""confluent-kafka (librdkafka), default settings apart from the address."""

import confluent_kafka
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from checks import Checks, bootstrap, equal, eventually, raises, true, unique
from samples import COUNT, FIRST_TIMESTAMP, TIMESTAMP_STEP, Sample, samples

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
LIMIT = 30


def client(**settings):
    return {"bootstrap.servers": bootstrap(), **settings}


def error_code(error):
    return error.args[0].code() if isinstance(error, KafkaException) else None


def is_error(*codes):
    return lambda error: error_code(error) in codes


def one(futures):
    """The result of an admin call about one thing."""
    ((_, future),) = futures.items()
    return future.result(LIMIT)


class Delivery:
    """Collects delivery reports; raises the first error."""

    def __init__(self):
        self.placed = []

    def __call__(self, error, message):
        if error is not None:
            raise KafkaException(error)
        self.placed.append((message.partition(), message.offset(), message.timestamp()[1]))


def produce(topic, partition, records, **settings):
    producer = Producer(client(**settings))
    delivery = Delivery()
    for number, record in enumerate(records):
        producer.produce(
            topic,
            partition=partition,
            key=record.key,
            value=record.value,
            headers=record.headers,
            timestamp=record.timestamp,
            on_delivery=delivery,
        )
        if number == COUNT // 2:
            equal(producer.flush(LIMIT), 0, "unsent messages")
    equal(producer.flush(LIMIT), 0, "unsent messages")
    return delivery.placed


def consumer(**settings):
    return Consumer(client(**{"group.id": "unused", "enable.auto.commit": False, **settings}))


def read(topic, partition, offset, count, **settings):
    reader = consumer(**settings)
    reader.assign([TopicPartition(topic, partition, offset)])
    messages = []
    while len(messages) < count:
        message = reader.poll(LIMIT)
        true(message is not None, f"nothing came after {len(messages)} messages")
        if message.error():
            raise KafkaException(message.error())
        messages.append(message)
    reader.close()
    return messages


def as_sample(message):
    kind, timestamp = message.timestamp()
    equal(kind, confluent_kafka.TIMESTAMP_CREATE_TIME, "timestamp type")
    return Sample(message.key(), message.value(), message.headers() or [], timestamp)


class Confluent:
    def __init__(self):
        self.admin = AdminClient(client())
        self.plain = unique("confluent")
        self.wide = unique("confluent-wide")

    def create(self, name, partitions=1, **config):
        config = {"retention.ms": "-1", **{k.replace("_", "."): v for k, v in config.items()}}
        one(self.admin.create_topics([NewTopic(name, partitions, 1, config=config)]))
        eventually(lambda: equal(self.partition_count(name), partitions, "partitions"))

    def partition_count(self, name):
        topic = self.admin.list_topics(timeout=LIMIT).topics.get(name)
        return len(topic.partitions) if topic else 0

    def cluster(self):
        cluster = self.admin.describe_cluster().result(LIMIT)
        equal(len(cluster.nodes), 1, "number of nodes")
        true(cluster.cluster_id, "no cluster id")
        equal(f"{cluster.nodes[0].host}:{cluster.nodes[0].port}", bootstrap(), "advertised address")
        equal(cluster.controller.id, cluster.nodes[0].id, "controller")

    def create_topics(self):
        self.create(self.plain)
        self.create(self.wide, 4, max_message_bytes="200000")
        equal(self.partition_count(self.plain), 1, "partitions")
        equal(self.partition_count(self.wide), 4, "partitions")

    def describe_topics(self):
        described = one(self.admin.describe_topics(TopicCollection([self.wide])))
        equal(described.name, self.wide, "name")
        equal(described.is_internal, False, "internal")
        equal([p.id for p in described.partitions], [0, 1, 2, 3], "partitions")
        for partition in described.partitions:
            equal(len(partition.replicas), 1, "replicas")
            equal([r.id for r in partition.isr], [partition.leader.id], "in-sync replicas")

    def validate_only(self):
        name = unique("confluent-validated")
        one(self.admin.create_topics([NewTopic(name, 2, 1)], validate_only=True))
        true(name not in self.admin.list_topics(timeout=LIMIT).topics, "the topic was made")

    def existing_topic(self):
        raises(
            lambda: self.create(self.plain), is_error(KafkaError.TOPIC_ALREADY_EXISTS), "creating it again"
        )

    def invalid_topics(self):
        for name in ["a/b", "..", "x" * 250, "with space"]:
            raises(lambda n=name: self.create(n), is_error(KafkaError.TOPIC_EXCEPTION), f"name {name!r}")
        raises(
            lambda: one(self.admin.create_topics([NewTopic(unique("p"), 0, 1)])),
            is_error(KafkaError.INVALID_PARTITIONS),
            "no partitions",
        )
        raises(
            lambda: one(self.admin.create_topics([NewTopic(unique("r"), 1, 3)])),
            is_error(KafkaError.INVALID_REPLICATION_FACTOR),
            "three replicas",
        )
        raises(
            lambda: self.create(unique("c"), retention_ms="soon"),
            is_error(KafkaError.INVALID_CONFIG),
            "retention.ms=soon",
        )
        raises(
            lambda: self.create(unique("c"), no_such_setting="1"),
            is_error(KafkaError.INVALID_CONFIG),
            "no.such.setting",
        )

    def round_trip(self, codec, **settings):
        topic = unique(f"confluent-codec-{codec}")
        self.create(topic)
        expected = samples(codec)
        placed = produce(topic, 0, expected, **{"compression.type": codec, **settings})
        equal(placed, [(0, i, r.timestamp) for i, r in enumerate(expected)], "delivery reports")
        messages = read(topic, 0, OFFSET_BEGINNING, COUNT)
        equal([m.offset() for m in messages], list(range(COUNT)), "offsets")
        for message, record in zip(messages, expected):
            equal(as_sample(message), record, f"record {message.offset()}")
        for offset in [1, 17, COUNT // 2 + 5, COUNT - 1]:
            (message,) = read(topic, 0, offset, 1)
            equal(message.offset(), offset, "offset")
            equal(as_sample(message), expected[offset], f"record {offset}")
        self.times(topic)

    def times(self, topic):
        reader = consumer()

        def look_up(timestamp):
            (found,) = reader.offsets_for_times([TopicPartition(topic, 0, timestamp)], timeout=LIMIT)
            return found.offset

        for i in [0, 1, 29, 42, COUNT - 1]:
            at = FIRST_TIMESTAMP + i * TIMESTAMP_STEP
            equal(look_up(at), i, f"offset for the time of record {i}")
            equal(look_up(at - 1), i, f"offset for the time just before record {i}")
        equal(look_up(0), 0, "offset for the time 0")
        equal(look_up(FIRST_TIMESTAMP + COUNT * TIMESTAMP_STEP), -1, "offset for a later time")
        reader.close()

    def partitions(self):
        for partition in range(4):
            records = samples(f"partition {partition}")[: 10 + partition]
            produce(self.wide, partition, records)
        reader = consumer()
        reader.assign([TopicPartition(self.wide, p, OFFSET_BEGINNING) for p in range(4)])
        values = {p: [] for p in range(4)}
        while sum(map(len, values.values())) < 46:
            message = reader.poll(LIMIT)
            true(message is not None and not message.error(), f"no message: {message and message.error()}")
            values[message.partition()].append(message.value())
        reader.close()
        for partition in range(4):
            expected = [r.value for r in samples(f"partition {partition}")[: 10 + partition]]
            equal(values[partition], expected, f"partition {partition}")

    def watermarks(self):
        reader = consumer()
        equal(reader.get_watermark_offsets(TopicPartition(self.wide, 2), timeout=LIMIT), (0, 12), "watermarks")
        reader.close()

    def default_partitioner(self):
        topic = unique("confluent-keyed")
        self.create(topic, 3)
        producer = Producer(client())
        delivery = Delivery()
        for i in range(90):
            producer.produce(topic, key=f"k{i % 9}", value=f"{i}", on_delivery=delivery)
        equal(producer.flush(LIMIT), 0, "unsent messages")
        reader = consumer()
        ends = [reader.get_watermark_offsets(TopicPartition(topic, p), timeout=LIMIT)[1] for p in range(3)]
        reader.close()
        equal(sum(ends), 90, "records in all partitions")

    def idempotent(self):
        self.round_trip("none", **{"enable.idempotence": True})

    def acknowledgements(self):
        for acks in ["0", "1", "all"]:
            topic = unique(f"confluent-acks-{acks}")
            self.create(topic)
            records = samples(f"acks {acks}")
            produce(topic, 0, records, acks=acks)
            messages = read(topic, 0, OFFSET_BEGINNING, COUNT)
            equal([as_sample(m) for m in messages], records, f"records with acks={acks}")

    def large_record(self):
        topic = unique("confluent-large")
        self.create(topic, max_message_bytes="5000000")
        value = bytes(i % 251 for i in range(3_000_000))
        produce(topic, 0, [Sample(b"large", value, [], FIRST_TIMESTAMP)] * 3, **{"message.max.bytes": 4_000_000})
        messages = read(topic, 0, OFFSET_BEGINNING, 3)
        true(all(m.value() == value for m in messages), "a large value differs")

    def list_offsets(self):
        def offset(spec):
            result = one(self.admin.list_offsets({TopicPartition(self.wide, 3): spec}))
            return result.offset, result.timestamp

        equal(offset(OffsetSpec.earliest())[0], 0, "earliest")
        equal(offset(OffsetSpec.latest())[0], 13, "latest")
        equal(offset(OffsetSpec.max_timestamp()), (12, FIRST_TIMESTAMP + 12_000), "max timestamp")
        at = FIRST_TIMESTAMP + 3_500
        equal(offset(OffsetSpec.for_timestamp(at)), (4, FIRST_TIMESTAMP + 4_000), "for a time")
        committed = self.admin.list_offsets(
            {TopicPartition(self.wide, 3): OffsetSpec.latest()}, isolation_level=IsolationLevel.READ_COMMITTED
        )
        equal(one(committed).offset, 13, "latest of committed records")

    def configs(self):
        topic = ConfigResource(ResourceType.TOPIC, self.wide)

        def config(name):
            return one(self.admin.describe_configs([topic]))[name]

        equal(config("max.message.bytes").value, "200000", "max.message.bytes")
        equal(config("cleanup.policy").is_default, True, "cleanup.policy is default")
        change = ConfigEntry("retention.bytes", "123456789", incremental_operation=AlterConfigOpType.SET)
        one(self.admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, self.wide, incremental_configs=[change])]))
        equal(config("retention.bytes").value, "123456789", "retention.bytes")
        change = ConfigEntry("retention.bytes", None, incremental_operation=AlterConfigOpType.DELETE)
        one(self.admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, self.wide, incremental_configs=[change])]))
        equal(config("retention.bytes").value, "-1", "retention.bytes after the deletion")
        equal(config("max.message.bytes").value, "200000", "max.message.bytes after the changes")

    def invalid_config(self):
        change = ConfigEntry("retention.ms", "soon", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, self.wide, incremental_configs=[change])
        raises(
            lambda: one(self.admin.incremental_alter_configs([resource])),
            is_error(KafkaError.INVALID_CONFIG),
            "retention.ms=soon",
        )

    def broker_configs(self):
        node = self.admin.list_topics(timeout=LIMIT).controller_id
        configs = one(self.admin.describe_configs([ConfigResource(ResourceType.BROKER, str(node))]))
        true("message.max.bytes" in configs, f"no message.max.bytes in {sorted(configs)[:5]}")

    def create_partitions(self):
        one(self.admin.create_partitions([NewPartitions(self.wide, 6)]))
        eventually(lambda: equal(self.partition_count(self.wide), 6, "partitions"))
        produce(self.wide, 5, samples("new partition")[:3])
        equal([m.value() for m in read(self.wide, 5, 0, 3)], [r.value for r in samples("new partition")[:3]])
        raises(
            lambda: one(self.admin.create_partitions([NewPartitions(self.wide, 2)])),
            is_error(KafkaError.INVALID_PARTITIONS),
            "fewer partitions",
        )

    def delete_records(self):
        deleted = one(self.admin.delete_records([TopicPartition(self.wide, 3, 7)]))
        equal(deleted.low_watermark, 7, "low watermark")
        reader = consumer()
        equal(reader.get_watermark_offsets(TopicPartition(self.wide, 3), timeout=LIMIT), (7, 13), "watermarks")
        reader.close()
        equal([m.offset() for m in read(self.wide, 3, OFFSET_BEGINNING, 6)], list(range(7, 13)), "offsets")
        raises(
            lambda: one(self.admin.delete_records([TopicPartition(self.wide, 3, 1000)])),
            is_error(KafkaError.OFFSET_OUT_OF_RANGE),
            "deleting beyond the end",
        )

    def out_of_range(self):
        # auto.offset.reset is latest by default, so ask for an error instead.
        raises(
            lambda: read(self.wide, 3, 2, 1, **{"auto.offset.reset": "error"}),
            is_error(KafkaError._AUTO_OFFSET_RESET),
            "reading below the log start",
        )
        (message,) = read(self.wide, 3, 2, 1, **{"auto.offset.reset": "earliest"})
        equal(message.offset(), 7, "offset after the reset")

    def unknown_topic(self):
        name = unique("confluent-absent")
        raises(
            lambda: one(self.admin.delete_topics([name])),
            is_error(KafkaError.UNKNOWN_TOPIC_OR_PART),
            "deleting an unknown topic",
        )
        raises(
            lambda: one(self.admin.describe_topics(TopicCollection([name]))),
            is_error(KafkaError.UNKNOWN_TOPIC_OR_PART),
            "describing an unknown topic",
        )
        reader = consumer()
        listed = reader.list_topics(name, timeout=LIMIT).topics[name]
        equal(listed.error.code(), KafkaError.UNKNOWN_TOPIC_OR_PART, "error of an unknown topic")
        reader.close()

    def oversized_record(self):
        raises(
            lambda: produce(self.wide, 0, [Sample(None, b"x" * 300_000, [], FIRST_TIMESTAMP)]),
            is_error(KafkaError.MSG_SIZE_TOO_LARGE),
            "a record above max.message.bytes",
        )

    def auto_create(self):
        name = unique("confluent-auto")
        records = samples("auto")[:5]
        produce(name, -1, records)
        equal([m.value() for m in read(name, 0, OFFSET_BEGINNING, 5)], [r.value for r in records], "values")

    def delete_topics(self):
        one(self.admin.delete_topics([self.plain]))
        eventually(lambda: equal(self.partition_count(self.plain), 0, "partitions of the deleted topic"))
        eventually(lambda: self.create(self.plain))
        reader = consumer()
        equal(reader.get_watermark_offsets(TopicPartition(self.plain, 0), timeout=LIMIT), (0, 0), "watermarks")
        reader.close()


def main():
    checks = Checks("confluent-kafka", f"{confluent_kafka.__version__} (librdkafka {confluent_kafka.libversion()[0]})")
    suite = Confluent()
    checks.run("describe cluster", suite.cluster)
    checks.run("create topics", suite.create_topics)
    checks.run("describe topics", suite.describe_topics)
    checks.run("create topics: validate only", suite.validate_only)
    checks.run("create topics: existing", suite.existing_topic)
    checks.run("create topics: invalid", suite.invalid_topics)
    for codec in CODECS:
        checks.run(f"round trip, offsets and times: {codec}", suite.round_trip, codec)
    checks.run("round trip: idempotent producer", suite.idempotent)
    checks.run("acks 0, 1 and all", suite.acknowledgements)
    checks.run("several partitions at once", suite.partitions)
    checks.run("default partitioner", suite.default_partitioner)
    checks.run("watermarks", suite.watermarks)
    checks.run("large records", suite.large_record)
    checks.run("list offsets", suite.list_offsets)
    checks.run("describe and alter configs", suite.configs)
    checks.run("alter configs: invalid", suite.invalid_config)
    checks.run("describe broker configs", suite.broker_configs)
    checks.run("create partitions", suite.create_partitions)
    checks.run("delete records", suite.delete_records)
    checks.run("offset out of range", suite.out_of_range)
    checks.run("unknown topic", suite.unknown_topic)
    checks.run("oversized record", suite.oversized_record)
    checks.run("topic made by producing to it", suite.auto_create)
    checks.run("delete topics", suite.delete_topics)
    checks.finish()


if __name__ == "__main__":
    main()
