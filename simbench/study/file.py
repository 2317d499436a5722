"""Reads a study from a YAML file, from a mapping, or by the name of one that comes with simbench.

Overrides, such as those of the command line, are laid over what was read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from simbench.errors import BadInput
from simbench.files.yaml_file import read_yaml
from simbench.study import library
from simbench.study.config import StudyConfig
from simbench.study.guests.behaviours import behaviours_as_guests
from simbench.study.names import everyone, grants
from simbench.worlds.config import WorldConfig, first_error
from simbench.worlds.presets import preset
from simbench.worlds.responses import RatingLink

OF_A_WORLD = (
    *("reward", "base_rate", "action_rate", "misclick", "confounding", "n_features"),
    *("signals", "regenerate", "signal_dependence", "responses_per_prompt", "trait"),
)
OF_A_STUDY = (
    *("bias_levels", "sizes", "draws", "replicates", "seed", "label_share", "margin"),
    *("device", "precision", "memory_budget", "timeout"),
)

DEFAULT = {"draws": 5, "replicates": 8}  # of a study that nothing else describes
SUFFIXES = (".yaml", ".yml")

Source = str | Path | Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """Settings that take the place of a study's own as it is read; None keeps the study's.

    Parameters
    ----------
    worlds : sequence of str, optional
        Names of presets, in place of the study's worlds.
    bias_levels, sizes : sequence of numbers, optional
    estimators : sequence of str, optional
        In place of the study's; ``("all",)`` stands for all that are installed.
    more_estimators : sequence of str
        Estimators that are run besides.
    draws, replicates, seed, label_share, margin, device, precision, timeout : optional
        As in :class:`StudyConfig`.
    memory_budget : str, optional
        A text such as ``500MB``.
    grant : str, optional
        Grants, separated by commas; ``none`` grants nothing.
    converged : bool
        Also train everything to convergence, under a protocol of that name.
    downstream : bool
        Also measure policies, with the study's settings for them or the default ones.
    reward, base_rate, ..., trait, behaviour : optional
        Settings of every world, as in :meth:`WorldConfig.changed`.
    real : mapping, optional
        A file of responses for every world: fields of :class:`simbench.worlds.responses.RatedFile` and
        :class:`simbench.worlds.responses.RatingLink`.
    """

    worlds: Iterable[str] | None = None
    bias_levels: Iterable[float] | None = None
    sizes: Iterable[int] | None = None
    estimators: Iterable[str] | None = None
    more_estimators: Iterable[str] = ()
    draws: int | None = None
    replicates: int | None = None
    seed: int | None = None
    grant: str | None = None
    label_share: float | None = None
    margin: float | None = None
    device: str | None = None
    precision: str | None = None
    memory_budget: str | None = None
    timeout: float | None = None
    converged: bool = False
    downstream: bool = False
    reward: str | None = None
    base_rate: float | None = None
    action_rate: float | None = None
    misclick: float | None = None
    confounding: float | None = None
    n_features: int | None = None
    signals: int | None = None
    regenerate: bool | None = None
    signal_dependence: float | None = None
    responses_per_prompt: int | None = None
    trait: str | None = None
    behaviour: str | None = None
    real: Mapping[str, Any] | None = None

    def given(self, names: Iterable[str]) -> dict[str, Any]:
        """The fields among ``names`` that are set, with their values."""
        return {name: value for name in names if (value := getattr(self, name)) is not None}


@behaviours_as_guests()
def study_from(source: Source | None = None, overrides: Overrides | None = None) -> StudyConfig:
    """Read a study and lay the overrides over it.

    Parameters
    ----------
    source : str, Path or mapping, optional
        A YAML file, the name of a study that comes with simbench (``variance``), or the settings
        themselves; by default those of :class:`StudyConfig` with several draws (:data:`DEFAULT`).
    overrides : Overrides, optional

    Raises
    ------
    BadInput
        If the study cannot be read, or a setting is not valid: says which and why.
    """
    over = overrides or Overrides()
    raw = settings_of(source)
    raw |= over.given(OF_A_STUDY)
    estimators = _estimators(raw, over)
    if estimators is not None:
        raw["estimators"] = estimators
    if over.downstream:
        raw["downstream"] = raw.get("downstream") or {}
    if over.converged:
        raw["protocols"] = [*raw.get("protocols", [{}]), {"name": "converged", "converged": True}]
    if over.grant is not None:
        raw["grant"] = grants(over.grant)
    try:
        worlds = _worlds(raw.pop("worlds", None), over)
        return StudyConfig.model_validate({**raw, "worlds": worlds})
    except ValidationError as error:
        where, said = first_error(error)
        raise BadInput(f"{where or 'the study'}: {said}.") from error


def settings_of(source: Source | None) -> dict[str, Any]:
    """The settings that a source holds, not yet checked.

    Raises
    ------
    BadInput
        If there is no such study, or it cannot be read.
    """
    if source is None:
        return dict(DEFAULT)
    if isinstance(source, Mapping):
        return dict(source)
    path = Path(source)
    is_path = path.name != str(source) or path.suffix in SUFFIXES or path.is_file()
    path = path if is_path else library.find(path.name)
    value = read_yaml(path)
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise BadInput(f"{path} must hold a mapping of study settings, such as `replicates: 20`.")
    return value


def _estimators(raw: dict[str, Any], over: Overrides) -> list[str] | None:
    """The names of the estimators to run; None if neither study nor overrides name any."""
    more = list(over.more_estimators)
    own = raw.get("estimators")
    if own is not None and not (isinstance(own, list | tuple) and all(isinstance(name, str) for name in own)):
        raise BadInput(f"estimators must be a list of names, such as [naive, ips], got {own!r}.")
    base = list(over.estimators or own or (StudyConfig().estimators if more else ()))
    base = everyone() if base == ["all"] else base
    return list(dict.fromkeys([*base, *more])) or None


def _worlds(given: Any, over: Overrides) -> list[WorldConfig]:
    """The worlds, given as preset names or in full, with the overrides laid over them."""
    changes = over.given(OF_A_WORLD)
    if over.behaviour is not None:
        changes["behaviour"] = over.behaviour
    if over.trait is not None:
        changes["reads"] = "trait"
    if given is not None and not (isinstance(given, list | tuple) and given):
        raise BadInput(f"worlds must be a list of names or settings, such as [exclusive], got {given!r}.")
    worlds = []
    for world in over.worlds or given or ["exclusive"]:
        config = _world(world)
        if over.real is not None:
            config = _of_file(config, over.real, over.trait)
        worlds.append(config.changed(**changes))
    return worlds


def _of_file(config: WorldConfig, real: Mapping[str, Any], trait: str | None) -> WorldConfig:
    """The world with responses from a file in place of its own, and the reward that their ratings link to."""
    link = {name: value for name, value in real.items() if name in RatingLink.model_fields}
    responses = {name: value for name, value in real.items() if name not in link} | {"trait": trait}
    stem = Path(str(real["path"])).name.split(".")[0]
    return config.changed(
        name=f"{config.name}:{stem}",
        responses={"kind": "file", **responses},
        reward={"kind": "link", **link},
    )


def _world(world: str | Mapping[str, Any]) -> WorldConfig:
    """One world of a study: a preset, a preset with changes (``preset: twin:helpsteer``), or in full."""
    if isinstance(world, str):
        return preset(world)
    if isinstance(world, WorldConfig):
        return world
    if not isinstance(world, Mapping) or not all(isinstance(name, str) for name in world):
        raise BadInput(f"worlds: each is a name, or settings such as {{preset: exclusive}}, got {world!r}.")
    changes = dict(world)
    name = changes.pop("preset", None)
    if name is not None and not isinstance(name, str):
        raise BadInput(f"worlds: preset is the name of a world, got {name!r}.")
    start = WorldConfig() if name is None else preset(name)
    return start.changed(**changes)
