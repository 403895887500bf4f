"""What a cluster holds in the end, read by a client in a process of its own.

Its own process, because a client may abort on what a damaged broker serves it.
"""

import json
import os
import pickle
import subprocess
import sys
import tempfile
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from workers import IMPATIENT

WHOLE_PATIENCE, STANDSTILL_PATIENCE = 90, 25


def read(bootstrap, topics, partitions, isolation="read_committed"):
    """({(topic, partition): [(offset, value)]}, partitions whose end was not reached, errors)."""
    with tempfile.NamedTemporaryFile(suffix=".pickle") as file:
        arguments = json.dumps([bootstrap, topics, partitions, isolation])
        command = [sys.executable, "-B", os.path.abspath(__file__), file.name, arguments]
        reader = subprocess.run(command, capture_output=True, text=True)
        if reader.returncode == 0:
            return pickle.load(file)
    places = [(topic, partition) for topic in topics for partition in range(partitions)]
    said = reader.stderr.strip()[-200:]
    return {p: [] for p in places}, set(places), {f"reader ended {reader.returncode}: {said}": 1}


def read_here(bootstrap, topics, partitions, isolation):
    consumer = Consumer(
        {
            **IMPATIENT,
            "bootstrap.servers": bootstrap,
            "group.id": "contents",
            "enable.auto.commit": False,
            "isolation.level": isolation,
            "enable.partition.eof": True,
            "check.crcs": True,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 100,
        }
    )
    places = [(topic, partition) for topic in topics for partition in range(partitions)]
    consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in places])
    found, unread, errors = {place: [] for place in places}, set(places), {}
    began = moved = time.time()
    while unread and time.time() - began < WHOLE_PATIENCE:
        if time.time() - moved > STANDSTILL_PATIENCE:
            break
        for message in consumer.consume(10000, 0.3):
            place, error = (message.topic(), message.partition()), message.error()
            if error is None:
                moved = time.time()
                found[place].append((message.offset(), message.value()))
            elif error.code() == KafkaError._PARTITION_EOF:
                unread.discard(place)
            else:
                errors[error.name()] = errors.get(error.name(), 0) + 1
    consumer.close()
    return found, unread, errors


if __name__ == "__main__":
    result = read_here(*json.loads(sys.argv[2]))
    with open(sys.argv[1], "wb") as output:
        pickle.dump(result, output)
