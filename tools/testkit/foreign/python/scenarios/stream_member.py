"""One member of a group that takes a topic out into files.

Arguments: BOOTSTRAP TOPIC GROUP FOLDER. What partition p gave from offset o on is appended to the
file `p-o` as key, tab, value, newline. The offset is committed when partitions are taken away and at
the end (SIGTERM), so together the members write every record once.
"""

import os
import signal
import sys

from confluent_kafka import Consumer, TopicPartition

BOOTSTRAP, TOPIC, GROUP, FOLDER = sys.argv[1:]
files = {}
running = True


def end(_signal, _frame):
    global running
    running = False


def revoked(consumer, partitions):
    done = []
    for place in partitions:
        if place.partition in files:
            file, next_offset = files.pop(place.partition)
            file.close()
            done.append(TopicPartition(TOPIC, place.partition, next_offset))
    if done:
        consumer.commit(offsets=done, asynchronous=False)


signal.signal(signal.SIGTERM, end)
consumer = Consumer(
    {
        "bootstrap.servers": BOOTSTRAP,
        "group.id": GROUP,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "check.crcs": True,
    }
)
consumer.subscribe([TOPIC], on_revoke=revoked)
while running:
    for message in consumer.consume(2000, 0.5):
        if message.error():
            sys.exit(f"{message.error()}")
        p, offset = message.partition(), message.offset()
        if p not in files:
            files[p] = (open(os.path.join(FOLDER, f"{p}-{offset:012d}"), "wb"), offset)
        file, want = files[p]
        if offset != want:
            sys.exit(f"partition {p}: offset {offset}, expected {want}")
        file.write(message.key() + b"\t" + message.value() + b"\n")
        files[p] = (file, offset + 1)
    for file, _ in files.values():
        file.flush()
consumer.close()
