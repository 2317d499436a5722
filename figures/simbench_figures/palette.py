"""One colour and marker an estimator, the same in every figure; safe for the colour-blind."""

import hashlib

# Okabe and Ito (2008) and Tol (2021); families share a hue neighbourhood, markers tell them apart
STYLES = {
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
    # published variants have the colour of their namesake
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
SPARE = [("#332288", "h"), ("#999933", "<"), ("#CC6677", ">"), ("#44AA99", "p"), ("#661100", "8")]


def style(estimator: str) -> tuple[str, str]:
    """Colour (hex) and marker of an estimator; unknown ones get a stable spare by their name."""
    for name in (estimator, f"{estimator}@published"):
        if name in STYLES:
            return STYLES[name]
    return SPARE[hashlib.sha256(estimator.encode()).digest()[0] % len(SPARE)]
