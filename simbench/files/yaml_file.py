"""Reads YAML files that people write: plain values by name, no dates, no name twice, nothing without end."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from simbench.errors import BadInput

DEEPEST, MOST_VALUES, MOST_BYTES = 50, 100_000, 1_000_000


class _Loader(yaml.SafeLoader):
    """Plain values, without dates (``2024-01-01`` stays a text); a name that stands twice is an error."""

    yaml_implicit_resolvers = {  # noqa: RUF012  (a class attribute of PyYAML)
        first: [(tag, pattern) for tag, pattern in known if not tag.endswith(":timestamp")]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise BadInput(f"{key.value!r} stands a second time, in line {key.start_mark.line + 1}.")
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Read a YAML file.

    Parameters
    ----------
    path : Path
        In UTF-8, or in UTF-16 with a byte-order mark.

    Returns
    -------
    Any
        Mappings, lists, texts, numbers, booleans and None.

    Raises
    ------
    BadInput
        If it cannot be read, is no YAML, holds a name twice in a mapping, or is nested or repeated without
        reason.
    """
    try:
        content = path.read_bytes()
        if len(content) > MOST_BYTES:
            raise BadInput(f"{path} is {len(content) / 1e6:.1f} MB large: is it a file of settings?")
        value = yaml.load(content, _Loader)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, RecursionError, BadInput) as error:
        raise BadInput(f"{path} is not valid YAML: {_what(error)}.") from error
    except ValueError as error:  # what a tag names is none, or an integer has thousands of digits
        raise BadInput(f"{path} holds a value that cannot be read: {_what(error)}.") from error
    _check_size(value, path)
    return value


def _what(error: Exception) -> str:
    """What is wrong, with the line and column as an editor counts them."""
    if isinstance(error, RecursionError):
        return f"it is nested more than {DEEPEST} deep"
    if isinstance(error, yaml.reader.ReaderError):
        return f"character {error.position + 1} is none of UTF-8, or a control character"
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f"{getattr(error, 'problem', '')}, in line {mark.line + 1}, column {mark.column + 1}"
    return str(error).splitlines()[0].rstrip(".")


def _check_size(value: Any, path: Path) -> None:
    """Refuse what aliases (``*name``) repeat without end, before anything copies or prints it."""
    left, seen = [(value, 0)], 0
    while left:
        inner, depth = left.pop()
        seen += 1
        if depth > DEEPEST or seen > MOST_VALUES:
            raise BadInput(f"{path} holds more than {MOST_VALUES:,} values, or nests them {DEEPEST} deep.")
        if isinstance(inner, dict):
            left += [(part, depth + 1) for pair in inner.items() for part in pair]
        elif isinstance(inner, list | tuple | set):
            left += [(part, depth + 1) for part in inner]
