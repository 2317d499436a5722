"""Study files of the reproduction, and their small forms."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from simbench.errors import BadInput
from simbench.study.config import StudyConfig
from simbench.study.file import described_world
from simbench.study.names import preset

ROOT = Path(__file__).parents[2]


def benchmarks() -> Path:
    """The folder of study files.

    Raises
    ------
    BadInput
        Where simbench was installed without its repository.
    """
    folder = ROOT / "benchmarks"
    if not folder.is_dir():
        raise BadInput(
            f"{folder} does not exist: simbench repro runs in a clone of the repository "
            "(pip install -e . there), whose benchmarks/ holds the studies."
        )
    return folder


@dataclass(frozen=True)
class StudyFile:
    """A study in ``benchmarks/``, and what its small form changes; its ``protocols`` are names to keep."""

    name: str
    quick: dict[str, Any] = field(default_factory=dict)

    def config(self, quick: bool = False, **changes: Any) -> StudyConfig:
        """The study; ``changes`` are laid over it last."""
        raw = yaml.safe_load((benchmarks() / self.name).read_text())
        form = dict(self.quick) if quick else {}
        kept = form.pop("protocols", None)
        raw |= form | changes
        if kept is not None:
            raw["protocols"] = [protocol for protocol in raw["protocols"] if protocol["name"] in kept]
        worlds = [
            preset(world) if isinstance(world, str) else described_world(world) for world in raw["worlds"]
        ]
        named = set(raw["estimators"])
        parameters = {name: value for name, value in raw.get("parameters", {}).items() if name in named}
        return StudyConfig.model_validate({**raw, "worlds": worlds, "parameters": parameters})
