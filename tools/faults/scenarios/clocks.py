"""Clocks that jump (only the wall clock, as when ntpd or an operator sets it)."""

from cluster import Plan
from scenarios import scenario


@scenario("clock-hour", plan=Plan(clock=True))
def _(story):
    """A leader's clock jumps an hour ahead, the controller's an hour back."""
    leader, controller = story.cluster.leader(story.topic), story.cluster.controller()
    story.cluster.clock(leader, 3600)
    story.sleep(6)
    story.cluster.clock(controller, -3600)
    story.sleep(6)
    for node in story.cluster.nodes:
        story.cluster.clock(node, 0)


EIGHT_DAYS = 8 * 86400
OFTEN = (("log.retention.check.interval.ms", "3000"),)


@scenario(
    "clock-eight-days",
    plan=Plan(clock=True, settings=OFTEN),
    topic={"segment.bytes": "1048576", "retention.ms": "1209600000"},
    size=600,
    warm=12,
)
def _(story):
    """A leader's clock is eight days ahead; what is kept for fourteen days stays."""
    leader = story.cluster.leader(story.topic)
    story.cluster.clock(leader, EIGHT_DAYS)
    story.sleep(10)
    story.cluster.clock(leader, 0)
