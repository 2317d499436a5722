"""The configuration of a world: responses, a reward on them, a behaviour and a channel, each a value."""

from collections.abc import Mapping
from typing import Any, Self, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator

from simbench.errors import BadInput, did_you_mean
from simbench.worlds.behaviours.logit import Logit
from simbench.worlds.channel import Channel
from simbench.worlds.order import Order
from simbench.worlds.registry import AnyBehaviour, find
from simbench.worlds.responses import RatedFile, RatingLink, Responses, Synthetic
from simbench.worlds.rewards import LinearReward, Reward
from simbench.worlds.users import Users


class WorldConfig(BaseModel, frozen=True, extra="forbid"):
    """The configuration of a world.

    Parameters
    ----------
    name : str
        Name of the world. Random streams depend on it, and not on the parts.
    responses : Synthetic or RatedFile
        What users are shown; in YAML told apart by ``kind: synthetic`` and ``kind: file``.
    reward : LinearReward, NetworkReward, DrawnRatings or RatingLink
        What it is worth; ``kind: linear``, ``mlp``, ``ratings`` or, for a file, ``link``.
    order : Order
        In which order the responses of a page stand.
    behaviour : Behaviour
        How users act on it; ``kind`` names an installed behaviour, or a class in a module or file.
    channel : Channel
        What is logged of their actions.
    users : Users, optional
        Who they are; by default every page has a user of its own, and users are alike.
    default_size : int
        Number of logged responses, where a study names none.
    """

    name: str = "exclusive"
    responses: Responses = Synthetic()
    reward: Reward = LinearReward()
    order: Order = Order()
    behaviour: AnyBehaviour = Logit()
    channel: Channel = Channel()
    users: Users | None = None
    default_size: int = Field(default=10_000, ge=10)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if isinstance(self.responses, RatedFile) != isinstance(self.reward, RatingLink):
            kind = "link" if isinstance(self.responses, RatedFile) else "linear, mlp or ratings"
            raise ValueError(f"{self.responses.kind} responses need a reward of kind {kind}")
        alien = [name for name in self.channel.used() if name not in self.behaviour.composes]
        if alien:
            raise ValueError(f"the behaviour {self.behaviour.kind} cannot have {alien[0]}")
        if self.users is not None and "users" not in self.behaviour.composes:
            raise ValueError(f"the behaviour {self.behaviour.kind} cannot have users")
        if self.behaviour.reads_trait and self.responses.trait is None:
            what = "length, or a numeric column" if self.responses.kind == "file" else "such as feature:31"
            raise ValueError(f"the behaviour reads a trait that the responses lack: give `trait`, {what}")
        return self

    def changed(self, **changes: Any) -> "WorldConfig":
        """Return this world with some settings changed.

        Parameters
        ----------
        **changes
            Whole parts (``channel=Channel(misclick=0.05)``), settings of a part (``channel={"misclick":
            0.05}``), the kind of a part (``reward="mlp"``, which keeps what both kinds have), or a setting by
            its own name (``misclick=0.05``), which goes to the part that has it.

        Raises
        ------
        BadInput
            If no part has a setting of this name, or a value is not possible.
        """
        described = self.model_dump()
        loose = {name: value for name, value in changes.items() if name not in described}
        for name in changes.keys() - loose.keys():
            described[name] = _laid_over(name, described[name], changes[name])
        for name, value in loose.items():
            part = _part_with(described, name)
            described[part] = {**(described[part] or {}), name: value}
        try:
            return WorldConfig.model_validate(described)
        except ValidationError as error:
            where, said = first_error(error)
            raise BadInput(f"{where or 'the world'}: {said}.") from error

    @property
    def signal_names(self) -> tuple[str, ...]:
        """Names of the logged signals; the first is the feedback."""
        return self.behaviour.signal_names(self.channel)

    @property
    def logs_context(self) -> bool:
        """Whether the log holds the context, which is the case if the propensity reads it."""
        return "context" in self.behaviour.logs

    @property
    def is_scar_at_0(self) -> bool:
        """Whether every response has the same propensity at bias level 0, as declared."""
        return self.behaviour.scar_at_0 and self.channel.always_share == 0


PARTS = ("responses", "reward", "order", "behaviour", "channel", "users")

_OF_ONE_KIND: dict[str, type[BaseModel]] = {"order": Order, "channel": Channel, "users": Users}


def first_error(error: ValidationError) -> tuple[str, str]:
    """The first error of a validation: the dotted path of the setting, and what is wrong with it."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    said = first["msg"].removeprefix("Value error, ")
    return where, said if first["type"] == "value_error" else f"{said}, got {first['input']!r}"


def _laid_over(part: str, start: Any, change: Any) -> Any:
    """A part's settings after a change; those that a new kind shares with the old one are kept."""
    if part not in PARTS:
        return change
    if change is None or isinstance(change, BaseModel):
        return None if change is None else change.model_dump()
    start = start or {}
    if isinstance(change, str):
        change = {"kind": change}
    if not isinstance(change, Mapping):
        raise BadInput(f"{part}: give its kind or its settings, got {change!r}.")
    fields = _fields(part, change.get("kind", start.get("kind")))
    return {name: value for name, value in start.items() if name in fields} | dict(change)


def _part_with(described: Mapping[str, Any], setting: str) -> str:
    """The part that has a setting of this name."""
    fields = {part: _fields(part, (described[part] or {}).get("kind")) for part in PARTS}
    for part, names in fields.items():
        if setting in names and setting != "kind":
            return part
    known = [name for names in fields.values() for name in names if name != "kind"]
    hint = did_you_mean(setting, known)
    raise BadInput(f"no part of this world has a setting {setting!r}.{hint} There are: {', '.join(known)}.")


def _fields(part: str, kind: Any) -> list[str]:
    """Names of the settings of a part of this kind; a kind that does not exist has none of its own."""
    if part == "behaviour":
        return list(find(kind).model_fields) if isinstance(kind, str) else ["kind"]
    if part in _OF_ONE_KIND:
        return list(_OF_ONE_KIND[part].model_fields)
    union = get_args(get_args(Responses if part == "responses" else Reward)[0])
    for model in union:
        if model.model_fields["kind"].default == kind:
            return list(model.model_fields)
    return ["kind"]
