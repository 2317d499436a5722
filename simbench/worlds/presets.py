"""Worlds that can be asked for by name."""

from simbench.errors import BadInput, did_you_mean
from simbench.worlds.config import WorldConfig
from simbench.worlds.twins import TWIN_DESCRIPTIONS, TWINS

PRESETS: dict[str, WorldConfig] = {
    "exclusive": WorldConfig(),
    "shared": WorldConfig(name="shared", salience="features"),
    "confounded": WorldConfig(name="confounded", confounding=0.5),
    "rating": WorldConfig(name="rating", law="rating", salience="features"),
    "misclick": WorldConfig(name="misclick", misclick=0.05),
    "always": WorldConfig(name="always", salience="features", always_share=0.05),
    "signals": WorldConfig(name="signals", salience="features", signals=2),
    "copyable": WorldConfig(name="copyable", salience="trait", trait="feature:29", responses_per_prompt=32),
    **TWINS,
}

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
    **TWIN_DESCRIPTIONS,
}


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
