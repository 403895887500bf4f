"""The judgement alone, over ledgers of workers that somebody else ran: one case per promise.

verdict.py FOLDER BOOTSTRAP TOPIC PARTITIONS BEGIN END PROTOCOL...: groups of these protocols
read it. If the folder has a systems.jsonl, which node ran what, records are not held against the
brokers that their client sent again by itself because a node of Apache Kafka refused a gap.
"""

import sys

import contents
import judge


def main(folder, bootstrap, topic, partitions, begin, end, *protocols):
    partitions, begin, end = int(partitions), float(begin), float(end)
    held, unread, errors = contents.read(bootstrap, [topic], partitions)
    systems = list(judge.ledger(folder, "systems"))
    rows = judge.ledger(folder, "producer-*")
    figures, acks = judge.produced(rows, held, topic, partitions, systems)
    figures["unread_partitions"] = len(unread)
    figures.update(judge.watched(judge.ledger(folder, "watch"), held))
    passed = failed = 0

    def case(name, wrong, why=""):
        nonlocal passed, failed
        passed, failed = passed + (not wrong), failed + bool(wrong)
        print(f"FAIL {name} -- {why}" if wrong else f"PASS {name}")

    case("producers were acknowledged", not acks)
    refused = figures.get("refused_sends")
    case("no producer saw an error that its client does not hide", refused, refused)
    for promise in judge.PROMISES:
        if promise in figures:
            where = figures.get(f"{promise}_at", "")
            why = f"{figures[promise]} of {len(acks)} {where} {figures.get('gaps', '')}"
            case(f"nothing is {promise}", figures[promise], why)
    for gap in figures.get("gaps", ()):
        print("a gap was refused:", *gap)
    if figures.get("sent_again"):
        case(f"{figures['sent_again']} records are there twice: Apache Kafka refused a gap", False)
    case("the last reader met no error", errors, errors)
    for protocol in protocols:
        rows = list(judge.ledger(folder, f"group-{protocol}"))
        group = judge.group(rows, held, topic, partitions, begin, end)
        name = f"a group of the {protocol} protocol"
        for promise in judge.GROUP_PROMISES:
            case(f"{name}: nothing is {promise}", group[promise], group[promise])
        case(f"{name}: commits were acknowledged", not any(row[0] == "commit" for row in rows))
    print(f"{passed} passed, {failed} failed, 0 skipped")


if __name__ == "__main__":
    main(*sys.argv[1:])
