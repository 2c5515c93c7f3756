"""Ships files line by line with confluent-kafka (librdkafka) and reads them back.

round-trip FILE...  each file through a topic of its own, one codec after the other
crash FILE...       all lines several times, idempotent, while somebody kills and restarts the broker
"""

import hashlib
import os
import sys

import confluent_kafka
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from checks import Checks, bootstrap, equal, eventually, true, unique

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
LIMIT = 60
CRASH_LINES = 400_000


def lines_of(path):
    """The file in pieces that end after each newline; the last may have none."""
    with open(path, "rb") as file:
        # bytes.splitlines would also split at a carriage return.
        pieces = file.read().split(b"\n")
    lines = [piece + b"\n" for piece in pieces[:-1]]
    return lines + [pieces[-1]] if pieces[-1] else lines


def create(topic, partitions):
    admin = AdminClient({"bootstrap.servers": bootstrap()})
    admin.create_topics([NewTopic(topic, partitions, 1, config={"retention.ms": "-1"})])[topic].result(LIMIT)

    def visible():
        found = admin.list_topics(topic, timeout=LIMIT).topics[topic]
        equal(len(found.partitions), partitions, "partitions")

    eventually(visible)


def send(producer, topic, line, **where):
    while True:
        try:
            return producer.produce(topic, line, **where)
        except BufferError:
            # The queue is full: wait for it to be sent on.
            producer.poll(1)


def messages(topic, partitions, count):
    """The first `count` messages of a topic, in lists."""
    consumer = Consumer({"bootstrap.servers": bootstrap(), "group.id": "unused", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(partitions)])
    seen = 0
    while seen < count:
        some = consumer.consume(50_000, timeout=1)
        if not some:
            some = consumer.consume(1, timeout=LIMIT)
            true(some, f"nothing came after {seen} messages")
        for message in some:
            if message.error():
                raise KafkaException(message.error())
        seen += len(some)
        yield some
    consumer.close()
    equal(seen, count, "messages")


def round_trip(path, codec):
    topic = unique(f"real-logs-codec-{codec}")
    create(topic, 1)
    lines = lines_of(path)
    producer = Producer({"bootstrap.servers": bootstrap(), "compression.type": codec})
    for line in lines:
        send(producer, topic, line)
    equal(producer.flush(LIMIT), 0, "unsent messages")
    back = hashlib.sha256()
    for some in messages(topic, 1, len(lines)):
        for message in some:
            back.update(message.value())
    equal(back.hexdigest(), hashlib.sha256(b"".join(lines)).hexdigest(), "SHA-256")


def crash(paths):
    """Every acknowledged line must be there once, in order, whatever happens to the broker meanwhile."""
    topic = unique("real-logs-crash")
    create(topic, 3)
    one_round = [line for path in paths for line in lines_of(path)]
    lines = one_round * (CRASH_LINES // len(one_round) + 1)
    acknowledged = 0
    failures = []

    def delivered(error, _message):
        nonlocal acknowledged
        if error is not None:
            failures.append(error)
            return
        acknowledged += 1
        if acknowledged % (len(lines) // 10) == 0:
            print(f"acknowledged {acknowledged * 10 // len(lines)} tenths", flush=True)

    disconnects = 0

    def noticed(error):
        nonlocal disconnects
        disconnects += error.code() in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN)

    producer = Producer({"bootstrap.servers": bootstrap(), "enable.idempotence": True, "error_cb": noticed})
    for number, line in enumerate(lines):
        send(producer, topic, line, key=b"%d" % number, partition=number % 3, on_delivery=delivered)
        if number % 1000 == 0:
            producer.poll(0)
    equal(producer.flush(4 * LIMIT), 0, "unsent messages")
    equal(failures, [], "failed deliveries")
    equal(acknowledged, len(lines), "acknowledged lines")
    found = [[], [], []]
    for some in messages(topic, 3, len(lines)):
        for message in some:
            number = int(message.key())
            found[message.partition()].append(number)
            equal(message.value(), lines[number], f"line {number}")
    for partition in range(3):
        equal(found[partition], list(range(partition, len(lines), 3)), f"lines in partition {partition}")
    consumer = Consumer({"bootstrap.servers": bootstrap(), "group.id": "unused"})
    for partition in range(3):
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=LIMIT)
        equal(end, len(found[partition]), f"end of partition {partition}")
    consumer.close()
    print(f"connection lost {disconnects} times", flush=True)


def main():
    mode, *paths = sys.argv[1:]
    checks = Checks("real logs", f"({mode}) by librdkafka {confluent_kafka.libversion()[0]}")
    if mode == "round-trip":
        for number, path in enumerate(paths):
            codec = CODECS[number % len(CODECS)]
            checks.run(f"{os.path.basename(path)} ({codec})", round_trip, path, codec)
    elif mode == "crash":
        checks.run("every acknowledged line once and in order", crash, paths)
    else:
        sys.exit(__doc__)
    checks.finish()


if __name__ == "__main__":
    main()
