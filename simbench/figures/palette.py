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
}
SPARE = [("#332288", "h"), ("#999933", "<"), ("#CC6677", ">"), ("#44AA99", "p"), ("#661100", "8")]


def style(estimator: str) -> tuple[str, str]:
    """Colour (hex) and marker of an estimator; unknown ones get a stable spare by their name."""
    if estimator in STYLES:
        return STYLES[estimator]
    return SPARE[hashlib.sha256(estimator.encode()).digest()[0] % len(SPARE)]
