"""Producing, and reading back what was produced."""

from confluent import *


for codec in ("none", "gzip", "snappy", "lz4", "zstd"):

    @feature(f"produce/consume compression {codec}")
    def _(codec=codec):
        t = mk(T("cmp-" + codec))
        vals = [(b"k%d" % i, b"v" * 200 + b"%d" % i) for i in range(500)]
        prod(t, vals, {"compression.type": codec, "linger.ms": 20})
        r = cons([TopicPartition(t, 0, 0)], 500)
        eq([(m.key(), m.value()) for m in r], vals)
        eq([m.offset() for m in r], list(range(500)))


for codec in ("gzip", "snappy", "lz4", "zstd", "uncompressed"):

    @feature(f"topic compression.type={codec} (broker recompress)")
    def _(codec=codec):
        t = mk(T("rc-" + codec), 1, **{"compression.type": codec})
        prod(
            t,
            [b"z" * 100] * 50,
            {"compression.type": "lz4" if codec != "lz4" else "gzip", "linger.ms": 20},
        )
        r = cons([TopicPartition(t, 0, 0)], 50)
        eq(len(r), 50)
        ok(all(m.value() == b"z" * 100 for m in r))


for acks in ("0", "1", "all"):

    @feature(f"produce acks={acks}")
    def _(acks=acks):
        t = mk(T("ack" + acks))
        prod(t, [b"a"] * 20, {"acks": acks})
        eq(len(cons([TopicPartition(t, 0, 0)], 20)), 20)


@feature("idempotent producer, order kept over 5000 msgs")
def _():
    t = mk(T("idem"))
    ms = prod(
        t,
        [b"%d" % i for i in range(5000)],
        {"enable.idempotence": True, "linger.ms": 1, "batch.num.messages": 50},
    )
    eq([m.offset() for m in ms], list(range(5000)))
    eq([int(m.value()) for m in cons([TopicPartition(t, 0, 0)], 5000)], list(range(5000)))


@feature("headers, null key, null value, empty value")
def _():
    t = mk(T("hdr"))
    p = Producer({"bootstrap.servers": B})
    p.produce(t, None, b"k", 0, headers=[("a", b"1"), ("a", b"2"), ("n", None), ("e", b"")])
    p.produce(t, b"", None, 0)
    p.flush(20)
    r = cons([TopicPartition(t, 0, 0)], 2)
    eq(r[0].headers(), [("a", b"1"), ("a", b"2"), ("n", None), ("e", b"")])
    eq((r[0].value(), r[0].key()), (None, b"k"))
    eq((r[1].value(), r[1].key()), (b"", None))


@feature("timestamps: CreateTime kept, LogAppendTime stamped")
def _():
    t = mk(T("ts"))
    prod(t, [b"1"], timestamp=1700000000123)
    m = cons([TopicPartition(t, 0, 0)], 1)[0]
    eq(m.timestamp(), (ck.TIMESTAMP_CREATE_TIME, 1700000000123))
    t = mk(T("ts2"), 1, **{"message.timestamp.type": "LogAppendTime"})
    d = prod(t, [b"1"], timestamp=1700000000123)[0]
    m = cons([TopicPartition(t, 0, 0)], 1)[0]
    eq(m.timestamp()[0], ck.TIMESTAMP_LOG_APPEND_TIME)
    ok(abs(m.timestamp()[1] / 1000 - time.time()) < 60)
    eq(d.timestamp()[1], m.timestamp()[1])


@feature("INVALID_TIMESTAMP beyond message.timestamp.after.max.ms")
def _():
    t = mk(T("its"), 1, **{"message.timestamp.after.max.ms": "1000"})
    out = []
    p = Producer({"bootstrap.servers": B})
    p.produce(
        t,
        b"x",
        partition=0,
        timestamp=int(time.time() * 1000) + 3600000,
        on_delivery=lambda e, m: out.append(e),
    )
    p.flush(20)
    eq(out[0] and out[0].name(), "INVALID_TIMESTAMP")


@feature("MSG_SIZE_TOO_LARGE over max.message.bytes")
def _():
    t = mk(T("big"), 1, **{"max.message.bytes": "2000"})
    out = []
    p = Producer({"bootstrap.servers": B})
    p.produce(t, os.urandom(5000), partition=0, on_delivery=lambda e, m: out.append(e))
    p.flush(20)
    eq(out[0] and out[0].name(), "MSG_SIZE_TOO_LARGE")


@feature("large message 900 kB round trip; fetch smaller than message")
def _():
    t = mk(T("lm"))
    v = os.urandom(900000)
    prod(t, [v, v])
    r = cons([TopicPartition(t, 0, 0)], 2, **{"fetch.message.max.bytes": 1000})
    eq(len(r), 2)
    eq(r[0].value(), v)


@feature("compacted topic rejects null key (INVALID_RECORD)")
def _():
    t = mk(T("cpk"), 1, **{"cleanup.policy": "compact"})
    out = []
    p = Producer({"bootstrap.servers": B})
    p.produce(t, b"x", partition=0, on_delivery=lambda e, m: out.append(e))
    p.flush(20)
    eq(out[0] and out[0].name(), "INVALID_RECORD")


@feature("min.insync.replicas above RF is capped at RF (acks=all accepted)")
def _():
    t = T("misr")
    one(adm.create_topics([NewTopic(t, 1, RF, config={"min.insync.replicas": str(RF + 1)})]))
    time.sleep(0.3)
    eq(len(prod(t, [b"x"], {"acks": "all", "message.timeout.ms": 8000})), 1)
