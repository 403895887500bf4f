"""Workers: each in a process of its own, each with a ledger that judge.py reads afterwards.

    workers.py KIND CONFIG.json      ends when the configuration's stop file is there

A ledger is one JSON list per line, its first word says what it is. Times are seconds since 1970.
No worker knows which program the broker is. A Group with `protocol: consumer` needs KIP-848.
"""

import json
import logging
import os
import re
import sys
import threading
import time
import zlib

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition

# Short waits of the client, so that the figures show the brokers and not the client's patience.
IMPATIENT = {
    "socket.timeout.ms": 5000,
    "socket.connection.setup.timeout.ms": 2000,
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 500,
    "topic.metadata.refresh.interval.ms": 5000,
    "log_level": 0,
}
# Which node a line of the client's log is about: the thread [thrd:host:port/node].
NODE = re.compile(r"\[thrd:[^]]*/(\d+)\]")
RETRIES = {"retry.backoff.ms": 50, "retry.backoff.max.ms": 500}


class Worker:
    def __init__(self, config):
        self.config = config
        path = os.path.join(config["folder"], config["name"] + ".jsonl")
        self.ledger, self.lock = open(path, "w", 1 << 20), threading.Lock()
        self.flushed = self.looked = 0.0
        self.stopped = False

    def put(self, *row):
        with self.lock:
            self.ledger.write(json.dumps(row, separators=(",", ":")) + "\n")
            if time.time() - self.flushed > 0.3:
                self.flushed = time.time()
                self.ledger.flush()

    def close(self):
        with self.lock:
            self.ledger.close()

    def stop(self):
        if not self.stopped and time.time() - self.looked > 0.2:
            self.looked = time.time()
            self.stopped = os.path.exists(self.config["stop"])
        return self.stopped

    def client(self, **options):
        bootstrap = {"bootstrap.servers": self.config["bootstrap"]}
        return {**IMPATIENT, **bootstrap, **options, **self.config.get("client", {})}


class Produce(Worker):
    """Numbered records to every partition in turn, at a steady rate.

    ["ack", producer, partition, number, offset, time], ["fail", producer, partition, number, code],
    ["sent", producer, [numbers per partition]]. After a fatal error a new producer goes on.
    ["gap", producer, time, node, [numbers sent until then per partition], text]: this node has
    refused a batch because an earlier one is missing. Then the client begins a new producer epoch,
    ["epoch", producer, time, text], and may send again what is stored already; no broker can tell
    that from something new.
    """

    def run(self):
        life = 0
        while not self.stop():
            self.one_life(f"{self.config['name']}-{life}")
            life += 1

    def epochs(self, name, numbers):
        """A logger that puts into the ledger why the client begins a new epoch, and when."""
        worker = self

        class Epochs(logging.Handler):
            def emit(self, record):
                text, now = record.getMessage(), round(time.time(), 4)
                if "ERRSEQ" in text:
                    node = NODE.search(text)
                    node = int(node[1]) if node else None
                    worker.put("gap", name, now, node, list(numbers), text[:500])
                elif "epoch bump" in text or "fatal" in text.lower():
                    worker.put("epoch", name, now, text[:300])

        logger = logging.getLogger(f"epochs-{name}")
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        logger.addHandler(Epochs())
        return logger

    def one_life(self, name):
        config, fatal = self.config, []
        parts, rate = config["partitions"], config["rate"]
        acks = config.get("acks", "all")
        numbers = [0] * parts

        def delivered(error, message):
            _, partition, number = message.value().split(b"|", 3)[:3]
            if error is None:
                now = round(time.time(), 4)
                self.put("ack", name, int(partition), int(number), message.offset(), now)
            else:
                self.put("fail", name, int(partition), int(number), error.name())

        producer = Producer(
            self.client(
                **RETRIES,
                **{
                    "debug": "eos",
                    "log_level": 7,
                    "logger": self.epochs(name, numbers),
                    "acks": acks,
                    "enable.idempotence": acks == "all",
                    "linger.ms": 5,
                    "message.timeout.ms": 120000,
                    "request.timeout.ms": 5000,
                    "queue.buffering.max.messages": 400000,
                    "on_delivery": delivered,
                    "error_cb": lambda error: fatal.append(str(error)) if error.fatal() else None,
                },
            )
        )
        padding = b"." * max(0, config.get("size", 100) - 40)
        sent, began = 0, time.time()
        while not self.stop() and not fatal:
            due = int((time.time() - began) * rate)
            while sent < due:
                part = sent % parts
                value = b"%s|%d|%d|" % (name.encode(), part, numbers[part]) + padding
                try:
                    producer.produce(config["topic"], value, partition=part)
                except BufferError:
                    break
                except KafkaException as error:
                    fatal.append(str(error))
                    break
                numbers[part] += 1
                sent += 1
            try:
                producer.poll(0.005)
            except KafkaException as error:
                fatal.append(str(error))
        for error in fatal:
            self.put("fatal", name, error)
        left = producer.flush(60)
        self.put("sent", name, numbers)
        if left:
            self.put("unanswered", name, left)


