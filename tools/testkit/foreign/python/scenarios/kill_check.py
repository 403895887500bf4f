"""Reads a topic whole and compares it with the producers' ledgers.

Arguments: BOOTSTRAP TOPIC PARTITIONS LEDGER... (the ledger of producer N is the Nth). Every
acknowledged record must be there once, at the acknowledged offset, and each producer's records must
be in the order in which they were sent.
"""

import os
import struct
import sys
import time

from confluent_kafka import Consumer, KafkaError, TopicPartition

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import report

BOOTSTRAP, TOPIC, PARTITIONS, *LEDGERS = sys.argv[1:]
PARTITIONS = int(PARTITIONS)


# A record as one number: its producer above, its own number below.
SHIFT = 48


def ledger(path):
    """(number, offset) of every acknowledged record."""
    return list(struct.iter_unpack(">qq", open(path, "rb").read()))


def stored():
    """Per partition its records by offset; a gap in the offsets is an error."""
    consumer = Consumer(
        {
            "bootstrap.servers": BOOTSTRAP,
            "group.id": "kill-check",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "check.crcs": True,
        }
    )
    consumer.assign([TopicPartition(TOPIC, p, 0) for p in range(PARTITIONS)])
    found = [[] for _ in range(PARTITIONS)]
    open_ends = set(range(PARTITIONS))
    heard = time.time()
    while open_ends:
        # It waits for as many as are asked for, and the last ones are fewer: a short wait each time.
        messages = consumer.consume(10000, 0.3)
        report.ok(messages or time.time() < heard + 30, f"partitions {open_ends} do not end")
        heard = time.time() if messages else heard
        for message in messages:
            error = message.error()
            if error:
                report.eq(error.code(), KafkaError._PARTITION_EOF, str(error))
                open_ends.discard(message.partition())
                continue
            part = found[message.partition()]
            if message.offset() != len(part):
                raise AssertionError(f"offset {message.offset()} after {len(part) - 1}")
            name, number, _ = message.value().split(b" ", 2)
            part.append(int(name) << SHIFT | int(number))
    consumer.close()
    return found


ledgers = [ledger(path) for path in LEDGERS]
acks = sum(len(known) for known in ledgers)
records = []


@report.feature("every partition is read whole, without a gap in its offsets")
def _():
    records.extend(stored())


@report.feature("every acknowledged record is stored at its acknowledged offset")
def _():
    for name, known in enumerate(ledgers):
        report.ok(known, f"producer {name} got nothing acknowledged")
        lost = []
        for number, offset in known:
            part = records[number % PARTITIONS]
            if offset >= len(part) or part[offset] != name << SHIFT | number:
                lost.append((number, offset))
        report.eq(lost[:5], [], f"producer {name}, {len(lost)} of {len(known)}, the first:")


@report.feature("no record is stored twice")
def _():
    for partition, part in enumerate(records):
        report.eq(len(part) - len(set(part)), 0, f"doubles in partition {partition}:")


@report.feature("each producer's records are in order")
def _():
    for partition, part in enumerate(records):
        last = [-1] * len(ledgers)
        for offset, record in enumerate(part):
            name, number = record >> SHIFT, record & (1 << SHIFT) - 1
            if number <= last[name]:
                raise AssertionError(f"{name}:{number} at {partition}:{offset}")
            last[name] = number


@report.feature("nothing is stored that was not sent")
def _():
    count = sum(len(part) for part in records)
    report.ok(count >= acks > 0, f"{count} stored, {acks} acknowledged")
    for partition, part in enumerate(records):
        strays = [r for r in part if (r & (1 << SHIFT) - 1) % PARTITIONS != partition]
        report.eq(strays[:5], [], f"partition {partition}")


report.run()
