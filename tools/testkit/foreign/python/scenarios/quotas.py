"""librdkafka held to a quota, and pushing its metrics. Arguments: BOOTSTRAP, port of /metrics or 0."""

import json
import os
import sys
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

import report
from report import feature, ok, until

B, PORT = sys.argv[1], int(sys.argv[2])
adm = AdminClient({"bootstrap.servers": B})
TOPIC = "by-librdkafka"
list(adm.create_topics([NewTopic(TOPIC, 1, 1)]).values())[0].result(30)


@feature("librdkafka is held to the default client's producer_byte_rate, and tells of it")
def _():
    # The quota was set by kafka-configs: 50 kB/s, so half a megabyte passes at once.
    throttled, stats = [], []
    p = Producer(
        {
            "bootstrap.servers": B,
            "client.id": "limited-librdkafka",
            "throttle_cb": lambda event: throttled.append(event.throttle_time),
            "statistics.interval.ms": 200,
            "stats_cb": lambda text: stats.append(json.loads(text)),
            "batch.size": 20000,
            "max.in.flight": 1,
        }
    )
    began = time.time()
    for _ in range(80):
        p.produce(TOPIC, b"v" * 10000)
        p.poll(0)
    ok(p.flush(60) == 0, "not all is delivered")
    took = time.time() - began
    p.poll(1)
    most = max((b["throttle"]["max"] for s in stats for b in s["brokers"].values()), default=0)
    ok(throttled or most > 0, f"never throttled in {took:.1f} s")
    ok(took > 2, f"too fast: {took:.1f} s")


def scrape():
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=5) as answer:
        return answer.read().decode()


if PORT:

    @feature("librdkafka pushes its metrics, and /metrics shows them")
    def _():
        # The subscription was made by kafka-client-metrics.
        p = Producer(
            {
                "bootstrap.servers": B,
                "client.id": "pushes-librdkafka",
                "enable.metrics.push": True,
            }
        )

        def shown():
            p.produce(TOPIC, b"v")
            p.flush(5)
            text = scrape()
            return 'client_id="pushes-librdkafka"' in text and text

        text = until("its metrics", shown, 40, 0.3)
        lines = [line for line in text.splitlines() if "pushes-librdkafka" in line]
        ok(any(line.startswith("kafka_client_producer_") for line in lines), lines[:5])
        p.flush(5)


report.run()
