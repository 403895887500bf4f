"""aiokafka against the broker at $BOOTSTRAP."""

import asyncio
import os
import time
import uuid

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import (
    MessageSizeTooLargeError,
    OffsetOutOfRangeError,
    TopicAlreadyExistsError,
    for_code,
)

import report
from report import eq, feature, ok

B = os.environ.get("BOOTSTRAP", "127.0.0.1:9092")
RUN = uuid.uuid4().hex[:8]


def name(text):
    return f"ak-{RUN}-{text}"


def case(title):
    """A case that is a coroutine, with a limit on its time."""

    def register(body):
        feature(title)(lambda: asyncio.run(asyncio.wait_for(body(), 90)))
        return body

    return register


async def topic(text, partitions=1, **configs):
    admin = AIOKafkaAdminClient(bootstrap_servers=B)
    await admin.start()
    try:
        values = {key.replace("_", "."): str(value) for key, value in configs.items()}
        new = NewTopic(name(text), partitions, 1, topic_configs=values)
        said = await admin.create_topics([new])
        for error in said.topic_errors:
            if error[1]:
                raise for_code(error[1])(error[2])
    finally:
        await admin.close()
    return name(text)


async def produce(where, records, **conf):
    """Sends (key, value, headers) and returns what the broker said of each."""
    producer = AIOKafkaProducer(bootstrap_servers=B, linger_ms=20, **conf)
    await producer.start()
    try:
        sent = [
            await producer.send(where, value, key=key, headers=headers, partition=0)
            for key, value, headers in records
        ]
        return [await future for future in sent]
    finally:
        await producer.stop()


async def read(where, count, offset=0, **conf):
    consumer = AIOKafkaConsumer(bootstrap_servers=B, auto_offset_reset="earliest", **conf)
    await consumer.start()
    try:
        partition = TopicPartition(where, 0)
        consumer.assign([partition])
        consumer.seek(partition, offset)
        return await take(consumer, count)
    finally:
        await consumer.stop()


async def take(consumer, count, seconds=30):
    records = []
    end = time.time() + seconds
    while len(records) < count and time.time() < end:
        for batch in (await consumer.getmany(timeout_ms=300)).values():
            records.extend(batch)
    return records


for codec in (None, "gzip", "snappy", "lz4", "zstd"):

    @case(f"produce and consume with {codec or 'none'}: keys, values and offsets")
    async def _(codec=codec):
        where = await topic(f"codec-{codec}")
        records = [(b"k%d" % i, b"v" * 100 + b"%d" % i, []) for i in range(300)]
        said = await produce(where, records, compression_type=codec)
        eq([m.offset for m in said], list(range(300)))
        got = await read(where, 300)
        eq([(m.key, m.value) for m in got], [(k, v) for k, v, _ in records])


@case("headers, tombstone, empty value")
async def _():
    where = await topic("headers")
    headers = [("a", b"1"), ("a", b"2"), ("e", b"")]
    await produce(where, [(b"k", None, headers), (None, b"", [])])
    first, second = await read(where, 2)
    eq((first.key, first.value, list(first.headers)), (b"k", None, headers))
    eq((second.key, second.value), (None, b""))


@case("acks 0, 1 and all")
async def _():
    where = await topic("acks")
    for acks in (0, 1, "all"):
        await produce(where, [(None, str(acks).encode(), [])], acks=acks)
    eq([m.value for m in await read(where, 3)], [b"0", b"1", b"all"])


@case("idempotent producer keeps order over many small batches")
async def _():
    where = await topic("idempotent")
    records = [(None, b"%d" % i, []) for i in range(2000)]
    said = await produce(where, records, enable_idempotence=True, max_batch_size=512)
    eq([m.offset for m in said], list(range(2000)))
    eq([int(m.value) for m in await read(where, 2000)], list(range(2000)))


@case("a record over max.message.bytes is refused with MESSAGE_TOO_LARGE")
async def _():
    where = await topic("large", max_message_bytes=2000)
    await produce(where, [(None, b"v" * 1500, [])])
    try:
        await produce(where, [(None, b"v" * 2500, [])])
    except MessageSizeTooLargeError:
        pass
    else:
        raise AssertionError("accepted")
    eq(len(await read(where, 1)), 1)


@case("seek by offset, by time, to beginning and end")
async def _():
    where = await topic("seek")
    partition = TopicPartition(where, 0)
    producer = AIOKafkaProducer(bootstrap_servers=B)
    await producer.start()
    for i in range(10):
        stamp = 1700000000000 + i * 1000
        await producer.send_and_wait(where, b"%d" % i, partition=0, timestamp_ms=stamp)
    await producer.stop()
    eq((await read(where, 1, offset=7))[0].offset, 7)
    consumer = AIOKafkaConsumer(bootstrap_servers=B)
    await consumer.start()
    try:
        consumer.assign([partition])
        found = await consumer.offsets_for_times({partition: 1700000003500})
        eq((found[partition].offset, found[partition].timestamp), (4, 1700000004000))
        eq(await consumer.offsets_for_times({partition: 1800000000000}), {partition: None})
        eq(await consumer.beginning_offsets([partition]), {partition: 0})
        eq(await consumer.end_offsets([partition]), {partition: 10})
        await consumer.seek_to_end(partition)
        eq(await consumer.position(partition), 10)
        await consumer.seek_to_beginning(partition)
        eq((await take(consumer, 1))[0].value, b"0")
    finally:
        await consumer.stop()


