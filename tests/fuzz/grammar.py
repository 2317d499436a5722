"""Command lines: small valid ones of every command, and what is changed in them."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import typer
from hypothesis import strategies as st
from inputs import FIT, SMALL

from simbench.cli import app

# valid lines, all of them quick: the command, what stands without a flag, and the flags
LINES: dict[str, tuple[str, ...]] = {
    "run": (*SMALL, "--estimators", "naive", "--out", "new"),
    "simulate": ("--size", "40", "--features-dim", "2", "--out", "new.csv"),
    "check": ("naive",),
    "tune": ("naive", "--size", "60", "--replicates", "1", "--trials", "1"),
    "downstream": ("results",),
    "figure": ("bias-variance", "results", "--to", "new"),
    "figures": ("repro", "--only", "risk", "--to", "new"),
    "repro": ("--quick", "--only", "risk", "--out", "new"),
    "fit": ("log.csv", *FIT, "--out", "new"),
    "score": ("model", "log.csv", "--features", "col:emb_", "--out", "new.csv"),
    "diagnose": ("log.csv", "--features", "col:emb_", "--parameter", "epochs=2"),
    "plan": ("--target-rmse", "0.4", "--replicates", "1"),
    "embed": ("log.csv", "--model", "bert", "--out", "new.safetensors"),
    "finetune": ("log.csv", "--model", "bert", "--estimator", "naive", "--epochs", "1", "--out", "new"),
    "export": ("tuned", "new"),
    "list": ("grants",),
}
NUMBERS = (
    *("nan", "inf", "-inf", "-1", "0", "1", "0.5", "1e308", "-1e308", "1e-320", "1e12", "1000000000000"),
    *(
        "9223372036854775808",
        "99999999999999999999999999",
        "0x10",
        "1_000",
        "1,5",
        "½",
        "٣",
        "+3",
        "1e",
        "--",
    ),
)
TEXTS = (
    *(
        "",
        " ",
        ",",
        ",,",
        ":",
        "=",
        "a=b",
        "~",
        "~/x",
        "~nobody/x",
        ".",
        "..",
        "/",
        "\0",
        "a\0b",
        "\n",
        "a\nb",
    ),
    *("\x1b[31mred\x1b[0m", "[red]x[/red]", "[/]", "\u202e", "\ud800", "\udcff", "ρ", "日本", "é" * 40),
    *(
        "x" * 300,
        "x" * 5000,
        "a/" * 200,
        "%s",
        "{0}",
        "$HOME",
        "None",
        "null",
        "true",
        "hub:a/b",
        "hub:",
        "-",
    ),
    *(
        "s3://bucket/x",
        "memory://x",
        "http://127.0.0.1:9/x",
        "file:///nowhere/x",
        "nope://x",
        "col:",
        "a" * 256,
    ),
)
WORDS = (
    *(
        "naive",
        "oracle",
        "ips",
        "implicitrm",
        "all",
        "none",
        "sklearn:LogisticRegression",
        "sklearn:",
        "x.y:Z",
    ),
    *("mine.py:Mine", "mine.py:Nope", "mine.py", "picture.py", "log.csv:Mine", "exclusive", "twin:helpsteer"),
    *("json", "csv", "latex", "markdown", "cuda", "cpu", "bf16", "votes", "logistic", "threshold", "length"),
    *("feature:0", "feature:99", "col:emb_", "col:e", "clicked", "emb_0", "prompt_id", "label", "response"),
    *("propensity", "propensity,labels", "labels=0", "epochs=2", "epochs=0", "hidden=5", "lr=nan", "lr=-1"),
    *(
        "batch_size=0",
        "patience=0",
        "validation_share=2",
        "seed=x",
        "hidden=(0,)",
        "variance",
        "risk",
        "bias",
    ),
)
FILES = (
    *(
        "log.csv",
        "log.parquet",
        "log.jsonl",
        "log.jsonl.gz",
        "emb.npy",
        "emb.safetensors",
        "study.yaml",
        "model",
    ),
    *(
        "results",
        "repro",
        "empty",
        "empty.csv",
        "bert",
        "tuned",
        "linear",
        "texts.safetensors",
        "nowhere.csv",
        "nowhere",
        "model/card.json",
        "mine.py",
    ),
    *(
        "results/study.json",
        "new",
        "new.csv",
        "new.parquet",
        "new.jsonl",
        "new.html",
        "log.csv/x",
        "empty/x.csv",
    ),
)
# these start other processes, or whole hours of work: nothing of what they do is seen in this one
NOT_VARIED = {"--executor", "--jobs", "--help", "--version", "--debug", "--quick", "--check"}
WHOLE_HOURS = {("repro", "--only"), ("figures", "--only")}

Line = list[str]


@cache
def flags(command: str) -> tuple[tuple[str, str], ...]:
    """The flags of a command, each with the kind of its value: number, path, text, or none."""
    found: list[tuple[str, str]] = []
    for parameter in _command(command).params:
        if parameter.param_type_name == "option":
            kind = "none" if getattr(parameter, "is_flag", False) else _kind(parameter)
            found += [(name, kind) for name in (*parameter.opts, *parameter.secondary_opts)]
    return tuple(one for one in found if one[0] not in NOT_VARIED and (command, one[0]) not in WHOLE_HOURS)


def _command(name: str) -> Any:
    return typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]


def _kind(parameter: Any) -> str:
    descriptor = getattr(parameter, "type_descriptor", None)  # typer's own since it holds a copy of click
    said = str(getattr(descriptor, "annotation", None) or parameter.type).lower()
    return next((kind for word, kind in KINDS.items() if word in said), "text")


KINDS = {"int": "number", "float": "number", "path": "path"}
# what a flag of a kind is given: mostly values of its kind, for others are refused at once
POOLS = {
    "number": (NUMBERS, NUMBERS, NUMBERS, NUMBERS, TEXTS),
    "path": (FILES, FILES, TEXTS),
    "text": (WORDS, WORDS, FILES, TEXTS, NUMBERS),
    "none": (),
}


def values(kind: str) -> st.SearchStrategy[str]:
    """A value of a flag."""
    return st.one_of(*(st.sampled_from(pool) for pool in POOLS[kind]))


@st.composite
def lines(draw: st.DrawFn) -> Line:
    """A valid line of some command, with one change, or a few."""
    command = draw(st.sampled_from(sorted(LINES)))
    line = list(LINES[command])
    for _ in range(draw(st.sampled_from((1, 1, 1, 1, 2, 3)))):
        line = _changed(draw, command, line)
    return [command, *line]


def _changed(draw: st.DrawFn, command: str, line: Line) -> Line:
    """A line with one flag set anew, one word replaced, or one left out."""
    known = flags(command)
    how = draw(st.sampled_from(("flag", "flag", "flag", "flag", "flag", "flag", "word", "drop")))
    if how == "flag" and known:
        name, kind = draw(st.sampled_from(known))
        return _with_flag(line, name, [] if kind == "none" else [draw(values(kind))])
    if not line:
        return line
    place = draw(st.integers(0, len(line) - 1))
    if how == "drop":
        return line[:place] + line[place + 1 :]
    return [*line[:place], draw(values("text")), *line[place + 1 :]]


def _with_flag(line: Line, name: str, value: Sequence[str]) -> Line:
    """The line with a flag: in its old place if it has one, else at the end."""
    if name not in line:
        return [*line, name, *value]
    place = line.index(name)
    return [*line[: place + 1], *value, *line[place + 1 + len(value) :]]
