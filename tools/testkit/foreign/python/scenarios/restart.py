"""Committed offsets over a broker's restart: `before` commits, `after` and `again` go on from there.

Arguments: before|after|again BOOTSTRAP. Both confluent-kafka and aiokafka; topics and groups have fixed
names, so the broker must be a fresh one.
"""

import asyncio
import os
import subprocess
import sys
import time

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as AioPartition
from confluent_kafka import Consumer, Producer, TopicPartition

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import report
from report import eq, feature

PHASE, BOOTSTRAP = sys.argv[1:]
TOTAL, COMMITTED = 10, 6
REST = [b"%d" % i for i in range(COMMITTED, TOTAL)]


def produce(topic):
    producer = Producer({"bootstrap.servers": BOOTSTRAP})
    for i in range(TOTAL):
        producer.produce(topic, b"%d" % i)
    eq(producer.flush(30), 0)


def take(consumer, count):
    values = []
    end = time.time() + 40
    while len(values) < count and time.time() < end:
        message = consumer.poll(0.3)
        if message is not None and not message.error():
            values.append(message.value())
    return values


def confluent(group):
    return Consumer(
        {
            "bootstrap.servers": BOOTSTRAP,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )


@feature(f"confluent-kafka, {PHASE} the restart")
def _():
    topic = group = "restart-confluent"
    place = TopicPartition(topic, 0, COMMITTED, metadata="half")
    if PHASE == "before":
        produce(topic)
    consumer = confluent(group)
    consumer.subscribe([topic])
    if PHASE == "before":
        eq(len(take(consumer, TOTAL)), TOTAL)
        consumer.commit(offsets=[place], asynchronous=False)
    else:
        eq(take(consumer, len(REST)), REST)
        found = consumer.committed([TopicPartition(topic, 0)], 20)[0]
        eq((found.offset, found.metadata), (COMMITTED, "half"))
    consumer.close()


async def aio_member(topic, group):
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=BOOTSTRAP,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        count = TOTAL if PHASE == "before" else len(REST)
        values = [(await asyncio.wait_for(consumer.getone(), 40)).value for _ in range(count)]
        if PHASE == "before":
            await consumer.commit({AioPartition(topic, 0): COMMITTED})
        return values
    finally:
        await consumer.stop()


@feature(f"aiokafka, {PHASE} the restart")
def _():
    topic = group = "restart-aiokafka"
    if PHASE == "before":
        produce(topic)
    values = asyncio.run(aio_member(topic, group))
    if PHASE == "after":
        eq(values, REST)


# kcat commits what it read whenever it ends: each step reads on from the one before.
KCAT_READS = {"before": range(6), "after": range(6, 8), "again": range(8, 10)}


@feature(f"kcat, {PHASE} the restart")
def _():
    topic = group = "restart-kcat"
    if PHASE == "before":
        produce(topic)
    want = [b"%d" % i for i in KCAT_READS[PHASE]]
    command = ["kcat", "-b", BOOTSTRAP, "-G", group, "-q", "-c", str(len(want))]
    command += ["-X", "auto.offset.reset=earliest", "-X", "session.timeout.ms=6000", topic]
    said = subprocess.run(command, capture_output=True, timeout=80)
    eq(said.stdout.split(), want)


report.run()
