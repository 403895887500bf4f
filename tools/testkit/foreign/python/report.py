"""Cases and their verdicts, in the lines that the test command reads."""

import os
import re
import sys
import time
import traceback

cases = []


class Skip(Exception):
    """Raised by a case that cannot run with this client."""


def feature(name):
    """Registers a case under the fact it shows."""

    def register(body):
        cases.append((name, body))
        return body

    return register


def eq(got, want, what=""):
    if got != want:
        raise AssertionError(f"{what} got {got!r} want {want!r}")


def ok(fact, what=""):
    if not fact:
        raise AssertionError(what)


def until(what, fact, seconds=30, step=0.1):
    """Waits until `fact()` is true and returns it."""
    end = time.time() + seconds
    while time.time() < end:
        value = fact()
        if value:
            return value
        time.sleep(step)
    raise AssertionError(f"{what}: not within {seconds} s")


def _later():
    path = os.environ.get("NARU_LATER")
    if not path:
        return []
    lines = [line.split("\t", 1) for line in open(path).read().splitlines()]
    return [(re.compile(pattern), reason) for pattern, reason in lines]


def run(only=os.environ.get("ONLY", "")):
    """Runs all cases, prints their verdicts, and ends the program."""
    passed = failed = skipped = 0
    later = _later()
    for name, body in cases:
        if only not in name:
            continue
        reason = next((why for pattern, why in later if pattern.search(name)), None)
        try:
            if reason:
                raise Skip(reason)
            body()
            passed += 1
            print(f"PASS {name}", flush=True)
        except Skip as why:
            skipped += 1
            print(f"SKIP {name} -- {why}", flush=True)
        except Exception as why:
            failed += 1
            place = traceback.extract_tb(sys.exc_info()[2])[-1]
            text = " ".join(str(why).split())[:500]
            where = f"{os.path.basename(place.filename)}:{place.lineno}"
            print(f"FAIL {name} -- {type(why).__name__}: {text} at {where}", flush=True)
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    # Clients of failed cases may still have threads: they must not keep the program alive.
    os._exit(1 if failed else 0)
