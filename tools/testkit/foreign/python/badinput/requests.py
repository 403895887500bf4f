"""Requests with impossible contents."""

import time

from hostile import *


BAD_NAMES = (
    b"",
    b".",
    b"..",
    b"a/b",
    b"x" * 250,
    b"a\0b",
    b"\xff\xfe",
    "n\u00e4rr".encode(),
    b"a b",
    b"__cluster_metadata",
)


def create(name, parts=1, rf=1):
    o, r = req(
        19,
        2,
        arr([st(name) + i32(parts) + i16(rf) + arr([]) + arr([])]) + i32(5000) + i8(0),
        timeout=15,
    )
    if r is None:
        return o
    x = R(r, 8)
    x.i32()
    n = x.i16()
    x.o += n
    return str(x.i16())


@case("create topics with bad names: " + " ".join(repr(n[:6])[1:] for n in BAD_NAMES), True)
def _():
    return " ".join("ok(!)" if c == "0" else c for c in map(create, BAD_NAMES))


@case("create topic: 0 / -5 / 2^31-1 partitions, rf 0 / 32767", True)
def _():
    return " ".join(
        "ok(!)" if c == "0" else c
        for c in (
            create("bp", 0),
            create("bp", -5),
            create("bp", 0x7FFFFFFF),
            create("bp", 1, 0),
            create("bp", 1, 32767),
        )
    )


@case("metadata for 100000 unknown topics")
def _():
    t0 = time.time()
    o, r = req(3, 4, arr([st("nope-%d" % i) for i in range(100000)]) + i8(0), timeout=60)
    return "%s in %.1f s" % (o, time.time() - t0)


@case("metadata, one topic 100000 times")
def _():
    t0 = time.time()
    o, r = req(3, 4, arr([st(TOPIC)] * 100000) + i8(0), timeout=60)
    return "%s in %.1f s" % (o, time.time() - t0)


@case("metadata with bad names")
def _():
    return " / ".join(req(3, 4, arr([st(n)]) + i8(0))[0] for n in BAD_NAMES[:7])


@case("fetch offset -7 / 2^62", True)
def _():
    return " / ".join(fetch(off=o) for o in (-7, 1 << 62))


@case("fetch partition max bytes -1 / 0 / 2^31-1, total -1")
def _():
    return " / ".join(
        (
            fetch(off=0, mx=-1),
            fetch(off=0, mx=0),
            fetch(off=0, mx=0x7FFFFFFF, timeout=30),
            fetch(off=0, total=-1),
        )
    )


@case("fetch partition -1 / 9999", True)
def _():
    return " / ".join(fetch(off=0, part=p) for p in (-1, 9999))


@case("fetch as replica 1 (follower spoof) / replica 77")
def _():
    return " / ".join(fetch(off=0, replica=r) for r in (1, 77))


@case("fetch wait 2^31-1 ms, min bytes 2^31-1, 200 connections")
def _():
    ss = [conn() for _ in range(200)]
    for s in ss:
        s.sendall(frame(header(1, 4) + fetch_body(0, wait=0x7FFFFFFF, minb=0x7FFFFFFF)))
    time.sleep(1)
    c = canary()
    [s.close() for s in ss]
    return "canary %s while held" % c


@case("fetch one partition 10000 times in a request")
def _():
    one = i32(0) + i64(0) + i32(1 << 20)
    t0 = time.time()
    o, r = req(
        1,
        4,
        i32(-1) + i32(0) + i32(1) + i32(50 << 20) + i8(0) + arr([st(TOPIC) + arr([one] * 10000)]),
        timeout=60,
    )
    return "%s in %.1f s" % (o, time.time() - t0)


@case("list offsets, partition twice")
def _():
    o, r = req(2, 1, i32(-1) + arr([st(TOPIC) + arr([i32(0) + i64(-1)] * 2)]))
    if r is None:
        return o
    x = R(r, 8)
    n = x.i16()
    x.o += n
    x.i32()
    x.i32()
    return "error %d" % x.i16()


def join(group="g-bad", meta=b"m", session=10000, member="", ver=2, timeout=8.0, proto="consumer"):
    b = (
        st(group)
        + i32(session)
        + i32(10000)
        + st(member)
        + st(proto)
        + arr([st("range") + i32(len(meta)) + meta])
    )
    return err_at(8)(req(11, ver, b, timeout=timeout))


@case("join group: 50 MB metadata")
def _():
    t0 = time.time()
    r = join(meta=b"m" * (50 << 20), timeout=40)
    return "%s in %.1f s" % (r, time.time() - t0)


@case("join group: empty id / session 0 / session 2^31-1 / no such member", True)
def _():
    return " / ".join(
        (join(group=""), join(session=0), join(session=0x7FFFFFFF), join(member="nobody"))
    )


@case("join group: 300 new members at once, then gone")
def _():
    ss = [conn() for _ in range(300)]
    for s in ss:
        s.sendall(
            frame(
                header(11, 2)
                + st("g-storm")
                + i32(10000)
                + i32(10000)
                + st("")
                + st("consumer")
                + arr([st("range") + i32(1000) + b"m" * 1000])
            )
        )
    time.sleep(2)
    c = canary()
    [s.close() for s in ss]
    return "canary %s while held" % c


@case("offset commit: unknown member / offset -9 / metadata 10 KB", True)
def _():
    def oc(member, gen, off, meta, group):
        o, r = req(
            8,
            2,
            st(group)
            + i32(gen)
            + st(member)
            + i64(-1)
            + arr([st(TOPIC) + arr([i32(0) + i64(off) + st(meta)])]),
        )
        if r is None:
            return o
        x = R(r, 8)
        n = x.i16()
        x.o += n
        x.i32()
        x.i32()
        return "error %d" % x.i16()

    return " / ".join(
        (
            oc("nobody", 5, 1, "", "g-bad"),
            oc("", -1, -9, "", "g-b2"),
            oc("", -1, 1, "m" * 10000, "g-b3"),
        )
    )


@case(
    "broker-to-broker APIs as a client: Vote, BeginQuorumEpoch, BrokerHeartbeat, Envelope, AllocateProducerIds, UpdateMetadata, LeaderAndIsr"
)
def _():
    return " ".join(
        "%d:%s" % (k, req(k, v, b"\0" * 30, flex=fl, timeout=2)[0])
        for k, v, fl in (
            (52, 0, True),
            (53, 0, False),
            (63, 0, True),
            (58, 0, True),
            (67, 0, True),
            (6, 8, True),
            (4, 7, True),
        )
    )


@case("WriteTxnMarkers from a client (commit for a made-up pid)")
def _():
    b = (
        carr(
            [
                i64(987654)
                + i16(0)
                + i8(1)
                + carr([cst(TOPIC) + carr([i32(0)]) + TAG])
                + i32(0)
                + TAG
            ]
        )
        + TAG
    )
    o, r = req(27, 1, b, flex=True)
    return o if r is None else o + " " + r[4:40].hex()
