"""Networks that are cut, in whole, in part or in one direction, and networks that are bad."""

from cluster import Plan
from scenarios import ONE_ACKNOWLEDGEMENT, scenario


@scenario("isolate")
def _(story):
    """A leader is cut off from everybody."""
    story.cluster.isolate(story.cluster.leader(story.topic))
    story.sleep(18)


@scenario("isolate-controller")
def _(story):
    """The active controller, which leads partitions too, is cut off from everybody."""
    story.cluster.isolate(story.cluster.controller())
    story.sleep(18)


@scenario("minority", usual=True)
def _(story):
    """The controller is cut off from its peers; clients reach both sides: no split brain."""
    story.cluster.isolate(story.cluster.controller(), clients=False)
    story.sleep(18)


@scenario("mute")
def _(story):
    """One way only: the leader hears everybody, its peers do not hear it."""
    story.cluster.isolate(story.cluster.leader(story.topic), clients=False, into=False)
    story.sleep(18)


@scenario("single-link")
def _(story):
    """Two nodes do not see each other, the third sees both."""
    one = story.cluster.controller()
    other = next(node for node in story.cluster.nodes if node is not one)
    story.cluster.cut(one, other)
    story.cluster.cut(other, one)
    story.sleep(18)


@scenario("flapping")
def _(story):
    """A leader's links to its peers go and come, eight times."""
    node = story.cluster.leader(story.topic)
    for _ in range(8):
        story.cluster.isolate(node, clients=False)
        story.sleep(1.5)
        story.cluster.heal()
        story.sleep(1)


@scenario("slow-and-lossy", plan=Plan(slow=True))
def _(story):
    """40 ms +- 20 ms between all nodes, and 5 % of packets lost."""
    for node in story.cluster.nodes:
        story.cluster.delay_packets(node, 40, 20)
        story.cluster.lose_packets(node, 0.05)
    story.sleep(15)


@scenario(
    "one-acknowledgement-minority", acks="1", must_break="lost", may_break=ONE_ACKNOWLEDGEMENT
)
def _(story):
    """acks=1 and a leader cut off from its peers: what it alone acknowledged is gone."""
    story.cluster.isolate(story.cluster.leader(story.topic), clients=False)
    story.sleep(18)
