"""Which kinds of files hold tables, told by their names; a file of another content is called by its kind."""

from simbench.errors import BadInput

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".feather": "feather",
    ".arrow": "feather",
}
TEXT = ("csv", "jsonl")  # these may be compressed: log.csv.gz
SAID = ".parquet, .csv, .tsv, .jsonl (these three also with .gz) or .feather"
MAGIC = {
    b"PAR1": "a parquet file",
    b"ARROW1": "a feather file",
    b"FEA1": "a feather file",
    b"\x1f\x8b": "compressed by gzip",
    b"PK\x03\x04": "a zip archive, such as a workbook",
    b"\x89HDF": "an HDF5 file",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"BZh": "compressed by bzip2",
}


def kind_of(name: str) -> tuple[str, bool]:
    """Return what a file of this name holds, and whether it is compressed by gzip.

    Returns
    -------
    kind : {"csv", "jsonl", "parquet", "feather"}
    is_compressed : bool

    Raises
    ------
    BadInput
        If files of this name hold no table.
    """
    lower = name.lower()
    is_compressed = lower.endswith(".gz")
    stem = lower.removesuffix(".gz")
    kind = next((kind for suffix, kind in SUFFIXES.items() if stem.endswith(suffix)), None)
    if kind is None or (is_compressed and kind not in TEXT):
        raise BadInput(f"{name} must end in {SAID}.")
    return kind, is_compressed


def looks_like(content: bytes) -> str | None:
    """Return what a file is by its first bytes, in words that follow "is"; None if they say nothing."""
    return next((said for magic, said in MAGIC.items() if content.startswith(magic)), None)
