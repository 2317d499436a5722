"""Behaviours as a study knows them: one from outside by what it states, its code run in a guest's process.

A behaviour that states a propensity or a table of steps is asked for that alone, and the law that follows is
simbench's own; one that states a law of its own is asked for what the law declares, and to draw.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field, PrivateAttr, create_model, model_validator
from pydantic_core import to_jsonable_python

from simbench.errors import BadInput
from simbench.study.guests.acting import PROBABILITIES, generator, state_of
from simbench.study.guests.cargo import packed_scene
from simbench.study.guests.kinds import absolute
from simbench.study.guests.process import DESCRIBES, MOST_REPLY, GuestError, Session, at_most, one_line
from simbench.study.guests.wire import Arrays, Message
from simbench.study.sources import source_of
from simbench.worlds.behaviour import Behaviour, BehaviourError, PointwiseBehaviour
from simbench.worlds.channel import Channel
from simbench.worlds.law import Drawn, Law, Outcomes
from simbench.worlds.registry import GROUP, opening_outside_with
from simbench.worlds.scene import Scene
from simbench.worlds.sequential import SequentialBehaviour

BYTES = 8  # of a number


@contextmanager
def behaviours_as_guests() -> Iterator[None]:
    """Run behaviours from outside in a guest's process: what is found in this block is not imported."""
    with opening_outside_with(find):
        yield


def find(name: str) -> type[Behaviour] | None:
    """The class that stands for a behaviour from outside.

    None for a class of the very program that runs (a script, a notebook), which no other process can import,
    and for a name that stands for nothing.

    Raises
    ------
    BadInput
        If there is none of this name, or it does not describe itself.
    """
    source = None if name.startswith("__main__:") else source_of(name, GROUP)
    return None if source is None else _found(name, tuple(sys.path), str(Path.cwd()), source)


@lru_cache(maxsize=256)
def _found(name: str, path: tuple[str, ...], folder: str, source: str) -> type[Behaviour]:
    """The class, made once for each source and each place in which its name is looked for."""
    said = _asked_once(name, {"act": "describe"})
    try:
        return _class_of(name, source, said)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise BadInput(f"{name!r} describes itself in a way that cannot be understood: {error}.") from error


def _class_of(name: str, source: str | None, said: Message) -> "type[GuestBehaviour]":
    """The class that stands for a behaviour that describes itself so."""
    for field in said["fields"].keys() - Behaviour.model_fields.keys():
        if any(hasattr(kind, field) for kind in (GuestPointwise, GuestSequential, GuestOfLaw)):
            raise BadInput(
                f"{name!r} has a setting {field!r}, which means something else: call it otherwise."
            )
    base = {"propensity": GuestPointwise, "steps": GuestSequential, "law": GuestOfLaw}[said["form"]]
    fields: dict[str, Any] = {
        str(field): (Any, Field(default=_hashable(default[0]) if default else ...))
        for field, default in said["fields"].items()
    }
    made = create_model(f"Guest_{name}", __base__=base, __doc__=str(said["doc"]), **fields)
    assert issubclass(made, GuestBehaviour)  # as its base is
    made.found_as, made.source = name, source
    made.scar_at_0, made.composes = bool(said["scar_at_0"]), frozenset(map(str, said["composes"]))
    made.names_signals = bool(said["names_signals"])
    if said["has_kappa"]:
        made.kappa = _kappa  # pyright: ignore[reportAttributeAccessIssue]
    if issubclass(made, GuestSequential):
        made.reach_is_logged = bool(said["reach_is_logged"])
    return made


def _kappa(self: "GuestBehaviour", bias_level: float) -> float:
    """How steeply its users act on ratings, as it states."""
    told = {**self.asking("kappa"), "bias_level": bias_level}
    return float(_asked_once(self.found_as, told)["kappa"])


