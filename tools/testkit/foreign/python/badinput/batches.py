"""Record batches that lie."""

import time
import zlib

from hostile import *


@case("well-formed batch (control: must be accepted)")
def _():
    r = produce(batch([record()]))
    assert r == "ACCEPTED", r
    return r


@case("batch CRC wrong", True)
def _():
    return produce(batch([record()], crc=1))


@case("magic 5 / 1 / 0 / -1", True)
def _():
    return " / ".join(produce(batch([record()], magic=m)) for m in (5, 1, 0, -1))


@case("batch of 1.5 MB (limit 1 MB)", True)
def _():
    return produce(batch([record(b"x" * 1500000)]))


@case("record count 1000, one present", True)
def _():
    return produce(batch([record()], count=1000, last=999))


@case("record count -1 / 0 / 2^31-1", True)
def _():
    return " / ".join(produce(batch([record()], count=c)) for c in (-1, 0, 0x7FFFFFFF))


@case("last offset delta lies: 500 for 1 record / -5", True)
def _():
    return " / ".join(produce(batch([record()], last=x)) for x in (500, -5))


@case("offset deltas 0,7 and 0,0")
def _():
    return " / ".join(produce(batch([record(), record(offd=d)], n=2)) for d in (7, 0))


@case("record length varint 2^31-1 / -3", True)
def _():
    return " / ".join(produce(batch([record(length=x)])) for x in (0x7FFFFFFF, -3))


@case("header count 2^31-1 / -1", True)
def _():
    return " / ".join(produce(batch([record(hdrs=x)])) for x in (0x7FFFFFFF, -1))


@case("batch length short by 5 / long by 5 / 2^31-1 / -1", True)
def _():
    n = len(batch([record()])) - 12
    return " / ".join(produce(batch([record()], length=x)) for x in (n - 5, n + 5, 0x7FFFFFFF, -1))


@case("two batches in one partition (v3)")
def _():
    return produce(batch([record()]) * 2)


@case("records empty / 10 bytes", True)
def _():
    return " / ".join(produce(x) for x in (b"", b"0123456789"))


@case("null records")
def _():
    return req(0, 3, st(None) + i16(-1) + i32(1000) + arr([st(TOPIC) + arr([i32(0) + i32(-1)])]))[0]


@case("control bit set by a client", True)
def _():
    return produce(batch([record(key=b"\0\0\0\1")], attrs=0x20))


@case("transactional bit, no producer id", True)
def _():
    return produce(batch([record()], attrs=0x10))


@case("transactional, pid of nobody", True)
def _():
    return produce(batch([record()], attrs=0x10, pid=987654, epoch=0, seq=0), tid="ghost")


@case("idempotent: sequence gap for a new pid / negative sequence")
def _():
    return " / ".join(
        produce(batch([record()], pid=p, epoch=0, seq=s)) for p, s in ((765432, 77), (765433, -7))
    )


@case("codec 7", True)
def _():
    return produce(batch([record()], attrs=7))


@case("gzip bit on plain bytes", True)
def _():
    return produce(batch(attrs=1, payload=b"not gzip at all"))


def bomb(codec, size):
    if codec == 1:
        z = zlib.compressobj(9, zlib.DEFLATED, 31)
    elif codec == 4:
        import zstandard

        z = zstandard.ZstdCompressor(level=3).compressobj()
    else:
        import lz4.frame

        z = lz4.frame.LZ4FrameCompressor(block_size=lz4.frame.BLOCKSIZE_MAX64KB, block_linked=False)
    inner = 1 + 1 + 1 + 1 + len(zz(size)) + size + 1
    head = zz(inner) + b"\0" + zz(0) + zz(0) + zz(-1) + zz(size)
    out = [z.begin()] if codec == 3 else []
    out.append(z.compress(head))
    chunk = b"\0" * (1 << 20)
    for _ in range(size >> 20):
        out.append(z.compress(chunk))
    out.append(z.compress(b"\0"))
    out.append(z.flush())
    return b"".join(out)


for codec, size, label in (
    (1, 700 << 20, "gzip 700 MB"),
    (4, 2000 << 20, "zstd 2 GB"),
    (3, 200 << 20, "lz4 200 MB"),
):

    @case("decompression bomb %s" % label, True)
    def _(codec=codec, size=size):
        p = bomb(codec, size)
        t0 = time.time()
        r = produce(batch(attrs=codec, payload=p), timeout=90)
        return "%d KB sent: %s in %.1f s" % (len(p) >> 10, r, time.time() - t0)


@case("20 zstd bombs at once")
def _():
    p = frame(header(0, 7) + produce_body(batch(attrs=4, payload=bomb(4, 500 << 20))))
    ss = [conn(timeout=60) for _ in range(20)]
    for s in ss:
        s.sendall(p)
    t0 = time.time()
    c = canary(60)
    r = rss()
    n = 0
    for s in ss:
        try:
            read_resp(s)
            n += 1
        except (EOFError, OSError):
            pass
        s.close()
    return "canary %s while held, rss %s MB, %d answered in %.1f s" % (c, r, n, time.time() - t0)


@case("produce acks=5 / timeout -1")
def _():
    return " / ".join(
        (
            produce(batch([record()]), acks=5),
            req(0, 7, produce_body(batch([record()]), timeout=-1))[0],
        )
    )


@case("produce to partition -1 / 99999 / unknown topic", True)
def _():
    return " / ".join(
        (
            produce(batch([record()]), part=-1),
            produce(batch([record()]), part=99999),
            produce(batch([record()]), topic="no-such-topic"),
        )
    )


@case("same partition twice in one produce")
def _():
    return produce(batch([record()]), twice=True)


@case("produce to __consumer_offsets", True)
def _():
    return produce(batch([record()]), topic="__consumer_offsets")


@case("timestamps: -5 / year 300000")
def _():
    return " / ".join(produce(batch([record()], ts=t)) for t in (-5, 9402931200000000))
