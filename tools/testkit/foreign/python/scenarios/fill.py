"""Fills a broker with one of everything, and checks that it is all there.

Arguments: topics|fill|verify|verify-records BOOTSTRAP EPOCH_MS. `topics` only makes the topics, `fill` also
writes the records and commits a group's offsets; `verify-records` leaves the group out. What is
written depends on nothing but this file and EPOCH_MS, so any broker that got the files can be asked for it.
"""

import os
import sys

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import report
from report import eq, feature, ok, until

STEP, BOOTSTRAP, EPOCH = sys.argv[1:]
# The first record's timestamp: recent enough for retention, older than the time of writing.
EPOCH_MS = int(EPOCH)
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
PARTITIONS = 2
RECORDS = 6000
# The smallest segment that Kafka allows: a partition has several of them.
SEGMENT = 1 << 20
GROUP, COMMITTED = "files-group", 1234
# Two producers' transactions overlap in each round; some are aborted.
ROUNDS, OF_TRANSACTION = 24, 15


def topic(codec):
    return f"files-{codec}"


def record(partition, number):
    """(key, value, headers, timestamp) of one record."""
    key = None if number % 5 == 0 else b"key-%d" % (number % 97)
    value = None if key and number % 11 == 0 else b"%d:%d:" % (partition, number) + text(number)
    headers = [("n", b"%d" % number), ("empty", b"")] if number % 3 == 0 else None
    return key, value, headers, EPOCH_MS + number * 10


def noise(size):
    """Bytes that do not compress and are the same everywhere: a small generator, run once."""
    state, out = 1, bytearray()
    for _ in range(size):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        out.append(state >> 16 & 0xFF)
    return bytes(out)


NOISE = noise(1 << 20)


def text(number):
    """Some that compresses and some that does not, so that segments fill up."""
    # A large odd step: what overlaps is far apart, out of reach of a batch's compression.
    begin = number * 7919 % (len(NOISE) - 600)
    return NOISE[begin : begin + number % 400 + 200] + b"x" * 100


def make_topics():
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
    config = {"segment.bytes": str(SEGMENT)}
    names = [topic(codec) for codec in CODECS] + [topic("transactions")]
    new = [NewTopic(name, PARTITIONS, 1, config=config) for name in names]
    for future in admin.create_topics(new, operation_timeout=30).values():
        future.result(30)


def fill(codec):
    failed = []
    producer = Producer(
        {
            "bootstrap.servers": BOOTSTRAP,
            "compression.type": codec,
            "enable.idempotence": True,
            "linger.ms": 5,
            "batch.num.messages": 200,
        }
    )
    for number in range(RECORDS):
        for partition in range(PARTITIONS):
            key, value, headers, stamp = record(partition, number)
            producer.produce(
                topic(codec),
                value,
                key,
                partition,
                headers=headers,
                timestamp=stamp,
                on_delivery=lambda error, _: failed.append(error) if error else None,
            )
        if number % 100 == 0:
            producer.poll(0)
    eq(producer.flush(60), 0, "undelivered")
    eq(failed, [])


def reader(group="files-reader", level="read_committed"):
    conf = {"group.id": group, "enable.auto.commit": False, "check.crcs": True}
    conf["isolation.level"] = level
    return Consumer({"bootstrap.servers": BOOTSTRAP, **conf})


