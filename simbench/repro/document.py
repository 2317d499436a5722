"""``paper_repro.md``, a pure function of the measured values: no number in it is typed by hand."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from simbench.errors import BadInput
from simbench.files.write import write_json, write_whole
from simbench.repro.quantities import SLOT, ClaimVerdict, Finding, Table

INTRODUCTION = """\
# The paper, reproduced and examined

Claims of *ImplicitRM: Unbiased Reward Modeling from Implicit Preference Data for LLM alignment* (arXiv
2603.23184), and claims about it: what tests each, what was measured, and a verdict by a rule in code. Written
by `simbench repro` from results on disk; no number is typed. `simbench repro --check` reruns a small form of
it and fails where they disagree.
"""

READING = """\
`a [b, c]` is a value with its {level} interval, over replicated logs unless a table says otherwise. Verdicts:
*holds*, *holds under a condition*, *does not hold*, *could not be tested here*; the rule stands with each
claim. Units: bias² and mean squared error are squared probabilities; MAE, RMSE and shifts are probabilities.
"""


class Reproduction(BaseModel, frozen=True, extra="forbid"):
    """Everything that the document says, as stored in ``paper_repro.json``.

    Parameters
    ----------
    environment : dict of str
        Versions, form (``full`` or ``quick``), data (``twin`` or ``hub``), steps and the seconds they took.
    level : float
        Coverage of the intervals.
    findings : tuple of Finding
        What became of every claim.
    """

    environment: dict[str, Any]
    level: float
    findings: tuple[Finding, ...]


def render(reproduction: Reproduction) -> str:
    """Return the document as Markdown.

    Raises
    ------
    KeyError
        If a text has a slot that no quantity fills.
    """
    parts = [INTRODUCTION, _made_with(reproduction), READING.format(level=f"{reproduction.level:.0%}")]
    parts += ["## Verdicts\n", _overview(reproduction.findings)]
    parts += [_section(finding) for finding in reproduction.findings]
    return "\n".join(parts)


def _made_with(reproduction: Reproduction) -> str:
    made = reproduction.environment
    lines = [
        f"Made by simbench {made['simbench']} (torch {made['torch']}, Python {made['python']}), the "
        f"{made['form']} form, data: {made['data']}. Minutes of fitting by step, added up over processes, "
        f"on {made['machine']}:",
        "",
        "| step | minutes |",
        "|---|---|",
    ]
    lines += [f"| `{name}` | {seconds / 60:.1f} |" for name, seconds in made["seconds"].items()]
    total = sum(made["seconds"].values())
    return "\n".join([*lines, f"| all | {total / 60:.1f} |", ""])


def _overview(findings: tuple[Finding, ...]) -> str:
    lines = ["| | claim | verdict |", "|---|---|---|"]
    lines += [f"| {finding.key} | {finding.claim} | **{finding.verdict}** |" for finding in findings]
    return "\n".join([*lines, ""])


def _section(finding: Finding) -> str:
    """The section of one claim: what is claimed, the command, the verdict and why, tables."""
    lines = [
        f"## {finding.key}. {finding.claim}",
        "",
        f"**Verdict: {finding.verdict}.** {finding.because}",
        "",
    ]
    if finding.verdict is not ClaimVerdict.untested:
        lines += [f"*Rule.* {finding.rule}", ""]
    lines += [f"*Command.* `{finding.command}`", ""]
    for table in finding.tables:
        lines += _table(table)
    return finding.fill("\n".join(lines))


def _table(table: Table) -> list[str]:
    lines = [
        f"{table.title}:",
        "",
        "| " + " | ".join(table.columns) + " |",
        "|---" * len(table.columns) + "|",
    ]
    lines += ["| " + " | ".join(row) + " |" for row in table.rows]
    return [*lines, "", *([table.note, ""] if table.note else [])]


def unfilled(text: str) -> list[str]:
    """Return the slots that are left unfilled in a document."""
    return SLOT.findall(text)


def write(reproduction: Reproduction, document: Path, values: Path) -> None:
    """Write the document, and the measured values beside it, each completely or not at all."""
    text = render(reproduction)
    write_json(values, json.loads(reproduction.model_dump_json()))
    write_whole(document, lambda to: to.write_text(text, encoding="utf-8"))


def read(values: Path) -> Reproduction:
    """Read the measured values of a document.

    Raises
    ------
    BadInput
        If the file cannot be read, or is damaged.
    """
    try:
        return Reproduction.model_validate_json(values.read_bytes())
    except OSError as error:
        raise BadInput(f"{values} cannot be read ({error.strerror}): run simbench repro first.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{values} is damaged ({where}: {first['msg']}): run simbench repro again.") from error
