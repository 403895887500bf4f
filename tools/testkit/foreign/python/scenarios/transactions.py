"""Consume, transform, produce in transactions while brokers die: everything arrives once.

Arguments: BOOTSTRAP STOP [SETTINGS], the last a file with JSON for librdkafka. Feeds a topic until the file STOP is there; two workers of one group
carry its records over in transactions and give one in ten up on purpose. In the end readers of
committed records must see each record once and in order, and the group must stand at the end.
"""

import itertools
import json
import os
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import report
from report import eq, feature, ok, until

BOOTSTRAP, STOP = sys.argv[1:3]
SOURCE, TARGET, GROUP = "transactions-in", "transactions-out", "transactions"
PARTITIONS, WORKERS = 3, 2
PER_SECOND = 150
# Longest way of a transaction through a failover, with everything that a client tries again.
CALL_S = 40
DRAINED_S = 120

base = {"bootstrap.servers": BOOTSTRAP, "socket.timeout.ms": 10000}
for name in sys.argv[3:]:
    with open(name) as settings:
        base.update(json.load(settings))
sent = [0] * PARTITIONS
done = threading.Event()
told = {"committed": 0, "given up": 0, "failed": 0}
broken = []


def create():
    admin = AdminClient(base)
    for name in (SOURCE, TARGET):
        topic = NewTopic(name, PARTITIONS, 3, config={"min.insync.replicas": "2"})
        until(f"{name} is made", lambda topic=topic: created(admin, topic))


def created(admin, topic):
    try:
        list(admin.create_topics([topic]).values())[0].result(30)
    except KafkaException as error:
        # A connection may end before the answer comes.
        return error.args[0].name() == "TOPIC_ALREADY_EXISTS"
    return True


def feed():
    producer = Producer({**base, "enable.idempotence": True, "message.timeout.ms": 120000})
    failed = []
    note = lambda error, _: failed.append(error) if error else None
    while not os.path.exists(STOP):
        for index in range(PARTITIONS):
            producer.produce(SOURCE, str(sent[index]), partition=index, on_delivery=note)
            sent[index] += 1
        producer.poll(0)
        time.sleep(PARTITIONS / PER_SECOND)
    eq(producer.flush(120), 0, "records not delivered")
    eq(failed, [])


def consumer():
    settings = {
        "group.id": GROUP,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
        "session.timeout.ms": 6000,
    }
    made = Consumer({**base, **settings})
    made.subscribe([SOURCE])
    return made


def transactional(number):
    # Without the last line librdkafka forgets all brokers when none of its connections is left, but
    # keeps the group's coordinator of before and waits for it for ever, whatever the call's time:
    # its issues 5511 and 5456.
    settings = {
        "transactional.id": f"carrier-{number}",
        "transaction.timeout.ms": 30000,
        "metadata.recovery.strategy": "none",
    }
    producer = Producer({**base, **settings})
    producer.init_transactions(CALL_S)
    return producer


def carry(number):
    """One worker's life; whatever goes wrong is begun anew from what is committed."""
    source = producer = None
    rounds = itertools.count(number)
    while not done.is_set():
        try:
            source = source or consumer()
            producer = producer or transactional(number)
            batch = [m for m in source.consume(50, 0.5) if not m.error()]
            if not batch:
                continue
            producer.begin_transaction()
            for message in batch:
                producer.produce(TARGET, message.value(), partition=message.partition())
            after = {m.partition(): m.offset() + 1 for m in batch}
            offsets = [TopicPartition(SOURCE, index, at) for index, at in after.items()]
            producer.send_offsets_to_transaction(offsets, source.consumer_group_metadata(), CALL_S)
            if next(rounds) % 10 == 1:
                told["given up"] += 1
                producer.abort_transaction(CALL_S)
                source = source.close()
            else:
                producer.commit_transaction(CALL_S)
                told["committed"] += 1
        except KafkaException as error:
            told["failed"] += 1
            producer = None
            source = source and source.close()
        except Exception as error:
            broken.append(error)
            return
    if source:
        source.close()


def positions():
    asked = Consumer({**base, "group.id": GROUP})
    try:
        wanted = [TopicPartition(SOURCE, index) for index in range(PARTITIONS)]
        return [one.offset for one in asked.committed(wanted, 20)]
    except KafkaException:
        return None
    finally:
        asked.close()


def committed(index):
    """All that readers of committed records see of a partition."""
    reader = Consumer(
        {
            **base,
            "group.id": "none",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    reader.assign([TopicPartition(TARGET, index, 0)])
    seen = []
    until_ = time.time() + 60
    while time.time() < until_:
        message = reader.poll(1)
        if message is None:
            continue
        if message.error():
            break
        seen.append(int(message.value()))
    reader.close()
    return seen


create()
feeder = threading.Thread(target=feed)
workers = [threading.Thread(target=carry, args=(number,)) for number in range(WORKERS)]
for thread in [feeder, *workers]:
    thread.start()
feeder.join()


@feature("transactions: the group comes to the end of what was fed")
def _():
    until("the end", lambda: positions() == sent, seconds=DRAINED_S, step=1)
    done.set()
    for thread in workers:
        thread.join()
    eq(broken, [])


@feature("transactions: readers of committed records see each record once, in order")
def _():
    done.set()
    for index in range(PARTITIONS):
        eq(committed(index), list(range(sent[index])), f"partition {index}")


@feature("transactions: some were committed, some given up")
def _():
    print(f"transactions: {told}, fed {sent}", file=sys.stderr)
    ok(told["committed"] > 0 and told["given up"] > 0, str(told))


report.run()
