"""Which records a client has sent again by itself. Pure: rows in, keys out.

librdkafka begins a new producer epoch when a leader refuses a batch because an earlier one is
missing (a gap: OUT_OF_ORDER_SEQUENCE_NUMBER), and sends what was not acknowledged until then again,
stored or not. No broker can tell that from something new. The gap comes of an earlier batch that
was refused for a reason that passes, as by a leader that does not know yet that it leads, when the
next one meets a leader that does (librdkafka issue 4953). Naru tells such a gap as that refusal;
Apache Kafka does not, so where its nodes lead, records may be there twice.
"""

import collections


def system_of(systems, node, time):
    """What ran as this node at that time, by rows ["system", node, name, time]."""
    ran = [row for row in systems if row[1] == node and row[3] <= time]
    return max(ran, key=lambda row: row[3])[2] if ran else None


def sent_again(rows, systems):
    """{(producer, partition, number): times} of the records that may be there so often beside the
    first: those that had been sent and were not acknowledged when Apache Kafka refused a gap, once
    for each gap. None of a producer that any other node refused one.
    """
    gaps, others = collections.defaultdict(list), set()
    for row in rows:
        if row[0] == "gap":
            _, producer, time, node, sent = row[:5]
            gaps[producer].append((time, sent))
            if system_of(systems, node, time) != "apache":
                others.add(producer)
    again = {}
    for row in rows:
        if row[0] == "ack" and row[1] not in others:
            _, producer, partition, number, _, time = row
            times = sum(gap < time and number < sent[partition] for gap, sent in gaps[producer])
            if times:
                again[(producer, partition, number)] = times
    return again
