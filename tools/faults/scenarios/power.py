"""Power cuts: what was not synced to the disk is gone."""

import random

from scenarios import scenario


@scenario("power-leader")
def _(story):
    """One node loses power."""
    story.down_and_up(story.cluster.leader(story.topic), 8, "power")


@scenario("power-two")
def _(story):
    """Two of three nodes lose power."""
    nodes = random.sample(story.cluster.nodes, 2)
    story.cluster.power_cut(nodes)
    story.sleep(2)
    story.started(*nodes)


@scenario("power-fast-restart")
def _(story):
    """Each node in turn loses power and is back before it was missed (KIP-966)."""
    for node in story.cluster.nodes:
        story.down_and_up(node, 0, "power")
        story.sleep(1)


@scenario("power-all", usual=True)
def _(story):
    """All nodes lose power in one moment, with the broker's default durability."""
    story.cluster.power_cut(story.cluster.nodes)
    story.sleep(1)
    story.started(*story.cluster.nodes)


@scenario("power-all-flushed", topic={"flush.messages": "1"}, rate=1500)
def _(story):
    """All nodes lose power; the topic asks for a sync of every batch."""
    story.cluster.power_cut(story.cluster.nodes)
    story.sleep(1)
    story.started(*story.cluster.nodes)


@scenario("power-last-in-sync", topic={"min.insync.replicas": "1"})
def _(story):
    """The last in-sync replica of a topic that allows one loses power."""
    leader = story.cluster.leader(story.topic)
    story.cluster.starve_followers(leader)
    story.sleep(36)
    story.note(isr_of_partition_0=len(story.cluster.metadata(story.topic)[0].isrs))
    story.cluster.power_cut([leader])
    story.cluster.heal()
    story.started(leader)
