"""What is compared: the works, and the scenarios in which they are done."""

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Work:
    """One program: what it is called in the output, and its arguments in the whole and the short form."""

    name: str
    program: str
    full: tuple = ()
    short: tuple = ()
    ranks: tuple = ()  # instead of the scenario's
    weight: float = 1  # of the time


@dataclass(frozen=True)
class Entry:
    """An MPI at a place (test/bench/scene tells which there are). A variant is a way that Ferry is told to take."""

    mpi: str
    place: str
    variant: str = ""

    @property
    def is_dear(self):
        """Whether registering memory is made dearer."""
        return self.variant.startswith("dear")

    @property
    def label(self):
        return self.mpi + "@" + self.place + ("+" + self.variant if self.variant else "")


@dataclass(frozen=True)
class Scenario:
    """Works done by several entries in turn. PEERS stands for each peer."""

    name: str
    text: str
    works: tuple
    entries: tuple
    ranks: int = 2
    kind: str = "containers"  # or guests, ivshmem
    bound: int = 30  # seconds for one job
    native: tuple = field(default=())  # entries for the works "pair" or "start" alone, beside the others


PEERS = "PEERS"
EACH = {"FERRY_REGISTRATION": "each"}
DEAR = {"FERRY_TEST_REGISTER_US": "5000"}  # see test/guests/slow_register.c
VARIANTS = {"": {}, "tcp": {"FERRY_TRANSPORTS": "fabric"}, "each": EACH, "dear": DEAR, "dear-each": {**DEAR, **EACH}}

# By powers of four, in the short form by powers of 64.
WORKS = {
    work.name: work
    for work in (
        Work("pair", "pair", ("--time=8",), ("--time=5", "--factor=64"), weight=2),
        # Beside what two processors can do (see src/tools/ferry_bench_common.h)
        Work("limit", "limit", tuple("--csv --name limit --rounds 1 --time 30 --latency 8,1K,64K --bandwidth 1M,4M --rate 8".split()),
             tuple("--csv --name limit --rounds 1 --time 15 --latency 8,1K,64K --bandwidth 4M --rate 8".split()), weight=1.5),
        Work("collectives", "collectives", ("--time=8",), ("--time=5", "--factor=16"), weight=2),
        Work("onesided", "onesided", ("--time=8",), ("--time=5", "--factor=64")),
        Work("datatypes", "datatypes", ("--time=8",), ("--time=5",)),
        Work("start", "start", ranks=(2, 4, 8, 16, 32, 64)),
        Work("halo", "halo"),
        Work("cg", "cg"),
        Work("sort", "sort"),
        Work("hpl", "hpcc", ("3000", "hpl"), ("2000", "hpl")),
        Work("fft", "hpcc", ("2000", "fft"), ("2000", "fft")),
        Work("randomaccess", "hpcc", ("700", "randomaccess"), ("500", "randomaccess")),
        Work("buffers", "buffers", (), ("--from=65536", "--factor=16"), weight=2),
        Work("slow", "pair", ("--time=20", "--to=1048576", "--factor=16"), ("--time=10", "--to=65536", "--factor=256")),
    )
}

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("one", "in one container (Ferry between two beside it)",
                 ("pair", "limit", "collectives", "onesided", "datatypes", "start"),
                 (("ferry", "one"), ("ferry", "shared"), (PEERS, "one")), native=((PEERS, "host"),)),
        Scenario("shared", "two containers that share one directory and nothing else",
                 ("pair", "collectives", "onesided", "datatypes"),
                 (("ferry", "shared"), ("ferry", "shared", "tcp"), (PEERS, "shared")),
                 native=(("ferry", "host"), (PEERS, "host"))),
        Scenario("network", "two containers that share the host's network and nothing else", ("pair", "collectives"),
                 (("ferry", "network"), (PEERS, "network"))),
        Scenario("apart", "two containers that share nothing: TCP", ("pair", "collectives"),
                 (("ferry", "apart"), (PEERS, "apart"))),
        Scenario("each", "a container for each of four ranks, one launcher outside", ("collectives",),
                 (("ferry", "each"), (PEERS, "each")), ranks=4),
        Scenario("crowd4", "four ranks on the processors that there are: Ferry also between two containers",
                 ("collectives",), (("ferry", "shared"), ("ferry", "one"), (PEERS, "one")), ranks=4),
        Scenario("crowd8", "eight ranks on the processors that there are: Ferry also between two containers",
                 ("collectives",), (("ferry", "shared"), ("ferry", "one"), (PEERS, "one")), ranks=8),
        Scenario("quota", "a quota of half a processor for each rank", ("pair", "collectives"),
                 (("ferry", "quota"), (PEERS, "quota"))),
        Scenario("ivshmem", "two guests with an ivshmem device in common", ("slow",),
                 (("ferry", "guests"), ("ferry", "guests", "tcp"), (PEERS, "guests")), kind="ivshmem", bound=60),
        Scenario("vf", "two guests with a virtual function each", ("slow",),
                 (("ferry", "guests"), ("ferry", "guests", "tcp"), (PEERS, "guests")), kind="guests", bound=60),
        Scenario("cache", "the same, Ferry with its cache of registered memory and without (+each); registering made "
                 "dearer by 5 ms, too (+dear)", ("buffers",),
                 tuple(("ferry", "guests", variant) for variant in ("", "each", "dear", "dear-each")), kind="guests", bound=90),
    )
}
APPLICATIONS = Scenario(
    "applications", "applications of two ranks, in two containers that share one directory against one",
    ("halo", "cg", "sort", "hpl", "fft", "randomaccess"),
    (("ferry", "one"), ("ferry", "shared"), (PEERS, "one"), (PEERS, "shared")), bound=60)
SCENARIOS[APPLICATIONS.name] = APPLICATIONS
SHORT = ("one", "shared", "apart", "crowd4")


@dataclass
class Block:
    """What goes in turn: one work of one scenario with one number of ranks."""

    scenario: Scenario
    work: Work
    ranks: int
    entries: list

    @property
    def weight(self):
        each = 0.2 + self.ranks / 30 if self.work.name == "start" else self.work.weight
        return each * len(self.entries) * (2 if self.scenario.kind != "containers" else 1)


def with_bound(scenario, seconds):
    return replace(scenario, bound=seconds)


def entries_of(listed, peers):
    found = []
    for mpi, *place in listed:
        found += [Entry(peer, *place) for peer in peers] if mpi == PEERS else [Entry(mpi, *place)]
    return found


def blocks_of(scenarios, works, peers, short):
    """The plan, in its order."""
    blocks = []
    for scenario in scenarios:
        for name in scenario.works:
            work = WORKS[name]
            if name not in works or (short and name in ("limit", "start") and len(works) > 1):
                continue
            entries = entries_of(scenario.entries, peers)
            if name == "start" or (name == "pair" and scenario.name == "shared"):
                entries += entries_of(scenario.native, peers)
            for ranks in work.ranks or (scenario.ranks,):
                blocks.append(Block(scenario, work, ranks, entries))
    return blocks
