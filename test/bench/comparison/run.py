"""Runs the jobs, each bounded in time, and says what became of those that did not end well."""

import glob
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import time

from comparison.peers import SLOW_REGISTER
from comparison.plan import VARIANTS


class SceneFailed(Exception):
    pass


class Scene:
    """Containers or guests, in which jobs run (see test/bench/scene)."""

    def __init__(self, root, work, kind, keep, precedence):
        self.root, self.work, self.kind, self.precedence = root, work, kind, precedence
        self.group = "ferry-compare-%d-quota" % os.getpid()
        self.keep = ":".join([root, work] + keep)
        self.process = None

    def start(self):
        scene = os.path.join(self.root, "test/bench/scene")
        command = {"containers": [os.path.join(self.root, "test/containers/sandbox"), scene],
                   "guests": [scene, "--guests"],
                   "ivshmem": [scene, "--guests", "--ivshmem"]}[self.kind]
        environment = dict(os.environ, SCENE_WORK=self.work, SCENE_GROUP=self.group,
                           SCENE_PRECEDENCE="yes" if self.precedence else "no", SANDBOX_KEEP=self.keep,
                           TMPDIR=self.work, FERRY_REPORT="yes")
        self.log = open(os.path.join(self.work, "scene"), "w+")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
                                        env=environment, start_new_session=True, bufsize=0)
        # Guests may have to be fetched first.
        if self._answer(30 if self.kind == "containers" else 600) != "ready":
            self.end()
            self.log.seek(0)
            lines = [line.strip() for line in self.log if line.strip()]
            raise SceneFailed(lines[-1] if lines else "it did not start")

    def _answer(self, seconds):
        """A line from the scene; None where none came in time, or it has ended."""
        end, line = time.monotonic() + seconds, b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            more = os.read(self.process.stdout.fileno(), 100) if ready else b""
            if not more:
                return None
            line += more
        return line.decode().strip()

    def run(self, bound, line):
        """Runs a job; its exit status, None where the scene itself was lost."""
        if self.process is None:
            self.start()
        try:
            self.process.stdin.write(("%d %s\n" % (bound, shlex.join(line))).encode())
        except BrokenPipeError:
            return None
        answer = self._answer(bound + 15)
        return int(answer) if answer else None

    def read(self, name):
        """What the last job said on out or err."""
        try:
            with open(os.path.join(self.work, name), errors="replace") as file:
                return file.read(1 << 20)
        except OSError:
            return ""

    def silent(self):
        """For how long the last job has said nothing on its standard output, seconds."""
        try:
            return time.time() - os.stat(os.path.join(self.work, "out")).st_mtime
        except OSError:
            return 0

    def end(self):
        """Ends the scene and all that runs in it."""
        if self.process is None:
            return
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        # It ends by itself with its input, unless a job is stuck: nothing of it outlives its session's leader.
        for sign, seconds in (None, 5), (signal.SIGTERM, 5), (signal.SIGKILL, 5):
            try:
                if sign:
                    os.killpg(self.process.pid, sign)
                self.process.wait(seconds)
                break
            except (subprocess.TimeoutExpired, ProcessLookupError):
                continue
        self.process = None
        for group in glob.glob("/sys/fs/cgroup/%s" % self.group) + glob.glob("/sys/fs/cgroup/*/%s" % self.group):
            for _ in range(50):
                try:
                    os.rmdir(group)
                    break
                except OSError:
                    time.sleep(0.1)
        for left in glob.glob(os.path.join(self.work, "ferry-*")):
            shutil.rmtree(left, ignore_errors=True)


# Lines that say nothing of what happened.
NOISE = re.compile(r"^(=+|-+|\[?proxy:|\[?mpiexec[@ ]|YOUR APPLICATION|This typically|Please|\W*$|ferry: |mpirun detected"
                   r"|Primary job|Local host|.*(PID|EXIT CODE|CLEANING UP|BAD TERMINATION|RUNNING AT)|\d+ more process"
                   r"|Process name|a job|orterun|Set MCA)|help / error messages")
