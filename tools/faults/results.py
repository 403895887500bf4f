"""What the last run of each scenario showed, as a table for docs/faults.md."""

import json
import os
import time

HEAD = (
    "scenario",
    "what happens",
    "verdict",
    "acknowledged",
    "worst partition out, ms",
    "transactions",
    "zombies fenced",
    "shared records given (again)",
)


def table(folder, scenarios):
    """Lines of Markdown; a scenario that was never judged in this folder says so."""
    yield f"| {' | '.join(HEAD)} |"
    yield "| --- " * len(HEAD) + "|"
    for scenario in scenarios:
        path = os.path.join(folder, scenario.name, "result.json")
        cells = row(path) if os.path.exists(path) else ["not run"] + [""] * (len(HEAD) - 3)
        yield f"| {' | '.join([scenario.name, scenario.about, *cells])} |"


def row(path):
    with open(path) as file:
        found = json.load(file)
    figures, share = found["figures"], found["figures"].get("share", {})
    day = time.strftime("%Y-%m-%d", time.gmtime(os.path.getmtime(path)))
    given = f"{share['delivered']} ({share['redelivered']})" if share else ""
    numbers = ("acknowledged", "outage_ms", "transactions", "fenced")
    verdict = f"failed: {'; '.join(found['wrong'])}" if found["wrong"] else "passed"
    return [f"{verdict}, {day}", *(str(figures.get(name, "")) for name in numbers), given]
