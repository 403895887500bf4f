"""The judge bites: one small history per promise, doctored so that only this promise is broken."""

import struct
import unittest
import zlib

import crc32c

import judge
import judge_shares
import replicas

TOPIC = "t"


def history(values, acks, sent=None):
    """Figures of Produce for one partition."""
    contents = {(TOPIC, 0): list(enumerate(values))}
    rows = [["ack", "p", 0, number, offset, 1.0] for number, offset in acks]
    if sent is not None:
        rows.append(["sent", "p", [sent]])
    return judge.produced(rows, contents, TOPIC, 1)[0]


def record(number):
    return b"p|0|%d|..." % number


def batch(base, count, epoch=0, payload=b"x"):
    tail = struct.pack(">hi", 0, count - 1) + bytes(34) + payload
    tail = tail + bytes(max(0, 40 - len(tail)))
    crc = crc32c.crc32c(tail)
    return struct.pack(">qiibI", base, 9 + len(tail), epoch, 2, crc) + tail


class Produced(unittest.TestCase):
    def only(self, figures, promise, count=1):
        broken = [word for word in judge.broken({**figures, "acknowledged": 1})]
        self.assertEqual(broken, [f"{promise}={count}"])

    def test_a_good_history_breaks_nothing(self):
        figures = history([record(0), record(1)], [(0, 0), (1, 1)], sent=2)
        self.assertEqual(judge.broken(figures), [])

    def test_an_acknowledged_record_that_is_not_there_is_lost(self):
        self.only(history([record(0)], [(0, 0), (1, 1)]), "lost")

    def test_an_unacknowledged_record_may_be_there_or_not(self):
        self.assertEqual(judge.broken(history([record(0), record(1)], [(0, 0)])), [])

    def test_a_record_stored_twice_is_doubled(self):
        self.only(history([record(0), record(0)], [(0, 0)]), "doubled")

    def test_a_record_at_another_offset_than_acknowledged_is_moved(self):
        self.only(history([record(0), record(1)], [(0, 0), (1, 7)]), "moved")

    def test_an_acknowledgement_without_an_offset_moves_nothing(self):
        self.assertEqual(judge.broken(history([record(0)], [(0, None)])), [])

    def test_records_in_another_order_are_reordered(self):
        self.only(history([record(1), record(0)], [(0, 1), (1, 0)]), "reordered")

    def test_a_record_that_nobody_sent_is_strange(self):
        self.only(history([record(0), b"what?"], [(0, 0)]), "strange")
        self.only(history([record(0), record(5)], [(0, 0)], sent=2), "strange")

    def test_a_producer_that_ended_for_good_is_told(self):
        rows = [["ack", "p", 0, 0, 0, 1.0], ["fatal", "p", "why"], ["fatal", "p", "again"]]
        contents = {(TOPIC, 0): [(0, record(0))]}
        self.only(judge.produced(rows, contents, TOPIC, 1)[0], "ended_producers")

    def test_a_record_is_sent_again_only_after_apache_kafka_refused_a_gap(self):
        contents = {(TOPIC, 0): list(enumerate([record(0), record(1), record(1)]))}
        acks = [["ack", "p", 0, 0, 0, 1.0], ["ack", "p", 0, 1, 2, 9.0]]
        ran = [["system", 1, "apache", 0.0], ["system", 1, "naru", 5.0], ["system", 2, "naru", 0.0]]

        def after(*gaps, sent=2):
            rows = [*acks, *(["gap", "p", time, node, [sent], ""] for time, node in gaps)]
            return judge.produced(rows, contents, TOPIC, 1, ran)[0]

        figures = after((4.0, 1))
        self.assertEqual((figures["doubled"], figures["sent_again"]), (0, 1))
        self.assertEqual(judge.broken(figures), [])
        self.only(after(), "doubled")
        # By a node that had become ours, or one that always was; also beside one of Apache Kafka.
        self.only(after((6.0, 1)), "doubled")
        self.only(after((4.0, 1), (4.1, 2)), "doubled")
        # After the acknowledgement, or before the record was sent.
        self.only(after((9.5, 1)), "doubled")
        self.only(after((4.0, 1), sent=1), "doubled")
        # Where all nodes are of one kind, nobody asks.
        self.only(
            judge.produced([*acks, ["gap", "p", 4.0, 1, [2], ""]], contents, TOPIC, 1)[0], "doubled"
        )

    def test_a_gap_excuses_one_copy_of_a_record_and_two_gaps_two(self):
        ran = [["system", 1, "apache", 0.0]]
        ack = ["ack", "p", 0, 0, 0, 9.0]

        def after(copies, gaps):
            contents = {(TOPIC, 0): list(enumerate([record(0)] * copies))}
            rows = [ack, *(["gap", "p", 4.0 + gap, 1, [1], ""] for gap in range(gaps))]
            return judge.produced(rows, contents, TOPIC, 1, ran)[0]

        for copies, gaps in ((1, 1), (2, 1), (2, 2), (3, 2)):
            figures = after(copies, gaps)
            self.assertEqual(judge.broken(figures), [])
            self.assertEqual(figures["sent_again"], copies - 1)
        self.only(after(3, 1), "doubled")
        self.only(after(10, 1), "doubled", count=8)
        self.only(after(4, 2), "doubled")
        self.assertEqual(after(10, 1)["sent_again"], 1)

    def test_no_acknowledgement_at_all_is_no_success(self):
        self.assertEqual(judge.broken(history([], [])), ["nothing was acknowledged"])


