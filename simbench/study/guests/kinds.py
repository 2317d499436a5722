"""Estimators as a study knows them: its own as they are, and one from outside by its manifest alone."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from simbench.errors import BadInput
from simbench.estimator import registry
from simbench.estimator.estimator import Estimator
from simbench.files.matrix import Matrix
from simbench.log.feedback import FeedbackLog
from simbench.streams import seed_of
from simbench.study.guests.cargo import packed_log, packed_matrix, packed_training
from simbench.study.guests.manifest import Manifest
from simbench.study.guests.process import DESCRIBES, MOST_REPLY, GuestError, Session, at_most, one_line
from simbench.study.guests.wire import Arrays, encoded
from simbench.study.sources import source_of
from simbench.training.batches import split_by_prompt
from simbench.training.contract import Network
from simbench.training.holdout import Holdout
from simbench.training.trainer import Execution


def find(name: str) -> type[Estimator]:
    """The estimator of this name, for a study: code from outside is described, and not imported.

    Parameters
    ----------
    name : str
        As for :func:`simbench.estimator.registry.find`.

    Raises
    ------
    BadInput
        If there is none, or it does not describe itself.
    """
    return _found(name, tuple(sys.path), str(Path.cwd()), source_of(name, registry.GROUP))


@lru_cache(maxsize=256)
def _found(name: str, path: tuple[str, ...], folder: str, source: str | None) -> type[Estimator]:
    """The estimator, looked up once for each source and each place in which its name is looked for."""
    if not registry.is_from_outside(name) or (":" not in name and name not in registry.names()):
        return registry.find(name)
    return guest_of(name, described(name))


def configured(name: str, parameters: dict[str, Any]) -> Estimator:
    """An estimator with these hyper-parameters, each checked, for a study.

    Raises
    ------
    BadInput
        As by :func:`simbench.estimator.registry.configured`.
    """
    return registry.configured(name, parameters, find)


def seed_for_guests(seed: int) -> int:
    """What a guest is told as its seed, from which the seed of its world does not follow; below 2³¹."""
    return seed_of(seed, "guest") % (1 << 31)


def described(name: str) -> Manifest:
    """What an estimator from outside states of itself.

    Raises
    ------
    BadInput
        If it cannot be found, or does not state what it must.
    """
    session = Session(absolute(name), name)
    try:
        with at_most(DESCRIBES):
            return Manifest.read(session.ask({"op": "describe"})[0])
    except GuestError as error:
        raise _refusal(name, error) from error
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{name!r} describes itself in a way that cannot be understood: {error}.") from error
    finally:
        session.end()


class Guest(Estimator):
    """An estimator from outside; its fits run in a process that holds the log and the features to predict.

    Made by :func:`guest_of`, as a class for each estimator.
    """

    found_as: ClassVar[str] = ""
    manifest: ClassVar[Manifest]

    def __init__(self, **parameters: Any):
        known = self.manifest.defaults()
        for name in parameters:
            if name not in known:
                own = ", ".join(known) or "none"
                raise TypeError(f"{self.found_as} has no parameter {name!r}; it has {own}.")
        self._given = parameters
        for name, default in known.items():
            setattr(self, name, parameters.get(name, default))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name; None for a default that is no number or text."""
        return {name: getattr(self, name) for name in self.manifest.parameters}

    def set_params(self, **params: Any) -> "Guest":
        """Change some parameters."""
        self.__init__(**{**self._given, **params})
        return self

    def check_parameters(self) -> None:
        """Let the estimator itself check its parameters.

        Raises
        ------
        BadInput
            If it does not take them.
        """
        session = self._session()
        try:
            session.ask({"op": "check", "parameters": self._encoded()})
        except GuestError as error:
            raise _refusal(self.found_as, error) from error
        finally:
            session.end()

    def networks_for(self, log: FeedbackLog) -> tuple[Network, ...]:
        """The declared networks, by which memory is planned; one more a signal if they depend on the log."""
        signals = 0 if log.signals is None or not self.manifest.networks_of_log else log.signals.shape[1]
        return self.networks + (Network(),) * signals

    def fit_replicates(
        self,
        log: FeedbackLog,
        replicates: Sequence[int] | None = None,
        holdout: Holdout | None = None,
        execution: Execution | None = None,
    ) -> "FittedGuest":
        """Fit in the guest's process.

        Raises
        ------
        GuestError
            If the estimator fails, in whatever way.
        """
        session = self._session()
        told, arrays = packed_log(log, session.given)
        training, more = packed_training(self._needed(holdout, log), execution)
        numbers = [int(number) for number in replicates or range(log.n_replicates)]
        message = {"op": "fit", "parameters": self._encoded(), "replicates": numbers}
        with ending_if_it_fails(session):
            _, facts = session.ask({**message, "log": told, "training": training}, {**arrays, **more})
        return FittedGuest(session, log.n_replicates, facts)

    @classmethod
    def trapped(cls, bait: dict[str, Any]) -> tuple[np.ndarray, list[str]]:
        """Run the estimator in a trap, see :func:`simbench.study.trap.spring`.

        Parameters
        ----------
        bait : dict
            Fields of :class:`simbench.study.trap.Bait`.

        Raises
        ------
        GuestError
            If the estimator fails, in whatever way.
        """
        session = Session(absolute(cls.found_as), cls.found_as)
        try:
            reply, found = session.ask({"op": "trap", "bait": bait}, most=1 << 28)
        finally:
            session.end()
        return found["predictions"], [one_line(str(what)) for what in reply["reached"]]

    def _needed(self, holdout: Holdout | None, log: FeedbackLog) -> Holdout | None:
        """The holdout with the labels of what is held out alone, NaN elsewhere: no fit needs the others."""
        if holdout is None or holdout.oracle_labels is None:
            return holdout
        own = self.get_params()
        seed = seed_of(own.get("seed", 0), "split")
        _, rows = split_by_prompt(holdout.units(log.groups), own.get("validation_share", 0.0), seed)
        labels = np.full_like(holdout.oracle_labels, np.nan)
        labels[:, rows] = holdout.oracle_labels[:, rows]
        return Holdout(holdout.by, labels)

    def _session(self) -> Session:
        return Session(absolute(self.found_as), self.found_as)

    def _encoded(self) -> Any:
        try:
            return encoded(self._given)
        except TypeError as error:
            raise BadInput(f"a parameter of {self.found_as} cannot be handed over: {error}.") from error


