"""Groups of the classic and of the consumer protocol."""

from confluent import *


@feature("subscribe, consume all, commit sync, resume from commit")
def _():
    t = mk(T("g1"), 2)
    prod(t, [(b"%d" % i, b"%d" % i) for i in range(100)], part=-1)
    g = T("g1")
    c, r = group(g, [t], 100)
    eq(len(r), 100)
    c.close()
    prod(t, [b"new"], part=0)
    c, r = group(g, [t], 1)
    eq([m.value() for m in r], [b"new"])
    c.close()


@feature("two members share 4 partitions; leave rebalances")
def _():
    t = mk(T("g2"), 4)
    g = T("g2")
    c1, _ = group(g, [t], 0)
    c2 = Consumer({"bootstrap.servers": B, "group.id": g, "auto.offset.reset": "earliest"})
    c2.subscribe([t])
    t0 = time.time()
    while time.time() - t0 < 40 and not (len(c1.assignment()) == 2 and len(c2.assignment()) == 2):
        c1.poll(0.2)
        c2.poll(0.2)
    eq((len(c1.assignment()), len(c2.assignment())), (2, 2))
    eq(len({(x.topic, x.partition) for x in c1.assignment() + c2.assignment()}), 4)
    c2.close()
    t0 = time.time()
    while time.time() - t0 < 40 and len(c1.assignment()) != 4:
        c1.poll(0.2)
    eq(len(c1.assignment()), 4)
    c1.close()


@feature("regex subscription")
def _():
    t = mk(T("rx" + "-1"))
    prod(t, [b"r"])
    c, r = group(T("rx"), ["^" + T("rx" + "-.*")], 1)
    eq(len(r), 1)
    c.close()


@feature("static membership: same instance rejoins without rebalance")
def _():
    t = mk(T("sm"), 2)
    g = T("sm")
    c, _ = group(g, [t], 0, **{"group.instance.id": "i1"})
    c.close()
    d = one(adm.describe_consumer_groups([g]))
    eq(len(d.members), 1, "static member stays")
    eq(d.members[0].group_instance_id, "i1")
    c, _ = group(g, [t], 0, **{"group.instance.id": "i1"})
    eq(len(c.assignment()), 2)
    c.close()


@feature("describe_consumer_groups: state, members, assignment, type")
def _():
    t = mk(T("dg"), 2)
    g = T("dg")
    c, _ = group(g, [t], 0)
    d = one(adm.describe_consumer_groups([g], include_authorized_operations=True))
    eq(d.state, ConsumerGroupState.STABLE)
    eq(len(d.members), 1)
    eq(len(d.members[0].assignment.topic_partitions), 2)
    ok(d.coordinator is not None)
    eq(d.type, ConsumerGroupType.CLASSIC)
    ok(d.members[0].client_id)
    ok(d.members[0].host)
    c.close()
    time.sleep(0.5)
    eq(one(adm.describe_consumer_groups([g])).state, ConsumerGroupState.EMPTY)


@feature("list_consumer_groups with state/type filter")
def _():
    t = mk(T("lg"))
    prod(t, [b"1"])
    g = T("lg")
    c, _ = group(g, [t], 1)
    ty = ConsumerGroupType.CLASSIC
    r = adm.list_consumer_groups(states={ConsumerGroupState.STABLE}, types={ty}).result(20)
    ok(g in [x.group_id for x in r.valid])
    r = adm.list_consumer_groups(states={ConsumerGroupState.EMPTY}).result(20)
    ok(g not in [x.group_id for x in r.valid])
    c.close()
    other = ConsumerGroupType.CONSUMER
    r = adm.list_consumer_groups(types={other}).result(20)
    ok(g not in [x.group_id for x in r.valid])


@feature("list/alter group offsets; alter with active member fails")
def _():
    t = mk(T("og"), 2)
    prod(t, [b"%d" % i for i in range(10)])
    g = T("og")
    c, _ = group(g, [t], 10)
    q = lambda: {
        x.partition: x.offset
        for x in one(
            adm.list_consumer_group_offsets([ConsumerGroupTopicPartitions(g)])
        ).topic_partitions
    }
    eq(q().get(0), 10)
    r = None
    try:
        r = [
            x.error.name() if x.error else None
            for x in one(
                adm.alter_consumer_group_offsets(
                    [ConsumerGroupTopicPartitions(g, [TopicPartition(t, 0, 3)])]
                )
            ).topic_partitions
        ][0]
    except KafkaException as e:
        r = e.args[0].name()
    ok(r in ("UNKNOWN_MEMBER_ID", "NON_EMPTY_GROUP"), f"alter active: {r}")
    c.close()
    time.sleep(0.3)
    one(
        adm.alter_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(g, [TopicPartition(t, 0, 3)])]
        )
    )
    eq(q()[0], 3)
    c, r = group(g, [t], 7)
    eq(r[0].offset(), 3)
    c.close()
    x = one(
        adm.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(g, [TopicPartition(t, 1)])], require_stable=True
        )
    ).topic_partitions
    eq(len(x), 1)


