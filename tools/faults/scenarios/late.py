"""Single requests that come late or twice, by a relay that knows Kafka's frames."""

from cluster import Plan
from scenarios import scenario

PRODUCE, END_TXN, ALTER_PARTITION, SHARE_ACKNOWLEDGE = 0, 26, 56, 79
RELAYED = Plan(relay=True)
# A follower that lags is taken out of the ISR soon, so that AlterPartition has something to say.
SHORT_LAG = Plan(relay=True, settings=(("replica.lag.time.max.ms", "2000"),))


def must_have_happened(story, word):
    done = sum(
        line.startswith(word)
        for node in story.cluster.nodes
        for line in story.cluster.relayed(node)
    )
    story.note(requests=done)
    story.require(done > 0, "the relay did nothing")


def each_node(story, key, action, after_ms, count):
    for node in story.cluster.nodes:
        rule = {"key": key, "action": action, "after_ms": after_ms, "count": count}
        story.cluster.relay_rule(node, **rule)


@scenario("produce-late", plan=RELAYED)
def _(story):
    """A few Produce requests arrive 8 s late, after their retries on other connections."""
    for _ in range(3):
        each_node(story, PRODUCE, "delay", 8000, 1)
        story.sleep(4)
    story.sleep(8)
    must_have_happened(story, "delayed")


@scenario("produce-twice", plan=RELAYED)
def _(story):
    """Produce requests arrive a second time, at once and a while later."""
    for after_ms in (0, 20, 500, 3000):
        each_node(story, PRODUCE, "repeat", after_ms, 5)
        story.sleep(3)
    story.sleep(3)
    must_have_happened(story, "repeated")


def isr_changes(story, action, after_ms):
    """ISRs shrink and grow while requests to change them are late or repeated."""
    controller = story.cluster.controller()
    node = next(n for n in story.cluster.nodes if n is not controller)
    for _ in range(3):
        each_node(story, ALTER_PARTITION, action, after_ms, 2)
        for other in story.cluster.nodes:
            if other is not node:
                story.cluster.starve_followers(other)
        story.sleep(4)
        story.cluster.heal()
        story.sleep(4)


@scenario("isr-change-late", plan=SHORT_LAG)
def _(story):
    """AlterPartition requests arrive 3 s late."""
    isr_changes(story, "delay", 3000)
    must_have_happened(story, "delayed")


@scenario("isr-change-twice", plan=SHORT_LAG)
def _(story):
    """AlterPartition requests arrive a second time, when the partition has moved on."""
    isr_changes(story, "repeat", 2000)
    must_have_happened(story, "repeated")


@scenario("end-of-transaction-late", plan=RELAYED, usual=True)
def _(story):
    """EndTxn requests arrive late or twice: the next transaction is not theirs to end."""
    if without_transactions(story):
        return
    for action, after_ms in (("delay", 6000), ("repeat", 300), ("repeat", 2000)):
        each_node(story, END_TXN, action, after_ms, 2)
        story.sleep(5)
    must_have_happened(story, "")


@scenario("end-of-transaction-twice", plan=RELAYED)
def _(story):
    """EndTxn requests arrive a second time, at once, in the next transaction, and much later."""
    if without_transactions(story):
        return
    for after_ms in (0, 20, 100, 500, 4000):
        each_node(story, END_TXN, "repeat", after_ms, 5)
        story.sleep(3)
    story.sleep(3)
    must_have_happened(story, "repeated")


@scenario("share-acknowledge-late", plan=RELAYED)
def _(story):
    """ShareAcknowledge requests arrive late, when the hold is over, or a second time."""
    if without_transactions(story):
        return
    for action, after_ms in (("delay", 7000), ("repeat", 50), ("delay", 12000), ("repeat", 1000)):
        each_node(story, SHARE_ACKNOWLEDGE, action, after_ms, 2)
        story.sleep(5)
    story.sleep(8)
    must_have_happened(story, "delayed")


def without_transactions(story):
    story.note(**({"without_transactions": True} if story.options.plain else {}))
    return story.options.plain
