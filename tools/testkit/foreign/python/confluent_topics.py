"""Cluster and topics."""

from confluent import *


@feature("describe_cluster: id, controller, nodes")
def _():
    d = adm.describe_cluster(include_authorized_operations=True).result(20)
    ok(len(d.cluster_id) > 0)
    ok(d.controller is not None)
    ok(len(d.nodes) >= 1)
    ok(d.authorized_operations is not None)
    ok(adm.cluster_id(20) == d.cluster_id if callable(adm.cluster_id) else True)


@feature("list_topics: brokers + controller id")
def _():
    m = adm.list_topics(timeout=10)
    ok(len(m.brokers) >= 1)
    ok(m.cluster_id)
    ok(m.controller_id in m.brokers)


@feature("create_topics + describe_topics")
def _():
    t = mk(T("a"), 3)
    d = one(adm.describe_topics(TopicCollection([t]), include_authorized_operations=True))
    eq(d.name, t)
    eq(len(d.partitions), 3)
    ok(not d.is_internal)
    eq(len(d.partitions[0].replicas), RF)
    eq(len(d.partitions[0].isr), RF)
    ok(str(d.topic_id) != "AAAAAAAAAAAAAAAAAAAAAA")
    ok(len(d.authorized_operations) > 0)


@feature("create_topics: validate_only creates nothing")
def _():
    t = T("vo")
    one(adm.create_topics([NewTopic(t, 1, RF)], validate_only=True))
    time.sleep(0.3)
    ok(t not in adm.list_topics(timeout=10).topics)


@feature("create_topics: TOPIC_ALREADY_EXISTS")
def _():
    t = mk(T("dup"))
    eq(code(lambda: one(adm.create_topics([NewTopic(t, 1, RF)]))), "TOPIC_ALREADY_EXISTS")


@feature("create_topics: TOPIC_EXCEPTION for bad name")
def _():
    eq(code(lambda: one(adm.create_topics([NewTopic("bad name!", 1, RF)]))), "TOPIC_EXCEPTION")
    eq(code(lambda: one(adm.create_topics([NewTopic("x" * 250, 1, RF)]))), "TOPIC_EXCEPTION")
    eq(code(lambda: one(adm.create_topics([NewTopic("..", 1, RF)]))), "TOPIC_EXCEPTION")


@feature("create_topics: name collision a.b / a_b")
def _():
    mk(T("x.y"))
    eq(code(lambda: one(adm.create_topics([NewTopic(T("x_y"), 1, RF)]))), "TOPIC_EXCEPTION")


@feature("create_topics: INVALID_PARTITIONS")
def _():
    eq(code(lambda: one(adm.create_topics([NewTopic(T("ip"), 0, RF)]))), "INVALID_PARTITIONS")


@feature("create_topics: INVALID_REPLICATION_FACTOR")
def _():
    eq(
        code(lambda: one(adm.create_topics([NewTopic(T("irf"), 1, 99)]))),
        "INVALID_REPLICATION_FACTOR",
    )


@feature("create_topics: INVALID_CONFIG")
def _():
    eq(
        code(
            lambda: one(
                adm.create_topics([NewTopic(T("ic"), 1, RF, config={"retention.ms": "abc"})])
            )
        ),
        "INVALID_CONFIG",
    )
    eq(
        code(
            lambda: one(
                adm.create_topics([NewTopic(T("ic"), 1, RF, config={"no.such.config": "1"})])
            )
        ),
        "INVALID_CONFIG",
    )
    eq(
        code(
            lambda: one(
                adm.create_topics([NewTopic(T("ic"), 1, RF, config={"cleanup.policy": "shred"})])
            )
        ),
        "INVALID_CONFIG",
    )


@feature("create_topics: broker-default partitions/RF (-1)")
def _():
    t = T("def")
    one(adm.create_topics([NewTopic(t)]))
    time.sleep(0.3)
    d = one(adm.describe_topics(TopicCollection([t])))
    ok(len(d.partitions) >= 1)


@feature("create_topics: manual replica assignment")
def _():
    b = sorted(adm.list_topics(timeout=10).brokers)
    t = T("ma")
    one(adm.create_topics([NewTopic(t, num_partitions=2, replica_assignment=[[b[0]], [b[-1]]])]))
    time.sleep(0.3)
    d = one(adm.describe_topics(TopicCollection([t])))
    eq([x.id for x in d.partitions[1].replicas], [b[-1]])


