"""Frames that are no frames, and clients that use up connections."""

import os
import random
import socket
import struct
import time

from hostile import *


@case("random bytes, 30 connections")
def _():
    rnd = random.Random(7)
    out = {}
    for _ in range(30):
        o, _r = raw(rnd.randbytes(rnd.choice([3, 40, 4000, 60000])), timeout=1, fin=True)
        out[o.split()[0]] = out.get(o.split()[0], 0) + 1
    return str(out)


@case("HTTP GET")
def _():
    return raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")[0]


@case("TLS client hello on plain port")
def _():
    return raw(bytes.fromhex("16030100a5010000a10303") + os.urandom(160))[0]


@case("frame length 2^31-1")
def _():
    return raw(i32(0x7FFFFFFF) + b"x" * 100)[0]


@case("frame length -1 / -2^31 / 0")
def _():
    return " / ".join(raw(i32(n) + b"xxxx")[0] for n in (-1, -(2**31), 0))


@case("frame length 99 MB announced on 60 connections, 1 KB sent")
def _():
    ss = [conn() for _ in range(60)]
    dead = 0
    for s in ss:
        try:
            s.sendall(i32(99 * 1024 * 1024) + header(3, 1) + b"\0" * 1000)
        except OSError:
            dead += 1
    time.sleep(3)
    r, c = rss(), canary()
    [s.close() for s in ss]
    return "rss %s MB, %d refused, canary %s while held" % (r, dead, c)


@case("truncated frame, then close")
def _():
    return raw(i32(100) + header(3, 1) + b"x" * 30, fin=True)[0]


@case("truncated body in a full frame", True)
def _():
    return req(3, 1, i32(5) + st("a"))[0]


@case("trailing junk after a valid body")
def _():
    return req(3, 1, i32(0) + b"junk" * 10)[0]


@case("unknown api key 999 / -1 / 32767", True)
def _():
    return " / ".join(req(k, 0, b"")[0] for k in (999, -1, 32767))


@case("ApiVersions v99")
def _():
    o, r = req(18, 99, cst("nf") + cst("1") + TAG, flex=True)
    return o if r is None else "error %d, %d bytes" % (R(r, 4).i16(), len(r))


@case("Produce v99, Metadata v-1, Fetch v0", True)
def _():
    return " / ".join(
        req(*x)[0]
        for x in ((0, 99, b"\0" * 40), (3, -1, i32(0)), (1, 0, i32(-1) + i32(0) + i32(0) + i32(0)))
    )


@case("client id: length beyond frame / invalid UTF-8 / 32767 bytes")
def _():
    return " / ".join(
        [
            raw(frame(i16(3) + i16(1) + i32(1) + i16(32767) + b"ab"))[0],
            raw(frame(header(3, 1, client=b"\xff\xfe\xc0") + i32(0)))[0],
            raw(frame(header(3, 1, client=b"c" * 32767) + i32(0)))[0],
        ]
    )


@case("array count 2^31-1 / -2 in Metadata", True)
def _():
    return " / ".join(req(3, 1, i32(n))[0] for n in (0x7FFFFFFF, -2))


@case("tag buffer: 2^31 tags / 10-byte varint", True)
def _():
    return " / ".join(
        raw(frame(i16(18) + i16(3) + i32(1) + st("c") + t + cst("a") + cst("b") + TAG))[0]
        for t in (b"\xff\xff\xff\xff\x07", b"\xff" * 9 + b"\x01")
    )


@case("compact string length 2^31 in ApiVersions v3")
def _():
    return req(18, 3, b"\xff\xff\xff\xff\x0f" + b"a" * 20, flex=True)[0]


@case("slowloris: 50 connections, 1 byte/s for 8 s")
def _():
    ss = [conn() for _ in range(50)]
    dead = 0
    for k in range(8):
        for s in ss:
            try:
                s.send(frame(header(3, 1) + i32(0))[k : k + 1])
            except OSError:
                dead += 1
        time.sleep(1)
    [s.close() for s in ss]
    return "%d cut off" % dead


@case("idle connections held open")
def _():
    ss = []
    try:
        for _ in range(CONNECTIONS):
            ss.append(conn())
    except OSError as e:
        return "refused at %d: %s" % (len(ss), e)
    c = canary()
    [s.close() for s in ss]
    return "%d open, canary %s while held" % (len(ss), c)


@case("half frames on many connections")
def _():
    ss = []
    try:
        for _ in range(CONNECTIONS // 2):
            s = conn()
            s.sendall(i32(1000) + b"\0\3")
            ss.append(s)
    except OSError as e:
        return "refused at %d: %s" % (len(ss), e)
    c = canary()
    [s.close() for s in ss]
    return "%d open, canary %s while held" % (len(ss), c)


@case("connect/reset churn")
def _():
    t0 = time.time()
    for _ in range(1500):
        s = conn()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
    return "1500 in %.1f s" % (time.time() - t0)


@case("20000 pipelined ApiVersions, none read for 3 s")
def _():
    s = conn(timeout=20)
    m = frame(header(18, 0)) * 20000
    s.setblocking(False)
    sent = 0
    t0 = time.time()
    while sent < len(m) and time.time() - t0 < 3:
        try:
            sent += s.send(m[sent : sent + 65536])
        except BlockingIOError:
            time.sleep(0.05)
    c = canary()
    s.close()
    return "took %d%% of bytes, canary %s while held" % (100 * sent // len(m), c)


@case("20 connections fetch 50 MB and never read")
def _():
    big = batch([record(b"z" * 900000)])
    for _ in range(30):
        produce(big)
    ss = [conn() for _ in range(20)]
    for s in ss:
        for _ in range(10):
            s.sendall(frame(header(1, 4) + fetch_body(0, 50 << 20)))
    time.sleep(2)
    r, c = rss(), canary()
    [s.close() for s in ss]
    return "rss %s MB, canary %s while held" % (r, c)
