"""Messages between the bench and a guest's process: JSON and arrays (safetensors), in frames of known length.

Nothing is unpickled on either side: the bench reads what a guest writes.
"""

import json
import os
import select
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

LENGTHS = struct.Struct("<QQ")  # bytes of the JSON, and of the arrays behind it
MOST_TEXT = 1 << 24  # bytes of JSON in a frame

Arrays = dict[str, np.ndarray]
Message = dict[str, Any]


class OverError(EOFError):
    """The other side's session is over, and it will neither read nor write."""


class Channel:
    """A pair of pipes that carries frames.

    Parameters
    ----------
    reader, writer : int
        File descriptors.
    watch : int, optional
        A file descriptor that becomes readable when the other side's session is over.

    Attributes
    ----------
    clean : bool
        Whether no frame was left in the middle.
    """

    def __init__(self, reader: int, writer: int, watch: int | None = None):
        self.reader, self.writer, self.watch, self.clean = reader, writer, watch, True
        if watch is not None:
            os.set_blocking(writer, False)

    def send(self, message: Mapping[str, Any], arrays: Mapping[str, np.ndarray] | None = None) -> None:
        """Write one frame.

        Raises
        ------
        OSError, OverError
            If nobody reads any longer.
        TypeError
            If the message is not JSON, or an array holds objects.
        """
        text = json.dumps(message).encode()
        blob = _packed(arrays) if arrays else b""
        self._wait(self.writer)
        self.clean = False
        for part in (LENGTHS.pack(len(text), len(blob)) + text, blob):
            self._write(part)
        self.clean = True

    def receive(self, most: int | None = None) -> tuple[Message, Arrays]:
        """Read one frame.

        Parameters
        ----------
        most : int, optional
            Bytes of arrays to accept at most.

        Raises
        ------
        EOFError
            If the other side is gone.
        ValueError
            If this is no frame, or too long.
        """
        self._wait(self.reader)
        self.clean = False
        of_text, of_blob = LENGTHS.unpack(self._read(LENGTHS.size))
        if of_text > MOST_TEXT or (most is not None and of_blob > most):
            raise ValueError(f"a message of {of_text + of_blob:,} bytes is too long")
        message = json.loads(self._read(of_text))
        if not isinstance(message, dict):
            raise ValueError("a message is no JSON object")
        try:
            arrays = load(bytes(self._read(of_blob))) if of_blob else {}
        except SafetensorError as error:
            raise ValueError(f"a message's arrays are damaged: {error}") from error
        self.clean = True
        return message, arrays

    def _write(self, part: bytes) -> None:
        rest = memoryview(part)
        while rest:
            self._wait(self.writer)
            rest = rest[os.write(self.writer, rest) :]

    def _read(self, length: int) -> bytearray:
        found = bytearray()
        while len(found) < length:
            self._wait(self.reader)
            part = os.read(self.reader, min(length - len(found), 1 << 20))
            if not part:
                raise EOFError("the other side is gone")
            found += part
        return found

    def _wait(self, pipe: int) -> None:
        """Wait until this pipe is ready, or the session of the other side is over."""
        if self.watch is None:
            return
        to_write = [pipe] if pipe == self.writer else []
        to_read = [self.watch, *([] if to_write else [pipe])]
        read, written, _ = select.select(to_read, to_write, [])
        if pipe not in read + written or (to_write and self.watch in read):
            raise OverError("the other side's session is over")


def _packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise TypeError(f"{name} has dtype {array.dtype}, which is no number")
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def encoded(value: Any) -> Any:
    """A parameter as JSON that :func:`decoded` turns back into the same value, tuples and sets included.

    Raises
    ------
    TypeError
        If it is no number, text or container of them.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple):
        return {"tuple": [encoded(part) for part in value]}
    if isinstance(value, frozenset):
        return {"set": [encoded(part) for part in sorted(value)]}
    if isinstance(value, list):
        return [encoded(part) for part in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: encoded(part) for key, part in value.items()}}
    raise TypeError(f"{value!r} is no number or text")


def decoded(value: Any) -> Any:
    """The value that :func:`encoded` turned into JSON."""
    if isinstance(value, list):
        return [decoded(part) for part in value]
    if isinstance(value, dict):
        [(kind, inner)] = value.items()
        if kind == "tuple":
            return tuple(decoded(part) for part in inner)
        if kind == "set":
            return frozenset(decoded(part) for part in inner)
        return {key: decoded(part) for key, part in inner.items()}
    return value
