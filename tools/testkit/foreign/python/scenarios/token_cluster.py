"""librdkafka on a cluster whose links all log in with OAUTHBEARER, while a node dies.

Arguments: ADDRESSES APPLICATION STOP, the second a file with JSON for librdkafka. Produces with
acks=all until the file STOP is there, then reads everything.
"""

import json
import os
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import report
from report import eq, feature, ok, until

ADDRESSES, APPLICATION, STOP = sys.argv[1:]
TOPIC = "tokens"
with open(APPLICATION) as file:
    SETTINGS = {"bootstrap.servers": ADDRESSES, "log_level": 0, **json.load(file)}
sent = set()


def made():
    """Whether the topic is there: at first keys and tokens may not be known everywhere."""
    admin = AdminClient(SETTINGS)
    admin.poll(0)
    try:
        list(admin.create_topics([NewTopic(TOPIC, 3, 3)]).values())[0].result(10)
    except KafkaException as error:
        return error.args[0].name() == "TOPIC_ALREADY_EXISTS"
    return True


@feature("librdkafka produces with acks=all for longer than tokens last, while a node dies")
def _():
    until("the topic", made, 60)
    failures = []
    producer = Producer({**SETTINGS, "acks": "all", "enable.idempotence": True, "linger.ms": 5,
                         "message.timeout.ms": 120000})

    def delivered(error, record):
        failures.append(str(error)) if error else sent.add(int(record.value()))

    number = 0
    while not os.path.exists(STOP):
        producer.produce(TOPIC, str(number).encode(), on_delivery=delivered)
        number += 1
        producer.poll(0.005)
        time.sleep(0.005)
    eq(producer.flush(60), 0, "not delivered")
    eq(failures[:3], [])
    eq(sent, set(range(number)))
    ok(number > 100, f"only {number}")


@feature("librdkafka reads in a group what was acknowledged, each record once")
def _():
    consumer = Consumer({**SETTINGS, "group.id": "tokens", "auto.offset.reset": "earliest"})
    consumer.subscribe([TOPIC])
    found = []
    end = time.time() + 60
    while len(found) < len(sent) and time.time() < end:
        found += [int(one.value()) for one in consumer.consume(500, 0.5) if not one.error()]
    consumer.commit(asynchronous=False)
    consumer.close()
    eq(sorted(found), sorted(sent))


report.run()
