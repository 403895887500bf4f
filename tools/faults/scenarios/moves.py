"""Leaders and replicas that move under load."""

from confluent_kafka import ElectionType, KafkaException, TopicPartition

import wire
from scenarios import LOSS, scenario

PAIRS = [[1, 2], [2, 3], [3, 1]] * 2
ONE_IS_ENOUGH = {"min.insync.replicas": "1"}


def rotated(steps):
    turn = lambda broker: (broker + steps - 1) % 3 + 1  # noqa: E731
    return {p: [turn(broker) for broker in pair] for p, pair in enumerate(PAIRS)}


@scenario("reassign", assignment=PAIRS, topic=ONE_IS_ENOUGH)
def _(story):
    """Replicas of all partitions move, four times."""
    for step in range(1, 5):
        error = wire.reassign(story.cluster.nodes[0].address, story.topic, rotated(step))
        story.require(error == 0, f"reassignment refused with {error}")
        story.sleep(4)


@scenario("reassign-kill", assignment=PAIRS, topic=ONE_IS_ENOUGH)
def _(story):
    """kill -9 of a leader while replicas of all partitions move."""
    wire.reassign(story.cluster.nodes[0].address, story.topic, rotated(1))
    story.down_and_up(story.cluster.leader(story.topic), 3)


@scenario("elect")
def _(story):
    """All leaders move once a second, ten times."""
    moved = 0
    for step in range(10):
        plan = {p: [(p + step + k) % 3 + 1 for k in range(3)] for p in range(story.partitions)}
        wire.reassign(story.cluster.nodes[0].address, story.topic, plan)
        places = [TopicPartition(story.topic, p) for p in range(story.partitions)]
        try:
            results = story.admin.elect_leaders(ElectionType.PREFERRED, places).result()
            moved += sum(error is None for error in results.values())
        except KafkaException as error:
            story.note(election=str(error)[:80])
        story.sleep(1)
    story.note(moved_leaders=moved)
    story.require(moved > story.partitions, "leaders hardly moved")


@scenario(
    "unclean",
    topic={"unclean.leader.election.enable": "true", "min.insync.replicas": "1"},
    must_break="lost",
    may_break=(
        *LOSS,
        "ended_producers",
        # Who had committed beyond the new end begins anew before it, and commits that.
        "group-classic.commits_back",
        "group-classic.commits_lost",
        "group-consumer.commits_back",
        "group-consumer.commits_lost",
        # What was given is lost with the log, and the share group's start is beyond the new end.
        "share.strange",
        "share.undelivered",
        "share.ended_early",
        "share.not_drained",
    ),
)
def _(story):
    """The last in-sync replica dies where unclean elections are allowed: documented loss, and
    replicas that agree afterwards."""
    cluster, leader = story.cluster, story.cluster.leader(story.topic)
    cluster.starve_followers(leader)
    story.sleep(38)
    cluster.kill(leader)
    cluster.heal()
    story.sleep(12)
    story.started(leader)
