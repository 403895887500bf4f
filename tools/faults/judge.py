"""Judges ledgers against what the cluster holds in the end.

Pure: rows and contents in, figures out. The promise behind each figure: what was acknowledged is
there (`lost`), once (`doubled`), where the answer said (`moved`), in the order in which it was sent
(`reordered`), and nothing else is there (`strange`); no idempotent producer ends for good
(`ended_producers`). What a reader saw stays as it was (`unstable`) and without holes (`skipped`,
`back`). A group gets every record (`undelivered`), and what it committed neither goes back nor away
(`commits_back`, `commits_lost`). Of a committed transaction all is there, once, of an aborted one
nothing is seen; a fenced producer commits nothing (`zombies_committed`), and what nobody ends is
ended by the coordinator (`hanging`, `open_transactions`). judge_shares.py has share groups.
"""

import collections
import glob
import json
import os
import zlib

import judge_epochs
import judge_shares

# Each of these must be zero.
PROMISES = (
    "lost",
    "doubled",
    "moved",
    "reordered",
    "strange",
    "ended_producers",
    "unstable",
    "skipped",
    "back",
    "unread_partitions",
    "replicas_differ",
    "damaged_batches",
    "transactions_lost",
    "transactions_torn",
    "aborted_seen",
    "transactions_doubled",
    "zombies_committed",
    "hanging",
    "open_transactions",
    "copies_missing",
    "copies_doubled",
)
# How long a left transaction may stay open: its timeout, the coordinator's interval, an outage.
HANGING_SECONDS = 90
GROUP_PROMISES = ("undelivered", "commits_back", "commits_lost")


def ledger(folder, pattern):
    """The rows of all ledgers of that name; a line cut by a kill is left out."""
    for path in sorted(glob.glob(os.path.join(folder, pattern + ".jsonl"))):
        with open(path) as file:
            for line in file:
                try:
                    yield json.loads(line)
                except ValueError:
                    pass


def longest_gap(times, begin, end):
    """The longest time without an event between two moments."""
    inside = [begin, *sorted(t for t in times if begin < t < end), end]
    return max(later - earlier for earlier, later in zip(inside, inside[1:], strict=False))


def milliseconds(seconds):
    return int(seconds * 1000)


def produced(rows, contents, topic, partitions, systems=()):
    """Ledgers of Produce against the topic. With `systems`, which node ran what, records that their
    client sent again by itself are counted as `sent_again` (judge_epochs.py), not as doubled."""
    rows = list(rows)
    again = judge_epochs.sent_again(rows, systems) if systems else {}
    acks, sent, failed, ended = [], {}, collections.Counter(), set()
    for row in rows:
        if row[0] == "ack":
            acks.append(row)
        elif row[0] == "sent":
            sent[row[1]] = row[2]
        elif row[0] == "fatal":
            ended.add(row[1])
        elif row[0] in ("fail", "unanswered"):
            failed[row[4] if row[0] == "fail" else row[0]] += 1
    places, strange, reordered = collections.defaultdict(list), 0, 0
    for partition in range(partitions):
        last = {}
        for offset, value in contents[(topic, partition)]:
            record = parse(value, partition, sent)
            if record is None:
                strange += 1
                continue
            name, number = record
            key = (name, partition, number)
            # A second copy is counted as doubled, not also as out of order.
            if key not in places and number < last.get(name, -1):
                reordered += 1
            last[name] = max(number, last.get(name, -1))
            places[key].append(offset)
    figures = {
        "acknowledged": len(acks),
        "lost": sum((r[1], r[2], r[3]) not in places for r in acks),
        "moved": sum(was_moved(r[4], places.get((r[1], r[2], r[3]))) for r in acks),
        "doubled": sum(max(0, len(at) - 1 - again.get(key, 0)) for key, at in places.items()),
        "reordered": reordered,
        "strange": strange,
        "ended_producers": len(ended),
    }
    doubled = [[*key, offsets] for key, offsets in places.items() if len(offsets) > 1]
    if doubled:
        figures["doubled_at"] = doubled[:5]
    if again:
        # Not more often than once for each epoch that begins.
        copies = {key: len(places[key]) - 1 for key in again if key in places}
        figures["sent_again"] = sum(min(more, again[key]) for key, more in copies.items())
    gaps = [row for row in rows if row[0] == "gap"]
    if gaps:
        figures["gaps"] = [[*row[1:4], row[5]] for row in gaps]
    if failed:
        figures["refused_sends"] = dict(failed)
    return figures, acks


def was_moved(told, found):
    """The client is not told the offset of a batch that the broker had already."""
    return told is not None and told >= 0 and found is not None and told not in found


def parse(value, partition, sent):
    """(producer, number) of a record, or None if nobody can have sent it here."""
    try:
        name, told, number = value.split(b"|", 3)[:3]
        name, told, number = name.decode(), int(told), int(number)
    except ValueError:
        return None
    if told != partition or (name in sent and number >= sent[name][partition]):
        return None
    return name, number


