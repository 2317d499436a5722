"""Estimators from outside, as tests run them: honest ones, and ones that end badly."""

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from simbench_estimators.implicitrm import ImplicitRM
from simbench_estimators.naive import Naive


class Honest(Naive):
    """Naive under another name."""

    name = "honest"
    share: float = 0.5
    widths: tuple[int, ...] = (3, 2)


class Restarted(ImplicitRM):
    """An estimator whose fits tell diagnostics."""

    name = "restarted"


class Opaque(Naive):
    """One parameter has a default that is no number or text."""

    name = "opaque"

    def __init__(self, thing=np.mean, seed=0):
        self.thing, self.seed = thing, seed

    def fit_replicates(self, log, replicates=None):
        return Constant(self.thing([self.seed, log.n_replicates]) % 1, log.n_replicates)


class Constant:
    def __init__(self, value, count):
        self.value, self.count = value, count

    def predict(self, features):
        return np.full((self.count, len(features)), self.value)


class Bad(Naive):
    """Does what it is named for as soon as it is fitted."""

    epochs: int = 1

    def fit_replicates(self, log, replicates=None):
        self.act()
        return super().fit_replicates(log, replicates)


class SysExit(Bad):
    def act(self):
        sys.exit(0)


class OsExit(Bad):
    def act(self):
        os._exit(0)


class Segfault(Bad):
    def act(self):
        ctypes.string_at(0)


class Hang(Bad):
    def act(self):
        time.sleep(600)


class Markup(Bad):
    def act(self):
        raise ValueError("[red]not a colour[/red] \x1b[31m\nsecond line")


class Interrupt(Bad):
    def act(self):
        raise KeyboardInterrupt


class Chatter(Bad):
    def act(self):
        print("[bold]hello[/bold] \x1b[2J")
        print("x" * 999 + "\n" * 1, end="")
        for _ in range(3000):
            print("y" * 1023)


class Leak(Bad):
    def act(self):
        self.kept = [open(os.devnull) for _ in range(300)]  # noqa: SIM115
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)


class Garbage(Bad):
    """Writes what is no message to every descriptor that it finds."""

    def act(self):
        for number in map(int, os.listdir("/proc/self/fd")):
            try:
                os.write(number, b"\xff" * 64)
            except OSError:
                continue


class KillsParent(Bad):
    def act(self):
        os.kill(os.getppid(), 9)


class Strings(Bad):
    def act(self):
        pass

    def fit_replicates(self, log, replicates=None):
        return self

    def predict(self, features):
        return np.array([["a"] * len(features)])


class Huge(Strings):
    def predict(self, features):
        return np.zeros(10_000_000)


class Standardises(Bad):
    """Changes the features of its log in place."""

    def fit_replicates(self, log, replicates=None):
        log.features[:] = 0
        return super().fit_replicates(log, replicates)


class Remembers(Bad):
    """Raises if an earlier fit left anything: in this module, in the working folder, in the environment."""

    seen = False

    def act(self):
        if self.seen or os.listdir(".") or "LEFT" in os.environ or os.listdir(os.environ["TMPDIR"]):
            raise RuntimeError("something was left")
        type(self).seen = True
        Path("left").write_text("labels")
        os.environ["LEFT"] = "labels"


class Surroundings(Bad):
    """Raises with what it sees of its process."""

    def act(self):
        argv = Path("/proc/self/cmdline").read_bytes().decode().split("\0")
        open_ = [
            os.readlink(f"/proc/self/fd/{number}") for number in sorted(os.listdir("/proc/self/fd"))[:-1]
        ]
        kinds = sorted({target.split(":")[0] for target in open_})
        raise RuntimeError(repr((sorted(os.environ), argv[1:6], kinds)))
