"""Reading from a place: seek, times, resets, deleted records."""

from confluent import *


@feature("watermarks, seek, position, pause/resume")
def _():
    t = mk(T("seek"))
    prod(t, [b"%d" % i for i in range(100)])
    c = Consumer({"bootstrap.servers": B, "group.id": T("s"), "enable.auto.commit": False})
    eq(c.get_watermark_offsets(TopicPartition(t, 0), 10), (0, 100))
    c.assign([TopicPartition(t, 0, 90)])
    eq(c.consume(1, 20)[0].offset(), 90)
    c.seek(TopicPartition(t, 0, 5))
    m = c.consume(1, 20)[0]
    eq(m.offset(), 5)
    eq(c.position([TopicPartition(t, 0)])[0].offset, 6)
    c.pause([TopicPartition(t, 0)])
    eq(c.consume(1, 1), [])
    c.resume([TopicPartition(t, 0)])
    eq(c.consume(1, 20)[0].offset(), 6)
    c.close()


@feature("partition EOF event")
def _():
    t = mk(T("eof"))
    prod(t, [b"1"])
    c = Consumer({"bootstrap.servers": B, "group.id": T("e"), "enable.partition.eof": True})
    c.assign([TopicPartition(t, 0, 0)])
    evs = []
    t0 = time.time()
    while len(evs) < 2 and time.time() - t0 < 20:
        m = c.poll(0.5)
        if m is not None:
            evs.append(m.error().name() if m.error() else m.offset())
    c.close()
    eq(evs, [0, "_PARTITION_EOF"])


@feature("OFFSET_OUT_OF_RANGE: auto.offset.reset earliest/latest/error")
def _():
    t = mk(T("oor"))
    prod(t, [b"%d" % i for i in range(10)])
    r = cons([TopicPartition(t, 0, 5000)], 1)
    eq(r[0].offset(), 0)
    try:
        cons([TopicPartition(t, 0, 5000)], 1, **{"auto.offset.reset": "error"})
        raise AssertionError("no error")
    except KafkaException as e:
        ok(e.args[0].name() in ("_AUTO_OFFSET_RESET", "OFFSET_OUT_OF_RANGE"), e.args[0].name())


@feature("offsets_for_times (ListOffsets by timestamp)")
def _():
    t = mk(T("oft"))
    [prod(t, [b"x"], timestamp=1700000000000 + i * 1000) for i in range(5)]
    c = Consumer({"bootstrap.servers": B, "group.id": "x"})
    g = lambda ts: c.offsets_for_times([TopicPartition(t, 0, ts)], 10)[0].offset
    eq(g(1700000001500), 2)
    eq(g(1600000000000), 0)
    eq(g(1700000002000), 2)
    eq(g(1800000000000), OFFSET_END)
    c.close()


@feature("admin list_offsets: earliest, latest, max_timestamp, timestamp, isolation")
def _():
    t = mk(T("lo"), 2)
    [prod(t, [b"x"], timestamp=ts) for ts in (1700000000000, 1700000009000, 1700000003000)]
    f = lambda s, iso=IsolationLevel.READ_UNCOMMITTED: one(
        adm.list_offsets({TopicPartition(t, 0): s}, isolation_level=iso)
    )
    eq(f(OffsetSpec.earliest()).offset, 0)
    eq(f(OffsetSpec.latest()).offset, 3)
    m = f(OffsetSpec.max_timestamp())
    eq((m.offset, m.timestamp), (1, 1700000009000))
    eq(f(OffsetSpec.for_timestamp(1700000002000)).offset, 1)
    eq(f(OffsetSpec.latest(), IsolationLevel.READ_COMMITTED).offset, 3)
    ok(f(OffsetSpec.latest()).leader_epoch is None or f(OffsetSpec.latest()).leader_epoch >= 0)


@feature("list_offsets: unknown partition")
def _():
    t = mk(T("lo2"), 1)
    c = code(lambda: one(adm.list_offsets({TopicPartition(t, 7): OffsetSpec.latest()})))
    ok(c in ("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_PARTITION", "_NOENT"), c)


@feature("delete_records: low watermark, earliest reset, -1 = all")
def _():
    t = mk(T("dr"))
    prod(t, [b"%d" % i for i in range(100)])
    eq(one(adm.delete_records([TopicPartition(t, 0, 40)])).low_watermark, 40)
    eq(cons([TopicPartition(t, 0, OFFSET_BEGINNING)], 1)[0].offset(), 40)
    eq(one(adm.delete_records([TopicPartition(t, 0, OFFSET_END)])).low_watermark, 100)
    eq(code(lambda: one(adm.delete_records([TopicPartition(t, 0, 5000)]))), "OFFSET_OUT_OF_RANGE")


@feature("delete_records on compact-only topic -> POLICY_VIOLATION")
def _():
    t = mk(T("drc"), 1, **{"cleanup.policy": "compact"})
    prod(t, [(b"k", b"v")])
    eq(code(lambda: one(adm.delete_records([TopicPartition(t, 0, 1)]))), "POLICY_VIOLATION")


@feature("consume from many partitions; per-partition order")
def _():
    t = mk(T("mp"), 6)
    prod(
        t,
        [(b"k%d" % (i % 50), b"%d" % i) for i in range(3000)],
        {"enable.idempotence": True},
        part=-1,
    )
    r = cons([TopicPartition(t, p, 0) for p in range(6)], 3000)
    eq(len(r), 3000)
    last = {}
    for m in r:
        ok(last.get(m.key(), -1) < int(m.value()))
        last[m.key()] = int(m.value())
