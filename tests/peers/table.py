#!/usr/bin/env python3
"""The lines that the peers' scripts print, as the tables of docs/peers.md. Reads files, or standard input.

Factors are Lockgate's messages a second, in the run before it, over the peer's. Where a variant was measured more than once, the median counts.
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
    variants, own = {}, None
    for line in map(json.loads, fileinput.input()):
        if line["load"]:
            rate = line["load"]["delivered-per-second"]
            own = rate if line["peer"] == "lockgate" else own
            line["load"]["factor"] = own / rate if own else float("nan")
        variants.setdefault((f"{line['peer']} {line['version']}", line["variant"]), []).append(line)

    rates, fates = [], []
    for (name, variant), lines in variants.items():
        rate, factor = median(lines, "delivered-per-second"), median(lines, "factor")
        millis = [median(lines, "p50-ms"), median(lines, "p99-ms")]
        unsure = [str(total(lines, "load", field)) for field in ("lost", "doubled")]
        rates.append([name, variant, cell(rate, ",.0f"), cell(factor, ".2g" if (factor or 0) < 10 else ".0f"), *(cell(value, ",.1f") for value in millis), *unsure])
        for part, fate in (("kill", "killed"), ("outage", "target away")):
            counts = [str(total(lines, part, field)) for field in ("acknowledged", "lost", "doubled", "repeated", "refused", "unanswered")]
            fates.append([name, variant, fate, *counts])
    table(["what", "variant", "messages/s", "factor", "p50 ms", "p99 ms", "lost", "doubled"], rates)
    table(["what", "variant", "fate", "acknowledged", "of them lost", "doubled", "repeated", "refused", "unanswered"], fates)


if __name__ == "__main__":
    main()