class FittedGuest:
    """A model that lies in a guest's process, until the next one is fitted there.

    Parameters
    ----------
    session : Session
    n_replicates : int
    facts : dict of ndarray
        ``held_out_loss`` and diagnostics, where the model has them.
    """

    def __init__(self, session: Session, n_replicates: int, facts: Arrays):
        self.session, self.n_replicates = session, n_replicates
        if "held_out_loss" in facts:
            self.held_out_loss = facts["held_out_loss"]
        prefix = "diagnostics "
        own = {name.removeprefix(prefix): value for name, value in facts.items() if name.startswith(prefix)}
        self.diagnostics: dict[str, np.ndarray] = own

    def predict(self, features: Matrix) -> np.ndarray:
        """Reward probabilities ``γ̂``, shape (R, m).

        Raises
        ------
        GuestError
            If the estimator fails, in whatever way.
        """
        arrays: Arrays = {}
        told = packed_matrix("features", features, self.session.given, arrays)
        most = 16 * self.n_replicates * len(features) + MOST_REPLY
        with ending_if_it_fails(self.session):
            _, found = self.session.ask({"op": "predict", **told}, arrays, most)
            if "predictions" not in found:
                raise GuestError("it predicted nothing")
        return found["predictions"]


@contextmanager
def ending_if_it_fails(session: Session) -> Iterator[None]:
    """End the session if the guest does not answer as it must."""
    try:
        yield
    except GuestError:
        session.end()
        raise


def guest_of(name: str, manifest: Manifest) -> type[Guest]:
    """The class that stands for an estimator from outside.

    Parameters
    ----------
    name : str
        The name under which it was found.
    manifest : Manifest
    """
    defaults = manifest.defaults()
    attributes = {**defaults, **manifest.attributes(), "found_as": name, "manifest": manifest}
    kind = type(f"Guest_{attributes['name'] or 'unnamed'}", (Guest,), attributes)
    own = [Parameter(key, Parameter.KEYWORD_ONLY, default=value) for key, value in defaults.items()]
    kind.__signature__ = Signature(own)  # pyright: ignore[reportAttributeAccessIssue]
    return kind


def absolute(name: str) -> str:
    """The name with an absolute path, if it is that of a file: a guest works in a folder of its own."""
    if ".py:" not in name:
        return name
    path, _, attribute = name.rpartition(":")
    return f"{Path(path).resolve()}:{attribute}"


def _refusal(name: str, error: GuestError) -> BadInput:
    text = str(error)
    if text.startswith("BadInput: "):
        return BadInput(text.removeprefix("BadInput: "))
    return BadInput(f"estimator {name!r} cannot be used: {text}.")
