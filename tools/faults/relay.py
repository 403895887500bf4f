"""A relay that knows Kafka's frames: it delays or repeats single requests of one API.

    relay.py ADDRESS RULE_FILE LOG OUTSIDE:INSIDE...

Each connection to an OUTSIDE port is carried to the INSIDE port of ADDRESS. A rule file that
appears is taken over and removed: {"key": API key, "action": ..., "after_ms": ..., "count": ...}.

delay   holds the request, and what comes behind it on its connection, for that time. It is
        delivered even when its client has given up and gone meanwhile: that is the late request
        which a retry on another connection has overtaken.
repeat  delivers the request at once, and a copy of it that much later on a connection of its own,
        whose answer nobody reads: what the network held back while its client repeated it.
"""

import asyncio
import json
import os
import sys

LARGEST_FRAME = 128 << 20
AFTERLIFE = 2


class Relay:
    def __init__(self, address, rule_file, log):
        self.address, self.rule_file = address, rule_file
        self.log = open(log, "a", 1)
        self.rule = None

    def matching(self, key):
        """The rule for a request of this API, used up by one."""
        if os.path.exists(self.rule_file):
            with open(self.rule_file) as file:
                self.rule = json.load(file)
            os.remove(self.rule_file)
        rule = self.rule
        if rule is None or rule["key"] != key or rule["count"] <= 0:
            return None
        rule["count"] -= 1
        return rule

    async def connection(self, client_in, client_out, port):
        try:
            server_in, server_out = await asyncio.open_connection(self.address, port)
        except OSError:
            client_out.close()
            return
        answers = asyncio.create_task(self.answers(server_in, client_out))
        try:
            await self.requests(client_in, server_out, port)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            client_out.close()
            # A broker may not answer a request whose connection ends right behind it.
            await asyncio.sleep(AFTERLIFE)
            answers.cancel()
            server_out.close()

    async def requests(self, client_in, server_out, port):
        while True:
            head = await client_in.readexactly(4)
            length = int.from_bytes(head, "big", signed=True)
            if not 0 <= length <= LARGEST_FRAME:
                return
            frame = head + await client_in.readexactly(length)
            rule = self.matching(int.from_bytes(frame[4:6], "big", signed=True))
            if rule and rule["action"] == "repeat":
                asyncio.create_task(self.repeat(frame, port, rule["after_ms"] / 1000))
            elif rule:
                await asyncio.sleep(rule["after_ms"] / 1000)
                self.log.write(f"delayed {rule['key']}\n")
            server_out.write(frame)
            await server_out.drain()

    async def repeat(self, frame, port, seconds):
        await asyncio.sleep(seconds)
        try:
            answer, out = await asyncio.open_connection(self.address, port)
            out.write(frame)
            await out.drain()
            await asyncio.wait_for(answer.readexactly(4), 10)
            out.close()
            self.log.write(f"repeated {int.from_bytes(frame[4:6], 'big')}\n")
        except (OSError, EOFError, TimeoutError) as error:
            self.log.write(f"not repeated: {error!r}\n")

    @staticmethod
    async def answers(server_in, client_out):
        try:
            while data := await server_in.read(1 << 18):
                client_out.write(data)
                await client_out.drain()
        except OSError:
            pass
        finally:
            client_out.close()


async def main(address, rule_file, log, ports):
    relay = Relay(address, rule_file, log)
    servers = []
    for pair in ports:
        outside, inside = map(int, pair.split(":"))
        serve = lambda reader, writer, port=inside: relay.connection(reader, writer, port)  # noqa: E731
        servers.append(await asyncio.start_server(serve, "0.0.0.0", outside))
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4], sys.argv[4:]))
