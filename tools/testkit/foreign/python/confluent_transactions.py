"""Transactions: what readers see, offsets in transactions, fencing. librdkafka adds partitions itself."""

from confluent import *


def transactional(name, **conf):
    p = Producer({"bootstrap.servers": B, "transactional.id": T(name), **conf})
    p.init_transactions(30)
    return p


def committed(t, n, **conf):
    conf = {"isolation.level": "read_committed", **conf}
    return [m.value() for m in cons([TopicPartition(t, 0, 0)], n, tmo=3, **conf)]


@feature("transactions: commit, abort, isolation")
def _():
    t = mk(T("txn"))
    p = transactional("x1")
    for values, commit in (([b"a", b"b"], True), ([b"c"], False), ([b"d"], True)):
        p.begin_transaction()
        for v in values:
            p.produce(t, v, partition=0)
        p.flush(20)
        p.commit_transaction(20) if commit else p.abort_transaction(20)
    eq(committed(t, 9), [b"a", b"b", b"d"])
    seen = cons([TopicPartition(t, 0, 0)], 9, tmo=3, **{"isolation.level": "read_uncommitted"})
    eq([m.value() for m in seen], [b"a", b"b", b"c", b"d"])


@feature("transactions: nothing of an open one is seen, nor what follows it")
def _():
    t = mk(T("open"))
    p = transactional("x2")
    p.begin_transaction()
    p.produce(t, b"open", partition=0)
    eq(p.flush(20), 0)
    prod(t, [b"after"])
    eq(committed(t, 1), [])
    p.commit_transaction(20)
    eq(committed(t, 2), [b"open", b"after"])


@feature("transactions: consume, transform, produce; an aborted round is read again")
def _():
    source, target, g = mk(T("in")), mk(T("out")), T("ctp")
    prod(source, [b"%d" % i for i in range(60)])
    p = transactional("x3")
    c = Consumer(
        {
            "bootstrap.servers": B,
            "group.id": g,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    c.subscribe([source])
    done, rounds = 0, 0
    until_ = time.time() + 60
    while done < 60 and time.time() < until_:
        batch = c.consume(20, 1)
        if not batch:
            continue
        p.begin_transaction()
        for m in batch:
            p.produce(target, m.value(), partition=0)
        position = c.position(c.assignment())
        p.send_offsets_to_transaction(position, c.consumer_group_metadata(), 20)
        rounds += 1
        if rounds == 2:
            p.abort_transaction(20)
            for tp in c.committed(c.assignment(), 20):
                c.seek(tp)
        else:
            p.commit_transaction(20)
            done += len(batch)
    c.close()
    eq(committed(target, 99), [b"%d" % i for i in range(60)])
    at = one(adm.list_consumer_group_offsets([ConsumerGroupTopicPartitions(g)]))
    eq([tp.offset for tp in at.topic_partitions], [60])


@feature("transactions: a newer producer fences the old one")
def _():
    t = mk(T("fence"))
    old = transactional("x4")
    old.begin_transaction()
    old.produce(t, b"zombie", partition=0)
    eq(old.flush(20), 0)
    new = transactional("x4")
    new.begin_transaction()
    new.produce(t, b"live", partition=0)
    new.commit_transaction(20)
    ok(code(lambda: old.commit_transaction(20)) in ("_FENCED", "PRODUCER_FENCED"), "not fenced")
    eq(committed(t, 9), [b"live"])


@feature("transactions: one without records")
def _():
    p = transactional("x5")
    for _ in range(3):
        p.begin_transaction()
        p.commit_transaction(20)
        p.begin_transaction()
        p.abort_transaction(20)
