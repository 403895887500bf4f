"""librdkafka with a login, and with a client certificate.

Arguments: SCRAM_ADDRESS PLAIN_TLS_ADDRESS TLS_ADDRESS UNSECURED_ADDRESS FOLDER. The topic `private` lets the user
`alice` and the certificate in; the PLAIN user `admin` may do everything.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import time

from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.admin import AdminClient

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import report
from report import eq, feature

SCRAM, PLAIN_TLS, TLS, UNSECURED, FOLDER = sys.argv[1:]
TOPIC = "private"


def in_folder(name):
    return os.path.join(FOLDER, name)


def scram(mechanism, password="alice-secret"):
    return {
        "bootstrap.servers": SCRAM,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": mechanism,
        "sasl.username": "alice",
        "sasl.password": password,
    }


PLAIN = {
    "bootstrap.servers": PLAIN_TLS,
    "security.protocol": "SASL_SSL",
    "sasl.mechanism": "PLAIN",
    "sasl.username": "admin",
    "sasl.password": "admin-secret",
    "ssl.ca.location": in_folder("ca.crt"),
}
CERTIFICATE = {
    "bootstrap.servers": TLS,
    "security.protocol": "SSL",
    "ssl.ca.location": in_folder("ca.crt"),
    "ssl.certificate.location": in_folder("client.crt"),
    "ssl.key.location": in_folder("client.key"),
}


def there_and_back(settings, count, size, pause=0.0):
    """Produces, and consumes what was produced."""
    mark = os.urandom(8).hex()
    wanted = {f"{mark}-{i}-".encode().ljust(size, b".") for i in range(count)}
    failed = []
    producer = Producer({**settings, "linger.ms": 5})
    for value in wanted:
        producer.produce(TOPIC, value, on_delivery=lambda e, _: failed.append(e) if e else None)
        time.sleep(pause)
        producer.poll(0)
    eq(producer.flush(30), 0)
    eq(failed, [])
    group = {"group.id": mark, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer = Consumer({**settings, **group})
    consumer.subscribe([TOPIC])
    end = time.time() + 40
    while wanted and time.time() < end:
        message = consumer.poll(0.3)
        if message is not None and not message.error():
            wanted.discard(message.value())
    consumer.close()
    eq(len(wanted), 0)


@feature("librdkafka with SCRAM-SHA-256, longer than a session lasts")
def sha256():
    there_and_back(scram("SCRAM-SHA-256"), 50, 100, pause=0.1)


@feature("librdkafka with SCRAM-SHA-512")
def sha512():
    there_and_back(scram("SCRAM-SHA-512"), 100, 100)


@feature("librdkafka with PLAIN in TLS, messages of 100 kB")
def plain():
    there_and_back(PLAIN, 200, 100_000)


@feature("librdkafka with a client certificate")
def certificate():
    there_and_back(CERTIFICATE, 100, 1000)


def refusal(settings):
    """The error that a client meets."""
    errors = []
    producer = Producer({**settings, "error_cb": errors.append})
    end = time.time() + 20
    while not errors and time.time() < end:
        producer.poll(0.2)
    return [error.code() for error in errors][:1]


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsecured(_):
    """A token of the user `alice` that nobody signs and that is soon over."""
    now = time.time()
    claims = {"sub": "alice", "iat": int(now), "exp": int(now) + 4}
    return f"{part({'alg': 'none'})}.{part(claims)}.", now + 4


@feature("librdkafka with OAUTHBEARER, longer than a token lasts")
def oauth():
    settings = {
        "bootstrap.servers": UNSECURED,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "OAUTHBEARER",
        "oauth_cb": unsecured,
    }
    there_and_back(settings, 60, 100, pause=0.1)


@feature("kcat with PLAIN in TLS")
def kcat():
    if shutil.which("kcat") is None:
        return
    settings = [word for key, value in PLAIN.items() if key != "bootstrap.servers"
                for word in ("-X", f"{key}={value}")]
    base = ["kcat", "-b", PLAIN_TLS, *settings, "-t", "by-kcat"]
    subprocess.run([*base, "-P"], input=b"one\ntwo\n", check=True, timeout=60)
    read = subprocess.run([*base, "-C", "-e", "-q", "-o", "beginning"], check=True, timeout=60,
                          capture_output=True)
    eq(read.stdout, b"one\ntwo\n")


@feature("librdkafka is told that the password is wrong")
def wrong_password():
    eq(refusal(scram("SCRAM-SHA-512", "another")), [KafkaError._AUTHENTICATION])


@feature("librdkafka without a certificate gets no connection")
def no_certificate():
    shown = ("ssl.certificate.location", "ssl.key.location")
    bare = {key: value for key, value in CERTIFICATE.items() if key not in shown}
    eq(len(refusal(bare)), 1)


@feature("librdkafka lists only the topics that it may see")
def hidden():
    seen = AdminClient(scram("SCRAM-SHA-512")).list_topics(timeout=10).topics
    eq(("private" in seen, "open" in seen), (True, False))
    seen = AdminClient(PLAIN).list_topics(timeout=10).topics
    eq(("private" in seen, "open" in seen), (True, True))


report.run()
