"""Nodes that stand still and go on later, with requests in their buffers."""

import signal

from scenarios import scenario


def freeze(story, node, seconds):
    node.signal(signal.SIGSTOP)
    try:
        story.sleep(seconds)
    finally:
        node.signal(signal.SIGCONT)


@scenario("freeze-short")
def _(story):
    """A leader stands still for less than its session."""
    freeze(story, story.cluster.leader(story.topic), 4)


@scenario("freeze-leader", usual=True)
def _(story):
    """A leader stands still until it was replaced, and wakes up believing it leads."""
    freeze(story, story.cluster.leader(story.topic), 18)


@scenario("freeze-controller")
def _(story):
    """The active controller stands still until it was replaced."""
    freeze(story, story.cluster.controller(), 18)
