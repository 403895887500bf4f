"""Records at and over the size limit, and a group whose member dies."""

from confluent import *

# Bytes of a batch before its first record.
BATCH_OVERHEAD = 61


def varint_size(value):
    """Size of a zigzag varint of a value that is not negative."""
    size, value = 1, value << 1
    while value > 127:
        size, value = size + 1, value >> 7
    return size


def batch_size(value_size):
    """Size of a batch with one record that has no key and no headers."""
    # attributes, timestamp delta, offset delta, key length, header count: one byte each
    body = 5 + varint_size(value_size) + value_size
    return BATCH_OVERHEAD + varint_size(body) + body


def value_of_batch(size):
    """The value whose batch has exactly this size."""
    value_size = next(n for n in range(size - BATCH_OVERHEAD, 0, -1) if batch_size(n) <= size)
    eq(batch_size(value_size), size, "no value gives exactly this size:")
    return b"v" * value_size


def send(topic, value, **conf):
    """Delivers one value in a batch of its own; returns the error's name, or None."""
    out = []
    p = Producer({"bootstrap.servers": B, "message.max.bytes": 4000000, **conf})
    p.produce(topic, value, partition=0, on_delivery=lambda e, m: out.append(e))
    p.flush(30)
    return out[0] and out[0].name()


for limit in (2000, 1048588):

    @feature(f"a batch of exactly max.message.bytes={limit} is stored, one byte more is refused")
    def _(limit=limit):
        # 1048588 is the default: the topic does not name it.
        t = mk(T(f"limit-{limit}"), 1, **({"max.message.bytes": limit} if limit == 2000 else {}))
        value = value_of_batch(limit)
        eq(send(t, value), None)
        eq(send(t, value + b"v"), "MSG_SIZE_TOO_LARGE")
        r = cons([TopicPartition(t, 0, 0)], 1)
        eq([m.value() == value for m in r], [True])


@feature("the size limit counts what is sent: a large record that compresses well is stored")
def _():
    t = mk(T("limit-gz"), 1, **{"max.message.bytes": 2000})
    value = b"v" * 100000
    eq(send(t, value, **{"compression.type": "gzip"}), None)
    eq([m.value() == value for m in cons([TopicPartition(t, 0, 0)], 1)], [True])


MEMBER = """
import sys
from confluent_kafka import Consumer
consumer = Consumer({
    "bootstrap.servers": sys.argv[1], "group.id": sys.argv[2], "client.id": "dies",
    "auto.offset.reset": "earliest", "session.timeout.ms": 6000, "heartbeat.interval.ms": 1000,
})
consumer.subscribe([sys.argv[3]])
while True:
    consumer.poll(0.2)
    print(len(consumer.assignment()), flush=True)
"""


@feature("N partitions, N+1 members: one is idle, and takes over from a member that is killed")
def _():
    t = mk(T("idle"), 2)
    g = T("idle")
    dying = subprocess.Popen(
        [sys.executable, "-c", MEMBER, B, g, t], stdout=subprocess.PIPE, text=True
    )
    conf = {
        "bootstrap.servers": B,
        "group.id": g,
        "auto.offset.reset": "earliest",
        "session.timeout.ms": 6000,
        "heartbeat.interval.ms": 1000,
    }
    rest = []
    try:
        # The one to die gets a partition, because it is alone at first.
        until("the first member's partitions", lambda: dying.stdout.readline().strip() == "2")
        rest = [Consumer(conf) for _ in range(2)]
        for c in rest:
            c.subscribe([t])

        def shares():
            for c in rest:
                c.poll(0.1)
            return sorted(len(c.assignment()) for c in rest)

        def members():
            shares()
            d = one(adm.describe_consumer_groups([g]))
            return sorted((len(m.assignment.topic_partitions), m.client_id) for m in d.members)

        found = until("three members, two at work", lambda: working(members()), 40)
        eq(sum(n for n, _ in found), 2)
        dying.kill()
        # Whichever two are left, they end with one partition each.
        until("the idle member at work", lambda: shares() == [1, 1], 40)
        eq(len(members()), 2)
    finally:
        dying.kill()
        dying.wait()
        for c in rest:
            c.close()


def working(members):
    """The members, once three of them share two partitions."""
    return members if [n for n, _ in members] == [0, 1, 1] else None


@feature("a session timeout below group.min.session.timeout.ms is refused")
def _():
    t = mk(T("minses"))
    c = Consumer({"bootstrap.servers": B, "group.id": T("minses"), "session.timeout.ms": 1000})
    c.subscribe([t])
    errors = []
    end = time.time() + 8
    while time.time() < end and not errors:
        m = c.poll(0.3)
        if m is not None and m.error():
            errors.append(m.error().name())
    eq(len(c.assignment()), 0)
    c.close()
