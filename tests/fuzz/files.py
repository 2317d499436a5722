"""Damaged files: valid ones in which bytes, words or values are changed, and the commands that read them."""

import copy
import datetime
import decimal
import gzip
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from grammar import LINES, Line
from hypothesis import strategies as st
from inputs import FIT, SMALL
from safetensors.numpy import save

FIT_LOG = ("fit", "{}", *FIT, "--out", "new")
OF_RESPONSES = (
    "run",
    "--worlds",
    "1",
    "--responses",
    "{}",
    "--size",
    "20",
    "--replicates",
    "1",
    "--estimators",
    "naive",
)
EVERYTHING = (
    "--context",
    "activity",
    "--groups",
    "prompt_id",
    "--labels",
    "label",
    "--propensity",
    "propensity",
)
LOGS = ("log.csv", "log.parquet", "log.jsonl", "log.jsonl.gz")
OF_A_LOG: tuple[tuple[str, ...], ...] = (
    FIT_LOG,
    FIT_LOG,
    (
        "fit",
        "{}",
        "--features",
        "col:emb_",
        "--estimator",
        "implicitrm",
        *EVERYTHING[:4],
        *FIT[-2:],
        "--out",
        "new",
    ),
    ("fit", "{}", "--features", "col:emb_", "--estimator", "ips", *EVERYTHING, *FIT[-2:], "--out", "new"),
    ("score", "model", "{}", "--features", "col:emb_", "--out", "new.csv"),
    ("score", "model", "{}", "--features", "col:emb_", "--out", "new.parquet"),
    ("diagnose", "{}", "--features", "col:emb_", *FIT[-2:]),
    (*OF_RESPONSES, "--out", "new"),
    (*OF_RESPONSES, "--features", "emb.npy", "--out", "new"),
    ("embed", "{}", "--model", "bert", "--out", "new.safetensors"),
    ("finetune", "{}", *LINES["finetune"][1:]),
)
OF_FEATURES = (
    ("fit", "log.csv", "--features", "{}", *FIT[2:], "--out", "new"),
    ("run", "--worlds", "1", "--responses", "log.csv", "--features", "{}", *OF_RESPONSES[3:], "--out", "new"),
)
OF_A_MODEL = (("score", "model", "log.csv", "--features", "col:emb_", "--out", "new.csv"),)
OF_A_TUNED = (("score", "tuned", "log.csv", "--out", "new.csv"), ("export", "tuned", "new"))
OF_RESULTS = (
    ("figure", "bias-variance", "results", "--to", "new"),
    ("downstream", "results"),
    ("run", "--worlds", "1", *SMALL, "--estimators", "oracle,naive", "--replicates", "2", "--out", "results"),
)
# files by their pattern in the folder of inputs, and the lines that read them
READERS: dict[str, tuple[tuple[str, ...], ...]] = {
    **dict.fromkeys(LOGS, OF_A_LOG),
    "emb.npy": OF_FEATURES,
    "emb.safetensors": OF_FEATURES,
    "texts.safetensors": OF_FEATURES,
    "texts.*json": (("fit", "log.csv", "--features", "texts.safetensors", *FIT[2:], "--out", "new"),),
    "study.yaml": (("run", "--study", "{}", "--out", "new"), ("run", "--study", "{}", "--dry-run")),
    "model/*": OF_A_MODEL,
    "linear/*.json": (("export", "linear", "new"), ("score", "linear", "log.csv", "--out", "new.csv")),
    "tuned/*": OF_A_TUNED,
    "results/study.json": OF_RESULTS,
    "results/results.parquet": OF_RESULTS,
    "results/shards/*": OF_RESULTS,
    "repro/risk/*": (
        ("figures", "repro", "--only", "risk", "--to", "new"),
        ("repro", *LINES["repro"][:3], "--out", "repro"),
    ),
}
WORDS = (
    *(
        b"NaN",
        b"nan",
        b"inf",
        b"-Infinity",
        b"1e999",
        b"1e308",
        b"-1",
        b"0",
        b"2",
        b"1.5",
        b"9" * 30,
        b"9" * 5000,
    ),
    *(
        b"null",
        b"None",
        b"NA",
        b"",
        b" ",
        b"true",
        b"maybe",
        b"[]",
        b"{}",
        b"[[1]]",
        b'"text"',
        b'"',
        b"'",
        b",",
    ),
    *(
        b"2024-99-99",
        b"0x1F",
        b"\xe9",
        b"\xff\xfe",
        b"\x00",
        b"\x1b[31m",
        b"[/red]",
        b"\\ud800",
        "ρ".encode(),
        b"\r",
    ),
    *(
        b"*",
        b"&a",
        b"!!python/none",
        b"- ",
        b": ",
        b"\t",
        b"#",
        b"[" * 2000,
        b'{"a":' * 500,
        b"\xef\xbb\xbf",
        b"\n\n",
    ),
)
VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2,
        1.5,
        1e308,
        -1e-320,
        float("nan"),
        float("inf"),
        10**30,
        "",
        " ",
        "text",
    ),
    *(
        "nan",
        "1",
        "\x1b[31m",
        "\ud800",
        "ρ",
        [],
        {},
        [[]],
        [1, "a", None],
        {"a": 1},
        [{"role": "user"}],
        "x" * 5000,
    ),
    *("os:system", "../../x", "/nowhere", "2024-99-99", "naive", "[/]"),
)
CELLS: tuple[Any, ...] = (
    *(True, -1, 2**62, 0.5, float("nan"), float("inf"), 1e308, "text", "1", b"\xff", [1.0], [], {"a": 1}),
    *(decimal.Decimal("1.5"), datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)),
)
WORD = re.compile(rb"[-+.\w]+|[^\s\w]")


