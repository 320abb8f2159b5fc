"""The MPIs that are compared: where they are, and the programs built with them."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field


SLOW_REGISTER = "slow_register.so"


class Missing(Exception):
    pass


@dataclass
class Peer:
    name: str
    family: str  # how mpiexec is spoken to: mpich or openmpi
    mpicc: str
    mpiexec: str
    prefix: str = ""
    programs: str = ""  # the folder with those built
    lacks: set = field(default_factory=set)  # programs that could not be built

    def program(self, name):
        return os.path.join(self.programs, name)


def of_prefix(name, prefix):
    mpicc, mpiexec = (os.path.join(prefix, "bin", each) for each in ("mpicc", "mpiexec"))
    for each in mpicc, mpiexec:
        if not os.access(each, os.X_OK):
            raise Missing("%s: there is no %s" % (name, each))
    family = "openmpi" if os.path.exists(os.path.join(prefix, "bin", "ompi_info")) else "mpich"
    return Peer(name, family, mpicc, mpiexec, prefix)


def of_debian(name, package):
    mpicc, mpiexec = (shutil.which("%s.%s" % (each, name)) for each in ("mpicc", "mpiexec"))
    if not mpicc or not mpiexec:
        raise Missing("%s: not installed (%s; maint/deps bench)" % (name, package))
    return Peer(name, name, mpicc, mpiexec)


def check(name):
    """Raises ValueError for what is no name of a peer."""
    if ":" not in name and name not in ("mpich", "openmpi", "ofi", "none"):
        raise ValueError("there is no peer %s; there are mpich, openmpi, ofi, and NAME:PREFIX" % name)


def find(name, root, build):
    """A peer by its name on the command line: mpich, openmpi, ofi or NAME:PREFIX."""
    if ":" in name:
        name, prefix = name.split(":", 1)
        return of_prefix(name, os.path.abspath(prefix))
    if name == "mpich":
        return of_debian(name, "mpich libmpich-dev")
    if name == "openmpi":
        return of_debian(name, "openmpi-bin libopenmpi-dev")
    if name == "ofi":
        script = os.path.join(root, "test/bench/stock-mpich")
        told = subprocess.run([script] + ([] if build else ["--no-build"]), stdout=subprocess.PIPE, text=True)
        if told.returncode:
            raise Missing("ofi: MPICH with its own ch4:ofi is not built (test/bench/stock-mpich builds it)")
        return of_prefix(name, told.stdout.strip())
    raise ValueError(name)


def build_ferry(root, prefix, log):
    """libferry and MPICH with it, into a prefix where they are not."""
    build = os.path.join(log, "build-ferry")
    os.makedirs(build, exist_ok=True)
    steps = [] if os.path.exists(os.path.join(root, "configure")) else [("autogen.sh", [root + "/autogen.sh"])]
    jobs = "-j%d" % os.cpu_count()
    steps += [("configure", [root + "/configure", "--prefix=" + prefix]), ("make", ["make", jobs, "install"]),
              ("MPICH with it (several minutes)", [root + "/maint/graft", "--prefix=" + prefix,
                                                   "--cache=" + cache()])]
    for what, command in steps:
        print("building Ferry: " + what, file=sys.stderr)
        with open(os.path.join(log, "build-ferry.log"), "a") as file:
            if subprocess.run(command, cwd=build, stdout=file, stderr=file, stdin=subprocess.DEVNULL).returncode:
                raise SystemExit("compare: %s failed; see %s" % (command[0], file.name))
    shutil.rmtree(build)


def cache():
    return os.environ.get("FERRY_CACHE") or os.path.expanduser("~/.cache/ferry")


def compile_slow_register(root, peer):
    """What makes registering memory dearer for a peer's programs, beside them; it may be lacking."""
    done = subprocess.run(["cc", "-O2", "-std=gnu11", "-shared", "-fPIC", "-o", peer.program(SLOW_REGISTER),
                           os.path.join(root, "test/guests/slow_register.c")],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        peer.lacks.add(SLOW_REGISTER)
        print("left out: dearer registrations: " + (done.stdout.strip().splitlines() or ["no word"])[-1])


def compile_programs(root, peer, names, folder, build_hpcc):
    """Our programs with a peer's mpicc. Raises Missing where that can't be; only hpcc may be lacking."""
    peer.programs = os.path.join(folder, peer.name)
    os.makedirs(peer.programs, exist_ok=True)
    source = os.path.join(root, "test/bench/programs")
    util = os.path.join(root, "src/util")
    tools = os.path.join(root, "src/tools")
    common = [os.path.join(util, each) for each in ("load.c", "peek.c")]

    def build(name):
        if name == "hpcc":
            return subprocess.run([os.path.join(root, "test/bench/hpcc/build"), peer.mpicc, peer.program(name)] +
                                  ([] if build_hpcc else ["--no-build"]),
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        own = [os.path.join(source, name + ".c"), os.path.join(source, "bench.c")]
        if name == "limit":
            own = [os.path.join(tools, each) for each in ("ferry_bench_mpi.c", "ferry_bench_common.c")]
        return subprocess.run([peer.mpicc, "-O2", "-std=gnu11", "-w", "-I" + source, "-I" + util, "-o", peer.program(name),
                              ] + own + common + ["-lm"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, done in zip(names, pool.map(build, names)):
            if done.returncode and name == "hpcc":
                peer.lacks.add(name)
                print("left out: %s with hpcc: %s" % (peer.name, (done.stdout.strip().splitlines() or ["no word"])[-1]))
            elif done.returncode:
                raise Missing("%s: its mpicc does not compile %s: %s" %
                              (peer.name, name, (done.stdout.strip().splitlines() or ["no word"])[-1]))
