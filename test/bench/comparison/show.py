"""Tables, and what they say of Ferry beside its peers."""

import statistics
from math import comb

# Those that the terminal shows; all are in table.txt.
SHOWN = {"pair": (1, 64, 1024, 65536, 1 << 20, 4 << 20, 64 << 20), "slow": None, "start": None,
         "onesided": (1, 1024, 65536, 1 << 20, 64 << 20), "datatypes": None,
         "collectives": (0, 8, 512, 2048, 32768, 2 << 20)}


def size(number):
    for unit, text in (1 << 20, "MiB"), (1 << 10, "KiB"):
        if number >= unit and number % unit == 0:
            return "%d %s" % (number // unit, text)
    return "%d B" % number


def digits(value):
    return "%.0f" % value if value >= 1000 else "%.3g" % value


def interval(values):
    """The 95 % interval of the median of a sample, by its order alone; None where there are too few."""
    n, values = len(values), sorted(values)
    for k in range(n // 2, 0, -1):
        if 2 * sum(comb(n, i) for i in range(k)) / 2 ** n <= 0.05:
            return values[k - 1], values[n - k]
    return None


def ours(entries):
    return [entry for entry in entries if entry.mpi == "ferry"]


def theirs(entries):
    return [entry for entry in entries if entry.mpi != "ferry"]


def table(results, block, whole):
    """The table of a block, as text."""
    cells = results.cells(scenario=block.scenario.name, ranks=block.ranks, work=block.work.name)
    shown = None if whole else SHOWN.get(block.work.name)
    entries, lines, notes = block.entries, [], []
    wide = [max(15, len(entry.label) + 2) for entry in entries]
    peers = [entry for entry in theirs(entries) if entry.place != "host"]
    lines.append("%-24s" % "" + "".join("%*s" % pair for pair in zip(wide, (entry.label for entry in entries))) +
                 ("   Ferry's time by the best peer's" if peers else ""))
    for test in dict.fromkeys(cell.test for cell in cells):
        for cell in sorted((cell for cell in cells if cell.test == test), key=lambda cell: cell.bytes):
            if shown and cell.bytes not in shown and len(set(each.bytes for each in cells)) > 6:
                continue
            what = test + (" " + size(cell.bytes) if cell.bytes else "") + ", " + results.units[test]
            line = "%-24s" % what
            for width, entry in zip(wide, entries):
                line += "%*s" % (width, figure(results, block, cell, entry))
            best = results.best(cell, peers)
            if best:
                told = ["%.2f" % statistics.median(ratios) + ("" if entry == entries[0] else " (%s)" % entry.label)
                        for entry in ours(entries) if (ratios := results.ratios(cell, entry, best))
                        and entry.variant == "" and entry.place != "host"]
                line += "   " + ", ".join(told) + " of " + best.label
            lines.append(line)
    for entry in entries:
        for text in dict.fromkeys(results.failed(block, entry)):
            notes.append("%s %s" % (entry.label, text))
        if entry.mpi == "ferry":
            ways = results.ways.get((block.scenario.name, entry), ())
            notes += ["%s went by %s" % (entry.label, way) for way in sorted(ways)[:4]]
    return "\n".join(lines + notes)


def figure(results, block, cell, entry):
    value = results.median(cell, entry)
    if value is None:
        failed = results.failed(block, entry)
        return failed[-1].split(":")[0] if failed else "-"
    spread = results.spread(cell, entry)
    return digits(value) + (" ±%.0f%%" % (100 * spread) if spread is not None else "")


def compared(results, cell, mine, best):
    """The median of the ratios, and what their 95 % interval says of it."""
    ratios = results.ratios(cell, mine, best)
    if not ratios:
        return None
    middle, bounds = statistics.median(ratios), interval(ratios)
    if bounds is None:
        return middle, " (too few rounds to be sure)"
    return middle, "" if bounds[0] > 1 or bounds[1] < 1 else " (within the spread)"


# How much longer than in one container applications may take in two
MAY_TAKE = {"hpl": 1.04}
MAY_TAKE_OTHERS = 1.08


def pairs_of(results, block):
    """For each MPI the ratios of its pairs: the time in two containers by that in one."""
    found = {}
    for cell in results.cells(scenario=block.scenario.name, ranks=block.ranks, work=block.work.name):
        for one in block.entries:
            for two in block.entries:
                if one.mpi == two.mpi and (one.place, two.place) == ("one", "shared"):
                    found[one.mpi] = results.ratios(cell, two, one)
    return found


def settled(results, block):
    """Whether enough pairs were run to say that the interval lies under the bound, or there is nothing to run."""
    ratios = pairs_of(results, block).get("ferry")
    bounds = interval(ratios) if ratios else None
    return not ratios or (bounds and bounds[1] <= MAY_TAKE.get(block.work.name, MAY_TAKE_OTHERS))


def overheads(results, block):
    lines = []
    for mpi, ratios in pairs_of(results, block).items():
        if ratios:
            bounds = interval(ratios)
            lines.append("%s: two containers take %+.1f %% longer than one, the median of %d pairs%s" % (
                mpi, 100 * (statistics.median(ratios) - 1), len(ratios),
                "; its 95 %% interval is %+.1f to %+.1f %%" % tuple(100 * (each - 1) for each in bounds)
                if bounds else ""))
    return lines


def judge(results, blocks):
    """Which cells fall short of what is aimed at, as lines of text."""
    lines = []
    for block in blocks:
        name, work = block.scenario.name, block.work.name
        if (name, work) == ("one", "pair"):
            lines += behind(results, block, "within one container", "one", {"one"})
        elif (name, work) == ("crowd4", "collectives"):
            lines += behind(results, block, "four ranks in two containers", "shared", {"one"})
        elif (name, work) == ("apart", "pair"):
            lines += behind(results, block, "TCP between containers that share nothing", "apart", {"apart"})
        elif work == "start" and block.ranks == 64:
            lines += behind(results, block, "64 ranks started", "one", {"one", "host"}, ("init",))
        elif name == "applications":
            lines += ["%s of %s" % (work, line) for line in overheads(results, block) if line.startswith("ferry")]
    return lines


def behind(results, block, what, place, places, tests=None):
    mine = [entry for entry in ours(block.entries) if entry.place == place and not entry.variant]
    peers = [entry for entry in theirs(block.entries) if entry.place in places]
    lines, count, good = [], 0, 0
    for cell in results.cells(scenario=block.scenario.name, ranks=block.ranks, work=block.work.name):
        best = results.best(cell, peers)
        if not mine or not best or (tests and cell.test not in tests):
            continue
        told = compared(results, cell, mine[0], best)
        if told is None:
            continue
        count += 1
        if told[0] <= 1:
            good += 1
        else:
            lines.append("    %-13s %8s  %.2f of %s's time%s" % (cell.test, size(cell.bytes) if cell.bytes else "", told[0],
                                                                      best.label, told[1]))
    if not count:
        return []
    return ["%s: ahead of the best peer, or equal, in %d of %d cells%s" %
            (what, good, count, "; not in" if lines else "")] + lines
