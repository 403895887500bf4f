"""The load of one scenario: its workers, started, stopped, and their ledgers judged."""

import json
import os
import subprocess
import sys
import time

from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

import contents
import judge
import judge_shares
import shell
from workers import IMPATIENT

HERE = os.path.dirname(os.path.abspath(__file__))
RECORDS_PER_TOPIC = 5
# Of the share group: records per second, deliveries per record, and how long a member may hold one.
SHARED_RATE, SHARE_LIMIT, SHARE_LOCK_SECONDS, SHARE_PATIENCE = 150, 5, 10, 60
OPEN_TRANSACTIONS_PATIENCE = 30


class Load:
    def __init__(self, folder, bootstrap, topic, partitions, plain):
        self.folder, self.bootstrap, self.topic = folder, bootstrap, topic
        self.partitions, self.plain = partitions, plain
        self.transactional = [f"{topic}-{name}" for name in ("a", "b", "copy")]
        self.shared = f"{topic}-shared"
        self.workers, self.wrong = [], []

    def topics(self):
        return [self.topic, *([] if self.plain else [*self.transactional, self.shared])]

    # Life

    def start(self, scenario, rate):
        topic = self.topic
        for number in range(2):
            self.start_worker(
                *("produce", f"producer-{number}"),
                topic=topic,
                rate=(scenario.rate or rate) / 2,
                acks=scenario.acks,
                size=scenario.size,
            )
        self.start_worker("watch", "watch", topics=self.topics())
        self.start_worker("group", "group-classic", topic=topic, group=f"classic-{topic}")
        if self.plain:
            return
        group = f"consumer-{topic}"
        self.start_worker("group", "group-consumer", topic=topic, group=group, protocol="consumer")
        first, second, copy = self.transactional
        both = {"topics": [first, second], "records": RECORDS_PER_TOPIC}
        for number in range(2):
            self.start_worker("transactions", f"transactions-{number}-{topic}", **both)
        self.start_worker("abandoned", f"transactions-abandoned-{topic}", **both)
        self.start_worker("copy", f"copy-{topic}", source=first, target=copy)
        self.start_worker("produce", "shared-producer", topic=self.shared, rate=SHARED_RATE)
        self.start_java()

    def start_worker(self, kind, name, **words):
        config = {
            "folder": self.folder,
            "name": name,
            "bootstrap": self.bootstrap,
            "partitions": self.partitions,
            "stop": os.path.join(self.folder, "stop"),
            "stop_groups": os.path.join(self.folder, "stop-groups"),
            **words,
        }
        path = os.path.join(self.folder, f"{name}.config")
        with open(path, "w") as file:
            json.dump(config, file)
        program = os.path.join(HERE, "workers.py")
        self.spawn(kind, name, [sys.executable, "-B", program, kind, path])

    def start_java(self):
        """By Kafka's own client: a share group, and transactions of version 2 with zombies."""
        jars = os.path.join(os.environ["KAFKA_LIBS"], "*")
        words = [self.folder, self.bootstrap, self.topic, SHARE_LOCK_SECONDS * 1000, SHARE_PATIENCE]
        words += [self.partitions, RECORDS_PER_TOPIC]
        quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=off"
        classes = f"{os.environ['FAULT_CLASSES']}:{jars}"
        java = ["java", "-Xmx200m", "-XX:TieredStopAtLevel=1", quiet, "-cp", classes, "FaultLoad"]
        self.spawn("java", "java", [*java, *map(str, words)])

    def wait_for_share_group(self, patience=30):
        """A JVM is slow to begin: until a member was given something."""
        end, ledger = time.time() + patience, os.path.join(self.folder, "share.jsonl")
        while not self.plain and time.time() < end:
            if os.path.exists(ledger) and any(row[0] == "given" for row in self.rows("share")):
                return
            time.sleep(0.3)

    def share_topics(self):
        return [self.shared, self.transactional[0]]

    def spawn(self, kind, name, command):
        with open(os.path.join(self.folder, "errors.log"), "a") as errors:
            process = subprocess.Popen(command, stderr=errors, preexec_fn=shell.end_with_us)
        self.workers.append((kind, name, process))

    def stop(self):
        open(os.path.join(self.folder, "stop"), "w").close()
        self.wait_for([w for w in self.workers if w[0] != "group"], 100)
        self.wait_for_groups(45)
        open(os.path.join(self.folder, "stop-groups"), "w").close()
        self.wait_for([w for w in self.workers if w[0] == "group"], 40)

    def wait_for(self, workers, patience):
        end = time.time() + patience
        for _, name, process in workers:
            try:
                code = process.wait(max(1, end - time.time()))
                if code != 0:
                    self.wrong.append(f"{name} ended with {code}")
            except subprocess.TimeoutExpired:
                process.kill()
                self.wrong.append(f"{name} hangs")

    def kill(self):
        for _, _, process in self.workers:
            if process.poll() is None:
                process.kill()
                process.wait()

    def groups(self):
        return [name for kind, name, _ in self.workers if kind == "group"]

    def wait_for_groups(self, patience):
        """Until every group has committed up to the end of the log; the judge sees what is left."""
        end = time.time() + patience
        places = [TopicPartition(self.topic, p) for p in range(self.partitions)]
        for name in self.groups():
            group = f"{name.removeprefix('group-')}-{self.topic}"
            options = {"bootstrap.servers": self.bootstrap, "group.id": group}
            observer = Consumer({**IMPATIENT, **options})
            while time.time() < end:
                try:
                    ends = [observer.get_watermark_offsets(place, 3)[1] for place in places]
                    committed = [place.offset for place in observer.committed(places, 3)]
                    if all(c >= e for c, e in zip(committed, ends, strict=True)):
                        break
                except KafkaException:
                    pass
                time.sleep(0.5)
            observer.close()

    # Judgement

    def rows(self, pattern):
        return judge.ledger(self.folder, pattern)

    def judgement(self, began, ended):
        topic, parts = self.topic, self.partitions
        figures = {} if self.plain else {"open_transactions": self.open_transactions()}
        held, unread, errors = contents.read(self.bootstrap, self.topics(), parts)
        produced, acks = judge.produced(self.rows("producer-*"), held, topic, parts)
        figures.update(produced)
        figures.update(judge.outages(acks, parts, began, ended))
        figures["unread_partitions"] = len(unread)
        if errors:
            figures["read_errors"] = errors
        figures.update(judge.watched(self.rows("watch"), held))
        for name in self.groups():
            figures[name] = judge.group(self.rows(name), held, topic, parts, began, ended)
        if not self.plain:
            first, second, copy = self.transactional
            rows = list(self.rows("transactions-*"))
            both = [first, second]
            figures.update(judge.transactions(rows, held, both, parts, RECORDS_PER_TOPIC))
            figures.update(judge.fenced(rows))
            figures.update(judge.copied(held, first, copy, parts))
            shared, _ = judge.produced(self.rows("shared-*"), held, self.shared, parts)
            for promise in judge.PROMISES:
                if shared.get(promise):
                    figures[promise] += shared[promise]
            figures["share"] = judge_shares.shares(
                *(self.rows("share"), held, self.share_topics(), parts),
                *(SHARE_LIMIT, SHARE_LOCK_SECONDS, began, ended),
            )
        return figures

    def open_transactions(self):
        """Partitions in which a transaction is still open when nobody has one any more."""
        admin = AdminClient({**IMPATIENT, "bootstrap.servers": self.bootstrap})
        places = [TopicPartition(t, p) for t in self.transactional for p in range(self.partitions)]
        end, left = time.time() + OPEN_TRANSACTIONS_PATIENCE, len(places)
        while left and time.time() < end:
            stable = latest(admin, places, IsolationLevel.READ_COMMITTED)
            whole = latest(admin, places, IsolationLevel.READ_UNCOMMITTED)
            left = sum(n not in stable or stable[n] != whole.get(n) for n in range(len(places)))
            time.sleep(0.5 if left else 0)
        return left


def latest(admin, places, isolation):
    """The ends of the places as readers of that isolation see them, by number; without failures."""
    asked = {place: OffsetSpec.latest() for place in places}
    found = {}
    try:
        answers = admin.list_offsets(asked, isolation_level=isolation, request_timeout=5)
        for number, place in enumerate(places):
            found[number] = answers[place].result().offset
    except KafkaException:
        pass
    return found
