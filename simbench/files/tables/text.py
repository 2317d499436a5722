"""From the bytes of a text file to text: compression, encodings, marks of byte order."""

import codecs
import gzip
import zlib
from dataclasses import dataclass

from simbench.errors import BadInput
from simbench.files.tables.kinds import looks_like

# UTF-32 before UTF-16: the mark of the one begins with that of the other
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
WITHOUT_MARK = {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}  # as encoders that add no mark call them


@dataclass(frozen=True)
class Text:
    """The content of a text file, and how it was encoded.

    Parameters
    ----------
    utf8 : bytes
        The content in UTF-8, without a mark of byte order.
    mark : bytes
        The mark of byte order that it began with; empty if there was none.
    encoding : str
        Python's name of its encoding.
    """

    utf8: bytes
    mark: bytes = b""
    encoding: str = "utf-8"

    def encoded(self, utf8: bytes) -> bytes:
        """Return other content in the encoding of this one, with its mark.

        Raises
        ------
        UnicodeEncodeError
            If a character does not exist in that encoding.
        """
        if self.encoding == "utf-8":
            return self.mark + utf8
        return self.mark + utf8.decode().encode(self.encoding)


def decompressed(content: bytes, name: str) -> bytes:
    """Return what a file compressed by gzip holds.

    Raises
    ------
    BadInput
        If it is not compressed, cut short or damaged.
    """
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        why = "it is not compressed by gzip" if isinstance(error, gzip.BadGzipFile) else "it is damaged"
        why = "it ends too early" if isinstance(error, EOFError) else why
        raise BadInput(f"{name} cannot be read: {why} ({_said(error)}); write it again.") from error


def decoded(content: bytes, name: str, encoding: str | None) -> Text:
    """Decode the content of a text file.

    Parameters
    ----------
    content : bytes
    name : str
        Name of the file, for messages.
    encoding : str, optional
        Its encoding; by default the one that its mark of byte order names, or else UTF-8.

    Raises
    ------
    BadInput
        If the encoding is unknown or is not that of the file.
    """
    mark, marked = next(((m, e) for m, e in MARKS if content.startswith(m)), (b"", None))
    chosen = known_encoding(encoding)
    if marked is not None and (encoding is None or marked.startswith(chosen)):
        chosen = marked
    else:  # in the encoding that the user names, these bytes are letters
        mark, chosen = b"", WITHOUT_MARK.get(chosen, chosen)
    body = content[len(mark) :]
    if encoding is None and marked is None:
        _check_is_text(content, name)
    try:
        text = body.decode(chosen)
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        told = f"is not {encoding or marked} text: name another --encoding"
        if encoding is None and marked is None:
            told = "is not UTF-8 text: name its encoding, such as --encoding latin-1"
        raise BadInput(f"{name}, line {line}: byte 0x{body[error.start]:02x} {told}.") from error
    if chosen == "utf-8":
        return Text(body, mark)
    try:
        return Text(text.encode(), mark, chosen)
    except UnicodeEncodeError as error:  # half a character, of an encoding that lets it pass
        line = text.count("\n", 0, error.start) + 1
        raise BadInput(f"{name}, line {line}: holds half of a character; write the file again.") from error


def _check_is_text(content: bytes, name: str) -> None:
    other = looks_like(content)
    if other is not None:
        raise BadInput(f"{name} is no text but {other}: give it the ending that says so.")
    if b"\0" in content[:1000]:
        raise BadInput(f"{name} is no text, or text in UTF-16 without its mark: then say --encoding utf-16.")


def known_encoding(encoding: str | None) -> str:
    """Return Python's name of an encoding; UTF-8 for None.

    Raises
    ------
    BadInput
        If there is no such encoding of text.
    """
    try:
        found = codecs.lookup(encoding or "utf-8")
        b"\0\0\0\0".decode(found.name)  # codecs of other kinds, such as base64, are refused here
    except (LookupError, ValueError) as error:
        raise BadInput(
            f"there is no encoding {encoding!r}: name one such as utf-8, utf-16, latin-1 or cp1252."
        ) from error
    return "utf-8" if found.name == "utf-8-sig" else found.name


def _said(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0].rstrip(". ")