def outages(acks, partitions, begin, end):
    """How long no partition, the median one and the worst one went without an acknowledgement."""
    if not acks:
        return {}
    times = collections.defaultdict(list)
    for row in acks:
        times[row[2]].append(row[5])
    gaps = sorted(longest_gap(times[p], begin, end) for p in range(partitions))
    everything = [t for of_one in times.values() for t in of_one]
    return {
        "outage_ms": milliseconds(gaps[-1]),
        "outage_median_ms": milliseconds(gaps[len(gaps) // 2]),
        "outage_all_ms": milliseconds(longest_gap(everything, begin, end)),
    }


def watched(rows, contents):
    """Ledgers of Watch: what was read must still be there, without holes, never backwards."""
    final = {
        place: {offset: zlib.crc32(value) for offset, value in records}
        for place, records in contents.items()
    }
    unstable = back = 0
    last, seen, errors = {}, collections.defaultdict(set), collections.Counter()
    for row in rows:
        if row[0] != "read":
            errors[row[1]] += 1
            continue
        place = (row[1], row[2])
        for offset, checksum in row[3]:
            unstable += final[place].get(offset) != checksum
            back += offset <= last.get(place, -1)
            last[place] = max(offset, last.get(place, -1))
            seen[place].add(offset)
    skipped = sum(
        offset <= last[place] and offset not in seen[place]
        for place in last
        for offset in final[place]
    )
    figures = {"unstable": unstable, "skipped": skipped, "back": back}
    if errors:
        figures["watch_errors"] = dict(errors)
    return figures


def group(rows, contents, topic, partitions, begin, end):
    """The ledger of one Group."""
    runs, commits = collections.defaultdict(list), collections.defaultdict(list)
    seen, times, got = collections.defaultdict(list), [], 0
    for row in rows:
        if row[0] == "got":
            runs[row[2]].append((row[3], row[4]))
            times.append(row[5])
            got += row[4] - row[3] + 1
        elif row[0] == "commit":
            commits[row[1]].append((row[3], row[2]))
        elif row[0] == "seen":
            seen[row[1]].append((row[3], row[2]))
    undelivered = stored = 0
    for partition in range(partitions):
        offsets = [offset for offset, _ in contents[(topic, partition)]]
        stored += len(offsets)
        undelivered += len(offsets) - covered(offsets, runs[partition])
    back = lost = 0
    for partition, observed in seen.items():
        highest = -1
        for _, offset in observed:
            back += offset < highest
            highest = max(highest, offset)
        for committed_at, offset in commits[partition]:
            # An acknowledged commit is visible to whoever asks later.
            after = [found for asked, found in observed if asked > committed_at]
            lost += bool(after) and after[0] < offset
    return {
        "undelivered": undelivered,
        "redelivered": max(0, got + undelivered - stored),
        "commits_back": back,
        "commits_lost": lost,
        "gap_ms": milliseconds(longest_gap(times, begin, end)) if times else -1,
    }


def covered(offsets, runs):
    """How many of the sorted offsets lie within one of the runs."""
    merged = []
    for first, last in sorted(runs):
        if merged and first <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    count = at = 0
    for offset in offsets:
        while at < len(merged) and merged[at][1] < offset:
            at += 1
        count += at < len(merged) and merged[at][0] <= offset
    return count


def transactions(rows, contents, topics, partitions, records):
    """Ledgers of Transactions: all of a committed one, nothing of an aborted one."""
    ends = {row[1]: row[2] for row in rows if row[0] == "txn"}
    values, whole = collections.Counter(), collections.Counter()
    for topic in topics:
        for partition in range(partitions):
            for _, value in contents[(topic, partition)]:
                values[value] += 1
    for value in values:
        whole[value.split(b"|", 1)[0].decode()] += 1
    full = records * len(topics)
    committed = [name for name, how in ends.items() if how == "committed"]
    return {
        "transactions": len(committed),
        "transactions_lost": sum(whole[name] == 0 for name in committed),
        "transactions_torn": sum(0 < count < full for count in whole.values()),
        "aborted_seen": sum(how == "aborted" and whole[n] > 0 for n, how in ends.items()),
        "transactions_doubled": sum(count - 1 for count in values.values()),
    }


def fenced(rows):
    """Ledgers of Zombies and Abandoned: nobody commits after being fenced, nothing hangs on."""
    rows = list(rows)
    waits = [row[2] for row in rows if row[0] == "hanging"]
    return {
        "fenced": sum(row[0] == "zombie" for row in rows),
        "zombies_committed": sum(row[0] == "zombie" and row[2] == "committed" for row in rows),
        "hanging": sum(wait > HANGING_SECONDS for wait in waits),
        "hanging_s": round(max(waits, default=0)),
    }


def copied(contents, source, target, partitions):
    """What Copy made: each record of the source once."""
    wanted, made = collections.Counter(), collections.Counter()
    for partition in range(partitions):
        wanted.update(value for _, value in contents[(source, partition)])
        made.update(value for _, value in contents[(target, partition)])
    return {
        "copies": sum(made.values()),
        "copies_missing": sum((wanted - made).values()),
        "copies_doubled": sum((made - wanted).values()),
    }


def broken(figures):
    """The promises that were not kept, in words."""
    found = [f"{name}={figures[name]}" for name in PROMISES if figures.get(name)]
    for name, value in figures.items():
        if isinstance(value, dict) and "undelivered" in value:
            promised = judge_shares.PROMISES if "held_twice" in value else GROUP_PROMISES
            found += [f"{name}.{p}={value[p]}" for p in promised if value[p]]
    if not figures.get("acknowledged"):
        found.append("nothing was acknowledged")
    return found
