"""Raw frames and fields of Kafka's protocol, well-formed or not."""

import socket
import struct


def i8(v):
    return struct.pack(">b", v)


def i16(v):
    return struct.pack(">h", v)


def i32(v):
    return struct.pack(">i", v)


def i64(v):
    return struct.pack(">q", v)


def st(s):
    if s is None:
        return i16(-1)
    b = s if isinstance(s, bytes) else s.encode()
    return struct.pack(">H", len(b)) + b


def arr(items):
    return i32(len(items)) + b"".join(items)


def uv(n):
    out = b""
    while True:
        b = n & 0x7F
        n >>= 7
        if n:
            out += bytes([b | 0x80])
        else:
            return out + bytes([b])


def zz(n):
    return uv(((n << 1) ^ (n >> 63)) & 0xFFFFFFFFFFFFFFFF)


def cst(s):
    if s is None:
        return b"\0"
    b = s if isinstance(s, bytes) else s.encode()
    return uv(len(b) + 1) + b


def carr(items):
    return uv(len(items) + 1) + b"".join(items)


TAG = b"\0"


def header(key, ver, corr=1, client="nf", flex=False):
    return i16(key) + i16(ver) + i32(corr) + st(client) + (TAG if flex else b"")


def frame(b):
    return i32(len(b)) + b


def recvn(s, n):
    out = bytearray()
    while len(out) < n:
        c = s.recv(min(1 << 20, n - len(out)))
        if not c:
            raise EOFError("closed after %d bytes" % len(out))
        out += c
    return bytes(out)


def read_resp(s):
    n = struct.unpack(">i", recvn(s, 4))[0]
    return recvn(s, n)


class R:
    """Response reader."""

    def __init__(self, b, o=0):
        self.b, self.o = b, o

    def _u(self, f, n):
        v = struct.unpack_from(f, self.b, self.o)[0]
        self.o += n
        return v

    def i8(self):
        return self._u(">b", 1)

    def i16(self):
        return self._u(">h", 2)

    def i32(self):
        return self._u(">i", 4)

    def i64(self):
        return self._u(">q", 8)

    def uv(self):
        n = s = 0
        while True:
            b = self.b[self.o]
            self.o += 1
            n |= (b & 0x7F) << s
            s += 7
            if not b & 0x80:
                return n

    def cst(self):
        n = self.uv() - 1
        if n < 0:
            return None
        v = self.b[self.o : self.o + n]
        self.o += n
        return v