class GuestBehaviour(Behaviour):
    """A behaviour from outside. Settings are checked, and all else is asked, in its own process."""

    found_as: ClassVar[str] = ""
    source: ClassVar[str | None] = None
    names_signals: ClassVar[bool] = False

    _facts: Message = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _settled(cls, values: Any, handler: Any) -> Self:
        if not isinstance(values, Mapping):
            return handler(values)
        given = json.dumps(to_jsonable_python(dict(values)), sort_keys=True)
        try:
            facts = json.loads(_settled(cls.found_as, cls.source, given))
        except BadInput as error:
            raise ValueError(str(error).rstrip(".")) from error
        made = handler(_hashable(facts["settings"], outermost=True))
        made._facts = facts
        return made

    @property
    def keeps_rate(self) -> bool:
        """As it declares."""
        return bool(self._facts["keeps_rate"])

    @property
    def logs(self) -> frozenset[str]:
        """As it declares."""
        return frozenset(map(str, self._facts["logs"]))

    @property
    def reads_trait(self) -> bool:
        """As it declares."""
        return bool(self._facts["reads_trait"])

    @property
    def reads_reward(self) -> bool:
        """As it declares."""
        return bool(self._facts["reads_reward"])

    def signal_names(self, channel: Channel) -> tuple[str, ...]:
        """The usual ones, unless it names others."""
        if not self.names_signals:
            return super().signal_names(channel)
        told = {**self.asking("signal names"), "channel": channel.model_dump(mode="json")}
        return _named(self.found_as, self.source, json.dumps(told))

    def asking(self, act: str) -> Message:
        """The beginning of a request: what is asked, and of which settings."""
        return {"act": act, "settings": self._facts["settings"]}

    def asked(self, act: str, scene: Scene, most: int, **told: Any) -> np.ndarray:
        """Ask for one array about a scene, in a session of its own.

        Raises
        ------
        BadInput
            As the behaviour raises it.
        BehaviourError
            If it fails in any other way.
        """
        with _answering(self.found_as) as session:
            more, arrays = packed_scene(scene, session.given)
            message = {"op": "behaviour", **self.asking(act), **told, **more}
            _, found = session.ask(message, arrays, most + MOST_REPLY)
            if act not in found:
                raise GuestError(f"it gave no {act}")
        return found[act]


class GuestPointwise(GuestBehaviour, PointwiseBehaviour):
    """A behaviour from outside that states a propensity."""

    def propensity(self, scene: Scene, bias_level: float, action_rate: float, signal: str) -> np.ndarray:
        """The propensity that it states."""
        levels = 1 if scene.ratings is None else len(scene.ratings.levels)
        told = {"bias_level": bias_level, "action_rate": action_rate, "signal": signal}
        return self.asked("propensity", scene, BYTES * scene.n_rows * levels, **told)


class GuestSequential(GuestBehaviour, SequentialBehaviour):
    """A behaviour from outside that states what happens at each response that is reached."""

    def steps(self, scene: Scene, bias_level: float) -> np.ndarray:
        """The table that it states."""
        found = self.asked("steps", scene, 8 * BYTES * scene.n_rows, bias_level=bias_level)
        if found.shape != (scene.n_rows, 2, 2, 2):
            raise BehaviourError(f"its steps have shape {found.shape}, not ({scene.n_rows}, 2, 2, 2)")
        return found


class GuestOfLaw(GuestBehaviour):
    """A behaviour from outside that states a law of its own."""

    def law(self, scene: Scene, bias_level: float, channel: Channel) -> Law:
        """What stands for the law that it states."""
        told = {"bias_level": bias_level, "channel": channel.model_dump(mode="json")}
        return GuestLaw(self.found_as, {**self.asking("law"), **told}, scene, len(self.signal_names(channel)))


