"""One scenario's run: its topics, its workers, the fault, the recovery, the judgement."""

import glob
import json
import os
import shutil
import time

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

import judge
import replicas
from load import Load
from workers import IMPATIENT

PARTITIONS = 6
WARM_SECONDS, LOAD_SECONDS, RECOVERY_PATIENCE = 5, 20, 90
QUICK_WARM_SECONDS, QUICK_LOAD_SECONDS = 3, 8


class Story:
    def __init__(self, cluster, scenario, options):
        self.cluster, self.scenario, self.options = cluster, scenario, options
        self.folder = os.path.join(options.out, scenario.name)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.topic = f"{scenario.name}-{int(time.time()) % 1000000}"
        self.partitions = PARTITIONS
        self.facts, self.wrong = {}, []
        self.load = Load(
            self.folder, cluster.bootstrap, self.topic, PARTITIONS, plain=options.plain
        )
        self.healed_at = None
        self.admin = AdminClient(
            {**IMPATIENT, "socket.timeout.ms": 20000, "bootstrap.servers": cluster.bootstrap}
        )

    # What a scenario uses

    @staticmethod
    def sleep(seconds):
        time.sleep(seconds)

    def note(self, **facts):
        self.facts.update(facts)

    def require(self, fact, words):
        if not fact:
            self.wrong.append(words)

    def healed(self):
        self.cluster.heal()
        self.healed_at = time.time()

    def started(self, *nodes):
        """Starts nodes again and waits until they are part of the cluster."""
        for node in nodes:
            self.cluster.start(node)
        self.healed_at = time.time()
        for node in nodes:
            self.cluster.wait_ready(node)

    def down_and_up(self, node, seconds, how="kill"):
        if how == "kill":
            self.cluster.kill(node)
        elif how == "power":
            self.cluster.power_cut([node])
        else:
            took = self.cluster.stop(node)
            self.note(stop_s=round(max(self.facts.get("stop_s", 0), took), 1))
        self.sleep(seconds)
        self.started(node)

    def follower(self):
        leader = self.cluster.leader(self.topic)
        return next(node for node in self.cluster.nodes if node is not leader)

    def all_in_sync(self, patience):
        """The seconds until every partition has a leader and all its replicas in sync, or None."""
        began = time.time()
        while time.time() - began < patience:
            try:
                known = self.admin.list_topics(timeout=3).topics
                parts = [known[topic].partitions for topic in self.topics()]
                if all(len(p) == self.partitions for p in parts) and all(
                    p.leader > 0 and len(p.isrs) == len(p.replicas)
                    for of_topic in parts
                    for p in of_topic.values()
                ):
                    return time.time() - began
            except (KafkaException, KeyError):
                pass
            time.sleep(0.2)
        return None

    # The run

    def topics(self):
        return self.load.topics()

    def run(self):
        self.create_topics()
        self.load.start(self.scenario, self.options.rate)
        quick = self.options.quick
        self.sleep(self.scenario.warm or (QUICK_WARM_SECONDS if quick else WARM_SECONDS))
        self.load.wait_for_share_group()
        began = time.time()
        try:
            self.scenario.act(self)
        except Exception as error:
            self.wrong.append(f"while acting: {type(error).__name__}: {str(error)[:300]}")
        if self.healed_at is None:
            self.healed()
        self.restart_the_dead()
        recovered = self.all_in_sync(RECOVERY_PATIENCE)
        self.require(recovered is not None, "replicas do not get back in sync")
        self.note(recovered_s=round(time.time() - self.healed_at, 1))
        load = QUICK_LOAD_SECONDS if quick else LOAD_SECONDS
        self.sleep(max(3, load - (time.time() - began)))
        ended = time.time()
        self.load.stop()
        figures = self.load.judgement(began, ended)
        figures.update(self.compare_replicas())
        figures.update(self.facts)
        self.conclude(figures)
        with open(os.path.join(self.folder, "result.json"), "w") as file:
            json.dump({"figures": figures, "wrong": self.wrong}, file, indent=1)
        return figures

    def conclude(self, figures):
        """A scenario that must break a promise (to show that it is seen) has to break it."""
        self.wrong += self.load.wrong
        broken, must = judge.broken(figures), self.scenario.must_break
        allowed = {must, *self.scenario.may_break}
        self.wrong += [words for words in broken if words.split("=")[0] not in allowed]
        self.facts.update({word: figures[word] for word in allowed if figures.get(word)})
        if must is not None and not figures.get(must):
            self.wrong.append(f"{must} was to be found and was not")

    def create_topics(self):
        settings = {"min.insync.replicas": "2", **self.scenario.topic}
        new = []
        for topic in self.topics():
            if self.scenario.assignment and topic == self.topic:
                placed = self.scenario.assignment
                count = {"num_partitions": len(placed)}
                new.append(NewTopic(topic, **count, replica_assignment=placed, config=settings))
            else:
                new.append(NewTopic(topic, self.partitions, 3, config=settings))
        for future in self.admin.create_topics(new, operation_timeout=20).values():
            future.result()
        if self.all_in_sync(60) is None:
            raise RuntimeError("new topics do not get all replicas in sync")

    def restart_the_dead(self):
        for node in self.cluster.nodes:
            if not node.is_running():
                self.facts["ended"] = f"{self.facts.get('ended', '')} node{node.id}".strip()
                self.cluster.start(node)

    def compare_replicas(self):
        folders = {node.id: node.logs for node in self.cluster.nodes}
        expected = sum(
            len(p.replicas) for t in self.topics() for p in self.cluster.metadata(t).values()
        )
        for _ in range(5):
            found = replicas.compare(folders, self.topics(), self.partitions)
            if not found["replicas_differ"] and found["replicas"] == expected:
                break
            time.sleep(1)  # A follower may still be a batch behind.
        self.require(found["replicas"] >= expected, f"{found['replicas']} of {expected} replicas")
        return found

    def clean_up(self):
        """What is left of a scenario that kept all promises is of no further interest."""
        self.load.kill()
        if self.wrong:
            return
        try:
            for future in self.admin.delete_topics(self.topics(), operation_timeout=20).values():
                future.result()
        except KafkaException:
            pass
        for path in glob.glob(os.path.join(self.folder, "*.jsonl")):
            os.remove(path)
