"""Workers with transactions."""

import random
import time

from confluent_kafka import Consumer, IsolationLevel, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from workers import RETRIES, Worker


def settings(name):
    """Of a transactional producer.

    By its default librdkafka forgets all brokers when none of its connections is left, but keeps
    the group's coordinator of before and waits for it for ever, whatever the time that the call
    gives: its issues 5511 and 5456.
    """
    return {
        **RETRIES,
        "transactional.id": name,
        "transaction.timeout.ms": 15000,
        "linger.ms": 2,
        "metadata.recovery.strategy": "none",
    }


class Transactions(Worker):
    """K records to each of two topics, then a commit or an abort: ["txn", id, how, time]."""

    def open(self):
        producer = Producer(self.client(**settings(self.config["name"])))
        producer.init_transactions(20)
        return producer

    def run(self):
        producer, number = None, 0
        while not self.stop():
            try:
                producer = producer or self.open()
            except KafkaException as error:
                self.put("error", error.args[0].name())
                time.sleep(0.3)
                continue
            number += 1
            name = f"{self.config['name']}-{number}"
            how, alive = self.one(producer, name)
            self.put("txn", name, how, round(time.time(), 4))
            if not alive:
                producer = None
            time.sleep(self.config.get("pause", 0.02))
        self.leave_nothing_open()

    def one(self, producer, name):
        """("committed" | "aborted" | "unknown", whether the producer can go on)."""
        how = "aborted"
        try:
            producer.begin_transaction()
            self.write(producer, name)
            if random.random() < 0.2:
                producer.flush(5)
                producer.abort_transaction(20)
                return how, True
            how = "unknown"
            for _ in range(8):
                try:
                    producer.commit_transaction(10)
                    return "committed", True
                except KafkaException as error:
                    if not error.args[0].retriable():
                        raise
            return how, False
        except KafkaException as error:
            cause = error.args[0]
            self.put("error", name, cause.name())
            if not cause.txn_requires_abort() or cause.fatal():
                return how, False
        try:
            producer.abort_transaction(20)
            return "aborted", True
        except KafkaException:
            return how, False

    def write(self, producer, name):
        config = self.config
        for topic in config["topics"]:
            for record in range(config["records"]):
                value = f"{name}|{topic}|{record}".encode()
                producer.produce(topic, value, partition=random.randrange(config["partitions"]))

    def leave_nothing_open(self):
        for _ in range(6):
            try:
                self.open()
                return
            except KafkaException:
                time.sleep(1)


class Abandoned(Transactions):
    """Transactions that nobody ends: ["hanging", id, seconds] until readers got past one."""

    def run(self):
        number, name = 0, self.config["name"]
        while not self.stop():
            number += 1
            try:
                self.round(f"{name}-{number}")
            except KafkaException as error:
                self.put("error", name, error.args[0].name())
            time.sleep(0.5)

    def open_as(self, name, places=None):
        def delivered(error, message):
            if error is None and places is not None:
                places[message.topic(), message.partition()] = message.offset()

        # librdkafka wants its own patience with a broker to be shorter than the transaction's.
        short = {"transaction.timeout.ms": 3000, "socket.timeout.ms": 2500}
        options = {**settings(name), **short, "on_delivery": delivered}
        producer = Producer(self.client(**options))
        producer.init_transactions(20)
        return producer

    def round(self, name):
        places = {}
        self.put("txn", name, "aborted", round(time.time(), 4))
        producer = self.open_as(name, places)
        producer.begin_transaction()
        self.write(producer, name)
        producer.flush(10)
        began = time.time()
        del producer
        if self.wait_for_readers(places):
            self.put("hanging", name, round(time.time() - began, 1))
        else:
            self.open_as(name)

    def wait_for_readers(self, places):
        """Whether, before the end of all, readers of what is committed get past these places."""
        admin = AdminClient(self.client())
        options = {"isolation_level": IsolationLevel.READ_COMMITTED, "request_timeout": 5}
        while not self.stop():
            asked = {TopicPartition(*place): OffsetSpec.latest() for place in places}
            try:
                answers = admin.list_offsets(asked, **options)
                ends = {(p.topic, p.partition): a.result().offset for p, a in answers.items()}
                if all(ends[place] > offset for place, offset in places.items()):
                    return True
            except KafkaException:
                pass
            time.sleep(0.3)
        return False


class Copy(Worker):
    """Consume, produce, send the offsets, in transactions: the output holds each input once.

    After the stop it goes on until its input has been quiet for a while.
    """

    def open(self):
        producer = Producer(self.client(**settings(self.config["name"])))
        producer.init_transactions(20)
        consumer = Consumer(
            self.client(
                **{
                    "group.id": self.config["name"],
                    "isolation.level": "read_committed",
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                    "session.timeout.ms": 10000,
                    "heartbeat.interval.ms": 1000,
                }
            )
        )
        consumer.subscribe([self.config["source"]])
        return producer, consumer

    def run(self):
        pair, quiet, stopped = None, 0, None
        while quiet <= 24 and (stopped is None or time.time() - stopped < 60):
            if self.stop():
                stopped = stopped or time.time()
            else:
                quiet = 0
            try:
                pair = pair or self.open()
                quiet = 0 if self.one(*pair) else quiet + bool(pair[1].assignment())
            except (KafkaException, RuntimeError) as error:
                self.put("error", str(error)[:120])
                self.give_up(pair)
                pair = None
                time.sleep(0.3)
        if pair:
            pair[1].close()

    def one(self, producer, consumer):
        records = [m for m in consumer.consume(500, 0.25) if not m.error()]
        if not records:
            return False
        producer.begin_transaction()
        for record in records:
            producer.produce(self.config["target"], record.value(), partition=record.partition())
        positions = consumer.position(consumer.assignment())
        producer.send_offsets_to_transaction(positions, consumer.consumer_group_metadata(), 10)
        for _ in range(8):
            try:
                producer.commit_transaction(10)
                return True
            except KafkaException as error:
                if not error.args[0].retriable():
                    raise
        raise RuntimeError("a commit did not end")

    @staticmethod
    def give_up(pair):
        for action in (lambda: pair[0].abort_transaction(10), lambda: pair[1].close()):
            try:
                action()
            except (KafkaException, RuntimeError, TypeError):
                pass


KINDS = {
    "transactions": Transactions,
    "abandoned": Abandoned,
    "copy": Copy,
}
