"""An idempotent producer at full rate, with a ledger of what was acknowledged.

Arguments: BOOTSTRAP TOPIC PARTITIONS PRODUCER LEDGER STOP. Record number n goes to partition
n % PARTITIONS; the ledger holds, in order of acknowledgement, `number, offset` as two 64-bit
integers. When the file STOP is there, all that is under way is delivered and the program ends;
it fails if anything was refused.
"""

import os
import struct
import sys
import time

from confluent_kafka import Producer

BOOTSTRAP, TOPIC, PARTITIONS, NAME, LEDGER, STOP = sys.argv[1:]
PARTITIONS = int(PARTITIONS)
PADDING = "x" * 80
# Records under way at most: so much can be in doubt when the broker is killed.
UNDER_WAY = 20000

failures = []
acknowledged = 0
ledger = open(LEDGER, "wb")


def fatal(error):
    failures.append(str(error))


producer = Producer(
    {
        "bootstrap.servers": BOOTSTRAP,
        "enable.idempotence": True,
        "linger.ms": 2,
        "batch.num.messages": 500,
        "queue.buffering.max.messages": UNDER_WAY,
        "message.timeout.ms": 180000,
        "socket.timeout.ms": 10000,
        "reconnect.backoff.max.ms": 200,
        "retry.backoff.ms": 50,
        "log_level": 0,
        "error_cb": lambda error: fatal(error) if error.fatal() else None,
    }
)


def delivered(number):
    def callback(error, message):
        global acknowledged
        if error:
            failures.append(f"record {number}: {error}")
        else:
            acknowledged += 1
            ledger.write(struct.pack(">qq", number, message.offset()))

    return callback


number = 0
said = 0.0
while not failures and not os.path.exists(STOP):
    try:
        value = f"{NAME} {number} {PADDING}"
        producer.produce(TOPIC, value, partition=number % PARTITIONS, on_delivery=delivered(number))
        number += 1
    except BufferError:
        producer.poll(0.05)
    if number % 200 == 0:
        producer.poll(0)
    if time.time() - said > 0.2:
        said = time.time()
        print(acknowledged, flush=True)
left = producer.flush(180)
ledger.close()
print(acknowledged, flush=True)
if left:
    failures.append(f"{left} records never answered")
for failure in failures[:5]:
    print(failure, file=sys.stderr)
sys.exit(1 if failures else 0)
