"""``paper_repro.md``, a pure function of the measured values: no number in it is typed by hand."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from simbench.errors import BadInput
from simbench.files.write import write_json, write_whole
from simbench.repro.findings import SLOT, Finding, Table
from simbench.repro.outline import CAPTIONS, FIRST_FIGURE, GROUPS, INTRODUCTION, MAP, READING
from simbench.repro.verdicts import ClaimVerdict


class Reproduction(BaseModel, frozen=True, extra="forbid"):
    """Everything that the document says, as stored in ``paper_repro.json``.

    Parameters
    ----------
    environment : dict of str
        Versions, form (``quick``, ``default`` or ``full``), data (``twin`` or ``hub``), steps and the seconds
        they took; under ``figures`` the folder of the figures, seen from the document, or nothing.
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
    findings, folder = reproduction.findings, reproduction.environment.get("figures", "")
    parts = [INTRODUCTION, "## What was found\n", *_groups(findings), *_figure(FIRST_FIGURE, folder)]
    parts += ["## Verdicts\n", _overview(findings), READING.format(level=f"{reproduction.level:.0%}")]
    parts += ["## The paper, and where it is here\n", *_table(MAP)]
    parts += [_section(finding, folder) for finding in findings]
    parts += ["# Appendix\n", _made_with(reproduction)]
    parts += [_long_tables(finding) for finding in findings if any(table.long for table in finding.tables)]
    return "\n".join(parts)


def _groups(findings: tuple[Finding, ...]) -> list[str]:
    """One line a group of claims: which hold, and which do not."""
    lines = []
    for title, keys in GROUPS.items():
        here = [finding for finding in findings if finding.key in keys]
        parts = []
        for verdict in ClaimVerdict:
            found = [
                f"[{finding.key}](#claim-{finding.key})" for finding in here if finding.verdict is verdict
            ]
            parts += [f"{', '.join(found)} **{_plural(verdict, len(found))}**"] if found else []
        lines += [f"* {title}: {'; '.join(parts)}."] if parts else []
    return [*lines, ""]


def _plural(verdict: ClaimVerdict, count: int) -> str:
    return str(verdict) if count == 1 else verdict.replace("holds", "hold").replace("does", "do")


def _figure(name: str, folder: str) -> list[str]:
    return [f"![{CAPTIONS[name]}]({folder}/{name})", ""] if name and folder else []


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
    for finding in findings:
        named = f": {finding.condition}" if finding.condition else ""
        lines.append(
            f"| [{finding.key}](#claim-{finding.key}) | {finding.claim} | **{finding.verdict}**{named} |"
        )
    return "\n".join([*lines, ""])


def _section(finding: Finding, folder: str) -> str:
    """The section of one claim: what is claimed, the verdict and why, the command, figure, short tables."""
    named = f" ({finding.condition})" if finding.condition else ""
    lines = [
        f'<a id="claim-{finding.key}"></a>',
        "",
        f"## {finding.key}. {finding.claim}",
        "",
        f"**Verdict: {finding.verdict}**{named}. {finding.because}",
        "",
    ]
    if finding.verdict is not ClaimVerdict.untested:
        lines += [f"*Rule.* {finding.rule}", ""]
    lines += [f"*Command.* `{finding.command}`", ""]
    if finding.figure != FIRST_FIGURE:
        lines += _figure(finding.figure, folder)
    for table in finding.tables:
        if not table.long:
            lines += _table(table)
    if any(table.long for table in finding.tables):
        lines += [f"[All numbers](#tables-{finding.key})", ""]
    return finding.fill("\n".join(lines))


def _long_tables(finding: Finding) -> str:
    lines = [f'<a id="tables-{finding.key}"></a>', "", f"## Tables of claim {finding.key}", ""]
    for table in finding.tables:
        if table.long:
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
