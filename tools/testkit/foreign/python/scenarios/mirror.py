"""MirrorMaker 2 between two clusters, both ways: each record arrives once, and groups' offsets go along.

Arguments: begin|more A B ROUND (`begin` makes the topics, before MirrorMaker starts; then `more`).
Topic `one` of cluster a comes to b as `a.one`, topic `two` of b comes to a as `b.two`.
"""

import os
import sys

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import report
from report import eq, feature, ok, until

STEP, A, B, ROUND = sys.argv[1:]
ROUND = int(ROUND)
PARTITIONS, RECORDS = 2, 200
PATIENCE_S = 150
# Topic, where it is from, where it goes, and as what.
WAYS = (("one", A, B, "a.one"), ("two", B, A, "b.two"))


def make():
    for topic, source, _, _ in WAYS:
        admin = AdminClient({"bootstrap.servers": source})
        new = NewTopic(topic, PARTITIONS, 1, config={"retention.ms": "123456789"})
        admin.create_topics([new])[topic].result(30)


def record(partition, number):
    key = b"key %d" % number if number % 3 else None
    headers = [("n", b"%d" % number)] if number % 2 else None
    return key, b"%d/%d" % (partition, number), headers


def write(topic, server):
    failed = []
    producer = Producer({"bootstrap.servers": server, "enable.idempotence": True})
    for number in range((ROUND - 1) * RECORDS, ROUND * RECORDS):
        for partition in range(PARTITIONS):
            key, value, headers = record(partition, number)
            producer.produce(
                topic,
                value,
                key,
                partition,
                headers=headers,
                on_delivery=lambda error, _: failed.append(error) if error else None,
            )
    eq(producer.flush(60), 0, "undelivered")
    eq(failed, [])


def reader(server, group):
    conf = {"group.id": group, "enable.auto.commit": False, "isolation.level": "read_committed"}
    return Consumer({"bootstrap.servers": server, "enable.partition.eof": True, **conf})


def all_of(topic, server):
    """All records by partition, or nothing while the topic is not there."""
    consumer, found, ended = reader(server, "mirror-check"), [[] for _ in range(PARTITIONS)], set()
    try:
        consumer.assign([TopicPartition(topic, p, 0) for p in range(PARTITIONS)])
        while len(ended) < PARTITIONS:
            message = consumer.poll(20)
            if message is None:
                return None
            if message.error():
                if message.error().code() != KafkaError._PARTITION_EOF:
                    return None
                ended.add(message.partition())
                continue
            row = (message.key(), message.value(), message.headers())
            found[message.partition()].append(row)
        return found
    finally:
        consumer.close()


def whole(topic, server):
    want = [[record(p, n) for n in range(ROUND * RECORDS)] for p in range(PARTITIONS)]

    def got_all():
        found = all_of(topic, server)
        return found and all(len(part) >= ROUND * RECORDS for part in found) and found

    eq(until(f"all of {topic}", got_all, PATIENCE_S, 1), want)


def commit(topic, server):
    consumer = reader(server, f"group-{topic}")
    places = [TopicPartition(topic, p, ROUND * RECORDS) for p in range(PARTITIONS)]

    def committed():
        try:
            return consumer.commit(offsets=places, asynchronous=False)
        except KafkaException:
            return None

    until("a commit", committed)
    consumer.close()


def translated(topic, as_what, server):
    """The group's offsets come along: not beyond what is there, and into this round's records."""
    places = [TopicPartition(as_what, p) for p in range(PARTITIONS)]
    consumer = reader(server, f"group-{topic}")

    def moved():
        try:
            found = [place.offset for place in consumer.committed(places, 20)]
        except KafkaException:
            return None
        return all(offset > (ROUND - 1) * RECORDS for offset in found) and found

    found = until("the group's offsets", moved, PATIENCE_S, 1)
    ends = [consumer.get_watermark_offsets(place, 20)[1] for place in places]
    ok(all(offset <= end for offset, end in zip(found, ends, strict=True)), f"{found}, {ends}")
    consumer.close()


if STEP == "begin":
    feature("topics are made")(make)
else:
    for topic, source, target, as_what in WAYS:
        feature(f"round {ROUND}: {topic} is written")(lambda t=topic, s=source: write(t, s))
        feature(f"round {ROUND}: a group commits its place in {topic}")(
            lambda t=topic, s=source: commit(t, s)
        )
    for topic, _, target, as_what in WAYS:
        feature(f"round {ROUND}: {as_what} holds each record once, in order")(
            lambda a=as_what, t=target: whole(a, t)
        )
        feature(f"round {ROUND}: the group's offsets come along to {as_what}")(
            lambda n=topic, a=as_what, t=target: translated(n, a, t)
        )
report.run()
