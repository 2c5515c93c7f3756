"""A partition with one damaged batch, of one record: consumers get an error there, and read on behind it.

The harness damages the record at offset DAMAGED of the topic TOPIC, which has END records, before this runs.
"""

import os
import time

import confluent_kafka
import kafka
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import CorruptRecordError

from checks import Checks, bootstrap, equal, true

TOPIC = os.environ["TOPIC"]
DAMAGED = int(os.environ["DAMAGED"])
END = int(os.environ["END"])
LIMIT = 30


def kafka_python():
    at = TopicPartition(TOPIC, 0)
    reader = KafkaConsumer(bootstrap_servers=bootstrap(), group_id=None)
    reader.assign([at])

    def read(start, end):
        reader.seek(at, start)
        offsets = []
        deadline = time.monotonic() + LIMIT
        while len(offsets) < end - start and time.monotonic() < deadline:
            for messages in reader.poll(timeout_ms=1000).values():
                offsets.extend(message.offset for message in messages)
        return offsets

    # The error may come with the last of the records before it, but not instead of them.
    got, error = [], None
    reader.seek(at, 0)
    deadline = time.monotonic() + LIMIT
    while error is None and time.monotonic() < deadline:
        try:
            for messages in reader.poll(timeout_ms=1000).values():
                got.extend(message.offset for message in messages)
        except CorruptRecordError as corrupt:
            error = corrupt
    equal(got, list(range(DAMAGED)), "offsets before the damage")
    true(error is not None, "an error at the damage")
    equal(reader.position(at), DAMAGED, "position at the damage")
    equal(read(DAMAGED + 1, END), list(range(DAMAGED + 1, END)), "offsets behind the damage")
    reader.close()


def librdkafka():
    reader = confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap(), "group.id": "reader", "enable.auto.commit": False}
    )
    reader.assign([confluent_kafka.TopicPartition(TOPIC, 0, 0)])

    def read_until_error(count):
        offsets = []
        while len(offsets) < count:
            message = reader.poll(LIMIT)
            true(message is not None, f"nothing came after {offsets}")
            if message.error():
                return offsets, message.error()
            offsets.append(message.offset())
        return offsets, None

    got, error = read_until_error(END)
    equal(got, list(range(DAMAGED)), "offsets before the damage")
    equal(error.code(), confluent_kafka.KafkaError.INVALID_MSG, "error at the damage")
    true(not error.fatal(), "the error is not fatal")
    reader.seek(confluent_kafka.TopicPartition(TOPIC, 0, DAMAGED + 1))
    got, error = read_until_error(END - DAMAGED - 1)
    equal((got, error), (list(range(DAMAGED + 1, END)), None), "offsets behind the damage")
    reader.close()


def main():
    checks = Checks("damage", f"kafka-python {kafka.__version__}, librdkafka {confluent_kafka.libversion()[0]}")
    checks.run("kafka-python gets an error and reads on", kafka_python)
    checks.run("librdkafka gets an error and reads on", librdkafka)
    checks.finish()


main()
