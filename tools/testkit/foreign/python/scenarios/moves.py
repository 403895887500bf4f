"""Records of a replica that moves between log directories; topics that ask for a codec.

Arguments: fill|verify|again|last BOOTSTRAP. Each step reads all that was written before and
writes more.
"""

import os
import sys

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import report
from report import eq, feature, ok

STEP, BOOTSTRAP = sys.argv[1:]
STEPS = ["fill", "verify", "again", "last"]
RECORDS = 4000
TOPIC = "moves"
CODECS = {"none": "uncompressed", **{codec: codec for codec in ("gzip", "snappy", "lz4", "zstd")}}


def value(number):
    return b"record %d " % number + b"v" * (number % 200)


def make_topics():
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
    new = [NewTopic(TOPIC, 1, 1)]
    for codec, config in CODECS.items():
        new.append(NewTopic(f"stored-{codec}", 1, 1, config={"compression.type": config}))
    for future in admin.create_topics(new, operation_timeout=30).values():
        future.result(30)


def producer_of(conf):
    return Producer({"bootstrap.servers": BOOTSTRAP, "enable.idempotence": True, **conf})


def write():
    failed = []
    producer = producer_of({"linger.ms": 5})
    first = STEPS.index(STEP) * RECORDS
    for number in range(first, first + RECORDS):
        producer.produce(
            TOPIC,
            value(number),
            b"%d" % number,
            0,
            on_delivery=lambda error, _: failed.append(error) if error else None,
        )
        producer.poll(0)
    eq(producer.flush(60), 0, "undelivered")
    eq(failed, [])


def read(topic, count, want):
    conf = {"group.id": "moves", "enable.auto.commit": False, "check.crcs": True}
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "enable.partition.eof": True, **conf})
    consumer.assign([TopicPartition(topic, 0, 0)])
    number = 0
    while True:
        m = consumer.poll(20)
        ok(m is not None, f"only {number} records")
        if m.error() and m.error().code() == KafkaError._PARTITION_EOF:
            break
        ok(not m.error(), m.error())
        eq((m.offset(), m.value()), (number, want(number)), "record")
        number += 1
    eq(number, count, "records")
    consumer.close()


def recode(codec):
    for sent in ("none", "gzip", "snappy", "lz4", "zstd"):
        producer = producer_of({"compression.type": sent, "linger.ms": 500})
        for number in range(50):
            producer.produce(f"stored-{codec}", b"x" * 100, b"k", 0, headers=[("h", b"%d" % number)])
        eq(producer.flush(60), 0, "undelivered")
    read(f"stored-{codec}", 250, lambda _: b"x" * 100)


if STEP == "fill":
    feature("topics are made")(make_topics)
feature(f"{RECORDS} records are written")(write)
feature("all records are read")(lambda: read(TOPIC, (STEPS.index(STEP) + 1) * RECORDS, value))
if STEP == "fill":
    for codec in CODECS:
        feature(f"batches of every codec go into a topic of {codec}")(lambda c=codec: recode(c))
report.run()
