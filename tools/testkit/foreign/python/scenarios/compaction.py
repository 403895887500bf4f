"""Compacted topics: what is left is the last record of every key, and nothing else.

Arguments: fill|verify|offsets|place BOOTSTRAP EPOCH_MS [COPIES]. What is written, and what must
be left of it, depends on nothing but this file and EPOCH_MS: every broker is held against the same.
`offsets` has a group commit again and again, until its topic is compacted; `place` asks where it is.
"""

import os
import sys
import time

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import report
from report import eq, feature, ok

STEP, BOOTSTRAP, EPOCH, COPIES = [*sys.argv[1:], "1"][:4]
EPOCH_MS = int(EPOCH)
# Every batch is older than a segment may be when the next one comes, so each has its own.
BATCH_MS, BATCHES = 10_000, 40
PATIENCE_S = 60
COMPACTED = {
    "cleanup.policy": "compact",
    "segment.ms": "1000",
    "min.cleanable.dirty.ratio": "0.01",
}
# Topic: its configs, the producer's.
TOPICS = {
    "compact-plain": ({}, {}),
    "compact-gzip": ({}, {"compression.type": "gzip"}),
    "compact-zstd": ({}, {"compression.type": "zstd", "enable.idempotence": True}),
    "compact-both": ({"cleanup.policy": "compact,delete"}, {"enable.idempotence": True}),
    "compact-time": ({"message.timestamp.type": "LogAppendTime"}, {"compression.type": "lz4"}),
}
SHORT = "compact-short"
OFFSETS, GROUP, COMMITS = "__consumer_offsets", "compaction-group", 300


def batch(number):
    """The records of one batch: key, value, headers."""
    size = 1 + number * 7 % 13
    rows = []
    for place in range(size):
        seed = number * 31 + place * 17
        key = b"key-%d" % (seed % 41)
        value = None if seed % 9 == 0 else b"value %d " % seed + b"x" * (seed % 300)
        headers = [("n", b"%d" % seed)] if seed % 4 == 0 else None
        rows.append((key, value, headers))
    return rows


def left_of(batches):
    """What compaction leaves when all but the last batch are compacted."""
    rows, offset = [], 0
    for number in range(batches):
        for key, value, headers in batch(number):
            rows.append((offset, key, value, headers, EPOCH_MS + number * BATCH_MS))
            offset += 1
    active = offset - len(batch(batches - 1))
    last = {row[1]: row[0] for row in rows if row[0] < active}
    return [row for row in rows if row[0] >= active or last[row[1]] == row[0]], offset


def make_topics():
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
    new = [
        NewTopic(t, 1, int(COPIES), config={**COMPACTED, **config})
        for t, (config, _) in TOPICS.items()
    ]
    short = {**COMPACTED, "delete.retention.ms": "100"}
    new.append(NewTopic(SHORT, 1, int(COPIES), config=short))
    for future in admin.create_topics(new, operation_timeout=30).values():
        future.result(30)


def producer_of(conf):
    return Producer({"bootstrap.servers": BOOTSTRAP, "linger.ms": 1000, **conf})


def write(producer, topic, rows, stamp):
    failed = []
    for key, value, headers in rows:
        producer.produce(
            topic,
            value,
            key,
            0,
            headers=headers,
            timestamp=stamp,
            on_delivery=lambda error, _: failed.append(error) if error else None,
        )
    eq(producer.flush(60), 0, "undelivered")
    eq(failed, [])


def read(topic):
    conf = {"group.id": "compaction", "enable.auto.commit": False, "check.crcs": True}
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "enable.partition.eof": True, **conf})
    consumer.assign([TopicPartition(topic, 0, 0)])
    rows = []
    while True:
        m = consumer.poll(20)
        ok(m is not None, f"only {len(rows)} records")
        if m.error() and m.error().code() == KafkaError._PARTITION_EOF:
            end = consumer.get_watermark_offsets(TopicPartition(topic, 0), 20)[1]
            consumer.close()
            return rows, end
        ok(not m.error(), m.error())
        rows.append((m.offset(), m.key(), m.value(), m.headers(), m.timestamp()[1]))


def wait_for(topic, want, times=True):
    began = time.time()
    while True:
        rows, end = read(topic)
        got = rows if times else [row[:4] for row in rows]
        if (got, end) == want or time.time() - began > PATIENCE_S:
            eq(len(got), len(want[0]), "records")
            eq((got, end), want)
            return
        time.sleep(0.3)


