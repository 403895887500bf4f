"""confluent-kafka: what its cases share."""

import os
import subprocess
import sys
import time
import uuid
import confluent_kafka as ck
from confluent_kafka import (
    Producer,
    Consumer,
    TopicPartition,
    KafkaError,
    KafkaException,
    TopicCollection,
    IsolationLevel,
    ConsumerGroupTopicPartitions,
    ConsumerGroupState,
    ConsumerGroupType,
    OFFSET_BEGINNING,
    OFFSET_END,
)
from confluent_kafka.admin import (
    AdminClient,
    NewTopic,
    NewPartitions,
    ConfigResource,
    ConfigEntry,
    AlterConfigOpType,
    ResourceType,
    ConfigSource,
    OffsetSpec,
)

from report import Skip, eq, feature, ok, until

B = os.environ.get("BOOTSTRAP", "127.0.0.1:9092")
RF = int(os.environ.get("RF", "1"))
R = uuid.uuid4().hex[:8]
T = lambda s: f"pt-{R}-{s}"
adm = AdminClient({"bootstrap.servers": B})


def code(f):
    """error name of a KafkaException raised by f(), or None"""
    try:
        f()
        return None
    except KafkaException as e:
        return e.args[0].name()


def one(d, **k):
    return list(d.values())[0].result(30)


def mk(name, parts=1, **cfg):
    one(
        adm.create_topics(
            [NewTopic(name, parts, RF, config={k: str(v) for k, v in cfg.items()})],
            operation_timeout=30,
        )
    )
    for _ in range(100):
        md = adm.list_topics(name, timeout=10).topics[name]
        if (
            md.error is None
            and len(md.partitions) == parts
            and all(p.leader >= 0 for p in md.partitions.values())
        ):
            return name
        time.sleep(0.05)
    raise AssertionError("topic not visible " + name)


def prod(t, vals, conf=None, part=0, **kw):
    out = []
    p = Producer({"bootstrap.servers": B, **(conf or {})})
    for v in vals:
        k = None
        if isinstance(v, tuple):
            k, v = v
        p.produce(t, v, k, partition=part, on_delivery=lambda e, m: out.append((e, m)), **kw)
    eq(p.flush(30), 0, "flush")
    for e, m in out:
        ok(e is None, str(e))
    return [m for e, m in out]


def cons(tps, cnt, tmo=20, **conf):
    c = Consumer(
        {
            "bootstrap.servers": B,
            "group.id": T("c"),
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "check.crcs": True,
            **conf,
        }
    )
    c.assign(tps)
    r = []
    t0 = time.time()
    while len(r) < cnt and time.time() - t0 < tmo:
        m = c.poll(0.5)
        if m is not None:
            if m.error():
                raise KafkaException(m.error())
            r.append(m)
    c.close()
    return r


def group(gid, topics, cnt=0, tmo=30, commit=True, **conf):
    c = Consumer(
        {
            "bootstrap.servers": B,
            "group.id": gid,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            **conf,
        }
    )
    c.subscribe(topics)
    r = []
    t0 = time.time()
    while (len(r) < cnt or not c.assignment()) and time.time() - t0 < tmo:
        m = c.poll(0.3)
        if m is not None:
            if m.error():
                raise KafkaException(m.error())
            r.append(m)
    if commit and r:
        c.commit(asynchronous=False)
    return c, r
