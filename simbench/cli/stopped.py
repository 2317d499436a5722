"""What a command says when it is stopped: what it keeps, and how to go on."""

import shlex
from collections.abc import Sequence

KEPT = {
    "run": "finished cells are kept",
    "repro": "finished cells are kept",
    "embed": "what was embedded up to a minute ago is kept",
    "finetune": "the last checkpoint is kept",
    "tune": "finished trials are kept",
}


def stopped(arguments: Sequence[str]) -> str:
    """The sentence for a command line that was stopped."""
    command = next((argument for argument in arguments if not argument.startswith("-")), "")
    again = shlex.join(["simbench", *arguments])
    keeps = command in KEPT and (command != "tune" or any(word.startswith("--out") for word in arguments))
    if keeps:
        return f"stopped; {KEPT[command]}. To go on: {again}"
    return f"stopped before it was done. To start again: {again}"
