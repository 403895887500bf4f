"""Reads a topic whole and compares it with the producers' ledgers.

Arguments: BOOTSTRAP TOPIC PARTITIONS LEDGER... (the ledger of producer N is the Nth). Every
acknowledged record must be there once, at the acknowledged offset, and each producer's records must
be in the order in which they were sent.
"""

import os
import struct
import sys

from confluent_kafka import Consumer, KafkaError, TopicPartition

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import report

BOOTSTRAP, TOPIC, PARTITIONS, *LEDGERS = sys.argv[1:]
PARTITIONS = int(PARTITIONS)


def ledger(path):
    """Acknowledged offset by record number."""
    return {number: offset for number, offset in struct.iter_unpack(">qq", open(path, "rb").read())}


def stored():
    """All records: per partition a list of (offset, producer, number)."""
    consumer = Consumer(
        {
            "bootstrap.servers": BOOTSTRAP,
            "group.id": "kill-check",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "check.crcs": True,
        }
    )
    places = [TopicPartition(TOPIC, p, 0) for p in range(PARTITIONS)]
    consumer.assign(places)
    found = {p: [] for p in range(PARTITIONS)}
    open_ends = set(found)
    while open_ends:
        messages = consumer.consume(5000, 30)
        if not messages:
            raise AssertionError(f"partitions {open_ends} do not end")
        for message in messages:
            if message.error():
                if message.error().code() != KafkaError._PARTITION_EOF:
                    raise AssertionError(message.error())
                open_ends.discard(message.partition())
                continue
            name, number, _ = message.value().split(b" ", 2)
            place = (message.offset(), int(name), int(number))
            found[message.partition()].append(place)
    consumer.close()
    return found


ledgers = [ledger(path) for path in LEDGERS]
records = stored()
count = sum(len(part) for part in records.values())
acks = sum(len(known) for known in ledgers)


@report.feature("offsets have no gap")
def _():
    for partition, part in records.items():
        offsets = [offset for offset, _, _ in part]
        report.eq(offsets, list(range(len(part))), f"partition {partition}")


@report.feature("every acknowledged record is stored at its acknowledged offset")
def _():
    at = {(name, number): offset for part in records.values() for offset, name, number in part}
    for name, known in enumerate(ledgers):
        report.ok(known, f"producer {name} got nothing acknowledged")
        lost = [n for n, offset in known.items() if at.get((name, n)) != offset]
        report.eq(lost[:5], [], f"producer {name}, {len(lost)} of {len(known)}, the first:")


@report.feature("no record is stored twice")
def _():
    for partition, part in records.items():
        seen = set()
        twice = []
        for offset, name, number in part:
            if (name, number) in seen:
                twice.append((offset, name, number))
            seen.add((name, number))
        report.eq(twice[:5], [], f"partition {partition}, {len(twice)} doubles, the first:")


@report.feature("each producer's records are in order")
def _():
    for partition, part in records.items():
        last = {}
        for offset, name, number in part:
            report.ok(last.get(name, -1) < number, f"{name}:{number} at {partition}:{offset}")
            last[name] = number


@report.feature("nothing is stored that was not sent")
def _():
    report.ok(count >= acks > 0, f"{count} stored, {acks} acknowledged")
    for partition, part in records.items():
        strays = [r for r in part if r[1] >= len(ledgers) or r[2] % PARTITIONS != partition]
        report.eq(strays[:5], [], f"partition {partition}")


print(f"{count} records stored, {acks} acknowledged")
report.run()