def fill(topic):
    producer = producer_of(TOPICS[topic][1])
    for number in range(BATCHES):
        if topic == "compact-time":
            time.sleep(1.1 if number % 20 == 10 else 0)
        write(producer, topic, batch(number), EPOCH_MS + number * BATCH_MS)
        if number == BATCHES // 2:
            # The producer goes on when what it wrote first is compacted away.
            time.sleep(1.5)


def verify(topic):
    rows, end = left_of(BATCHES)
    if topic != "compact-time":
        wait_for(topic, (rows, end))
        return
    # When a segment ended depends on the clock: every key has its last value all the same.
    got, got_end = read(topic)
    last = {row[1]: (row[0], row[2]) for row in rows}
    eq({row[1]: (row[0], row[2]) for row in got}, last)
    eq(got_end, end)
    ok(len(got) < end, "nothing was compacted")


def tombstones_go():
    producer = producer_of({})
    rows = [[(b"a", b"1", None)], [(b"a", None, None), (b"b", b"2", None)], [(b"c", b"3", None)]]
    for number, one in enumerate(rows):
        write(producer, SHORT, one, EPOCH_MS + number * BATCH_MS)
    left = [(1, b"a", None, None), (2, b"b", b"2", None), (3, b"c", b"3", None)]
    wait_for(SHORT, (left, 4), times=False)
    time.sleep(0.5)
    for number in (3, 4):
        write(producer, SHORT, [(b"d", b"%d" % number, None)], EPOCH_MS + number * BATCH_MS)
    left = left[1:] + [(4, b"d", b"3", None), (5, b"d", b"4", None)]
    wait_for(SHORT, (left, 6), times=False)


def keyless():
    errors = []
    producer = producer_of({})
    producer.produce(SHORT, b"no key", None, 0, on_delivery=lambda error, _: errors.append(error))
    eq(producer.flush(60), 0, "undelivered")
    eq([error.name() for error in errors], ["INVALID_RECORD"])


def end_segments_soon(topic):
    entries = [ConfigEntry("segment.ms", "1000", incremental_operation=AlterConfigOpType.SET)]
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
    list(admin.incremental_alter_configs([resource]).values())[0].result(30)


def group(name=GROUP):
    conf = {"group.id": name, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
    return Consumer({"bootstrap.servers": BOOTSTRAP, "enable.partition.eof": True, **conf})


def commit_often():
    end_segments_soon(OFFSETS)
    consumer = group()
    place = TopicPartition(SHORT, 0)
    for number in range(1, COMMITS + 1):
        place.offset = number
        consumer.commit(offsets=[place], asynchronous=False)
    began = time.time()
    while True:
        # Segments end with the next record that comes.
        consumer.commit(offsets=[place], asynchronous=False)
        left = commits_left()
        if left <= COMMITS // 10 or time.time() > began + PATIENCE_S:
            ok(left <= COMMITS // 10, f"{left} commits are left")
            break
        time.sleep(1.1)
    consumer.close()


def commits_left():
    """How many of the group's commits its topic still holds."""
    reader = group("compaction-offsets")
    parts = reader.list_topics(OFFSETS, 20).topics[OFFSETS].partitions
    reader.assign([TopicPartition(OFFSETS, part, 0) for part in parts])
    left, ended = 0, set()
    while len(ended) < len(parts):
        m = reader.poll(20)
        ok(m is not None, "the offsets' topic does not end")
        if m.error():
            eq(m.error().code(), KafkaError._PARTITION_EOF)
            ended.add(m.partition())
        elif m.key() and GROUP.encode() in m.key() and SHORT.encode() in m.key():
            left += 1
    reader.close()
    return left


def stands():
    consumer = group()
    place = [TopicPartition(SHORT, 0)]
    eq(consumer.committed(place, 30)[0].offset, COMMITS)
    consumer.close()


if STEP == "fill":
    feature("compacted topics are made")(make_topics)
if STEP == "offsets":
    feature("the topic of committed offsets is compacted")(commit_often)
if STEP in ("offsets", "place"):
    feature("the group is where it was")(stands)
for topic in TOPICS if STEP in ("fill", "verify") else ():
    if STEP == "fill":
        feature(f"{topic}: written")(lambda t=topic: fill(t))
    feature(f"{topic}: the last record of every key is left")(lambda t=topic: verify(t))
if STEP == "fill":
    feature("tombstones go when delete.retention.ms is over")(tombstones_go)
    feature("a record without a key is refused")(keyless)
report.run()
