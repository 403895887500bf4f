"""One hostile client, the canary that must not notice it, and the driver of the cases.

A case returns what the broker did, as text. It fails if the canary (a new client that produces with
acks=all and reads back) is not served after it, if the broker's process ends or its memory passes
the limit, or if an input marked `refuse` was taken. With $NARU_STRICT it also fails if a hostile
client waits in vain, or is told UNKNOWN_SERVER_ERROR for its own fault.
"""

import os
import re
import socket
import struct
import sys
import time

import crc32c
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import report
from wire import *

ADDRESS = os.environ["BOOTSTRAP"]
PID = int(os.environ["BROKER_PID"])
RSS_LIMIT_MB = int(os.environ.get("RSS_LIMIT_MB", "1500"))
STRICT = "NARU_STRICT" in os.environ
CONNECTIONS = 2000
CANARY_SECONDS = 10


def case(name, refuse=False):
    def register(body):
        report.feature(name)(lambda: judge(body, refuse))
        return body

    return register


def conn(addr=None, timeout=4.0):
    h, p = (addr or ADDRESS).rsplit(":", 1)
    s = socket.create_connection((h, int(p)), timeout=timeout)
    s.settimeout(timeout)
    return s


def outcome(s, t0):
    """What the broker did: an answer, a close, or silence."""
    try:
        b = read_resp(s)
        return "answer %dB" % len(b), b
    except (EOFError, ConnectionError):
        return "closed", None
    except socket.timeout:
        return "silent", None
    except (OverflowError, MemoryError):
        return "nonsense", None


def raw(data, addr=None, timeout=4.0, fin=False):
    s = conn(addr, timeout)
    t0 = time.time()
    try:
        s.sendall(data)
        if fin:
            s.shutdown(socket.SHUT_WR)
        return outcome(s, t0)
    except socket.timeout:
        return "silent", None
    except OSError:
        return "closed", None
    finally:
        s.close()


def req(key, ver, body, flex=False, **kw):
    return raw(frame(header(key, ver, flex=flex) + body), **kw)


# Record batches, true and lying.
def record(value=b"v", offd=0, tsd=0, key=None, length=None, hdrs=0, raw_hdrs=b""):
    b = (
        b"\0"
        + zz(tsd)
        + zz(offd)
        + (zz(-1) if key is None else zz(len(key)) + key)
        + zz(len(value))
        + value
        + zz(hdrs)
        + raw_hdrs
    )
    return zz(len(b) if length is None else length) + b


def batch(
    recs=None,
    n=1,
    attrs=0,
    magic=2,
    crc=None,
    base=0,
    last=None,
    count=None,
    pid=-1,
    epoch=-1,
    seq=-1,
    length=None,
    payload=None,
    ts=None,
):
    p = b"".join(recs) if payload is None else payload
    t = int(time.time() * 1000) if ts is None else ts
    body = (
        i16(attrs)
        + i32(n - 1 if last is None else last)
        + i64(t)
        + i64(t)
        + i64(pid)
        + i16(epoch)
        + i32(seq)
        + i32(n if count is None else count)
        + p
    )
    c = crc32c.crc32c(body) if crc is None else crc
    tail = i32(0) + i8(magic) + struct.pack(">I", c) + body
    return i64(base) + i32(len(tail) if length is None else length) + tail


TOPIC = "bad-input"


def produce_body(b, topic=TOPIC, part=0, acks=-1, timeout=3000, tid=None, twice=False):
    one = i32(part) + i32(len(b)) + b
    return st(tid) + i16(acks) + i32(timeout) + arr([st(topic) + arr([one] * (2 if twice else 1))])


def produce(b, timeout=8.0, **kw):
    o, r = req(0, 7, produce_body(b, **kw), timeout=timeout)
    if r is None:
        return o
    x = R(r, 4)
    codes = []
    for _ in range(x.i32()):
        n = x.i16()
        x.o += n
        for _ in range(x.i32()):
            x.i32()
            codes.append(x.i16())
            x.i64()
            x.i64()
            x.i64()
    return "error %s" % ",".join(map(str, codes)) if any(codes) else "ACCEPTED"


