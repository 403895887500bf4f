"""Histories that break a promise on purpose: the judge must see it, or these fail."""

import os

import replicas
from scenarios import ONE_ACKNOWLEDGEMENT, scenario

# A reader that fetches the damaged batch gets no further.
DAMAGE = ("unread_partitions", "lost", "unstable", "skipped", "group-classic.undelivered")


@scenario("bite-lost", acks="1", must_break="lost", may_break=ONE_ACKNOWLEDGEMENT)
def _(story):
    """acks=1 on a leader whose followers cannot fetch; then it dies and its disk loses the tail."""
    cluster, leader = story.cluster, story.cluster.leader(story.topic)
    cluster.isolate(leader, clients=False)
    story.sleep(12)
    cluster.power_cut([leader])
    cluster.heal()
    story.sleep(4)
    story.started(leader)


@scenario("bite-replica", must_break="damaged_batches", may_break=("replicas_differ", *DAMAGE))
def _(story):
    """A byte of one replica changes under a running broker."""
    node = story.follower()
    story.sleep(4)
    path = replicas.segments(node.logs, story.topic, 0)[0]
    with open(path, "r+b") as file:
        file.seek(80)
        byte = file.read(1)
        file.seek(80)
        file.write(bytes([byte[0] ^ 1]))
        os.fsync(file.fileno())
