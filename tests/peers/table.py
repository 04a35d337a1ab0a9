#!/usr/bin/env python3
"""The lines that the peers' scripts print, as the tables of docs/peers.md. Reads files, or standard input.

Where a variant was measured more than once, the median counts. Factors are Lockgate's messages a second over the peer's.
"""

import fileinput
import json
import statistics


def median(lines, field):
    values = [line["load"][field] for line in lines if line["load"]]
    return statistics.median(values) if values else None


def total(lines, part, field):
    return sum(line[part][field] for line in lines if line[part])


def cell(value, form):
    return "not measured" if value is None else format(value, form)


def table(head, rows):
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def main():
    variants = {}
    for line in map(json.loads, fileinput.input()):
        variants.setdefault((f"{line['peer']} {line['version']}", line["variant"]), []).append(line)
    own = [rate for (name, _), lines in variants.items() if name.startswith("lockgate ") and (rate := median(lines, "delivered-per-second"))]

    rates, fates = [], []
    for (name, variant), lines in variants.items():
        rate = median(lines, "delivered-per-second")
        factor = None if rate is None or not own else own[0] / rate
        millis = [median(lines, "p50-ms"), median(lines, "p99-ms")]
        unsure = [str(total(lines, "load", field)) for field in ("lost", "doubled")]
        rates.append([name, variant, cell(rate, ",.0f"), cell(factor, ".1f"), *(cell(value, ",.1f") for value in millis), *unsure])
        for part, fate in (("kill", "killed"), ("outage", "target away")):
            counts = [str(total(lines, part, field)) for field in ("acknowledged", "lost", "doubled", "repeated", "refused", "unanswered")]
            fates.append([name, variant, fate, *counts])
    table(["what", "variant", "messages/s", "factor", "p50 ms", "p99 ms", "lost", "doubled"], rates)
    table(["what", "variant", "fate", "acknowledged", "of them lost", "doubled", "repeated", "refused", "unanswered"], fates)


if __name__ == "__main__":
    main()
