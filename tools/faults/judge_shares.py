"""Judges the ledger of a share group (KIP-932) against what its topics hold in the end.

Pure. The promises: every record of the topics is given to a member (`undelivered`) and comes to an
end, accepted, rejected, or released for the last time that the limit allows (`not_drained`,
`ended_early`); what is given is what the topics hold, nothing of an aborted transaction
(`strange`). An end that was confirmed is one: the record is not given again (`given_again`) nor
ended by another member too (`ended_twice`). A confirmed release is remembered: later deliveries
count on from it (`counts_back`), up to the limit (`over_limit`). Nobody is given what another
member holds (`held_twice`). The start of a share-partition does not go back (`starts_back`).

What Kafka does not promise, and is not asked for: who holds what is known to the partition's leader
alone, and is gone with it. So an overlap near a change of leaders is only told (`held_over_moves`).
An acknowledgement that was refused or never answered may have been stored or not: the record may
come again, and it need not.
"""

import bisect
import collections
import dataclasses
import zlib

PROMISES = (
    "undelivered",
    "ended_early",
    "strange",
    "given_again",
    "ended_twice",
    "counts_back",
    "over_limit",
    "held_twice",
    "starts_back",
    "not_drained",
)
# A hold counts as certain until this long before it may be over.
CAUTION = 2.0
# Before and after a change of leaders was seen: whoever looks is told with some delay.
MOVE_SEEN_LATE, MOVE_SEEN_EARLY = 4.0, 1.0
ENDS = ("ACCEPT", "REJECT")


@dataclasses.dataclass
class Delivery:
    member: int
    since: float
    time: float
    count: int
    how: str
    # When it was acknowledged and when that was answered; both None without an answer at all.
    sent: float | None = None
    answered: float | None = None
    confirmed: bool = False


def read(rows):
    """Deliveries by (topic, partition, offset, checksum); the other rows by their first word."""
    batches, found, others = {}, collections.defaultdict(list), collections.defaultdict(list)
    for row in rows:
        if row[0] == "given":
            _, member, batch, since, time, records = row
            batches[member, batch] = of_batch = []
            for topic, partition, offset, count, how, checksum in records:
                delivery = Delivery(member, since, time, count, how)
                found[topic, partition, offset, checksum].append(delivery)
                of_batch.append((f"{topic}-{partition}", delivery))
        elif row[0] == "ended":
            _, member, batch, sent, answered, answers = row
            for place, delivery in batches.get((member, batch), []):
                delivery.sent, delivery.answered = sent, answered
                delivery.confirmed = answers.get(place) == ""
        else:
            others[row[0]].append(row)
    return found, others


def shares(rows, contents, topics, partitions, limit, lock, begin, end):
    """The figures of one share group."""
    deliveries, others = read(rows)
    stored = {
        (topic, partition, offset, zlib.crc32(value))
        for topic in topics
        for partition in range(partitions)
        for offset, value in contents[topic, partition]
    }
    figures = dict.fromkeys(PROMISES, 0)
    figures["strange"] = sum(record not in stored for record in deliveries)
    figures["undelivered"] = sum(record not in deliveries for record in stored)
    starts, figures["starts_back"] = observed_starts(others["start"])
    # When nothing is left, all is over, also what a start that is stored seldom does not show.
    drained = any(row[1] for row in others["drained"])
    figures["not_drained"] = int(not drained)
    moves = moves_by_partition(others["leads"])
    over_moves = 0
    for (topic, partition, offset, _), given in deliveries.items():
        given.sort(key=lambda delivery: delivery.time)
        ends = [d for d in given if d.confirmed and d.how in ENDS]
        figures["ended_twice"] += max(0, len(ends) - 1)
        if ends:
            figures["given_again"] += sum(d.since > ends[0].answered for d in given)
        figures["counts_back"] += sum(counted_back(d, given) for d in given)
        figures["over_limit"] += sum(d.count > limit for d in given)
        if drained or offset < starts.get((topic, partition), 0):
            figures["ended_early"] += not any(may_be_end(d, limit) for d in given)
        twice, moved = overlaps(given, lock, moves.get((topic, partition), []))
        figures["held_twice"] += twice
        over_moves += moved
    every = [d for given in deliveries.values() for d in given]
    gaps = [begin, *sorted(d.time for d in every if begin < d.time < end), end]
    pairs = zip(gaps, gaps[1:], strict=False)
    figures.update(
        delivered=len(deliveries),
        redelivered=len(every) - len(deliveries),
        confirmed=sum(d.confirmed for d in every),
        held_over_moves=over_moves,
        replaced_members=len(others["lost"]),
        gap_ms=int(max(later - earlier for earlier, later in pairs) * 1000),
    )
    return figures


def may_be_end(delivery, limit):
    """Also what was not confirmed may have been stored; a last delivery ends without a word."""
    return delivery.how in ENDS or delivery.count >= limit


def counted_back(delivery, given):
    released = sum(
        d.confirmed and d.how == "RELEASE" and d.answered < delivery.since for d in given
    )
    return delivery.count <= released


def overlaps(given, lock, moves):
    """(deliveries while another member held the record, those of them near a change of leaders)."""
    twice = moved = 0
    for held in given:
        if not held.confirmed:
            continue  # Nothing says that it was still held.
        until = min(held.sent, held.since + lock - CAUTION)
        for other in given:
            if other.member != held.member and held.time < other.time < until:
                first, last = held.since - MOVE_SEEN_EARLY, other.time + MOVE_SEEN_LATE
                at = bisect.bisect_left(moves, min(first, other.since - MOVE_SEEN_EARLY))
                near = at < len(moves) and moves[at] <= last
                moved += near
                twice += not near
    return twice, moved


def observed_starts(rows):
    """The highest start seen of each share-partition, and how often one went back."""
    highest, back = {}, 0
    for _, topic, partition, offset, *_ in rows:
        place = (topic, partition)
        back += offset < highest.get(place, offset)
        highest[place] = max(offset, highest.get(place, offset))
    return highest, back


def moves_by_partition(rows):
    """When each partition was seen to have another leader; its first is no move."""
    moves = collections.defaultdict(list)
    for _, topic, partition, _, time in rows:
        moves[topic, partition].append(time)
    return {place: times[1:] for place, times in moves.items()}
