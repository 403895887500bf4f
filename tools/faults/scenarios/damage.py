"""Bytes that change on the disk of a stopped node, which then is to lead."""

import os

from confluent_kafka import ElectionType, TopicPartition

import replicas
import wire
from scenarios import scenario


def lead(story, node, partition):
    """Makes the node the first replica and asks for it as leader."""
    others = [n.id for n in story.cluster.nodes if n is not node]
    address = story.cluster.nodes[0].address
    wire.reassign(address, story.topic, {partition: [node.id, *others]})
    story.sleep(0.5)
    place = TopicPartition(story.topic, partition)
    story.admin.elect_leaders(ElectionType.PREFERRED, [place]).result()
    story.sleep(0.5)


def last_segments(story, node):
    for partition in range(story.partitions):
        yield partition, replicas.segments(node.logs, story.topic, partition)[-1]


def back_to_lead(story, node):
    story.started(node)
    story.all_in_sync(40)
    for partition in range(story.partitions):
        lead(story, node, partition)


SMALL_SEGMENTS = {"segment.bytes": "1048576"}


@scenario("rotten-segment", topic=SMALL_SEGMENTS, size=600, warm=12, usual=True)
def _(story):
    """64 random bytes in the middle of a closed segment; then that node is asked to lead."""
    node = story.follower()
    story.cluster.stop(node)
    files = replicas.segments(node.logs, story.topic, 0)
    story.require(len(files) > 1, "no closed segment yet")
    with open(files[0], "r+b") as file:
        file.seek(os.path.getsize(files[0]) // 2)
        file.write(os.urandom(64))
    story.started(node)
    story.all_in_sync(40)
    lead(story, node, 0)
    story.note(leads_rotten=story.cluster.leader(story.topic) is node)


@scenario("tail-cut")
def _(story):
    """After a crash the last batch of every partition is cut."""
    node = story.follower()
    story.cluster.kill(node)
    for _, path in last_segments(story, node):
        os.truncate(path, max(0, os.path.getsize(path) - 37))
    back_to_lead(story, node)


@scenario("tail-junk")
def _(story):
    """After a crash every partition ends in 5,000 random bytes."""
    node = story.follower()
    story.cluster.kill(node)
    for _, path in last_segments(story, node):
        with open(path, "ab") as file:
            file.write(os.urandom(5000))
    back_to_lead(story, node)


@scenario("tail-zero-after-clean-stop", usual=True)
def _(story):
    """The last 300 bytes of every partition are zeros behind a clean stop's mark."""
    node = story.follower()
    story.cluster.stop(node)
    for _, path in last_segments(story, node):
        with open(path, "r+b") as file:
            file.seek(max(0, os.path.getsize(path) - 300))
            file.write(bytes(min(300, os.path.getsize(path))))
    back_to_lead(story, node)


@scenario("wiped-topic-folders")
def _(story):
    """After a clean stop the folders of all partitions are gone, the rest of the disk is not."""
    node = story.follower()
    story.cluster.stop(node)
    for partition in range(story.partitions):
        folder = os.path.join(node.logs, f"{story.topic}-{partition}")
        for name in os.listdir(folder):
            os.remove(os.path.join(folder, name))
        os.rmdir(folder)
    back_to_lead(story, node)