class Watch(Worker):
    """Reads everything as it comes: ["read", topic, partition, [[offset, checksum], ...]]."""

    def run(self):
        config = self.config
        consumer = Consumer(
            self.client(
                **{
                    "group.id": "watch",
                    "enable.auto.commit": False,
                    "isolation.level": "read_committed",
                    "check.crcs": True,
                    "auto.offset.reset": "error",
                }
            )
        )
        consumer.assign(
            [
                TopicPartition(topic, partition, OFFSET_BEGINNING)
                for topic in config["topics"]
                for partition in range(config["partitions"])
            ]
        )
        while not self.stop():
            seen = {}
            for message in consumer.consume(5000, 0.2):
                place = (message.topic(), message.partition())
                if message.error():
                    self.put("error", message.error().name(), *place)
                    continue
                row = (message.offset(), zlib.crc32(message.value()))
                seen.setdefault(place, []).append(row)
            for (topic, partition), rows in seen.items():
                self.put("read", topic, partition, rows)


class Group(Worker):
    """Two members of one group with synchronous commits, and an observer of what is committed.

    ["got", member, partition, first, last, time], ["commit", partition, offset, time] acknowledged,
    ["seen", partition, offset, asked, answered], ["refused", code, time].
    """

    def open(self):
        config = self.config
        options = {
            "group.id": config["group"],
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
        if config.get("protocol") == "consumer":
            options["group.protocol"] = "consumer"
        else:
            options["session.timeout.ms"] = 10000
            options["heartbeat.interval.ms"] = 1000
            options["partition.assignment.strategy"] = "cooperative-sticky"
        consumer = Consumer(self.client(**options))
        consumer.subscribe([config["topic"]])
        return consumer

    def member(self, number):
        consumer, committed, news = self.open(), time.time(), False
        while not os.path.exists(self.config["stop_groups"]):
            runs, lost = self.consume(consumer)
            news, now = news or bool(runs), round(time.time(), 3)
            for partition, first, last in runs:
                self.put("got", number, partition, first, last, now)
            if lost:
                # An application whose member has ended for good starts another one.
                try:
                    consumer.close()
                except (KafkaException, RuntimeError):
                    pass
                consumer = self.open()
            elif news and time.time() - committed > 0.5:
                # Only when there is something: each commit of nothing puts off librdkafka's next
                # heartbeat, for ever after a time in which heartbeats were refused.
                committed, news = time.time(), False
                self.commit(consumer)
        self.commit(consumer)
        consumer.close()

    def consume(self, consumer):
        runs, open_runs, lost = [], {}, False
        for message in consumer.consume(2000, 0.2):
            if message.error():
                self.put("error", message.error().name())
                lost = lost or message.error().fatal()
                continue
            partition, offset = message.partition(), message.offset()
            run = open_runs.get(partition)
            if run and run[2] + 1 == offset:
                run[2] = offset
            else:
                run = open_runs[partition] = [partition, offset, offset]
                runs.append(run)
        return runs, lost

    def commit(self, consumer):
        try:
            for place in consumer.commit(asynchronous=False) or []:
                if place.offset >= 0 and place.error is None:
                    self.put("commit", place.partition, place.offset, round(time.time(), 3))
        except KafkaException as error:
            if error.args[0].name() != "_NO_OFFSET":
                self.put("refused", error.args[0].name(), round(time.time(), 3))

    def observe(self):
        config = self.config
        options = {"group.id": config["group"], "enable.auto.commit": False}
        consumer = Consumer(self.client(**options))
        places = [TopicPartition(config["topic"], p) for p in range(config["partitions"])]
        while not os.path.exists(config["stop_groups"]):
            asked = round(time.time(), 3)
            try:
                for place in consumer.committed(places, timeout=5):
                    if place.offset >= 0:
                        now = round(time.time(), 3)
                        self.put("seen", place.partition, place.offset, asked, now)
            except KafkaException:
                pass
            time.sleep(0.5)

    def run(self):
        members = [threading.Thread(target=self.member, args=(number,)) for number in range(2)]
        for member in members:
            member.start()
        self.observe()
        for member in members:
            member.join()


def main(kind, path):
    kinds = {"produce": Produce, "watch": Watch, "group": Group}
    if kind not in kinds:
        import transactional

        kinds = transactional.KINDS
    with open(path) as file:
        worker = kinds[kind](json.load(file))
    try:
        worker.run()
    finally:
        worker.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
