"""What a person's text looks like when it is printed: no control characters, and one line for a sentence.

Names of columns, estimators and worlds come from files. Printed as they are, they could move the cursor,
clear the screen or colour it.
"""

import builtins
import unicodedata
from typing import Any

LONGEST = 1_000  # characters of a sentence: a value that somebody gave may be a megabyte
SPACES = str.maketrans(dict.fromkeys("\n\r\t\v\f\x85\u2028\u2029", " "))
# control characters, halves of characters, and those that turn the direction of what follows
HIDDEN = {"Cc", "Cs", "Zl", "Zp"}
TURNING = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    """The text with escapes (``\\x1b``) in place of control characters; ends of lines stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(c) if c != "\n" and _is_hidden(c) else c for c in text)


def print(*values: object, **how: Any) -> None:
    """Python's own ``print``, of texts that are :func:`printable`; the commands print with this one."""
    builtins.print(*(printable(str(value)) for value in values), **how)


def one_line(text: str) -> str:
    """The text on one line, without control characters, and not longer than a reader would read."""
    line = printable(" ".join(text.translate(SPACES).split()))
    half = LONGEST // 2
    return line if len(line) <= LONGEST else f"{line[:half]} ... {line[-half:]}"


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in HIDDEN or character in TURNING


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