@case("an offset out of range is an error when nothing says where to go on")
async def _():
    where = await topic("range")
    await produce(where, [(None, b"x", [])])
    consumer = AIOKafkaConsumer(bootstrap_servers=B, auto_offset_reset="none")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(where, 0)])
        consumer.seek(TopicPartition(where, 0), 500)
        try:
            await asyncio.wait_for(consumer.getone(), 15)
        except OffsetOutOfRangeError:
            return
        raise AssertionError("no error")
    finally:
        await consumer.stop()


@case("topics: create, create again, more partitions, delete")
async def _():
    where = await topic("admin", 2)
    try:
        await topic("admin", 2)
        raise AssertionError("created twice")
    except TopicAlreadyExistsError:
        pass
    admin = AIOKafkaAdminClient(bootstrap_servers=B)
    await admin.start()
    try:
        ok(where in await admin.list_topics())
        await admin.create_partitions({where: NewPartitions(4)})
        await asyncio.sleep(0.5)
        described = await admin.describe_topics([where])
        eq(len(described[0]["partitions"]), 4)
        await admin.delete_topics([where])
        await asyncio.sleep(0.5)
        ok(where not in await admin.list_topics())
    finally:
        await admin.close()


def member(group, *topics, **conf):
    return AIOKafkaConsumer(
        *topics,
        bootstrap_servers=B,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=6000,
        heartbeat_interval_ms=500,
        **conf,
    )


async def settled(consumers, shares, seconds=40):
    """Waits until the members' numbers of partitions are `shares`."""
    end = time.time() + seconds
    found = []
    while time.time() < end:
        for consumer in consumers:
            await consumer.getmany(timeout_ms=50)
        found = sorted(len(consumer.assignment()) for consumer in consumers)
        if found == shares:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"shares {found}, wanted {shares}")


@case("group: commit with metadata, leave, resume where it was")
async def _():
    where = await topic("resume")
    await produce(where, [(None, b"%d" % i, []) for i in range(10)])
    partition = TopicPartition(where, 0)
    first = member(name("resume"), where)
    await first.start()
    eq(len(await take(first, 10)), 10)
    await first.commit({partition: (6, "half")})
    eq(await first.committed(partition), 6)
    await first.stop()
    second = member(name("resume"), where)
    await second.start()
    eq([m.value for m in await take(second, 4)], [b"6", b"7", b"8", b"9"])
    await second.stop()


@case("group: members join and leave, partitions move, none is read twice at a time")
async def _():
    where = await topic("join", 4)
    consumers = [member(name("join"), where) for _ in range(2)]
    await consumers[0].start()
    await settled(consumers[:1], [4])
    await consumers[1].start()
    await settled(consumers, [2, 2])
    partitions = [p for consumer in consumers for p in consumer.assignment()]
    eq(len(set(partitions)), 4)
    await consumers[1].stop()
    await settled(consumers[:1], [4])
    await consumers[0].stop()


@case("group: N partitions, N+1 members, the idle one takes over from one that leaves")
async def _():
    where = await topic("idle", 2)
    consumers = [member(name("idle"), where) for _ in range(3)]
    for consumer in consumers:
        await consumer.start()
    await settled(consumers, [0, 1, 1])
    leaving = next(consumer for consumer in consumers if consumer.assignment())
    await leaving.stop()
    rest = [consumer for consumer in consumers if consumer is not leaving]
    await settled(rest, [1, 1])
    for consumer in rest:
        await consumer.stop()


@case("group: a rebalance listener sees what is taken and what is given")
async def _():
    where = await topic("listen", 2)
    seen = []

    class Listener(ConsumerRebalanceListener):
        async def on_partitions_revoked(self, revoked):
            seen.append(("revoked", len(revoked)))

        async def on_partitions_assigned(self, assigned):
            seen.append(("assigned", len(assigned)))

    first = member(name("listen"))
    first.subscribe([where], listener=Listener())
    await first.start()
    await settled([first], [2])
    second = member(name("listen"), where)
    await second.start()
    await settled([first, second], [1, 1])
    ok(("assigned", 2) in seen and ("revoked", 2) in seen and seen[-1] == ("assigned", 1), seen)
    await second.stop()
    await first.stop()


@case("group: static members come back under their name")
async def _():
    where = await topic("static", 2)
    first = member(name("static"), where, group_instance_id="one")
    await first.start()
    await settled([first], [2])
    await first.stop()
    again = member(name("static"), where, group_instance_id="one")
    await again.start()
    await settled([again], [2])
    await again.stop()


report.run()
