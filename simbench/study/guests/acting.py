"""What a session answers about a behaviour: what it states, and how users act on a scene."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from simbench.errors import BadInput
from simbench.study.guests.cargo import unpacked_scene
from simbench.study.guests.wire import Arrays, Message
from simbench.worlds.behaviour import Behaviour, PointwiseBehaviour
from simbench.worlds.channel import Channel
from simbench.worlds.config import first_error
from simbench.worlds.law import Law
from simbench.worlds.registry import find
from simbench.worlds.sequential import SequentialBehaviour

PROBABILITIES = ("reward", "propensity", "action_probability", "signal_probabilities")


class Acting:
    """A behaviour in its own process, and the law that it stated last.

    Parameters
    ----------
    name : str
        Name under which the class is found, here and not before.
    """

    def __init__(self, name: str):
        self.name = name
        self.law: Law | None = None

    def answer(self, told: Message, arrays: Mapping[str, np.ndarray]) -> tuple[Message, Arrays]:
        """The answer to one request about the behaviour."""
        match told["act"]:
            case "describe":
                return _described(find(self.name)), {}
            case "settings":
                return _facts(self._made(told)), {}
            case "signal names":
                names = self._made(told).signal_names(Channel(**told["channel"]))
                return {"names": list(map(str, names))}, {}
            case "kappa":
                made: Any = self._made(told)  # of the rating laws alone
                return {"kappa": float(made.kappa(told["bias_level"]))}, {}
            case "propensity":
                how = (unpacked_scene(told, arrays), told["bias_level"], told["action_rate"], told["signal"])
                made = self._made(told)
                assert isinstance(made, PointwiseBehaviour)  # as it described itself
                return {}, {"propensity": np.asarray(made.propensity(*how), dtype=float)}
            case "steps":
                made = self._made(told)
                assert isinstance(made, SequentialBehaviour)  # as it described itself
                found = made.steps(unpacked_scene(told, arrays), told["bias_level"])
                return {}, {"steps": np.asarray(found, dtype=float)}
            case "law":
                scene, channel = unpacked_scene(told, arrays), Channel(**told["channel"])
                self.law = self._made(told).law(scene, told["bias_level"], channel)
                return _declared(self.law)
            case "draw" | "outcomes":
                assert self.law is not None  # stated before in the same session
                return (_drawn if told["act"] == "draw" else _outcomes)(self.law, told, arrays)
        raise BadInput(f"there is no request {told['act']!r}.")

    def _made(self, told: Message) -> Behaviour:
        try:
            return find(self.name).model_validate(told["settings"])
        except ValidationError as error:
            where, said = first_error(error)
            raise BadInput(f"{where}: {said}." if where else f"{said}.") from error


def _described(kind: type[Behaviour]) -> Message:
    """What the class states, and by which of its methods it is asked how users act."""
    form = {PointwiseBehaviour.law: "propensity", SequentialBehaviour.law: "steps"}.get(kind.law, "law")
    usual = (Behaviour.signal_names, SequentialBehaviour.signal_names)
    fields = {name: _default(field) for name, field in kind.model_fields.items()}
    return {
        "form": form,
        "fields": fields,
        "scar_at_0": bool(kind.scar_at_0),
        "composes": sorted(kind.composes),
        "reach_is_logged": bool(getattr(kind, "reach_is_logged", False)),
        "names_signals": kind.signal_names not in usual,
        "has_kappa": callable(getattr(kind, "kappa", None)),
        "doc": kind.__doc__ or "",
    }


def _default(field: FieldInfo) -> list[Any]:
    """The default of a setting as a list of one, empty if the setting must be given."""
    return [] if field.is_required() else [to_jsonable_python(field.get_default(call_default_factory=True))]


def _facts(made: Behaviour) -> Message:
    return {
        "settings": made.model_dump(mode="json"),
        "keeps_rate": bool(made.keeps_rate),
        "logs": sorted(made.logs),
        "reads_trait": bool(made.reads_trait),
        "reads_reward": bool(made.reads_reward),
    }


def _declared(law: Law) -> tuple[Message, Arrays]:
    arrays = {name: np.asarray(getattr(law, name), dtype=float) for name in PROBABILITIES}
    if law.shown_probability is not None:
        arrays["shown_probability"] = np.asarray(law.shown_probability, dtype=float)
    return {"is_one_click": bool(law.is_one_click), "correlation": float(law.action_correlation())}, arrays


def _drawn(law: Law, told: Message, arrays: Mapping[str, np.ndarray]) -> tuple[Message, Arrays]:
    rng = generator(told["generator"])
    drawn = law.draw(rng)
    found: dict[str, Any] = {
        name: None if (value := getattr(drawn, name)) is None else np.asarray(value)
        for name in ("preference", "signals", "shown", "propensity")
    }
    return {"generator": state_of(rng)}, {name: value for name, value in found.items() if value is not None}


def _outcomes(law: Law, told: Message, arrays: Mapping[str, np.ndarray]) -> tuple[Message, Arrays]:
    found = law.outcomes(arrays["rows"])
    return {}, {name: np.asarray(getattr(found, name)) for name in ("signals", "shown", "probability")}


def state_of(rng: np.random.Generator) -> Message:
    """The state of a generator as JSON."""
    return to_jsonable_python(rng.bit_generator.state, fallback=lambda array: array.tolist())


def generator(state: Message) -> np.random.Generator:
    """The generator in a state that :func:`state_of` gave."""
    made = getattr(np.random, state["bit_generator"])()
    made.state = state
    return np.random.Generator(made)
