"""A guest's manifest: what planner and scorer know of an estimator that they never import."""

import inspect
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self, get_origin

from simbench.estimator.estimator import Estimator
from simbench.study.guests.wire import Message, decoded, encoded
from simbench.training.contract import Network, Trainable

STATED = tuple(  # the class attributes of the contract
    name
    for name, annotation in inspect.get_annotations(Trainable).items()
    if get_origin(annotation) is ClassVar and name != "networks"
)


@dataclass(frozen=True)
class Manifest:
    """What an estimator states of itself.

    Parameters
    ----------
    stated : dict
        Class attributes of :class:`simbench.training.contract.Trainable` by name, encoded.
    networks : tuple of Network
    networks_of_log : bool
        Whether the networks to train depend on the log.
    parameters : dict
        Default of each parameter: a list of one encoded value, empty if it is no number or text.
    """

    stated: dict[str, Any]
    networks: tuple[Network, ...]
    networks_of_log: bool
    parameters: dict[str, list[Any]]

    @classmethod
    def of(cls, kind: type[Estimator]) -> Self:
        """The manifest of an estimator with its shipped parameters; runs in the guest's process."""
        made = kind()
        return cls(
            stated={name: encoded(getattr(made, name)) for name in STATED},
            networks=tuple(kind.networks),
            networks_of_log=kind.networks_for is not Trainable.networks_for,
            parameters={name: _default(value) for name, value in made.get_params(deep=False).items()},
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
        stated = {name: message["stated"][name] for name in STATED}
        for name, value in stated.items():
            _check_type(name, decoded(value))
        networks = tuple(
            Network(tuple(map(str, one["heads"])), str(one["inputs"]))  # pyright: ignore[reportArgumentType]
            for one in message["networks"]
        )
        parameters = {str(name): list(default)[:1] for name, default in message["parameters"].items()}
        return cls(stated, networks, bool(message["networks_of_log"]), parameters)

    def attributes(self) -> dict[str, Any]:
        """The class attributes that are stated, and the networks."""
        return {**{name: decoded(value) for name, value in self.stated.items()}, "networks": self.networks}

    def defaults(self) -> dict[str, Any]:
        """The default of each parameter; None if it is no number or text."""
        return {name: decoded(value[0]) if value else None for name, value in self.parameters.items()}


def _default(value: Any) -> list[Any]:
    try:
        return [encoded(value)]
    except TypeError:
        return []


def _check_type(name: str, value: Any) -> None:
    usual = getattr(Trainable, name)
    kinds = (type(None), bool, int, float) if usual is None else (type(usual),)
    if not isinstance(value, kinds) or (
        isinstance(value, frozenset) and not all(isinstance(one, str) for one in value)
    ):
        raise TypeError(f"{name} is {value!r}")