@feature("create_topics: multi-topic request, mixed outcome")
def _():
    f = adm.create_topics(
        [NewTopic(T("m1"), 1, RF), NewTopic("bad/name", 1, RF), NewTopic(T("m2"), 2, RF)]
    )
    f[T("m1")].result(20)
    f[T("m2")].result(20)
    eq(code(lambda: f["bad/name"].result(20)), "TOPIC_EXCEPTION")


@feature("describe_topics: UNKNOWN_TOPIC_OR_PART")
def _():
    eq(
        code(lambda: one(adm.describe_topics(TopicCollection([T("nope")])))),
        "UNKNOWN_TOPIC_OR_PART",
    )


@feature("delete_topics + UNKNOWN_TOPIC_OR_PART")
def _():
    t = mk(T("del"))
    one(adm.delete_topics([t], operation_timeout=30))
    time.sleep(0.5)
    ok(t not in adm.list_topics(timeout=10).topics)
    eq(code(lambda: one(adm.delete_topics([t], operation_timeout=10))), "UNKNOWN_TOPIC_OR_PART")


@feature("delete + recreate topic: new topic id, empty log")
def _():
    t = mk(T("rec"))
    i1 = str(one(adm.describe_topics(TopicCollection([t]))).topic_id)
    prod(t, [b"1"] * 5)
    one(adm.delete_topics([t], operation_timeout=30))
    time.sleep(1)
    mk(t)
    ok(str(one(adm.describe_topics(TopicCollection([t]))).topic_id) != i1)
    c = Consumer({"bootstrap.servers": B, "group.id": "x"})
    eq(c.get_watermark_offsets(TopicPartition(t, 0), 10), (0, 0))
    c.close()


@feature("create_partitions grow; shrink -> INVALID_PARTITIONS")
def _():
    t = mk(T("gp"), 1)
    one(adm.create_partitions([NewPartitions(t, 3)]))
    time.sleep(0.5)
    eq(len(adm.list_topics(t, timeout=10).topics[t].partitions), 3)
    eq(code(lambda: one(adm.create_partitions([NewPartitions(t, 2)]))), "INVALID_PARTITIONS")
    eq(code(lambda: one(adm.create_partitions([NewPartitions(t, 3)]))), "INVALID_PARTITIONS")


@feature("create_partitions: validate_only; unknown topic")
def _():
    t = mk(T("gp2"), 1)
    one(adm.create_partitions([NewPartitions(t, 3)], validate_only=True))
    time.sleep(0.3)
    eq(len(adm.list_topics(t, timeout=10).topics[t].partitions), 1)
    eq(
        code(lambda: one(adm.create_partitions([NewPartitions(T("zz"), 3)]))),
        "UNKNOWN_TOPIC_OR_PART",
    )


@feature("create_partitions: explicit assignment")
def _():
    b = sorted(adm.list_topics(timeout=10).brokers)
    t = mk(T("gp3"), 1)
    one(adm.create_partitions([NewPartitions(t, 2, replica_assignment=[b[:RF]])]))
    time.sleep(0.4)
    eq(len(adm.list_topics(t, timeout=10).topics[t].partitions), 2)


@feature("auto-create on produce (allow.auto.create.topics)")
def _():
    t = T("auto")
    prod(t, [b"x"], part=-1)
    ok(t in adm.list_topics(timeout=10).topics)


@feature("consumer allow.auto.create.topics=false -> UNKNOWN_TOPIC")
def _():
    t = T("noauto")
    c = Consumer(
        {
            "bootstrap.servers": B,
            "group.id": T("na"),
            "allow.auto.create.topics": False,
            "auto.offset.reset": "earliest",
            "topic.metadata.propagation.max.ms": 500,
        }
    )
    c.subscribe([t])
    e = None
    t0 = time.time()
    while time.time() - t0 < 15 and e is None:
        m = c.poll(0.5)
        if m is not None and m.error():
            e = m.error().name()
    c.close()
    eq(e, "UNKNOWN_TOPIC_OR_PART")
    ok(t not in adm.list_topics(timeout=10).topics)