# Lines that do, the best kind first; what is in parentheses is told.
TELLING = (
    r"(process_vm_readv.*)", r"(Destination is unreachable)", r"(?i)assert\w* (failed .*)", r"(Bus error|Segmentation fault)",
    r"(?i)((?:unable|failed|cannot|can't|could not|not able) .*)", r"(?i)(.*\berror\b.*)",
)


def reason(err):
    """What a job that failed says of why, in one line."""
    lines = [line.strip() for line in err.splitlines()]
    # The last line of an error stack of MPICH is where it began.
    stack = [match.group(1) for line in lines if (match := re.match(r"^\w+\(\d+\)\.*: *(.+)$", line))]
    if stack:
        return stack[-1]
    # What mpiexec knows of a rank that a signal ended
    ended = re.search(r"EXIT STRING: (.*?) *\(signal", err)
    if ended:
        return ended.group(1)
    told = [line for line in lines if line and not NOISE.search(line)]
    for pattern in TELLING:
        for line in told:
            if match := re.search(pattern, line):
                return match.group(1)
    return told[-1] if told else ""


def outcome(status, bound, silent, err):
    """What became of a job: ok, or in words."""
    if status == 0:
        return "ok"
    text = re.sub(r"\s+", " ", reason(err)).strip()[:120]
    if status is None or status in (124, 137):
        what = "hung: silent for %d s" % silent if silent > bound / 2 else "too slow: not done in %d s" % bound
    else:
        number = status - 128 if 128 < status < 128 + signal.NSIG else 0
        ended = "; ".join(each for each in (signal.strsignal(number) if number else "", text) if each)
        return "crashed: " + (ended or "status %d" % status)
    return what + (", " + text if text else "")


def figures(out):
    """The figures among what a program of ours said."""
    for line in out.splitlines():
        part = line.split(",")
        if len(part) == 5:
            try:
                yield part[0], int(part[1]), float(part[2]), part[3], part[4] == "1"
            except ValueError:
                continue
        elif len(part) == 10 and part[0] == "limit":
            # Of ferry_bench_mpi, which measures beside each figure what the machine can do
            test, size, value, unit, limit, spoiled = part[3], int(part[4]), float(part[5]), part[6], float(part[7]), part[9]
            yield test, size, value, unit, spoiled == "yes"
            if limit and size < 4096:
                yield test + " above a cache line's", size, 1000 * (value - limit), "ns", spoiled == "yes"
            elif limit:
                yield test + " of a memcpy", size, limit, unit, spoiled == "yes"


def ways(err):
    """How ranks reached each other, of what Ferry reports at a job's end."""
    for line in err.splitlines():
        match = re.match(r"^ferry: rank (\d+): peer (\d+): (.+)$", line)
        if match and match.group(1) != match.group(2):
            yield re.sub(r"\d+\.\d+\.\d+\.\d+", "...", match.group(3))


def job(peers, block, entry, short):
    """The words of a job for the scene."""
    peer, work = peers[entry.mpi], block.work
    variables = ["%s=%s" % pair for pair in VARIANTS[entry.variant].items()] + ["OPENBLAS_NUM_THREADS=1"]
    loaded = ["env", "LD_PRELOAD=" + peer.program(SLOW_REGISTER)] if entry.is_dear else []
    return [entry.place, str(block.ranks), peer.family, peer.mpiexec] + variables + loaded + [
        peer.program(work.program)] + list(work.short if short else work.full)


def turn(scene, peers, results, block, entry, number, short, bound):
    """One job of one entry, bounded in seconds, and what came of it into the results. Returns whether it hung."""
    begin = time.monotonic()
    status = scene.run(bound, job(peers, block, entry, short))
    spent = time.monotonic() - begin
    err = scene.read("err")
    for figure in figures(scene.read("out")):
        results.figure(block, entry, number, *figure)
    if status == 0 and block.work.name == "start":
        results.figure(block, entry, number, "job", 0, spent, "s", False)
    results.way(block, entry, ways(err))
    if status == 0:
        return False
    results.failure(block, entry, number, outcome(status, bound, min(spent, scene.silent()), err))
    # Nothing of it shall run beside the next.
    scene.end()
    return status in (None, 124, 137)
