"""What a cell reads besides its settings: files of responses, and code from outside; each by its content."""

from collections.abc import Sequence

from simbench.errors import BadInput
from simbench.estimator.registry import CLASS_PRIORS, GROUP
from simbench.files.fingerprint import fingerprint
from simbench.log.hub import hub_fingerprint, is_hub
from simbench.study.sources import source_of
from simbench.worlds.config import WorldConfig
from simbench.worlds.registry import GROUP as BEHAVIOURS
from simbench.worlds.responses import RatedFile

Inputs = tuple[tuple[str, str], ...]  # what it is, and the fingerprint of its content


def inputs_of_world(world: WorldConfig) -> Inputs:
    """The files that a world is read from, and the code from outside by which its users act.

    Returns
    -------
    tuple of (str, str)
        Each with its name and the fingerprint of its content; empty for a world that comes with simbench.
        Whatever cannot be read is ``unreadable``: whoever reads it says why.
    """
    files: list[str] = []
    if isinstance(world.responses, RatedFile):
        files = [path for path in (world.responses.path, world.responses.features) if path is not None]
    found = [(path, _content(path)) for path in files]
    source = source_of(world.behaviour.kind, BEHAVIOURS)
    return tuple(found if source is None else [*found, (world.behaviour.kind, source)])


def _content(path: str) -> str:
    try:
        return hub_fingerprint(path) if is_hub(path) else fingerprint(path)
    except BadInput:
        return "unreadable"


def code_of(estimator: str, grant: Sequence[str]) -> Inputs:
    """The code from outside that an estimator runs with these grants: its own, and methods for the prior.

    Returns
    -------
    tuple of (str, str)
        Each with its name and the fingerprint of its source; empty if all comes with simbench.
    """
    named = [(estimator, GROUP)]
    named += [(name.partition(":")[2], CLASS_PRIORS) for name in grant if name.startswith("class prior:")]
    found = ((name, source_of(name, group)) for name, group in named)
    return tuple((name, source) for name, source in found if source is not None)