def err_at(fmt_off):
    def f(t):
        o, r = t
        return o if r is None else "error %d" % struct.unpack_from(">h", r, fmt_off)[0]

    return f


def fetch_body(
    off, mx=1 << 20, part=0, replica=-1, wait=100, minb=1, topic=TOPIC, total=None, twice=False
):
    one = i32(part) + i64(off) + i32(mx)
    return (
        i32(replica)
        + i32(wait)
        + i32(minb)
        + i32(mx if total is None else total)
        + i8(0)
        + arr([st(topic) + arr([one] * (2 if twice else 1))])
    )


def fetch(timeout=6.0, **kw):
    o, r = req(1, 4, fetch_body(**kw), timeout=timeout)
    if r is None:
        return o
    x = R(r, 8)
    n = x.i32()
    if not n:
        return "empty answer"
    k = x.i16()
    x.o += k
    n = x.i32()
    out = []
    for _ in range(n):
        x.i32()
        out.append(str(x.i16()))
        x.i64()
        x.i64()
        m = x.i32()
        x.o += 16 * max(m, 0)
        m = x.i32()
        x.o += max(m, 0)
    return "error " + ",".join(out)


def rss():
    """Resident memory of the broker in MB."""
    lines = open(f"/proc/{PID}/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) // 1024


def start_ticks():
    """When the broker's process began: another number means another process."""
    return open(f"/proc/{PID}/stat").read().rsplit(")", 1)[1].split()[19]


STARTED = start_ticks()


def canary(limit=CANARY_SECONDS):
    """A fresh client produces with acks=all and reads it back: how long it took, or FAIL."""
    began = time.time()
    token = os.urandom(8).hex().encode()
    got = []
    conf = {"bootstrap.servers": ADDRESS, "log_level": 0, "socket.timeout.ms": 5000}
    p = Producer({**conf, "message.timeout.ms": int(limit * 1000), "acks": "all"})
    p.produce("canary", token, partition=0, on_delivery=lambda e, m: got.append((e, m.offset())))
    p.flush(limit)
    if not got or got[0][0]:
        return "FAIL(produce)"
    c = Consumer({**conf, "group.id": "canary", "fetch.wait.max.ms": 50})
    c.assign([TopicPartition("canary", 0, got[0][1])])
    try:
        while time.time() - began < limit:
            m = c.poll(0.2)
            if m and not m.error():
                took = (time.time() - began) * 1000
                return "%dms" % took if m.value() == token else "FAIL(value)"
        return "FAIL(fetch)"
    finally:
        c.close()


def judge(body, refuse):
    """Runs a case and raises what is wrong with what the broker did."""
    began = time.time()
    wrong = []
    did = str(body())
    after = canary()
    if "FAIL" in after:
        wrong.append("canary " + after)
        canary(40)
    if "FAIL" in did:
        wrong.append("others not served meanwhile")
    if refuse and ("ACCEPTED" in did or "ok(!)" in did):
        wrong.append("accepted")
    if STRICT and "silent" in did:
        wrong.append("left waiting")
    if STRICT and re.search(r"error ([0-9]+,)*-1\b", did):
        wrong.append("UNKNOWN_SERVER_ERROR for a client's fault")
    memory = rss()
    if memory > RSS_LIMIT_MB:
        wrong.append(f"{memory} MB of memory")
    if start_ticks() != STARTED:
        wrong.append("the broker was restarted")
    if wrong:
        took = time.time() - began
        raise AssertionError(
            f"{', '.join(wrong)} | {did} | canary {after} rss {memory} {took:.1f}s"
        )
    if "VERBOSE" in os.environ:
        print(f"  {did} | canary {after} rss {memory}")


def run():
    admin = AdminClient({"bootstrap.servers": ADDRESS})
    topics = [NewTopic("canary", 1, 1), NewTopic(TOPIC, 1, 1)]
    for future in admin.create_topics(topics, operation_timeout=20).values():
        future.result()
    report.feature("the canary is served before all cases")(
        lambda: report.ok("FAIL" not in canary(30))
    )
    report.cases.insert(0, report.cases.pop())
    report.run()
