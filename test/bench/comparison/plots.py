"""Pictures of a comparison, as SVG, by matplotlib."""

import os
import statistics

from comparison.show import interval, pairs_of, size
from comparison.results import rises

COLOURS = {"ferry": "#0b6e4f", "mpich": "#c8553d", "openmpi": "#3d5a98", "ofi": "#b8860b"}
MARKS = ("o", "s", "^", "D", "v", "x")


def colour(mpi, known={}):
    return COLOURS.get(mpi) or known.setdefault(mpi, "C%d" % (len(known) + 4))


def line(axes, results, block, test, entry, label, number, shade):
    """The medians over the sizes, and the middle half of the rounds around them; number: of the line's style."""
    cells = sorted((cell for cell in results.cells(scenario=block.scenario.name, ranks=block.ranks, work=block.work.name,
                                                   test=test)
                    if (cell, entry) in results.values and cell.bytes), key=lambda cell: cell.bytes)
    middle = [results.median(cell, entry) for cell in cells]
    spread = [results.spread(cell, entry) or 0 for cell in cells]
    sizes = [cell.bytes for cell in cells]
    if cells:
        axes.plot(sizes, middle, color=shade, marker=MARKS[number % len(MARKS)], markersize=3.5,
                  linewidth=1.2, linestyle=("-", "--", ":", "-.")[number % 4], label=label)
        axes.fill_between(sizes, [m * (1 - s) for m, s in zip(middle, spread)],
                          [m * (1 + s) for m, s in zip(middle, spread)], color=shade, alpha=0.15, linewidth=0)
    return bool(cells)


def scales(axes, title, unit):
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter(lambda x, _: size(int(x)) if x >= 1 else "")
    axes.set_title("%s, %s (%s is better)" % (title, unit, "more" if rises(unit) else "less"), fontsize=9)
    axes.tick_params(labelsize=7)
    axes.grid(True, which="major", linewidth=0.3)


def lines(results, block, test, entries):
    """One line for each entry."""
    def draw(axes):
        drawn = False
        for i, entry in enumerate(entries):
            same = [other for other in entries[:i] if other.mpi == entry.mpi]
            drawn |= line(axes, results, block, test, entry, entry.label, len(same), colour(entry.mpi))
        scales(axes, test, results.units.get(test, ""))
        return drawn
    return draw


def registering(results, block, kind, is_dear):
    """With the cache of registered memory and without, from buffers that are used again and from fresh ones."""
    def draw(axes):
        drawn = False
        for entry in (each for each in block.entries if each.is_dear == is_dear):
            is_cached = not entry.variant.endswith("each")
            for number, buffers in enumerate(("reused", "fresh")):
                drawn |= line(axes, results, block, "%s %s" % (kind, buffers), entry,
                              "%s, buffers %s" % ("cache" if is_cached else "no cache", buffers), number,
                              COLOURS["ferry" if is_cached else "mpich"])
        scales(axes, kind + (", each registration 5 ms dearer" if is_dear else ""), results.units.get(kind + " fresh", ""))
        return drawn
    return draw


def figure(plt, path, title, panels):
    """A picture of panels side by side; each is a function that draws on axes and says whether there was something."""
    columns = 2 if len(panels) == 4 else min(len(panels), 3)
    rows = (len(panels) + columns - 1) // columns
    picture, axes = plt.subplots(rows, columns, figsize=(4.6 * columns, 3.6 * rows), squeeze=False)
    drawn = [draw(each) for draw, each in zip(panels, axes.flat)]
    for each in list(axes.flat)[len(panels):]:
        each.axis("off")
    if any(drawn):
        handles = {}
        for each in axes.flat:
            for handle, label in zip(*each.get_legend_handles_labels()):
                handles.setdefault(label, handle)
        picture.legend(handles.values(), handles.keys(), loc="lower center", ncol=4, fontsize=7, frameon=False)
        picture.suptitle(title, fontsize=10)
        picture.tight_layout(rect=(0, 0.12 / rows, 1, 0.98))
        picture.savefig(path)
    plt.close(picture)
    return any(drawn)


