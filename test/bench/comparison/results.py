"""The figures, and how they go into a CSV file."""

import csv
import statistics
from dataclasses import dataclass

COLUMNS = ("scenario", "mpi", "place", "variant", "ranks", "round", "work", "test", "bytes", "value", "unit", "spoiled",
           "status")


@dataclass(frozen=True)
class Cell:
    scenario: str
    ranks: int
    work: str
    test: str
    bytes: int


def rises(unit):
    """Whether more is better."""
    return unit in ("GB/s", "M/s", "GFlop/s", "GUP/s")


class Results:
    def __init__(self, file):
        self.values = {}    # Cell, Entry: {round: value}
        self.units = {}     # test: unit
        self.failures = {}  # scenario, ranks, work, Entry: [text]
        self.ways = {}      # scenario, Entry: a set of texts
        self.spoiled = self.count = 0
        self.writer = csv.writer(file, lineterminator="\n")
        self.writer.writerow(COLUMNS)
        self.file = file

    def _row(self, block, entry, turn, *rest):
        self.writer.writerow((block.scenario.name, entry.mpi, entry.place, entry.variant, block.ranks, turn,
                              block.work.name) + rest)
        self.file.flush()

    def figure(self, block, entry, turn, test, size, value, unit, spoiled):
        cell = Cell(block.scenario.name, block.ranks, block.work.name, test, size)
        self.values.setdefault((cell, entry), {})[turn] = value
        self.units[test] = unit
        self.count += 1
        self.spoiled += spoiled
        self._row(block, entry, turn, test, size, "%.6g" % value, unit, "yes" if spoiled else "no", "ok")

    def failure(self, block, entry, turn, text):
        self.failures.setdefault((block.scenario.name, block.ranks, block.work.name, entry), []).append(text)
        self._row(block, entry, turn, "", "", "", "", "", text)

    def failed(self, block, entry):
        return self.failures.get((block.scenario.name, block.ranks, block.work.name, entry), [])

    def way(self, block, entry, ways):
        self.ways.setdefault((block.scenario.name, entry), set()).update(ways)

    def cells(self, **wanted):
        """Those measured, in the order in which they were first."""
        found = {}
        for cell, _ in self.values:
            if all(getattr(cell, name) == value for name, value in wanted.items()):
                found[cell] = True
        return list(found)

    def median(self, cell, entry):
        values = self.values.get((cell, entry))
        return statistics.median(values.values()) if values else None

    def spread(self, cell, entry):
        """Half of the range in which the middle half of the values lies, as a part of the median."""
        values = sorted(self.values.get((cell, entry), {}).values())
        if len(values) < 3 or not statistics.median(values):
            return None
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
        return (high - low) / 2 / statistics.median(values)

    def ratios(self, cell, ours, theirs):
        """Of each round in which both were measured: our time by theirs, where more is better the inverse."""
        a, b = (self.values.get((cell, entry), {}) for entry in (ours, theirs))
        up = rises(self.units[cell.test])
        return [b[turn] / a[turn] if up else a[turn] / b[turn] for turn in a if b.get(turn) and a[turn]]

    def best(self, cell, entries):
        """The one with the best median, or None."""
        known = [(self.median(cell, entry), entry) for entry in entries if (cell, entry) in self.values]
        if not known:
            return None
        return (max if rises(self.units[cell.test]) else min)(known, key=lambda each: each[0])[1]