class Watched(unittest.TestCase):
    def figures(self, *reads):
        contents = {(TOPIC, 0): [(0, b"a"), (1, b"b"), (2, b"c")]}
        rows = [["read", TOPIC, 0, [[o, zlib.crc32(v)] for o, v in read]] for read in reads]
        return judge.watched(rows, contents)

    def test_what_was_read_and_is_gone_is_unstable(self):
        self.assertEqual(self.figures([(0, b"a"), (1, b"x")])["unstable"], 1)
        self.assertEqual(self.figures([(0, b"a"), (1, b"b"), (2, b"c"), (3, b"d")])["unstable"], 1)

    def test_a_hole_in_what_was_read_is_skipped(self):
        self.assertEqual(self.figures([(0, b"a"), (2, b"c")])["skipped"], 1)

    def test_an_offset_read_again_is_back(self):
        self.assertEqual(self.figures([(0, b"a")], [(0, b"a")])["back"], 1)


class Group(unittest.TestCase):
    def figures(self, *rows):
        contents = {(TOPIC, 0): [(offset, b"v") for offset in range(4)]}
        return judge.group(rows, contents, TOPIC, 1, 0, 10)

    def test_records_that_no_member_got_are_undelivered(self):
        figures = self.figures(["got", 0, 0, 0, 0, 1], ["got", 1, 0, 2, 2, 2])
        self.assertEqual(figures["undelivered"], 2)
        self.assertEqual(self.figures(["got", 0, 0, 0, 3, 1])["undelivered"], 0)

    def test_a_committed_offset_that_falls_goes_back(self):
        figures = self.figures(["seen", 0, 3, 1.0, 1.1], ["seen", 0, 2, 2.0, 2.1])
        self.assertEqual(figures["commits_back"], 1)

    def test_an_acknowledged_commit_that_later_readers_do_not_see_is_lost(self):
        figures = self.figures(["commit", 0, 3, 1.0], ["seen", 0, 2, 2.0, 2.1])
        self.assertEqual(figures["commits_lost"], 1)


class Outages(unittest.TestCase):
    def test_the_worst_partition_counts(self):
        acks = [["ack", "p", p, 0, 0, t] for p, t in [(0, 1.0), (0, 2.0), (0, 3.0), (1, 2.5)]]
        figures = judge.outages(acks, 2, 0.5, 3.5)
        self.assertEqual((figures["outage_ms"], figures["outage_all_ms"]), (2000, 1000))


