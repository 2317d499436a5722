"""A finished study that somebody sent: verified, and read without running or opening anything that it names.

A study's settings name estimators, behaviours and files. Where it ran, they are there; where it is shown
they may be missing, or be something else. So nothing here looks one up.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from simbench.errors import BadInput
from simbench.estimator.registry import is_from_outside
from simbench.files.json_file import read_mapping
from simbench.files.location import Location
from simbench.files.parquet import read_own_parquet
from simbench.study import folder
from simbench.study import table as table_file
from simbench.study.config import StudyConfig, under
from simbench.study.hashes import verified_hashes
from simbench.study.table import OF_A_DRAW, OF_A_STUDY, read_footer
from simbench.worlds.config import WorldConfig
from simbench.worlds.presets import PRESETS
from simbench.worlds.registry import is_from_outside as acts_from_outside
from simbench.worlds.world import World, build

LARGEST = 20_000_000  # numbers of a world's features, if it is built again to be described
SITUATION = ["protocol", "world", "bias_level", "size"]
NUMBERS = ("bias_level", "size", "value", "low", "high", "n_replicates", "seconds")
REMEDY = "run the study's command again in that folder"


@dataclass(frozen=True)
class Submission:
    """A finished study whose files are those that it lists.

    Parameters
    ----------
    folder : Location
    sha256 : str
        Of all that ``hashes.json`` says.
    said : dict
        ``study.json``: settings, versions, seed.
    config : StudyConfig
        The settings, but for the worlds, which are in ``said`` alone.
    table, draws : DataFrame
        The long tables of the study and of its draws.
    cells : list of dict
        See :func:`simbench.study.hashes.verified_hashes`.
    """

    folder: Location
    sha256: str
    said: dict[str, Any]
    config: StudyConfig
    table: pd.DataFrame
    draws: pd.DataFrame
    cells: list[dict[str, Any]]

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    def situations(self) -> "list[Sent]":
        """Its situations, in the order of its table."""
        return [
            Sent(self, str(protocol), str(world), float(level), int(size), rows)
            for (protocol, world, level, size), rows in self.table.groupby(SITUATION, sort=False)
        ]

    def code(self, estimator: str) -> dict[str, str] | None:
        """Fingerprints by name of the code from outside that an estimator ran; None if it ran none.

        A name that this simbench does not have is from outside, whatever the study says of it.
        """
        found = {
            k: v for cell in self.cells if cell["estimator"] == estimator for k, v in cell["code"].items()
        }
        return found or ({} if is_from_outside(estimator) else None)


@dataclass(frozen=True)
class Sent:
    """A situation of a study that somebody sent.

    Parameters
    ----------
    study : Submission
    protocol, world : str
        Their names.
    bias_level : float
    size : int
    rows : DataFrame
        Its rows of the long table.
    """

    study: Submission
    protocol: str
    world: str
    bias_level: float
    size: int
    rows: pd.DataFrame

    @property
    def title(self) -> str:
        """The situation in words."""
        return f"{self.world}, bias level {self.bias_level:g}, {self.size:,} responses"

    def of(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table, of the study or of its draws, that belong to this situation."""
        own = (self.protocol, self.world, self.bias_level, self.size)
        return table[(table[SITUATION] == own).all(axis=1)]

    def settings(self) -> dict[str, Any]:
        """All that decides its numbers but for the estimators: two situations with the same are comparable.

        They have the same drawn worlds and the same logs, and are scored by the same rule.
        """
        config, said = self.study.config, self.study.said["config"]
        where = [cell for cell in self.study.cells if all(cell[k] == getattr(self, k) for k in SITUATION)]
        content = {name: found for cell in where for name, found in cell["data"].items()}
        return {
            **{"world": _by_content(self._raw("worlds", self.world), content)},
            **{"bias_level": self.bias_level, "size": self.size},
            **{"protocol": self._raw("protocols", self.protocol), "label_share": config.label_share},
            **{"seed": config.seed, "draws": config.draws, "replicates": self.replicates},
            **{"margin": config.margin, "level": config.level},
            **{"device": str(said.get("device")).partition(":")[0], "precision": config.precision},
            **{"simbench": self.study.said["simbench"]},
        }

    @property
    def replicates(self) -> int:
        """Logs of each draw, which its protocol may set."""
        return int(self._raw("protocols", self.protocol).get("replicates") or self.study.config.replicates)

    def rebuilt(self) -> World | None:
        """Its first world, built again; None if that would open a file, run code, or take much memory."""
        raw = self._raw("worlds", self.world)
        if not is_own_world(raw) or _numbers(raw["responses"], self.size) > LARGEST:
            return None
        protocol = next(one for one in self.study.config.protocols if one.name == self.protocol)
        try:
            config = under(WorldConfig.model_validate(raw), protocol)
            return build(config, self.bias_level, self.size, self.study.config.seed)
        except (ValidationError, BadInput):
            return None

    def is_of_preset(self) -> bool:
        """Whether the world's settings are those of the preset of its name."""
        preset = PRESETS.get(self.world)
        return preset is not None and preset.model_dump(mode="json") == self._raw("worlds", self.world)

    def _raw(self, kind: str, name: str) -> dict[str, Any]:
        return next(one for one in self.study.said["config"][kind] if one["name"] == name)


