"""The study files of the reproduction, and their small forms."""

from dataclasses import dataclass, field
from typing import Any

from simbench.study import library
from simbench.study.config import StudyConfig
from simbench.study.file import settings_of, study_from


@dataclass(frozen=True)
class StudyFile:
    """A study file, and what its small form changes.

    Parameters
    ----------
    name : str
        Name of the file in :func:`library.folder`.
    quick : dict of str
        Settings that replace those of the file; ``protocols`` lists the names of those that are kept.
    """

    name: str
    quick: dict[str, Any] = field(default_factory=dict)

    def config(self, quick: bool = False, **changes: Any) -> StudyConfig:
        """Return the study in its quick or full form, with ``changes`` applied last."""
        raw = settings_of(library.folder() / self.name)
        form = dict(self.quick) if quick else {}
        kept = form.pop("protocols", None)
        raw |= form | changes
        if kept is not None:
            raw["protocols"] = [protocol for protocol in raw["protocols"] if protocol["name"] in kept]
        named = set(raw["estimators"])
        parameters = {name: value for name, value in raw.get("parameters", {}).items() if name in named}
        return study_from({**raw, "parameters": parameters})
