"""The faults, one small function each, by what they act on."""

import dataclasses
import importlib
from collections.abc import Callable

from cluster import Plan

ALL = {}
MODULES = (
    "crashes",
    "power",
    "freezes",
    "cuts",
    "disks",
    "damage",
    "clocks",
    "moves",
    "late",
    "bites",
)


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    act: Callable
    about: str
    plan: Plan = Plan()
    topic: dict = dataclasses.field(default_factory=dict)
    assignment: list | None = None
    acks: str = "all"
    rate: int | None = None
    size: int = 100
    warm: float | None = None
    # In the subset for every test run.
    usual: bool = False
    # The promise that this scenario must break (None: all are kept), and those that may break.
    must_break: str | None = None
    may_break: tuple = ()


# What goes with the documented loss of acknowledged records, and nothing beside.
LOSS = ("lost", "unstable", "skipped", "back")
# acks=1 is sent without idempotence: retries may also double and reorder.
ONE_ACKNOWLEDGEMENT = (*LOSS, "doubled", "reordered")


def scenario(name, **words):
    def register(act):
        about = " ".join((act.__doc__ or "").split())
        ALL[name] = Scenario(name=name, act=act, about=about, **words)
        return act

    return register


def load():
    for module in MODULES:
        importlib.import_module(f"scenarios.{module}")
    return ALL
