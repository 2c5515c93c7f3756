"""kafka-python, default settings apart from the address."""

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec

from checks import Checks, bootstrap, equal, eventually, raises, true, unique
from samples import COUNT, FIRST_TIMESTAMP, TIMESTAMP_STEP, Sample
from samples import samples_without_null_headers as samples

CODECS = [None, "gzip", "snappy", "lz4", "zstd"]
LIMIT = 30
LIMIT_MS = LIMIT * 1000


def is_error(*kinds):
    return lambda error: isinstance(error, kinds)


def client(**settings):
    return {"bootstrap_servers": bootstrap(), **settings}


def produce(topic, partition, records, **settings):
    producer = KafkaProducer(**client(**settings))
    sent = []
    for number, r in enumerate(records):
        sent.append(producer.send(topic, r.value, r.key, r.headers, partition, r.timestamp))
        if number == COUNT // 2:
            producer.flush(LIMIT)
    placed = [future.get(LIMIT) for future in sent]
    producer.close()
    return [(at.partition, at.offset, at.timestamp) for at in placed]


def consumer(*partitions, **settings):
    reader = KafkaConsumer(**client(**settings))
    reader.assign(list(partitions))
    return reader


def read_from(reader, count):
    messages = []
    while len(messages) < count:
        polled = reader.poll(LIMIT_MS)
        true(polled, f"nothing came after {len(messages)} messages")
        for batch in polled.values():
            messages.extend(batch)
    return messages


def read(topic, partition, offset, count, **settings):
    at = TopicPartition(topic, partition)
    reader = consumer(at, **settings)
    if offset is None:
        reader.seek_to_beginning(at)
    else:
        reader.seek(at, offset)
    messages = read_from(reader, count)
    reader.close()
    return messages[:count]


def as_sample(message):
    equal(message.timestamp_type, 0, "timestamp type")
    return Sample(message.key, message.value, list(message.headers), message.timestamp)