def over_ranks(results, test, entries):
    def draw(axes):
        for entry in entries:
            cells = sorted((cell for cell in results.cells(scenario="one", work="start", test=test)
                            if (cell, entry) in results.values), key=lambda cell: cell.ranks)
            if cells:
                axes.plot([cell.ranks for cell in cells], [results.median(cell, entry) for cell in cells], marker="o",
                          markersize=3.5, linewidth=1.2, color=colour(entry.mpi), label=entry.label,
                          linestyle={"shared": "--", "host": ":"}.get(entry.place, "-"))
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda x, _: "%d" % x)
        axes.set_ylim(bottom=0)
        axes.set_title("%s, %s, over the ranks" % (test, results.units.get(test, "")), fontsize=9)
        axes.tick_params(labelsize=7)
        axes.grid(True, linewidth=0.3)
        return bool(axes.lines)
    return draw


def overheads(pairs):
    """Bars for each label and its ratios: how much longer each application takes in two containers than in one."""
    def draw(axes):
        for at, (label, values) in enumerate(pairs):
            middle = 100 * (statistics.median(values) - 1)
            bounds = interval(values) or (statistics.median(values),) * 2
            axes.barh(at, middle, color=colour(label.split(" ")[0]), alpha=0.8)
            axes.plot([100 * (each - 1) for each in bounds], [at, at], color="black", linewidth=1)
        axes.set_yticks(range(len(pairs)), [label for label, _ in pairs], fontsize=7)
        axes.invert_yaxis()
        axes.axvline(0, color="black", linewidth=0.6)
        axes.set_title("overhead of two containers against one, %\n(bar: median; line: its 95 % interval)", fontsize=9)
        axes.tick_params(labelsize=7)
        return bool(pairs)
    return draw


def draw_all(results, blocks, folder):
    """Draws what there are figures for; returns the names of the files. Raises ImportError without matplotlib."""
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "ferry"
    from matplotlib import pyplot as plt
    made = []

    def add(name, title, panels):
        if figure(plt, os.path.join(folder, name + ".svg"), title, panels):
            made.append(name + ".svg")

    for block in blocks:
        scenario, work = block.scenario, block.work.name
        tests = dict.fromkeys(cell.test for cell in results.cells(scenario=scenario.name, ranks=block.ranks, work=work)
                              if cell.bytes)
        if work == "buffers":
            add("registration-cache", "Two guests with virtual functions: registered memory, cached or not",
                [registering(results, block, kind, is_dear) for is_dear in (False, True)
                 for kind in ("latency", "bandwidth")])
        elif work != "start" and tests:
            add("%s-%s" % (scenario.name, work), "%s: %s, %d ranks" % (work, scenario.text, block.ranks),
                [lines(results, block, test, block.entries) for test in tests if test != "rate"])
        if (scenario.name, work) == ("shared", "pair"):
            # Between two containers, beside TCP and what there is without containers.
            chosen = [entry for entry in block.entries if entry.mpi == "ferry" or entry.place == "host"]
            add("two-containers", "Between two containers: Ferry, TCP, and without containers (host)",
                [lines(results, block, test, chosen) for test in ("latency", "bandwidth")])
    entries = list(dict.fromkeys(entry for block in blocks if block.work.name == "start" for entry in block.entries))
    if entries:
        add("start", "MPI_Init and memory in one container",
            [over_ranks(results, test, entries) for test in ("init", "job", "memory")])
    pairs = [("%s %s" % (mpi, block.work.name), ratios) for block in blocks if block.scenario.name == "applications"
             for mpi, ratios in pairs_of(results, block).items() if ratios]
    if pairs:
        add("applications", "Applications in two containers against one", [overheads(pairs)])
    return made