class Transactions(unittest.TestCase):
    def figures(self, how, values):
        contents = {("a", 0): [(i, v) for i, v in enumerate(values)], ("b", 0): []}
        return judge.transactions([["txn", "x", how, 1.0]], contents, ["a", "b"], 1, 1)

    def test_half_a_transaction_is_torn(self):
        self.assertEqual(self.figures("committed", [b"x|a|0"])["transactions_torn"], 1)

    def test_an_aborted_one_is_never_seen(self):
        self.assertEqual(self.figures("aborted", [b"x|a|0", b"x|b|0"])["aborted_seen"], 1)

    def test_a_committed_one_is_not_lost(self):
        self.assertEqual(self.figures("committed", [])["transactions_lost"], 1)

    def test_a_zombie_commits_nothing_and_nothing_hangs_for_ever(self):
        rows = [["zombie", "x", "fenced", 1.0], ["hanging", "y", 12.0]]
        self.assertEqual(judge.broken({**judge.fenced(rows), "acknowledged": 1}), [])
        rows += [["zombie", "z", "committed", 1.0], ["hanging", "z", 200.0]]
        broken = judge.broken({**judge.fenced(rows), "acknowledged": 1})
        self.assertEqual(broken, ["zombies_committed=1", "hanging=1"])


class Shares(unittest.TestCase):
    """Two records of one partition; most histories are about the first."""

    VALUES = (b"a", b"b")
    SUMS = tuple(zlib.crc32(value) for value in VALUES)

    def given(self, member, batch, since, at, how, count=1, offset=0, checksum=None):
        sums = self.SUMS[offset] if checksum is None else checksum
        return ["given", member, batch, since, at, [[TOPIC, 0, offset, count, how, sums]]]

    @staticmethod
    def ended(member, batch, sent, answered, error=""):
        return ["ended", member, batch, sent, answered, {f"{TOPIC}-0": error}]

    def second(self, how="ACCEPT"):
        return [self.given(0, 99, 1, 1.1, how, offset=1), self.ended(0, 99, 1.2, 1.3)]

    def broken(self, *rows, start=2, drained=True):
        contents = {(TOPIC, 0): list(enumerate(self.VALUES))}
        rows = [*rows, ["start", TOPIC, 0, start, 80, 81], ["drained", drained, 82]]
        figures = judge_shares.shares(rows, contents, [TOPIC], 1, 5, 10, 0, 90)
        found = judge.broken({"share": figures, "acknowledged": 1})
        return [words.removeprefix("share.") for words in found]

    def good(self):
        return [self.given(0, 0, 1, 1.1, "ACCEPT"), self.ended(0, 0, 1.2, 1.3)]

    def test_records_accepted_and_rejected_break_nothing(self):
        self.assertEqual(self.broken(*self.good(), *self.second("REJECT")), [])

    def test_a_record_that_nobody_was_given_is_undelivered(self):
        self.assertEqual(self.broken(*self.good()), ["undelivered=1"])

    def test_what_the_topic_does_not_hold_is_strange(self):
        row = self.given(0, 5, 2, 2.1, "ACCEPT", checksum=7)
        self.assertEqual(self.broken(*self.good(), *self.second(), row), ["strange=1"])

    def test_a_released_record_that_never_comes_again_was_ended_early(self):
        rows = [self.given(0, 0, 1, 1.1, "RELEASE"), self.ended(0, 0, 1.2, 1.3)]
        self.assertEqual(self.broken(*rows, *self.second()), ["ended_early=1"])
        # Not yet over, as far as anybody was told.
        found = self.broken(*rows, *self.second(), start=0, drained=False)
        self.assertEqual(found, ["not_drained=1"])

    def test_the_last_release_that_the_limit_allows_is_an_end(self):
        rows = []
        for count in range(1, 6):
            rows.append(self.given(0, count, count, count + 0.1, "RELEASE", count))
            rows.append(self.ended(0, count, count + 0.2, count + 0.3))
        self.assertEqual(self.broken(*rows, *self.second()), [])
        rows.append(self.given(0, 6, 6, 6.1, "RELEASE", 6))
        self.assertEqual(self.broken(*rows, *self.second()), ["over_limit=1"])

    def test_a_refused_end_may_have_been_stored_or_not(self):
        rows = [self.given(0, 0, 1, 1.1, "ACCEPT"), self.ended(0, 0, 1.2, 1.3, "no leader")]
        self.assertEqual(self.broken(*rows, *self.second()), [])
        again = [self.given(1, 0, 5, 5.1, "ACCEPT", 2), self.ended(1, 0, 5.2, 5.3)]
        self.assertEqual(self.broken(*rows, *again, *self.second()), [])

    def test_after_a_confirmed_end_nothing_is_given_again(self):
        rows = [*self.good(), *self.second(), self.given(1, 0, 5, 5.1, "ACCEPT", 2)]
        self.assertEqual(self.broken(*rows), ["given_again=1"])
        # Fetched before the end was confirmed, and refused after it: that is an overlap at most.
        rows = [*self.good(), *self.second(), self.given(1, 0, 1.25, 1.4, "ACCEPT", 2)]
        self.assertEqual(self.broken(*rows), [])

    def test_two_confirmed_ends_are_one_too_many(self):
        rows = [*self.good(), *self.second(), self.given(1, 0, 1.25, 1.4, "ACCEPT", 2)]
        self.assertEqual(self.broken(*rows, self.ended(1, 0, 1.5, 1.6)), ["ended_twice=1"])

    def test_a_confirmed_release_is_remembered(self):
        rows = [self.given(0, 0, 1, 1.1, "RELEASE"), self.ended(0, 0, 1.2, 1.3)]
        again = self.given(1, 0, 5, 5.1, "ACCEPT", 1), self.ended(1, 0, 5.2, 5.3)
        self.assertEqual(self.broken(*rows, *again, *self.second()), ["counts_back=1"])

    def test_a_record_that_another_member_holds_is_not_given(self):
        rows = [self.given(0, 0, 1, 1.1, "ACCEPT"), self.given(1, 0, 1, 1.2, "RELEASE")]
        rows += [self.ended(0, 0, 1.5, 1.6), *self.second()]
        self.assertEqual(self.broken(*rows), ["held_twice=1"])
        # Who holds what goes with the leader that knew it.
        moves = [["leads", TOPIC, 0, 1, 0.1], ["leads", TOPIC, 0, 2, 1.4]]
        self.assertEqual(self.broken(*moves, *rows), [])

    def test_a_hold_ends_with_its_time(self):
        rows = [self.given(0, 0, 1, 1.1, "ACCEPT"), self.given(1, 0, 11, 11.2, "RELEASE", 2)]
        rows += [self.ended(0, 0, 12, 12.1), *self.second()]
        self.assertEqual(self.broken(*rows), [])

    def test_a_start_that_falls_goes_back(self):
        early = ["start", TOPIC, 0, 7, 2, 3]
        self.assertEqual(self.broken(early, *self.good(), *self.second()), ["starts_back=1"])

    def test_a_group_that_is_not_done_in_time_is_told(self):
        found = self.broken(*self.good(), *self.second(), drained=False)
        self.assertEqual(found, ["not_drained=1"])


class Batches(unittest.TestCase):
    def test_batches_are_read_with_their_offsets_and_epochs(self):
        found, damaged, stray = replicas.batches(batch(0, 3) + batch(3, 2, epoch=1))
        self.assertEqual([b[:3] for b in found], [(0, 2, 0), (3, 4, 1)])
        self.assertEqual((damaged, stray), (0, 0))

    def test_a_flipped_byte_is_seen(self):
        data = bytearray(batch(0, 3))
        data[-1] ^= 1
        self.assertEqual(replicas.batches(bytes(data))[1], 1)

    def test_zeros_at_the_end_are_room_and_other_bytes_are_stray(self):
        self.assertEqual(replicas.batches(batch(0, 1) + bytes(100))[2], 0)
        self.assertEqual(replicas.batches(batch(0, 1) + b"\0\0junk")[2], 6)


if __name__ == "__main__":
    unittest.main()