def is_own_world(settings: dict[str, Any]) -> bool:
    """Whether a world is made by simbench alone: from no file, and by no behaviour from outside."""
    behaviour = str(settings["behaviour"]["kind"])
    return settings["responses"]["kind"] == "synthetic" and not acts_from_outside(behaviour)


def _by_content(settings: Any, content: dict[str, str]) -> Any:
    """The settings of a world with the content of its files and code in place of where they lie."""
    if isinstance(settings, dict):
        return {name: _by_content(value, content) for name, value in settings.items()}
    return content.get(settings, settings) if isinstance(settings, str) else settings


def _numbers(responses: dict[str, Any], size: int) -> int:
    columns = int(responses["n_features"]) + int(responses["n_context"])
    return (size + int(responses["test_size"])) * columns


def read_submission(where: str | Path | Location) -> Submission:
    """Read a finished study that somebody sent, if its files are those that it lists.

    Raises
    ------
    BadInput
        If a file is not, or the study is not to be understood.
    """
    out = Location(where)
    hashes = verified_hashes(out)
    said = read_mapping(out / folder.FILE, REMEDY)
    table = read_own_parquet(out / table_file.FILE, REMEDY, OF_A_STUDY, (*NUMBERS, "n_worlds"))
    draws = read_own_parquet(out / table_file.DRAWS, REMEDY, OF_A_DRAW, (*NUMBERS, "draw"))
    footer = read_footer(out)
    try:
        raw = dict(said["config"])
        # worlds may name code from outside, which validation would run
        config = StudyConfig.model_validate({k: v for k, v in raw.items() if k != "worlds"})
        found = Submission(out, hashes["sha256"], said, config, table, draws, hashes["cells"])
        _check_form(found)
    except (KeyError, TypeError, ValueError, StopIteration) as error:  # pydantic's are ValueErrors
        raise BadInput(
            f"{out} holds a study that this simbench does not understand ({_first(error)}): it must be run "
            "with a version near this one."
        ) from error
    if footer is None or footer.config != folder.config_digest(raw):
        raise BadInput(f"{out}: study.json and results.parquet are of two studies: {REMEDY}.")
    if not set(table.estimator) <= {cell["estimator"] for cell in found.cells}:
        raise BadInput(f"{out}: results.parquet has rows of no cell that is listed: {REMEDY}.")
    return found


def _check_form(study: Submission) -> None:
    """Ask for all that a page will ask for; raises KeyError, TypeError, ValueError or StopIteration."""
    versions, stacks = study.said.get("versions", {}), study.said.get("made_with", [])
    if not (isinstance(versions, dict) and all(isinstance(one, str) for one in stacks)):
        raise ValueError("its versions are none")
    if not [is_own_world(one.settings()["world"]) for one in study.situations()]:
        raise ValueError("its table is empty")


def _first(error: Exception) -> str:
    lines = str(error).strip().splitlines() or ["nothing said"]
    return f"{type(error).__name__}: {' '.join(line.strip() for line in lines[:2])}"
