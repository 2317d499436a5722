"""Estimators that look for the truth wherever Python lets them, and are honest where they find none."""

import gc
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from simbench_estimators.naive import Naive

import simbench.score.moments
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build


class Cheat(Naive):
    """Predicts the reward of the test responses if :meth:`stolen` finds it, else what Naive predicts."""

    name = "cheat"

    def fit_replicates(self, log, replicates=None):
        self.log = log
        return Predictor(self, super().fit_replicates(log, replicates))

    def stolen(self, features):
        """The reward of the test responses, shape (m,), or predictions of their reward; None if not found."""
        return None


class Predictor:
    def __init__(self, cheat, model):
        self.cheat, self.model = cheat, model

    def predict(self, features):
        honest = self.model.predict(features)
        try:
            found = self.cheat.stolen(features)
        except Exception:
            found = None
        return honest if found is None else np.broadcast_to(found, honest.shape)


class Honest(Cheat):
    """Looks for nothing."""


def reward_of(thing, features):
    """The reward of a population of these responses, if the thing is one."""
    if type(thing).__name__ == "Population" and len(thing.features) == len(features):
        return np.array(thing.reward)
    return None


class Frames(Cheat):
    """Walks its callers' variables to the test responses."""

    def stolen(self, features):
        frame = sys._getframe()
        while frame is not None:
            for value in frame.f_locals.values():
                if (found := reward_of(value, features)) is not None:
                    return found
            frame = frame.f_back
        return None


class Traceback(Cheat):
    """As Frames, by way of an exception: no function is called for it."""

    def stolen(self, features):
        try:
            raise ValueError
        except ValueError as error:
            frame = error.__traceback__.tb_frame
        while frame is not None:
            for value in frame.f_locals.values():
                if (found := reward_of(value, features)) is not None:
                    return found
            frame = frame.f_back
        return None


class Threads(Cheat):
    """As Frames, in all threads."""

    def stolen(self, features):
        for frame in sys._current_frames().values():
            while frame is not None:
                for value in frame.f_locals.values():
                    if (found := reward_of(value, features)) is not None:
                        return found
                frame = frame.f_back
        return None


class Collector(Cheat):
    """Asks the garbage collector for populations."""

    def stolen(self, features):
        found = (reward_of(thing, features) for thing in gc.get_objects())
        return next((reward for reward in found if reward is not None), None)


class Rebuilds(Cheat):
    """Builds the world again from its own seed."""

    def stolen(self, features):
        world = build(PRESETS["exclusive"].changed(test_size=len(features)), 0.8, self.log.n_rows, self.seed)
        same = np.array_equal(np.asarray(world.test.features), np.asarray(features))
        return world.test.reward if same else None


def predictions_in(folder, features):
    """The predictions of a shard in this folder or below."""
    for path in Path(folder).rglob("*.safetensors"):
        found = load_file(path).get("predictions")
        if found is not None and found.shape[1] == len(features):
            return found
    return None


class Shards(Cheat):
    """Reads the oracle's shard below the working folder."""

    def stolen(self, features):
        return predictions_in(".", features)


class Environment(Cheat):
    """Reads the oracle's shard in a folder that the environment names."""

    def stolen(self, features):
        folders = [value for value in os.environ.values() if Path(value).is_dir() and value != "/"]
        found = (predictions_in(folder, features) for folder in folders if "out" in folder)
        return next((one for one in found if one is not None), None)


class Ancestors(Cheat):
    """Reads the oracle's shard where the processes above it work, or what their arguments name."""

    def stolen(self, features):
        number = os.getpid()
        while number > 1:
            process = Path(f"/proc/{number}")
            places = [os.readlink(process / "cwd")]
            places += process.joinpath("cmdline").read_bytes().decode().split("\0")
            for place in places:
                if "out" in place or "test_" in place:
                    found = predictions_in(place, features)
                    if found is not None:
                        return found
            number = int(process.joinpath("stat").read_text().rsplit(")", 1)[1].split()[1])
        return None


class Descriptors(Cheat):
    """Reads what its own process, and those above it, have open."""

    def stolen(self, features):
        for number in (os.getpid(), os.getppid()):
            for one in Path(f"/proc/{number}/fd").iterdir():
                target = Path(os.readlink(one))
                found = predictions_in(target if target.is_dir() else target.parent, features)
                if found is not None:
                    return found
        return None


class Memory(Cheat):
    """Opens the memory of the process above it, where a population would lie."""

    def stolen(self, features):
        with open(f"/proc/{os.getppid()}/mem", "rb"):
            return np.full(len(features), 0.5)


class Patches(Cheat):
    """Replaces how predictions are scored."""

    def stolen(self, features):
        simbench.score.moments.against_oracle = lambda *_, **__: {}
        return None


class Carries(Cheat):
    """Keeps labels that one cell is told for a cell that is not: in memory, and in files."""

    optional = frozenset({"labels"})
    kept = None

    def stolen(self, features):
        place = Path(tempfile.gettempdir()) / "kept-labels.npy"
        if self.log.labels is not None:
            type(self).kept = self.log.labels
            np.save(place, self.log.labels)
        elif self.kept is not None or place.exists():
            return np.full(len(features), 0.5)
        return None
