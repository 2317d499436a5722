"""One colour and marker per estimator, the same in every figure and safe for the colour-blind."""

from collections.abc import Iterable
from typing import Literal

from matplotlib.colors import to_hex, to_rgb

Marker = str | tuple[int, Literal[0, 1, 2], int]  # as matplotlib takes them
Style = tuple[str, Marker]  # with the colour (hex)

# Okabe and Ito (2008) and Tol (2021); families share a hue neighbourhood, markers tell them apart
STYLES: dict[str, Style] = {
    "oracle": ("#000000", "*"),
    "naive": ("#999999", "o"),
    "naive-sqrt": ("#666666", "s"),
    "balanced-naive": ("#882255", "D"),
    "ips": ("#E69F00", "^"),
    "ips-scar": ("#D55E00", "v"),
    "upu": ("#56B4E9", "P"),
    "nnpu": ("#0072B2", "X"),
    "implicitrm": ("#009E73", "o"),
    "implicitrm-known": ("#117733", "s"),
    "sklearn:LogisticRegression": ("#AA4499", "d"),
    "ips-clipped": ("#B8860B", "<"),
    "snips": ("#8C510A", ">"),
    "dr": ("#CC6677", "^"),
    "mrdr": ("#A83250", "v"),
    "stable-dr": ("#F0A0B0", "P"),
    "dr@click-observed": ("#7A4B52", "X"),
    "multi-ips": ("#332288", "^"),
    "multi-dr": ("#6655BB", "v"),
    "ome-ips": ("#661100", "P"),
    "ome-dr": ("#994433", "X"),
    "implicitrm@printed": ("#44AA99", "d"),
    "sar-em": ("#556B2F", "h"),
    "lbe": ("#999933", "p"),
    "recrec": ("#C2B53C", "8"),
    "wmf": ("#7F9A9A", "D"),
    "elkan-noto": ("#88CCEE", "d"),
    "pusb": ("#1F4E8C", "h"),
    "vpu": ("#7B68EE", "p"),
    "counter-if": ("#C51B7D", "8"),
    "implicitrm-prior": ("#6DB388", "D"),
    "implicitrm-signals": ("#004D40", "^"),
    "capture-recapture": ("#A6761D", "p"),
    "bpr": ("#4C72B0", "<"),
    "ubpr": ("#2F6F8F", ">"),
    "cubpr": ("#7FB3D5", "<"),
    "upl": ("#9467BD", ">"),
    "pbm": ("#B07AA1", "p"),
    "cascade-mle": ("#D48FC0", "D"),
    "regenerate-mle": ("#7D3C78", "s"),
    # published variants have the colour of their namesake
    "counter-if@published": ("#C51B7D", "D"),
    "ips@published": ("#E69F00", "v"),
    "multi-ips@published": ("#332288", "v"),
    "multi-dr@published": ("#6655BB", "^"),
    "stable-dr@published": ("#F0A0B0", "X"),
    "rmf@published": ("#7F9A9A", "s"),
    "upu@published": ("#56B4E9", "X"),
    "nnpu@published": ("#0072B2", "P"),
    "recrec@published": ("#C2B53C", "p"),
    "bpr@published": ("#4C72B0", ">"),
    "ubpr@published": ("#2F6F8F", "<"),
    "upl@published": ("#9467BD", "<"),
}
# rows of a table of policies that nothing was fitted for
NOT_FITTED: dict[str, Style] = {"truth": ("#000000", ""), "reference": ("#555555", "")}
# far from one another and from the default estimators for every kind of colour vision (a test measures it);
# stars with few points and hexagons mark no installed estimator
SPARE_COLOURS = ("#a500ff", "#a57800", "#3c2da5", "#c3a55a", "#a50000", "#692d69", "#d24bff")
SPARE_MARKERS: tuple[Marker, ...] = ((4, 1, 0), (3, 1, 0), "H", (6, 1, 0), (4, 1, 45), (3, 1, 180))
SPARES = [
    (SPARE_COLOURS[number % len(SPARE_COLOURS)], SPARE_MARKERS[number % len(SPARE_MARKERS)])
    for number in range(len(SPARE_COLOURS) * len(SPARE_MARKERS))  # without a common divisor: no pair twice
]


def styles(estimators: Iterable[str]) -> dict[str, Style]:
    """Return the colour (hex) and the marker of every estimator in a figure.

    Parameters
    ----------
    estimators : iterable of str
        All estimators of the figure, in any order; names may be repeated.

    Returns
    -------
    dict of (str, marker)
        Colour and marker by name. Installed estimators have their own in every figure. The others get spares
        that differ from one another, in the order of their names.
    """
    names = sorted(set(estimators))
    found = {name: known for name in names if (known := _known(name)) is not None}
    strangers = [name for name in names if name not in found]
    return found | {name: SPARES[place % len(SPARES)] for place, name in enumerate(strangers)}


def luminance(colour: str) -> float:
    """Return the relative luminance as WCAG defines it, from 0 (black) to 1 (white)."""
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def ink(colour: str) -> str:
    """Return the colour, darkened until it can be read as letters on white: a contrast of 4.5 to 1."""
    darker = colour
    for share in range(100, 0, -2):
        red, green, blue = (share / 100 * part for part in to_rgb(colour))
        darker = to_hex((red, green, blue))
        if 1.05 / (luminance(darker) + 0.05) >= 4.5:
            break
    return darker


def on(colour: str) -> str:
    """Return black or white, whichever is easier to read on this colour."""
    return "black" if luminance(colour) > 0.179 else "white"


def _known(estimator: str) -> Style | None:
    known = STYLES | NOT_FITTED
    return known.get(estimator) or known.get(f"{estimator}@published")
