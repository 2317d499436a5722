"""The folder of a study: what ``study.json`` says of it, and which studies it takes.

A study is a set of cells, and the folder keeps every cell that was ever finished in it. ``study.json`` and
``results.parquet`` describe the study that ran to its end last: the same one, or one with more or other
estimators, worlds, levels, sizes, replicates, grants or parameters.
"""

import json
import platform
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from simbench._compat import VERSION
from simbench.errors import BadInput
from simbench.files.json_file import read_mapping
from simbench.files.location import Location
from simbench.files.write import write_json
from simbench.study import secret
from simbench.study.config import StudyConfig
from simbench.study.table import digest
from simbench.training.threads import THREADS

FILE = "study.json"
HIDDEN = "secret"  # in place of a seed that is not published yet
ONE = ("seed", "device", "precision")  # of a study, whatever its cells: two of them are two studies


def is_of(out: Location, config: StudyConfig) -> bool:
    """Whether a study to which this one may add began in the folder; False if nothing is there.

    Raises
    ------
    BadInput
        If the folder holds another study, or something else.
    """
    path, there = out / FILE, out.names()
    if path.name not in (there or ()):
        # what a kill in the middle of the very first write leaves behind is no one's result
        ours = (".tmp", secret.FILE)
        if there is None or any(not name.endswith(ours) for name in there):
            raise BadInput(f"{out} exists and holds no study of simbench: choose another --out.")
        return False
    said = _said(path)
    if said["simbench"] != VERSION:
        raise BadInput(
            f"{out} holds a study of simbench {said['simbench']}, and this is {VERSION}: choose another "
            "--out, or delete that folder."
        )
    own, found = described(config), said["config"]
    if config.secret and found.get("seed") == HIDDEN:
        own["seed"] = HIDDEN
    # a number of the device, as in cuda:1, is no other device
    pairs = {name: [str(one.get(name)).partition(":")[0] for one in (found, own)] for name in ONE}
    differ = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    if differ:
        theirs, ours = (" and ".join(f"{name} {p[i]}" for name, p in differ.items()) for i in (0, 1))
        raise BadInput(
            f"{out} holds a study with {theirs}, and this one has {ours}: choose another --out, or delete "
            "that folder."
        )
    return True


def described(config: StudyConfig) -> dict[str, Any]:
    """The settings of a study: with more or less memory or time, it is the same one."""
    return json.loads(config.model_dump_json(exclude={"memory_budget", "timeout"}))


def describe(out: Location, config: StudyConfig, stacks: Iterable[str] = (), is_over: bool = True) -> None:
    """Write ``study.json``; a secret seed is published when the study is over.

    Parameters
    ----------
    out : Location
    config : StudyConfig
    stacks : iterable of str
        Versions that the predictions were made with, in words.
    is_over : bool
        Whether its last cell has run.
    """
    said = {"config": described(config), **environment(config), "made_with": sorted(stacks)}
    if config.secret and not is_over:
        secret.keep(out, config.seed)
        said["config"]["seed"] = said["seed"] = HIDDEN
    write_json(out / FILE, said)
    if config.secret and is_over:
        secret.forget(out)


def is_described(out: Location, config: StudyConfig, stacks: Iterable[str]) -> bool:
    """Whether ``study.json`` says already what :func:`describe` would, but for who wrote it."""
    said = _said(out / FILE)
    return said["config"] == described(config) and said.get("made_with") == sorted(stacks)


def made_with(out: Location) -> str | None:
    """A sentence if the predictions of a study were made with several sets of versions, else None."""
    found = _said(out / FILE).get("made_with", []) if (out / FILE).exists() else []
    return f"made with several versions: {'; '.join(found)}." if len(found) > 1 else None


def config_digest(config: dict[str, Any]) -> str:
    """A fingerprint of the settings of a study, as ``study.json`` holds them."""
    return digest(config)


def environment(config: StudyConfig) -> dict[str, Any]:
    """Versions, device, threads and seed: what a reader needs to run the study again elsewhere."""
    packages = ("torch", "numpy", "scipy", "scikit-learn", "pandas")
    return {
        "simbench": VERSION,
        "versions": {name: version(name) for name in packages},
        "python": platform.python_version(),
        "device": config.device,
        "memory_budget": config.memory_budget,
        "threads": THREADS,
        "seed": config.seed,
    }


def _said(path: Location) -> dict[str, Any]:
    content = read_mapping(path, "choose another --out")
    try:
        return {**content, "config": dict(content["config"]), "simbench": content["simbench"]}
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path} is damaged ({error}): choose another --out.") from error
