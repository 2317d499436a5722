"""The study files of the reproduction, and their forms: small, default, and of the published sizes."""

from dataclasses import dataclass, field
from typing import Any

from simbench.repro.run import Form, Run
from simbench.study import library
from simbench.study.config import StudyConfig
from simbench.study.file import settings_of, study_from


@dataclass(frozen=True)
class StudyFile:
    """A study file, and what its small form and its form of the published sizes change.

    Parameters
    ----------
    name : str
        Name of the file in :func:`library.folder`.
    quick : dict of str
        Settings that replace those of the file in the small form; ``protocols`` lists the names of those that
        are kept.
    full : dict of str
        Settings that replace those of the file in the form of the published sizes; ``parameters`` are laid
        over the file's, estimator by estimator.
    """

    name: str
    quick: dict[str, Any] = field(default_factory=dict)
    full: dict[str, Any] = field(default_factory=dict)

    def config(self, form: Form = Form.default, **changes: Any) -> StudyConfig:
        """Return the study in one of its forms, with ``changes`` applied last."""
        raw = settings_of(library.folder() / self.name)
        own = dict({Form.quick: self.quick, Form.full: self.full}.get(form, {}))
        kept, laid_over = own.pop("protocols", None), own.pop("parameters", {})
        raw |= own | changes
        if kept is not None:
            raw["protocols"] = [protocol for protocol in raw["protocols"] if protocol["name"] in kept]
        given = raw.get("parameters", {})
        parameters = {
            name: {**given.get(name, {}), **laid_over.get(name, {})}
            for name in raw["estimators"]
            if name in given or name in laid_over
        }
        return study_from({**raw, "parameters": parameters})


def twins_of(run: Run, file: StudyFile) -> StudyConfig:
    """Return a study in the run's form; if it is of twins and real data is given, of that in their place."""
    whole = file.config(run.form)
    is_of_twins = all(world.reward.kind == "ratings" for world in whole.worlds)
    return run.real.study(whole) if run.real is not None and is_of_twins else whole
