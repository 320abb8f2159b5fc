"""Describes the machine on which a comparison was made."""

import contextlib
import datetime
import os
import platform
import re
import subprocess


def said(*command):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def first(path, pattern):
    try:
        with open(path) as file:
            match = re.search(pattern, file.read(), re.M)
            return match.group(1).strip().strip('"') if match else "unknown"
    except OSError:
        return "unknown"


@contextlib.contextmanager
def precedence(wanted):
    """Puts this process and those that it starts before all others of the machine, in a cgroup of their own."""
    if not wanted:
        yield
        return
    root = next(each for each in ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup")
                if os.path.exists(each + "/cgroup.procs"))
    group = "%s/ferry-compare-%d-first" % (root, os.getpid())
    os.mkdir(group)
    try:
        for name, value in ("cpu.shares", "262144"), ("cpu.weight", "10000"):
            if os.path.exists(os.path.join(group, name)):
                write(os.path.join(group, name), value)
        write(os.path.join(group, "cgroup.procs"), "0")
        yield
    finally:
        write(os.path.join(root, "cgroup.procs"), "0")
        os.rmdir(group)


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def load():
    return "%.1f %.1f %.1f" % os.getloadavg()


def describe(root, peers, prefix):
    """Text, of lines "what: value"."""
    lines = [
        ("date", datetime.datetime.now().astimezone().isoformat(timespec="seconds")),
        ("system", "%s, kernel %s" % (first("/etc/os-release", r"^PRETTY_NAME=(.*)$"), platform.release())),
        ("processor", "%s, %d of them" % (first("/proc/cpuinfo", r"^model name\s*: (.*)$"), os.cpu_count())),
        ("memory", "%d MiB" % (int(first("/proc/meminfo", r"^MemTotal:\s*(\d+)") or 0) // 1024)),
        ("virtual", said("systemd-detect-virt") or "unknown"),
        ("load at the start", load()),
        ("Ferry", "checkout %s; installed in %s" % (said("git", "-C", root, "log", "-1", "--format=%h %s") or "no git", prefix)),
    ]
    for peer in peers.values():
        if peer.family == "openmpi":
            version = said(peer.mpiexec, "--version").split("\n")[0]
        else:
            told = said(os.path.join(os.path.dirname(peer.mpiexec), "mpichversion"))
            version = ", ".join(re.sub(r"\s+", " ", line) for line in told.split("\n")
                                if re.match("MPICH (Version|Device):", line))
        lines.append((peer.name, version or peer.mpiexec))
    return "".join("%-18s %s\n" % (what + ":", value) for what, value in lines)
