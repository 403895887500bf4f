"""Logs in over TLS with PLAIN and asks without a pause, until the broker ends the connection.

Usage: flood.py PORT USER PASSWORD; `ca.crt` lies in the working directory. Says "busy" once
answers keep coming.
"""

import select
import socket
import ssl
import struct
import sys

API_VERSIONS, HANDSHAKE, AUTHENTICATE = 18, 17, 36


def request(key, version, body=b""):
    payload = struct.pack(">hhih", key, version, 1, -1) + body
    return struct.pack(">i", len(payload)) + payload


def exactly(stream, size):
    taken = b""
    while len(taken) < size:
        more = stream.recv(size - len(taken))
        if not more:
            raise SystemExit("the connection ended during the login")
        taken += more
    return taken


def ask(stream, asked):
    stream.sendall(asked)
    answer = exactly(stream, struct.unpack(">i", exactly(stream, 4))[0])
    (error,) = struct.unpack_from(">h", answer, 4)
    if error:
        raise SystemExit(f"the login failed: {error}")


def main():
    port, user, password = sys.argv[1:]
    context = ssl.create_default_context(cafile="ca.crt")
    context.check_hostname = False
    stream = context.wrap_socket(socket.create_connection(("127.0.0.1", int(port))))
    ask(stream, request(HANDSHAKE, 1, struct.pack(">h", 5) + b"PLAIN"))
    secret = f"\0{user}\0{password}".encode()
    ask(stream, request(AUTHENTICATE, 0, struct.pack(">i", len(secret)) + secret))

    stream.setblocking(False)
    flood = request(API_VERSIONS, 0) * 1000
    left, answered, told = flood, 0, False
    try:
        while True:
            progress = False
            try:
                left = left[stream.send(left):] or flood
                progress = True
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            try:
                taken = len(stream.recv(1 << 18))
                if not taken:
                    break
                answered += taken
                progress = True
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            if answered > 1 << 20 and not told:
                told = True
                print("busy", flush=True)
            if not progress:
                select.select([stream], [stream], [], 1)
    except (ssl.SSLError, ConnectionError):
        pass


main()
