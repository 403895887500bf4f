"""Processes that die (the page cache stays), and processes that stop cleanly."""

import random
import signal

from cluster import Plan
from scenarios import ONE_ACKNOWLEDGEMENT, scenario


@scenario("calm")
def _(story):
    """No fault: what the load itself does."""
    story.sleep(8)


@scenario("kill-leader", usual=True)
def _(story):
    """kill -9 of the leader of partition 0."""
    story.down_and_up(story.cluster.leader(story.topic), 10)


@scenario("kill-controller")
def _(story):
    """kill -9 of the active controller."""
    story.down_and_up(story.cluster.controller(), 10)


@scenario("kill-again")
def _(story):
    """kill -9 of a random node, three times, each time back before the failure detector is sure."""
    for _ in range(3):
        story.down_and_up(random.choice(story.cluster.nodes), 2)
        story.sleep(1)


@scenario("kill-two")
def _(story):
    """kill -9 of two of three nodes: no majority until they are back."""
    nodes = random.sample(story.cluster.nodes, 2)
    for node in nodes:
        story.cluster.kill(node)
    story.sleep(8)
    story.started(*nodes)


@scenario("kill-two-of-five", plan=Plan(nodes=5))
def _(story):
    """kill -9 of the controller and another one of five: three still are a majority."""
    controller = story.cluster.controller()
    other = random.choice([n for n in story.cluster.nodes if n is not controller])
    for node in (controller, other):
        story.cluster.kill(node)
    story.sleep(8)
    story.started(controller, other)


@scenario("kill-all")
def _(story):
    """kill -9 of all nodes in one moment."""
    nodes = story.cluster.nodes
    for node in nodes:
        node.signal(signal.SIGKILL)
    for node in nodes:
        story.cluster.kill(node)
    story.sleep(1)
    story.started(*nodes)


@scenario("rolling")
def _(story):
    """SIGTERM and start of each node in turn, each time until all replicas are in sync."""
    for node in story.cluster.nodes:
        story.down_and_up(node, 0, "stop")
        story.require(story.all_in_sync(60) is not None, f"after node {node.id}: not in sync")


@scenario("one-acknowledgement-kill-leader", acks="1", may_break=ONE_ACKNOWLEDGEMENT)
def _(story):
    """acks=1 and kill -9 of a leader: what followers had not fetched may go; nothing else may."""
    story.down_and_up(story.cluster.leader(story.topic), 10)
