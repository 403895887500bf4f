"""The programs under test. The only file to touch for another one.

A system knows how to write its configuration, format a data directory, and which command runs it.
Both read Kafka's own server.properties and keep Kafka's log layout, so only the program differs.
"""

import os
import subprocess

CLIENT_PORT, PEER_PORT = 24092, 24093
CLUSTER_ID = "bmFydS1mYXVsdC1ydW5zAA"
FORMAT_PATIENCE = 120


def server_properties(node, nodes, plan):
    voters = [n for n in nodes if n.votes]
    copies = min(3, len(nodes))
    safe = max(1, copies - 1)
    quorum = {
        "controller.quorum.voters": ",".join(f"{n.id}@{n.ip}:{PEER_PORT}" for n in voters),
    }
    if plan.dynamic:
        quorum = {
            "controller.quorum.bootstrap.servers": ",".join(f"{n.ip}:{PEER_PORT}" for n in nodes),
        }
    return {
        "process.roles": "broker,controller",
        "node.id": node.id,
        **quorum,
        "listeners": f"PLAINTEXT://{node.ip}:{CLIENT_PORT},CONTROLLER://{node.ip}:{PEER_PORT}",
        "advertised.listeners": f"PLAINTEXT://{node.ip}:{CLIENT_PORT}"
        + (f",CONTROLLER://{node.ip}:{PEER_PORT}" if plan.dynamic else ""),
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": node.logs,
        "default.replication.factor": copies,
        "min.insync.replicas": safe,
        "offsets.topic.replication.factor": copies,
        "offsets.topic.num.partitions": 6,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": safe,
        "transaction.state.log.num.partitions": 6,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": safe,
        "share.coordinator.state.topic.num.partitions": 3,
        "group.initial.rebalance.delay.ms": 0,
        "group.share.min.record.lock.duration.ms": 1000,
        "auto.create.topics.enable": "false",
        **plan.properties,
    }


def java(heap):
    jars = os.path.join(os.environ["KAFKA_LIBS"], "*")
    return ["java", f"-Xmx{heap}", "-XX:TieredStopAtLevel=1", "-cp", jars]


def quorum_tool(node, words):
    """Apache Kafka's kafka-metadata-quorum, the outside judge of either system's controllers."""
    quiet = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]
    command = java("200m")
    command[1:1] = quiet
    command += ["org.apache.kafka.tools.MetadataQuorumCommand"]
    command += ["--bootstrap-controller", f"{node.ip}:{PEER_PORT}", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise RuntimeError(f"kafka-metadata-quorum: {(done.stdout + done.stderr).strip()[-300:]}")
    return done.stdout


class Apache:
    name = "apache"

    def format(self, node, how):
        command = java("128m") + ["kafka.tools.StorageTool"]
        return command + self.format_words(node, how)

    @staticmethod
    def format_words(node, how):
        words = ["format", "--cluster-id", CLUSTER_ID, "--config", node.properties_file]
        return words + ["--ignore-formatted", *how]

    def command(self, node):
        return [
            "java",
            "-Xmx400m",
            "-Xms400m",
            "-XX:+UseG1GC",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
            "-cp",
            os.path.join(os.environ["KAFKA_LIBS"], "*"),
            "kafka.Kafka",
            node.properties_file,
        ]


class Naru(Apache):
    name = "naru"

    def format(self, node, how):
        return [os.environ["NARU_BINARY"], "kafka-storage", *self.format_words(node, how)]

    def command(self, node):
        return [os.environ["NARU_BINARY"], "start", "--config", node.properties_file]


SYSTEMS = {system.name: system for system in (Apache(), Naru())}
