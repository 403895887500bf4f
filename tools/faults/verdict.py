"""The judgement alone, over ledgers of workers that somebody else ran: one case per promise.

verdict.py FOLDER BOOTSTRAP TOPIC PARTITIONS BEGIN END PROTOCOL...: groups of these protocols
read it.
"""

import sys

import contents
import judge


def main(folder, bootstrap, topic, partitions, begin, end, *protocols):
    partitions, begin, end = int(partitions), float(begin), float(end)
    held, unread, errors = contents.read(bootstrap, [topic], partitions)
    figures, acks = judge.produced(judge.ledger(folder, "producer-*"), held, topic, partitions)
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
            why = f"{figures[promise]} of {len(acks)} {where}"
            case(f"nothing is {promise}", figures[promise], why)
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