class KafkaPython:
    def __init__(self):
        self.admin = KafkaAdminClient(**client())
        self.plain = unique("kafka-python")
        self.wide = unique("kafka-python-wide")

    def create(self, name, partitions=1, **config):
        configs = {"retention.ms": "-1", **{k.replace("_", "."): v for k, v in config.items()}}
        topic = {"num_partitions": partitions, "replication_factor": 1, "configs": configs}
        self.admin.create_topics({name: topic})
        eventually(lambda: equal(self.partition_count(name), partitions, "partitions"))

    def partition_count(self, name):
        (topic,) = self.admin.describe_topics([name])
        equal(topic["error_code"], 0, "error of the topic")
        return len(topic["partitions"])

    def cluster(self):
        cluster = self.admin.describe_cluster()
        (node,) = cluster["brokers"]
        equal(f"{node['host']}:{node['port']}", bootstrap(), "advertised address")
        true(cluster["cluster_id"], "no cluster id")
        equal(cluster["controller_id"], node["broker_id"], "controller")

    def create_topics(self):
        self.create(self.plain)
        self.create(self.wide, 4, max_message_bytes="200000")
        (topic,) = self.admin.describe_topics([self.wide])
        for partition in topic["partitions"]:
            equal(partition["isr_nodes"], [partition["leader_id"]], "in-sync replicas")
        true({self.plain, self.wide} <= set(self.admin.list_topics()), "a topic is not listed")

    def default_partition_count(self):
        name = unique("kafka-python-defaults")
        self.admin.create_topics([name])
        eventually(lambda: equal(self.partition_count(name), 1, "partitions"))

    def bad_topics(self):
        raises(lambda: self.create(self.plain), is_error(errors.TopicAlreadyExistsError), "creating it again")
        raises(lambda: self.create("a/b"), is_error(errors.InvalidTopicError), "name a/b")
        raises(lambda: self.create(unique("p"), 0), is_error(errors.InvalidPartitionsError), "no partitions")
        raises(
            lambda: self.create(unique("c"), retention_ms="soon"),
            is_error(errors.InvalidConfigurationError),
            "retention.ms=soon",
        )

    def round_trip(self, codec):
        topic = unique(f"kafka-python-codec-{codec or 'none'}")
        self.create(topic)
        expected = samples(str(codec))
        placed = produce(topic, 0, expected, compression_type=codec)
        equal(placed, [(0, i, r.timestamp) for i, r in enumerate(expected)], "record metadata")
        messages = read(topic, 0, None, COUNT)
        equal([m.offset for m in messages], list(range(COUNT)), "offsets")
        for message, record in zip(messages, expected):
            equal(as_sample(message), record, f"record {message.offset}")
        for offset in [1, 17, COUNT // 2 + 5, COUNT - 1]:
            (message,) = read(topic, 0, offset, 1)
            equal(message.offset, offset, "offset")
            equal(as_sample(message), expected[offset], f"record {offset}")
        self.times(TopicPartition(topic, 0))

    def times(self, at):
        reader = consumer(at)

        def look_up(timestamp):
            found = reader.offsets_for_times({at: timestamp})[at]
            return found and (found.offset, found.timestamp)

        for i in [0, 1, 29, 42, COUNT - 1]:
            time = FIRST_TIMESTAMP + i * TIMESTAMP_STEP
            equal(look_up(time), (i, time), f"offset for the time of record {i}")
            equal(look_up(time - 1), (i, time), f"offset for the time just before record {i}")
        equal(look_up(FIRST_TIMESTAMP + COUNT * TIMESTAMP_STEP), None, "offset for a later time")
        reader.close()

    def partitions(self):
        at = [TopicPartition(self.wide, p) for p in range(4)]
        for p in range(4):
            produce(self.wide, p, samples(f"partition {p}")[: 10 + p])
        reader = consumer(*at)
        reader.seek_to_beginning(*at)
        messages = read_from(reader, 46)
        equal(reader.end_offsets(at), {at[p]: 10 + p for p in range(4)}, "end offsets")
        equal(reader.beginning_offsets(at), {at[p]: 0 for p in range(4)}, "beginning offsets")
        reader.close()
        for p in range(4):
            values = [m.value for m in messages if m.partition == p]
            equal(values, [r.value for r in samples(f"partition {p}")[: 10 + p]], f"partition {p}")

    def acknowledgements(self):
        for acks in [0, 1, "all"]:
            topic = unique(f"kafka-python-acks-{acks}")
            self.create(topic)
            records = samples(f"acks {acks}")
            produce(topic, 0, records, acks=acks, enable_idempotence=False)
            equal([as_sample(m) for m in read(topic, 0, None, COUNT)], records, f"records with acks={acks}")

    def list_offsets(self):
        at = TopicPartition(self.wide, 3)

        def offset(spec):
            found = self.admin.list_partition_offsets({at: spec})[at]
            return found.offset, found.timestamp

        equal(offset(OffsetSpec.EARLIEST)[0], 0, "earliest")
        equal(offset(OffsetSpec.LATEST)[0], 13, "latest")
        equal(offset(OffsetSpec.MAX_TIMESTAMP), (12, FIRST_TIMESTAMP + 12_000), "max timestamp")
        equal(offset(FIRST_TIMESTAMP + 3_500), (4, FIRST_TIMESTAMP + 4_000), "for a time")

    def configs(self):
        def config(name):
            described = self.admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, self.wide)], config_filter="all")
            return described["topic"][self.wide][name]

        equal(config("max.message.bytes")["value"], "200000", "max.message.bytes")
        equal(config("max.message.bytes")["config_source"], "DYNAMIC_TOPIC_CONFIG", "its source")
        equal(config("cleanup.policy")["config_source"], "DEFAULT_CONFIG", "source of cleanup.policy")
        for incremental in [True, False]:
            size = f"12345{int(incremental)}"
            change = ConfigResource(ConfigResourceType.TOPIC, self.wide, {"retention.bytes": size})
            self.admin.alter_configs([change], incremental=incremental)
            eventually(lambda: equal(config("retention.bytes")["value"], size, "retention.bytes"))
            equal(config("max.message.bytes")["value"], "200000", "max.message.bytes after the change")
        self.admin.reset_configs([ConfigResource(ConfigResourceType.TOPIC, self.wide, {"retention.bytes": None})])
        eventually(lambda: equal(config("retention.bytes")["value"], "-1", "retention.bytes after the reset"))

    def log_dirs(self):
        (broker,) = self.admin.describe_log_dirs({self.wide: [3]})
        (folder,) = broker["log_dirs"]
        equal(folder["error_code"], 0, "error of the folder")
        (topic,) = folder["topics"]
        (partition,) = topic["partitions"]
        equal((topic["name"], partition["partition_index"]), (self.wide, 3), "partition")
        true(0 < partition["partition_size"], "an empty partition")

    def create_partitions(self):
        self.admin.create_partitions({self.wide: 6})
        eventually(lambda: equal(self.partition_count(self.wide), 6, "partitions"))
        raises(
            lambda: self.admin.create_partitions({self.wide: 2}),
            is_error(errors.InvalidPartitionsError),
            "fewer partitions",
        )

    def delete_records(self):
        at = TopicPartition(self.wide, 3)
        equal(self.admin.delete_records({at: 7})[at]["low_watermark"], 7, "low watermark")
        equal([m.offset for m in read(self.wide, 3, None, 6)], list(range(7, 13)), "offsets")
        (message,) = read(self.wide, 3, 2, 1, auto_offset_reset="earliest")
        equal(message.offset, 7, "offset after the reset")
        raises(
            lambda: read(self.wide, 3, 2, 1, auto_offset_reset="none"),
            is_error(errors.OffsetOutOfRangeError),
            "reading below the log start",
        )

    def oversized_record(self):
        big = Sample(None, b"x" * 300_000, [], FIRST_TIMESTAMP)
        raises(
            lambda: produce(self.wide, 0, [big]),
            is_error(errors.MessageSizeTooLargeError),
            "a record above max.message.bytes",
        )

    def unknown_topic(self):
        absent = unique("kafka-python-absent")
        raises(
            lambda: self.admin.delete_topics([absent]),
            is_error(errors.UnknownTopicOrPartitionError),
            "deleting an unknown topic",
        )
        raises(
            lambda: produce("not a name", None, samples("x")[:1]),
            is_error(errors.InvalidTopicError, ValueError, TypeError),
            "producing to an invalid name",
        )

    def auto_create(self):
        name = unique("kafka-python-auto")
        records = samples("auto")[:5]
        produce(name, None, records)
        equal([m.value for m in read(name, 0, None, 5)], [r.value for r in records], "values")

    def delete_topics(self):
        self.admin.delete_topics([self.plain])
        eventually(lambda: true(self.plain not in self.admin.list_topics(), "the topic is still listed"))


def main():
    checks = Checks("kafka-python", kafka.__version__)
    suite = KafkaPython()
    checks.run("describe cluster", suite.cluster)
    checks.run("create, describe and list topics", suite.create_topics)
    checks.run("create topics: default partition count", suite.default_partition_count)
    checks.run("create topics: existing and invalid", suite.bad_topics)
    for codec in CODECS:
        checks.run(f"round trip, offsets and times: {codec or 'none'}", suite.round_trip, codec)
    checks.run("acks 0, 1 and all", suite.acknowledgements)
    checks.run("several partitions at once", suite.partitions)
    checks.run("list offsets", suite.list_offsets)
    checks.run("describe and alter configs", suite.configs)
    checks.run("describe log dirs", suite.log_dirs)
    checks.run("create partitions", suite.create_partitions)
    checks.run("delete records, offset out of range", suite.delete_records)
    checks.run("oversized record", suite.oversized_record)
    checks.run("unknown topic", suite.unknown_topic)
    checks.run("topic made by producing to it", suite.auto_create)
    checks.run("delete topics", suite.delete_topics)
    suite.admin.close()
    checks.finish()


if __name__ == "__main__":
    main()
