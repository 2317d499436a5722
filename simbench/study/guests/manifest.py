"""A guest's manifest: what planner and scorer know of an estimator that they never import."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from simbench.estimator.estimator import Estimator
from simbench.study.guests.wire import Message, encoded
from simbench.training.contract import Network, Trainable

TEXTS = ("family", "assumption", "source", "link_formula")
SWITCHES = ("reads_pairs", "has_epoch_state", "reads_representation", "sums_over_samples", "ranks_only")
NUMBERS = ("initial_epochs", "workspace", "mixup")


@dataclass(frozen=True)
class Manifest:
    """What an estimator states of itself.

    Parameters
    ----------
    name : str
        The estimator's own name; it is run under the name by which it was found.
    needs, optional : tuple of str
        What it must be told, and what it uses if it is told.
    networks : tuple of Network
    networks_of_log : bool
        Whether the networks to train depend on the log.
    stated : dict
        Further class attributes of :class:`simbench.training.contract.Trainable`, by name.
    parameters : dict
        Default of each parameter, encoded; None in a list of its own where it is no number or text.
    """

    name: str
    needs: tuple[str, ...]
    optional: tuple[str, ...]
    networks: tuple[Network, ...]
    networks_of_log: bool
    stated: dict[str, Any]
    parameters: dict[str, Any]

    @classmethod
    def of(cls, kind: type[Estimator]) -> Self:
        """The manifest of an estimator; runs in the guest's process."""
        return cls(
            name=str(kind.name),
            needs=tuple(sorted(kind.needs)),
            optional=tuple(sorted(kind.optional)),
            networks=tuple(kind.networks),
            networks_of_log=kind.networks_for is not Trainable.networks_for,
            stated={
                **{name: str(getattr(kind, name)) for name in TEXTS},
                **{name: bool(getattr(kind, name)) for name in SWITCHES},
                **{name: encoded(getattr(kind, name)) for name in NUMBERS},
            },
            parameters={name: _default(value) for name, value in kind().get_params(deep=False).items()},
        )

    def message(self) -> Message:
        """The manifest as JSON."""
        return asdict(self)

    @classmethod
    def read(cls, message: Message) -> Self:
        """The manifest in a message; the guest may have written anything there.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is none.
        """
        networks = tuple(Network(tuple(map(str, one["heads"])), one["inputs"]) for one in message["networks"])
        own = {name: message["stated"][name] for name in (*TEXTS, *SWITCHES, *NUMBERS)}
        return cls(
            str(message["name"]),
            tuple(map(str, message["needs"])),
            tuple(map(str, message["optional"])),
            networks,
            bool(message["networks_of_log"]),
            own,
            dict(message["parameters"]),
        )


def _default(value: Any) -> list[Any]:
    """A default as a list of one encoded value, or an empty list if it is no number or text."""
    try:
        return [encoded(value)]
    except TypeError:
        return []