class GuestLaw(Law):
    """A law that lives in a guest's process; it is stated again when that process served another since.

    Parameters
    ----------
    name : str
        Name of the behaviour.
    told : dict
        The request that states the law, without its scene.
    scene : Scene
    n_signals : int
    """

    def __init__(self, name: str, told: Message, scene: Scene, n_signals: int):
        self._name, self._told, self._scene, self._n_signals = name, told, scene, n_signals
        self._session: Session | None = None
        with _answering(name, end=False) as session:
            said, found = self._stated(session)
        n = scene.n_rows
        shapes: dict[str, tuple[int, ...]] = {key: (n,) for key in (*PROBABILITIES, "shown_probability")}
        shapes["signal_probabilities"] = (n_signals, n)
        for key, values in found.items():
            if shapes.get(key) != values.shape:
                raise BehaviourError(f"its {key} has shape {values.shape}, not {shapes.get(key)}")
        self._found, self._said = found, said

    def _stated(self, session: Session) -> tuple[Message, Arrays]:
        more, arrays = packed_scene(self._scene, session.given)
        most = BYTES * self._scene.n_rows * (self._n_signals + 4) + MOST_REPLY
        reply = session.ask({"op": "behaviour", **self._told, **more}, arrays, most)
        self._session = session
        return reply

    def _ask(self, told: Message, arrays: Arrays | None, most: int) -> tuple[Message, Arrays]:
        known = self._session if self._session is not None and self._session.open else None
        with _answering(self._name, known, end=False) as session:
            if known is None:
                self._stated(session)
            return session.ask({"op": "behaviour", **told}, arrays, most + MOST_REPLY)

    @property
    def reward(self) -> np.ndarray:
        """As it declares."""
        return self._found["reward"]

    @property
    def propensity(self) -> np.ndarray:
        """As it declares."""
        return self._found["propensity"]

    @property
    def action_probability(self) -> np.ndarray:
        """As it declares."""
        return self._found["action_probability"]

    @property
    def signal_probabilities(self) -> np.ndarray:
        """As it declares."""
        return self._found["signal_probabilities"]

    @property
    def shown_probability(self) -> np.ndarray | None:
        """As it declares."""
        return self._found.get("shown_probability")

    @property
    def is_one_click(self) -> bool:
        """As it declares."""
        return bool(self._said["is_one_click"])

    def action_correlation(self) -> float:
        """As it declares."""
        return float(self._said["correlation"])

    def draw(self, rng: np.random.Generator) -> Drawn:
        """Draw one replicate there; the generator goes on here where it ended there."""
        n, told = self._scene.n_rows, {"act": "draw", "generator": state_of(rng)}
        reply, found = self._ask(told, None, (2 * BYTES + self._n_signals * BYTES) * n)
        try:
            rng.bit_generator.state = generator(reply["generator"]).bit_generator.state
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BehaviourError("it gave back no state of its generator") from error
        shapes = {"preference": (n,), "signals": (self._n_signals, n), "shown": (n,), "propensity": (n,)}
        for key in ("preference", "signals", *found):
            shape = found[key].shape if key in found else None
            if shape != shapes.get(key):
                raise BehaviourError(f"it drew {key} of shape {shape}, not {shapes.get(key)}")
        return Drawn(**found)

    def outcomes(self, rows: np.ndarray) -> Outcomes:
        """Enumerate what can be logged of one page there."""
        most = BYTES * (1 << 20) * len(rows)
        _, found = self._ask({"act": "outcomes"}, {"rows": np.asarray(rows)}, most)
        return Outcomes(**found)


@contextmanager
def _answering(name: str, known: Session | None = None, end: bool = True) -> Iterator[Session]:
    """A session with a behaviour; what it does instead of answering is raised as a study understands it."""
    session = known or Session(absolute(name), name)
    try:
        yield session
    except GuestError as error:
        session.end()
        text = str(error)
        if text.startswith("BadInput: "):
            raise BadInput(text.removeprefix("BadInput: ")) from error
        raise BehaviourError(text) from error
    else:
        if end:
            session.end()


def _asked_once(name: str, told: Message) -> Message:
    try:
        with at_most(DESCRIBES), _answering(name) as session:
            return session.ask({"op": "behaviour", **told})[0]
    except BehaviourError as error:
        raise BadInput(f"behaviour {name!r} cannot be used: {error}.") from error


@lru_cache(maxsize=1024)
def _settled(name: str, source: str | None, settings: str) -> str:
    """What a behaviour says of these settings, as JSON; asked once for each source."""
    found = _asked_once(name, {"act": "settings", "settings": json.loads(settings)})
    missing = {"settings", "keeps_rate", "logs", "reads_trait", "reads_reward"} - found.keys()
    if missing:
        raise BadInput(f"behaviour {name!r} says nothing of its {one_line(min(missing))}.")
    return json.dumps(found)


@lru_cache(maxsize=1024)
def _named(name: str, source: str | None, told: str) -> tuple[str, ...]:
    return tuple(map(str, _asked_once(name, json.loads(told))["names"]))


def _hashable(value: Any, outermost: bool = False) -> Any:
    """A value from JSON with tuples in place of lists, as a frozen configuration needs them."""
    if isinstance(value, list):
        return tuple(_hashable(part) for part in value)
    if outermost:
        return {key: _hashable(part) for key, part in value.items()}
    return value
