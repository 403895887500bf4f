"""Faults on clusters of real processes: `faults.py --help`. Needs root.

One line per scenario, PASS, FAIL or SKIP with its figures; the last line has the totals.
"""

import argparse
import fcntl
import os
import signal
import sys
import tempfile
import time

import results
import scenarios
import shell
from cluster import Cluster
from story import Story
from systems import SYSTEMS

FIGURES = (
    "acknowledged",
    "outage_ms",
    "outage_median_ms",
    "outage_all_ms",
    "recovered_s",
    "transactions",
    "fenced",
    "hanging_s",
    "copies",
)
SHARE_FIGURES = ("delivered", "confirmed", "held_over_moves", "replaced_members")
LOCK_PATIENCE = 1800


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", metavar="SCENARIO")
    parser.add_argument("--systems", default="naru", help="one, or one per node: naru,apache,...")
    parser.add_argument("--out", required=True, help="folder for disks, ledgers and logs")
    parser.add_argument("--native", default="", help="NAME=PATH,... of the built helpers")
    parser.add_argument("--rate", type=int, default=3000, help="records per second")
    parser.add_argument("--usual", action="store_true", help="the subset of every test run")
    parser.add_argument("--quick", action="store_true", help="less load around each fault")
    parser.add_argument(
        "--plain",
        action="store_true",
        help="no transactions, no consumer protocol, no share groups",
    )
    parser.add_argument("--file-system", default="ext4", choices=["ext4", "xfs"])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--results", action="store_true", help="a table of the last runs")
    parser.add_argument("--why-not", action="store_true", help="why this machine cannot, if so")
    return parser.parse_args()


def chosen(options):
    known = scenarios.load()
    unknown = [name for name in options.names if name not in known]
    if unknown:
        sys.exit(f"no scenario is called {', '.join(unknown)}")
    if options.names:
        return [known[name] for name in options.names]
    return [s for s in known.values() if s.usual or not options.usual]


def take_turns():
    """Names of namespaces and the bridge are the machine's: one harness at a time."""
    file = open(os.path.join(tempfile.gettempdir(), "naru-faults.lock"), "a")
    end = time.time() + LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except OSError:
            if time.time() > end:
                sys.exit("another fault run holds the lock")
            time.sleep(1)


def lacking(plan, native):
    """Why a plan cannot be had with the helpers at hand, or None."""
    needed = {"clockshift": plan.clock, "syncfail": plan.failing_syncs, "netdelay": plan.slow}
    missing = [name for name, wanted in needed.items() if wanted and name not in native]
    return f"{', '.join(missing)} is not built" if missing else None


def told(figures, facts):
    shown = [f"{name}={figures[name]}" for name in FIGURES if name in figures]
    for name, value in figures.items():
        if isinstance(value, dict) and "gap_ms" in value:
            words = [f"again={value['redelivered']}", f"gap={value['gap_ms']}"]
            words += [f"{word}={value[word]}" for word in SHARE_FIGURES if word in value]
            shown.append(f"{name}[{' '.join(words)}]")
    return " ".join(shown + [f"{k}={v}" for k, v in facts.items() if k not in FIGURES])


class Runner:
    def __init__(self, options):
        self.options = options
        self.native = dict(pair.split("=", 1) for pair in options.native.split(",") if pair)
        self.systems = [SYSTEMS[name] for name in options.systems.split(",")]
        self.cluster = None
        self.counts = {"PASS": 0, "FAIL": 0, "SKIP": 0}

    def say(self, verdict, name, why):
        self.counts[verdict] += 1
        print(f"{verdict} {name} -- {why}" if why else f"{verdict} {name}", flush=True)

    def run(self, wanted):
        for scenario in wanted:
            lack = lacking(scenario.plan, self.native)
            if lack:
                self.say("SKIP", scenario.name, lack)
            else:
                self.one(scenario)

    def one(self, scenario):
        began, story, figures = time.time(), None, {}
        try:
            self.have_cluster(scenario.plan)
            story = Story(self.cluster, scenario, self.options)
            figures = story.run()
            wrong = story.wrong
        except Exception as error:
            wrong = [*(story.wrong if story else []), f"{type(error).__name__}: {error}"]
        if story:
            story.clean_up()
        took = f"{time.time() - began:.0f} s, load {os.getloadavg()[0]:.0f}:"
        words = f"{took} {told(figures, story.facts if story else {})}"
        if wrong:
            self.say("FAIL", scenario.name, f"{'; '.join(wrong)} | {words}"[:1500])
            self.put_aside(scenario)
        else:
            self.say("PASS", scenario.name, words)

    def have_cluster(self, plan):
        if self.cluster and self.cluster.plan == plan:
            return
        self.down()
        root = os.path.join(self.options.out, "cluster")
        file_system = self.options.file_system
        self.cluster = Cluster(self.systems, root, plan, self.native, file_system=file_system)
        self.cluster.up()

    def put_aside(self, scenario):
        """The next scenario gets a new cluster; this one's logs stay with the scenario."""
        if not self.cluster:
            return
        for node in self.cluster.nodes:
            if os.path.exists(node.output):
                kept = os.path.join(self.options.out, scenario.name, f"node{node.id}.log")
                os.makedirs(os.path.dirname(kept), exist_ok=True)
                with open(node.output, "rb") as source, open(kept, "wb") as target:
                    target.write(source.read()[-(8 << 20) :])
        self.down()

    def down(self):
        if self.cluster:
            self.cluster.down()
            self.cluster = None


def main():
    options = arguments()
    if options.list:
        for scenario in scenarios.load().values():
            print(f"{scenario.name:30} {scenario.about}")
        return 0
    if options.results:
        print("\n".join(results.table(options.out, scenarios.load().values())))
        return 0
    reason = shell.why_not()
    if options.why_not or reason:
        print(reason or "")
        return 0 if options.why_not else 2
    wanted = chosen(options)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    lock = take_turns()
    runner = Runner(options)
    try:
        runner.run(wanted)
    finally:
        runner.down()
        lock.close()
    counts = runner.counts
    print(f"{counts['PASS']} passed, {counts['FAIL']} failed, {counts['SKIP']} skipped")
    return 1 if counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