@dataclass(frozen=True)
class Case:
    """A file, what it holds instead of what it should, and a line that reads it."""

    name: str
    content: bytes
    line: Line

    def put(self, folder: Path) -> Line:
        """Write the file into a folder of inputs; returns the line."""
        (folder / self.name).write_bytes(self.content)
        return self.line


def targets(valid: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Every file that can be damaged, with each line that reads it."""
    return [
        (str(path.relative_to(valid)), line)
        for pattern, lines in READERS.items()
        for path in sorted(valid.glob(pattern))
        if path.is_file()
        for line in lines
    ]


@st.composite
def cases(draw: st.DrawFn, valid: Path) -> Case:
    """A damaged file, and a command line that reads it."""
    name, line = draw(st.sampled_from(targets(valid)))
    content = (valid / name).read_bytes()
    kind = draw(st.sampled_from(("bytes", "words", "words", "values", "values", "other")))
    if kind == "other":  # a file of another kind under this name
        other, _ = draw(st.sampled_from(targets(valid)))
        content = (valid / other).read_bytes()
    elif name.endswith(".gz") and draw(st.booleans()):
        content = gzip.compress(_damaged(draw, gzip.decompress(content), kind, name[:-3]), mtime=0)
    else:
        content = _damaged(draw, content, kind, name)
    return Case(name, content, [word.replace("{}", name) for word in line])


def _damaged(draw: st.DrawFn, content: bytes, kind: str, name: str) -> bytes:
    if kind == "values" and name.endswith((".json", ".jsonl", ".yaml")):
        return _with_other_value(draw, content, name)
    if kind == "values" and name.endswith((".parquet", ".npy", ".safetensors")):
        return draw(
            st.sampled_from(
                (_with_other_column, _with_other_array)[not name.endswith("parquet")](content, name)
            )
        )
    if kind in ("words", "values") and not name.endswith((".parquet", ".npy", ".safetensors", ".gz", ".db")):
        places = [match.span() for match in WORD.finditer(content)] or [(0, 0)]
        start, end = draw(st.sampled_from(places))
        return content[:start] + draw(st.sampled_from(WORDS)) + content[end:]
    return _with_other_bytes(draw, content)


def _with_other_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """Cut, flipped, replaced, put in, left out or doubled; more often at the beginning and at the end."""
    size = len(content)
    near = st.one_of(
        st.integers(0, size), st.integers(0, min(size, 100)), st.integers(max(0, size - 100), size)
    )
    start, end = sorted((draw(near), draw(near)))
    how = draw(st.sampled_from(("cut", "cut front", "flip", "flip", "replace", "insert", "drop", "double")))
    if how == "flip" and size:
        place = min(start, size - 1)
        return content[:place] + bytes([content[place] ^ 1 << draw(st.integers(0, 7))]) + content[place + 1 :]
    some = draw(st.binary(max_size=40))
    changed = {
        "cut": content[:start],
        "cut front": content[start:],
        "replace": content[:start] + some + content[start + len(some) :],
        "insert": content[:start] + some + content[start:],
        "drop": content[:start] + content[end:],
        "double": content[:end] + content[start:],
    }
    return changed.get(how, b"")


def _with_other_value(draw: st.DrawFn, content: bytes, name: str) -> bytes:
    """YAML, JSON, or a line of it, in which one value is another, is missing, or has another name."""
    lines = content.splitlines() if name.endswith(".jsonl") else [content]
    number = draw(st.integers(0, len(lines) - 1))
    value = yaml.safe_load(content) if name.endswith(".yaml") else json.loads(lines[number])
    path = draw(st.sampled_from(list(_paths(value))))
    changed = _changed(draw, value, path)
    if name.endswith(".yaml"):
        return yaml.safe_dump(changed, allow_unicode=False).encode()
    lines[number] = json.dumps(changed).encode()
    return b"\n".join(lines)


def _with_other_column(content: bytes, name: str) -> list[bytes]:
    """Tables in which one column is missing, stands twice, or holds something else, for every column."""
    table = pq.read_table(io.BytesIO(content))
    rows, found = table.num_rows, [table.slice(0, 0), table.slice(0, 1), pa.table({"x": [1]})]
    others = [pa.nulls(rows), *(pa.array([value] * rows) for value in CELLS)]
    for place, column in enumerate(table.schema.names):
        found += [table.remove_column(place), table.append_column(column, table.column(place))]
        found += [table.set_column(place, column, other) for other in others]
        mixed = [
            None if row == rows // 2 else value for row, value in enumerate(table.column(place).to_pylist())
        ]
        found.append(table.set_column(place, column, pa.array(mixed, table.schema.field(place).type)))
    return [_written(lambda to, table=table: pq.write_table(table, to)) for table in found]


def _with_other_array(content: bytes, name: str) -> list[bytes]:
    """Arrays of another shape or kind, and with numbers that are none."""
    good = np.arange(80, dtype=np.float32).reshape(40, 2)
    bad = np.where(good == 7, np.float32("nan"), good), np.where(good == 7, np.float32("inf"), good)
    arrays = [
        *bad,
        good[:39],
        good[:0],
        good[:, :0],
        good[:, 0],
        good[None],
        good.astype(np.float16),
        good * 0,
    ]
    arrays += [good.astype(np.int8), good.astype(bool), good.astype(np.float64) * 1e300, np.float32(3)]
    if name.endswith(".npy"):
        arrays += [good.astype(">f8"), np.asfortranarray(good), good.astype(str), good.astype(complex)]
        return [_written(lambda to, array=array: np.save(to, array)) for array in arrays]
    return [
        *(save({"embeddings": np.ascontiguousarray(array)}) for array in arrays),
        save({"x": good}),
        save({}),
    ]


def _written(write: Callable[[io.BytesIO], object]) -> bytes:
    to = io.BytesIO()
    write(to)
    return to.getvalue()


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in inner:
        yield from _paths(part, (*path, name))


def _changed(draw: st.DrawFn, value: Any, path: tuple[Any, ...]) -> Any:
    if not path:
        return draw(st.sampled_from(VALUES))
    value = copy.deepcopy(value)
    holder = value
    for name in path[:-1]:
        holder = holder[name]
    how = draw(st.sampled_from(("other", "other", "other", "missing", "renamed")))
    if how == "other" or isinstance(holder, list):
        holder[path[-1]] = draw(st.sampled_from(VALUES))
    else:
        old = holder.pop(path[-1])
        if how == "renamed":
            holder[f"{path[-1]}_"] = old
    return value
