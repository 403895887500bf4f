"""Kafka Connect's distributed worker: a file comes in by a source, exactly once, and goes out by a sink.

Arguments: begin|more|end BOOTSTRAP REST FOLDER ROUND. Each round appends lines to the source's
file; the topic must then hold each line of all rounds once and in order for readers of committed
records, and the sink's file must have got them all. `begin` makes the connectors, `end` asks what
the worker keeps in its topics and deletes them.
"""

import json
import os
import sys
import urllib.error
import urllib.request

from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import report
from report import eq, feature, ok, until

STEP, BOOTSTRAP, REST, FOLDER, ROUND = sys.argv[1:]
ROUND = int(ROUND)
TOPIC = "connect-lines"
LINES = 500
PATIENCE_S = 90
SOURCE, SINK = "lines-in", "lines-out"
IN, OUT = os.path.join(FOLDER, "in.txt"), os.path.join(FOLDER, "out.txt")
STORES = ("connect-configs", "connect-offsets", "connect-status")
FILE = "org.apache.kafka.connect.file.FileStream"


def ask(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{REST}{path}", data, method=method)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def asked(method, path, body=None):
    """Nothing while the worker does not answer or is still joining its group."""
    try:
        return ask(method, path, body) or True
    except (urllib.error.URLError, OSError):
        return None


def lines(rounds):
    return [f"round {r} line {n}" for r in range(1, rounds + 1) for n in range(LINES)]


def committed():
    conf = {"group.id": "connect-check", "enable.auto.commit": False, "enable.partition.eof": True}
    reader = Consumer({"bootstrap.servers": BOOTSTRAP, "isolation.level": "read_committed", **conf})
    reader.assign([TopicPartition(TOPIC, 0, 0)])
    found = []
    while True:
        message = reader.poll(20)
        ok(message is not None, "no end of the topic")
        if message.error():
            eq(message.error().code(), KafkaError._PARTITION_EOF)
            reader.close()
            return found
        found.append(message.value().decode())


def running(name):
    state = asked("GET", f"/connectors/{name}/status")
    if not isinstance(state, dict) or not state.get("tasks"):
        return None
    failed = [task for task in state["tasks"] if task["state"] == "FAILED"]
    ok(not failed, str(failed)[:400])
    return state["connector"]["state"] == "RUNNING" and state["tasks"][0]["state"] == "RUNNING"


def make():
    until("the worker answers", lambda: asked("GET", "/"), PATIENCE_S, 0.5)
    open(IN, "w").close()
    source = {
        "connector.class": FILE + "SourceConnector",
        "tasks.max": "1",
        "file": IN,
        "topic": TOPIC,
        "exactly.once.support": "required",
    }
    sink = {
        "connector.class": FILE + "SinkConnector",
        "tasks.max": "1",
        "file": OUT,
        "topics": TOPIC,
        "consumer.override.isolation.level": "read_committed",
    }
    for name, config in ((SOURCE, source), (SINK, sink)):
        until(name, lambda n=name, c=config: asked("PUT", f"/connectors/{n}/config", c), 60, 1)
    for name in (SOURCE, SINK):
        until(f"{name} runs", lambda n=name: running(n), PATIENCE_S, 0.5)


if STEP == "begin":
    feature("a source and a sink are made and run")(make)


@feature(f"round {ROUND}: readers of committed records get each line once, in order")
def _():
    with open(IN, "a") as file:
        file.writelines(line + "\n" for line in lines(ROUND)[-LINES:])
    want = lines(ROUND)
    until("all lines", lambda: len(committed()) >= len(want), PATIENCE_S, 0.5)
    eq(committed(), want)


@feature(f"round {ROUND}: the sink gets every line")
def _():
    def got():
        return open(OUT).read().splitlines() if os.path.exists(OUT) else []

    want = lines(ROUND)
    until("all lines", lambda: set(got()) >= set(want), PATIENCE_S, 0.5)
    eq(set(got()), set(want))


if STEP == "end":

    @feature("the worker's topics are compacted and hold the source's place")
    def _():
        admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
        asked_of = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in STORES]
        for resource, future in admin.describe_configs(asked_of).items():
            eq(future.result(20)["cleanup.policy"].value, "compact", resource.name)
        places = ask("GET", f"/connectors/{SOURCE}/offsets")["offsets"]
        eq([place["offset"]["position"] for place in places], [os.path.getsize(IN)])

    @feature("offsets are reset and connectors deleted")
    def _():
        ask("PUT", f"/connectors/{SOURCE}/stop")
        until("reset", lambda: asked("DELETE", f"/connectors/{SOURCE}/offsets"), 60, 1)
        eq(ask("GET", f"/connectors/{SOURCE}/offsets")["offsets"], [])
        for name in (SOURCE, SINK):
            until(name, lambda n=name: asked("DELETE", f"/connectors/{n}"), 60, 1)
        until("none is left", lambda: ask("GET", "/connectors") == [], 60, 1)


report.run()
