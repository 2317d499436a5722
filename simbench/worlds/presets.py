"""Worlds that can be asked for by name."""

from pydantic import BaseModel

from simbench.errors import BadInput, did_you_mean
from simbench.worlds.behaviours.cascade import Cascade
from simbench.worlds.behaviours.logit import Logit
from simbench.worlds.behaviours.page import PositionBased
from simbench.worlds.behaviours.rating import Rating
from simbench.worlds.behaviours.regenerate import Regenerate
from simbench.worlds.channel import Channel
from simbench.worlds.config import WorldConfig
from simbench.worlds.order import Order
from simbench.worlds.responses import Synthetic
from simbench.worlds.twins import TWIN_DESCRIPTIONS, TWINS
from simbench.worlds.users import Users

_SHARED = Logit(reads="features")

_WORLDS = (
    WorldConfig(name="exclusive"),
    WorldConfig(name="shared", behaviour=_SHARED),
    WorldConfig(name="confounded", behaviour=Logit(confounding=0.5)),
    WorldConfig(name="rating", behaviour=Rating()),
    WorldConfig(name="misclick", channel=Channel(misclick=0.05)),
    WorldConfig(name="always", behaviour=_SHARED, channel=Channel(always_share=0.05)),
    WorldConfig(name="signals", behaviour=_SHARED, channel=Channel(signals=2)),
    WorldConfig(
        name="copyable",
        responses=Synthetic(trait="feature:29", responses_per_prompt=32),
        behaviour=Logit(reads="trait"),
    ),
    WorldConfig(name="page", behaviour=PositionBased()),
    WorldConfig(name="ranked", order=Order(ranked=0.8), behaviour=PositionBased()),
    WorldConfig(name="cascade", behaviour=Cascade()),
    WorldConfig(name="regenerate", behaviour=Regenerate()),
    WorldConfig(name="users", users=Users(activity=0.7, leniency=0.7, careless=0.05)),
)

PRESETS: dict[str, WorldConfig] = {world.name: world for world in _WORLDS} | TWINS

DESCRIPTIONS = {
    "exclusive": "propensity reads context only, reward reads features only (exclusion)",
    "shared": "propensity and reward read the same features; no context is logged",
    "confounded": "propensity reads context and, with correlation .5, the reward itself",
    "rating": "rating power law of the published protocol, capped: better responses are acted on more",
    "misclick": "exclusive, and an active user clicks a bad response with probability .05",
    "always": "shared, and the users of 5 % of the prompts always act when satisfied",
    "signals": "shared, and several signals are logged: click and copy, unless --signals says more",
    "copyable": "propensity reads one feature of the response that says next to nothing of its reward "
    "(say, how "
    "easily it is copied); 32 responses a prompt",
    "page": "users look at the first places of a page more often; the order is random",
    "ranked": "page, and a ranker puts good responses first: place and reward are confounded",
    "cascade": "users go down a page until a response satisfies them",
    "regenerate": "a chat: attempts until one satisfies or patience ends; the last may be copied",
    "users": "exclusive, with users of 5 pages each who differ in activity and leniency; 5 % are careless",
    **TWIN_DESCRIPTIONS,
}


def described(world: WorldConfig) -> str:
    """One line about a world: what is said of its preset where it acts alike, and what was changed."""
    name = world.name if world.name in PRESETS else world.name.split(":")[0]
    start, behaviour = PRESETS.get(name, WorldConfig()), world.behaviour
    said = [DESCRIPTIONS.get(name, "as configured")]
    if behaviour != start.behaviour:
        if name in PRESETS or behaviour.kind != start.behaviour.kind:
            said = [f"behaviour {behaviour.kind}"]
        said += _settings(behaviour)
    for part, usual in ((world.order, start.order), (world.channel, start.channel)):
        said += [one for one in _settings(part) if one not in _settings(usual)]
    if world.users is not None and world.users != start.users:
        said += [f"users of {world.users.pages_per_user} pages each", *_settings(world.users)]
    return ", ".join(said)


def _settings(part: BaseModel) -> list[str]:
    """The settings of a part that are not the usual ones, in words."""
    usual = {name: info.default for name, info in type(part).model_fields.items()}
    return [f"{name} {value}" for name, value in part if name != "kind" and value != usual[name]]


def preset(name: str) -> WorldConfig:
    """Return the configuration of the world called ``name``.

    Raises
    ------
    BadInput
        If there is none; the message suggests the nearest name.
    """
    if name not in PRESETS:
        hint = did_you_mean(name, PRESETS)
        raise BadInput(f"there is no world {name!r}.{hint} See: simbench list worlds.")
    return PRESETS[name]
