"""Reads a partition with damaged records, of which no other replica has a good copy.

Arguments: STEP BOOTSTRAP NUMBERS. `fill COUNT` writes; `read FIRST LAST COUNT` expects the records
FIRST to LAST to be refused and all others to be there; `read-again FIRST LAST` leaves the end out;
`tail FIRST COUNT` expects good records from FIRST on, fewer than COUNT, and writes one more.
"""

import os
import sys

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import report
from report import eq, feature, ok

STEP, BOOTSTRAP = sys.argv[1:3]
NUMBERS = [int(number) for number in sys.argv[3:]]
TOPIC = "damage"
# What librdkafka calls Kafka's CORRUPT_MESSAGE.
CORRUPT = KafkaError.INVALID_MSG


def value(number):
    return b"%d:" % number + bytes((number * 31 + i * 7) % 251 for i in range(1000))


def write(numbers):
    failed = []
    producer = Producer(
        {
            "bootstrap.servers": BOOTSTRAP,
            "enable.idempotence": True,
            "batch.num.messages": 20,
            "linger.ms": 5,
            "compression.type": "none",
        }
    )
    for number in numbers:
        producer.produce(
            TOPIC, value(number), partition=0, on_delivery=lambda e, _: e and failed.append(e)
        )
        producer.poll(0)
    eq(producer.flush(30), 0, "not delivered")
    eq(failed, [], "refused")


def read(first, end, seconds=15):
    """The values from `first` up to `end`, or to the first error, and that error."""
    consumer = Consumer(
        {
            "bootstrap.servers": BOOTSTRAP,
            "group.id": "unused",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "check.crcs": True,
            "enable.partition.eof": True,
        }
    )
    consumer.assign([TopicPartition(TOPIC, 0, first)])
    values, error = [], None
    try:
        while first + len(values) < end and error is None:
            message = consumer.poll(seconds)
            if message is None:
                raise AssertionError(f"nothing for {seconds} s at {first + len(values)}")
            if message.error():
                error = message.error().code()
            else:
                eq(message.offset(), first + len(values), "offset")
                values.append(message.value())
    finally:
        consumer.close()
    return values, error


def good(values, first):
    for number, got in enumerate(values, first):
        ok(got == value(number), f"record {number} is not what was written")


def refused(first, last):
    for offset in (first, last):
        values, error = read(offset, offset + 1)
        eq((values, error), ([], CORRUPT), f"at {offset}")


def before(first):
    start = max(0, first - 500)
    values, error = read(start, first + 1)
    eq((len(values), error), (first - start, CORRUPT), "records before the damage")
    good(values, start)


if STEP == "fill":

    @feature("records are written")
    def _():
        admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
        topic = NewTopic(TOPIC, 1, 1, config={"segment.bytes": str(1 << 20)})
        admin.create_topics([topic], operation_timeout=30)[TOPIC].result(30)
        write(range(NUMBERS[0]))
        values, error = read(0, NUMBERS[0])
        eq((len(values), error), (NUMBERS[0], None), "read")
        good(values, 0)

elif STEP in ("read", "read-again"):
    FIRST, LAST, *COUNT = NUMBERS
    after = "" if STEP == "read" else "after a crash "

    @feature(f"{after}damaged records {FIRST} to {LAST} are refused with CORRUPT_MESSAGE")
    def _():
        refused(FIRST, LAST)

    @feature(f"{after}records before {FIRST} are served, and nothing in place of the damaged ones")
    def _():
        before(FIRST)

    @feature(f"{after}records behind {LAST} are served")
    def _():
        end = min(LAST + 501, *COUNT) if COUNT else LAST + 501
        values, error = read(LAST + 1, end)
        eq((len(values), error), (end - LAST - 1, None), "read")
        good(values, LAST + 1)

else:
    FIRST, COUNT = NUMBERS

    @feature("what is good before a zeroed tail is served, and nothing of the tail")
    def _():
        values, error = read(FIRST, COUNT + 1)
        eq(error, KafkaError._PARTITION_EOF, "error")
        end = FIRST + len(values)
        ok(COUNT - 200 < end < COUNT, f"the log ends at {end}")
        good(values, FIRST)

    @feature("the partition takes records again behind a zeroed tail")
    def _():
        values, _ = read(FIRST, COUNT + 1)
        end = FIRST + len(values)
        write([end])
        values, error = read(end, end + 1)
        eq((len(values), error), (1, None), "read")
        good(values, end)


report.run()
