"""Disks that are full, that fail, and that are lost whole."""

import contextlib
import time

from confluent_kafka import KafkaException
from confluent_kafka.admin import NewTopic

import systems
from cluster import Plan, directory_id
from scenarios import scenario


@scenario("disk-full", usual=True)
def _(story):
    """A leader's disk is full for a while, then has room again."""
    cluster, node = story.cluster, story.cluster.leader(story.topic)
    cluster.fill_disk(node)
    for _ in range(12):
        story.sleep(1)
        if node.is_running():
            cluster.fill_disk(node, 0)
    story.note(survived=node.is_running())
    if not node.is_running():
        cluster.kill(node)
    cluster.empty_disk(node)
    story.healed()
    if not node.is_running():
        cluster.start(node)
    cluster.wait_ready(node)


@scenario("disk-full-controller")
def _(story):
    """The active controller's disk is full, metadata and all: another controller leads."""
    cluster, node = story.cluster, story.cluster.controller()
    leads = node
    for _ in range(15):
        if node.is_running():
            # The reserve that the node gives up meanwhile is taken from it, too.
            cluster.fill_disk(node, 0)
        ask_for_a_change(story)
        story.sleep(1)
        leads = cluster.controller()
    story.note(survived=node.is_running())
    story.require(node.is_running(), "the node with the full disk has ended")
    story.require(leads is not node, "the node with the full disk still leads the quorum")
    cluster.empty_disk(node)
    story.healed()
    if not node.is_running():
        cluster.start(node)
    cluster.wait_ready(node)


def ask_for_a_change(story):
    """A change of metadata that may fail: the controller has to write."""
    name = f"change-{time.time_ns()}"
    asked = story.admin.create_topics([NewTopic(name, 1, 3)], operation_timeout=2)
    with contextlib.suppress(KafkaException):
        asked[name].result(timeout=10)


SYNCS_FAIL = Plan(failing_syncs=True)


@scenario("sync-fails", plan=SYNCS_FAIL)
def _(story):
    """Syncs of a leader's disk fail with EIO once and then lie; then that node loses power."""
    cluster, node = story.cluster, story.cluster.leader(story.topic)
    cluster.fail_syncs(node, True)
    story.sleep(8)
    story.note(survived=node.is_running())
    cluster.power_cut([node])
    cluster.fail_syncs(node, False)
    story.started(node)


@scenario("sync-fails-everywhere", plan=SYNCS_FAIL, topic={"flush.messages": "1"}, rate=1500)
def _(story):
    """Syncs fail on all disks, then all lose power: what was acknowledged after is no excuse."""
    nodes = story.cluster.nodes
    for node in nodes:
        story.cluster.fail_syncs(node, True)
    story.sleep(5)
    story.note(survived=sum(node.is_running() for node in nodes))
    story.cluster.power_cut(nodes)
    for node in nodes:
        story.cluster.fail_syncs(node, False)
    story.started(*nodes)


@scenario("lost-disk")
def _(story):
    """A node comes back under its old id with an empty disk."""
    cluster, node = story.cluster, story.cluster.leader(story.topic)
    cluster.lose_disk(node)
    story.sleep(5)
    cluster.finish_format(node, cluster.format(node, []))
    story.started(node)


@scenario("replaced-voter", plan=Plan(dynamic=True))
def _(story):
    """A voter's disk is lost; under load the old voter is removed and the new one added."""
    cluster = story.cluster
    controller = cluster.controller()
    node = next(n for n in cluster.nodes if n is not controller)
    cluster.lose_disk(node)
    cluster.finish_format(node, cluster.format(node, ["--no-initial-controllers"]))
    cluster.start(node)
    cluster.wait_ready(node)
    old = ["--controller-id", str(node.id), "--controller-directory-id", directory_id(node)]
    systems.quorum_tool(controller, ["remove-controller", *old])
    add = ["--command-config", node.properties_file, "add-controller"]
    systems.quorum_tool(controller, add)
    story.healed()
    said = systems.quorum_tool(controller, ["describe", "--status"])
    voters = next(line for line in said.splitlines() if line.startswith("CurrentVoters"))
    story.require(f'"id": {node.id},' in voters, f"node {node.id} is no voter: {voters}")
    story.require(directory_id(node) not in voters, f"the old voter is still there: {voters}")