@feature("delete group: NON_EMPTY, ok, GROUP_ID_NOT_FOUND")
def _():
    t = mk(T("xg"))
    prod(t, [b"1"])
    g = T("xg")
    c, _ = group(g, [t], 1)
    eq(code(lambda: one(adm.delete_consumer_groups([g]))), "NON_EMPTY_GROUP")
    c.close()
    time.sleep(0.3)
    one(adm.delete_consumer_groups([g]))
    eq(code(lambda: one(adm.delete_consumer_groups([g]))), "GROUP_ID_NOT_FOUND")


@feature("commit metadata + committed()")
def _():
    t = mk(T("cm"))
    prod(t, [b"1"] * 5)
    c, _ = group(T("cm"), [t], 5, commit=False)
    c.commit(offsets=[TopicPartition(t, 0, 4, metadata="meta-Ж")], asynchronous=False)
    x = c.committed([TopicPartition(t, 0)], 10)[0]
    eq((x.offset, x.metadata), (4, "meta-Ж"))
    c.close()


@feature("max.poll.interval.ms exceeded -> member leaves")
def _():
    t = mk(T("mpi"))
    c, _ = group(
        T("mpi"),
        [t],
        0,
        **{
            "max.poll.interval.ms": 7000,
            "session.timeout.ms": 6000,
        },
    )
    time.sleep(9)
    d = one(adm.describe_consumer_groups([T("mpi")]))
    eq(len(d.members), 0)
    e = None
    t0 = time.time()
    while time.time() - t0 < 10 and e is None:
        m = c.poll(0.3)
        if m is not None and m.error():
            e = m.error().name()
    eq(e, "_MAX_POLL_EXCEEDED")
    c.close()


for st in ("range", "roundrobin", "cooperative-sticky"):

    @feature(f"assignor {st}")
    def _(st=st):
        t = mk(T("as" + st), 3)
        c, _ = group(T("as" + st), [t], 0, **{"partition.assignment.strategy": st})
        eq(len(c.assignment()), 3)
        d = one(adm.describe_consumer_groups([T("as" + st)]))
        eq(d.partition_assignor, st)
        c.close()


@feature("describe_consumer_groups of unknown group")
def _():
    try:
        d = one(adm.describe_consumer_groups([T("no-such-group")]))
        eq(d.state, ConsumerGroupState.DEAD)
    except KafkaException as e:
        eq(e.args[0].name(), "GROUP_ID_NOT_FOUND")


@feature("auto commit on close")
def _():
    t = mk(T("ac"))
    prod(t, [b"1"] * 10)
    g = T("ac")
    c, r = group(
        g, [t], 10, commit=False, **{"enable.auto.commit": True, "auto.commit.interval.ms": 500}
    )
    c.close()
    eq(
        one(adm.list_consumer_group_offsets([ConsumerGroupTopicPartitions(g)]))
        .topic_partitions[0]
        .offset,
        10,
    )


@feature("consumer_group_metadata usable")
def _():
    t = mk(T("gm"))
    c, _ = group(T("gm"), [t], 0)
    ok(c.consumer_group_metadata() is not None)
    c.close()


def kip848(g, t, **more):
    conf = {"bootstrap.servers": B, "group.id": g, "group.protocol": "consumer"}
    c = Consumer({**conf, "auto.offset.reset": "earliest", **more})
    c.subscribe([t])
    return c


def poll_until(cs, done, seconds=60):
    got = []
    t0 = time.time()
    while time.time() - t0 < seconds and not done(got):
        for c in cs:
            m = c.poll(0.1)
            if m is not None and not m.error():
                got.append(m)
    ok(done(got), [len(c.assignment()) for c in cs])
    return got


@feature("kip848: two members share, one leaves, offsets are committed")
def _():
    t = mk(T("k1"), 4)
    prod(t, [b"%d" % i for i in range(100)], part=-1)
    g = T("k1")
    c1, c2 = kip848(g, t), kip848(g, t)
    shares = lambda _: len(c1.assignment()) == 2 and len(c2.assignment()) == 2
    got = poll_until([c1, c2], shares)
    eq(len({(x.topic, x.partition) for x in c1.assignment() + c2.assignment()}), 4)
    got += poll_until([c1, c2], lambda more: len(got) + len(more) >= 100)
    # What was read is committed as they close.
    c2.close()
    poll_until([c1], lambda _: len(c1.assignment()) == 4)
    d = one(adm.describe_consumer_groups([g]))
    eq((d.state, d.type), (ConsumerGroupState.STABLE, ConsumerGroupType.CONSUMER))
    eq(len(d.members), 1)
    c1.close()
    q = one(adm.list_consumer_group_offsets([ConsumerGroupTopicPartitions(g)]))
    eq(sum(x.offset for x in q.topic_partitions), 100)


@feature("kip848: regex subscription")
def _():
    t = mk(T("krx" + "-1"))
    prod(t, [b"r"])
    c = kip848(T("krx"), "^" + T("krx" + "-.*"))
    poll_until([c], lambda got: len(got) == 1)
    c.close()


@feature("kip848: a static member comes back to what it had")
def _():
    t = mk(T("ksm"), 2)
    g = T("ksm")
    c = kip848(g, t, **{"group.instance.id": "i1"})
    poll_until([c], lambda _: len(c.assignment()) == 2)
    c.close()
    eq(len(one(adm.describe_consumer_groups([g])).members), 1, "static member stays")
    c = kip848(g, t, **{"group.instance.id": "i1"})
    poll_until([c], lambda _: len(c.assignment()) == 2)
    c.close()