def verify(codec):
    consumer = reader()
    consumer.assign([TopicPartition(topic(codec), p, 0) for p in range(PARTITIONS)])
    nexts = [0] * PARTITIONS
    while sum(nexts) < RECORDS * PARTITIONS:
        messages = consumer.consume(2000, 20)
        ok(messages, f"only {nexts} records")
        for m in messages:
            ok(not m.error(), m.error())
            partition = m.partition()
            eq(m.offset(), nexts[partition], f"partition {partition}")
            want = record(partition, nexts[partition])
            got = (m.key(), m.value(), m.headers(), m.timestamp()[1])
            eq(got, want, f"partition {partition} offset {m.offset()}")
            nexts[partition] += 1
    ends = [
        consumer.get_watermark_offsets(TopicPartition(topic(codec), p), 20)
        for p in range(PARTITIONS)
    ]
    eq(ends, [(0, RECORDS)] * PARTITIONS, "start and end")
    middle = EPOCH_MS + RECORDS // 2 * 10 - 5
    found = consumer.offsets_for_times([TopicPartition(topic(codec), 0, middle)], 20)
    eq(found[0].offset, RECORDS // 2, "offset at a time")
    consumer.close()


def of_transaction(writer, turn):
    """The values that a transaction writes to each partition."""
    return [b"%d:%d:%d:" % (writer, turn, n) + text(n * 37) for n in range(OF_TRANSACTION)]


def is_committed(writer, turn):
    return turn % (3, 4)[writer] != 0


def fill_transactions():
    writers = []
    for writer in range(2):
        conf = {"bootstrap.servers": BOOTSTRAP, "transactional.id": f"files-{writer}"}
        writers.append(Producer(conf))
        writers[writer].init_transactions(60)
    for turn in range(ROUNDS):
        for writer, producer in enumerate(writers):
            producer.begin_transaction()
            for value in of_transaction(writer, turn):
                for partition in range(PARTITIONS):
                    producer.produce(topic("transactions"), value, None, partition)
            eq(producer.flush(60), 0, "undelivered")
        for writer, producer in enumerate(writers):
            if is_committed(writer, turn):
                producer.commit_transaction(60)
            else:
                producer.abort_transaction(60)


def verify_transactions(level, counts):
    rounds = [(writer, turn) for turn in range(ROUNDS) for writer in range(2)]
    want = [v for one in rounds if counts(*one) for v in of_transaction(*one)]
    consumer = reader(level=level)
    consumer.assign([TopicPartition(topic("transactions"), p, 0) for p in range(PARTITIONS)])
    got = [[] for _ in range(PARTITIONS)]
    while (missing := len(want) * PARTITIONS - sum(map(len, got))) > 0:
        # It waits for as many as are asked for: for more than there are it would wait in vain.
        messages = consumer.consume(min(missing, 2000), 20)
        ok(messages, f"only {list(map(len, got))} of {len(want)} records")
        for m in messages:
            ok(not m.error(), m.error())
            got[m.partition()].append(m.value())
    more = consumer.consume(1, 1)
    eq([m.value()[:9] for m in more], [], "more than was written")
    for partition in range(PARTITIONS):
        eq([v[:9] for v in got[partition]], [v[:9] for v in want], f"partition {partition}")
        eq(got[partition], want, f"partition {partition}")
    consumer.close()


if STEP in ("topics", "fill"):
    feature("topics are made")(make_topics)
for codec in CODECS:
    if STEP == "fill":
        feature(f"{RECORDS * PARTITIONS} records are written with {codec}")(lambda c=codec: fill(c))
    elif STEP.startswith("verify"):
        feature(f"records written with {codec} are read back")(lambda c=codec: verify(c))

if STEP == "fill":
    feature(f"{ROUNDS * 2} transactions are written, some aborted")(fill_transactions)
elif STEP.startswith("verify"):
    feature("a reader of committed records gets those of transactions that were committed")(
        lambda: verify_transactions("read_committed", is_committed)
    )
    feature("a reader of all records gets those of aborted transactions, too")(
        lambda: verify_transactions("read_uncommitted", lambda *_: True)
    )


def place():
    return TopicPartition(topic("none"), 0, COMMITTED, metadata="files")


def commit():
    consumer = reader(GROUP)

    def tried():
        try:
            return consumer.commit(offsets=[place()], asynchronous=False)
        except KafkaException as error:
            # The group's coordinator may still be loading.
            ok(error.args[0].code() == KafkaError.NOT_COORDINATOR, error)

    until("a commit", tried)
    consumer.close()


def committed():
    consumer = reader(GROUP)
    found = consumer.committed([place()], 30)[0]
    consumer.close()
    eq((found.offset, found.metadata), (COMMITTED, "files"))


if STEP == "fill":
    feature("a group's offset is committed")(commit)
if STEP == "verify":
    feature("the committed offset is read back")(committed)
report.run()
