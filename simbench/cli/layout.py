"""Lays tables out for the width of a terminal: names and verdicts stay whole, intervals stack or go first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from simbench.cli.printable import printable

GAP = 2  # columns of the screen between two columns of a table
LONGEST = 32  # of a cell that may wrap, where the layout is chosen


@dataclass(frozen=True)
class Column:
    """A column of text.

    Parameters
    ----------
    title : str
    cells : tuple of str
        A cell may hold several lines.
    right : bool
        Whether it is aligned to the right, as numbers are.
    wraps : bool
        Whether a cell may wrap where it is longer than its column.
    """

    title: str
    cells: tuple[str, ...]
    right: bool = True
    wraps: bool = False

    @property
    def width(self) -> int:
        """How wide the column wants to be; what wraps wants no more than :data:`LONGEST`."""
        lines = (line for cell in (self.title, *self.cells) for line in cell.split("\n"))
        longest = max(map(cell_len, lines))
        return min(longest, LONGEST) if self.wraps else longest


def width_of(columns: Sequence[Column]) -> int:
    """How wide a table of these columns wants to be."""
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)


def chosen(layouts: Iterable[Sequence[Column]], width: int) -> Sequence[Column]:
    """The first layout that fits, or the last."""
    columns: Sequence[Column] = ()
    for columns in layouts:
        if width_of(columns) <= width:
            break
    return columns


def packed(names: Column, others: Sequence[Column], width: int) -> list[list[Column]]:
    """Columns in as many tables, one below the other, as the width asks for; each begins with the names."""
    tables = [[names]]
    for column in others:
        if len(tables[-1]) > 1 and width_of([*tables[-1], column]) > width:
            tables.append([names])
        tables[-1].append(column)
    return tables


def with_told(names: Sequence[str], told: Sequence[str], everywhere: bool = True) -> Column:
    """Names of estimators, each above what it was told; or only where a name stands twice."""
    cells = tuple(
        f"{name}\n  {what}" if everywhere or list(names).count(name) > 1 else name
        for name, what in zip(names, told, strict=True)
    )
    below = "\n  told" if any("\n" in cell for cell in cells) else ""
    return Column(f"estimator{below}", cells, right=False)


def stacked(column: Column) -> Column:
    """The column with each interval below its value."""
    return replace(column, cells=tuple(_stacked(cell) for cell in column.cells))


def without_intervals(column: Column) -> Column:
    """The column with values alone; the mark of the best stays."""
    return replace(column, cells=tuple(_value(cell) for cell in column.cells))


def drawn(columns: Sequence[Column], title: str = "", caption: str = "") -> Table:
    """The table as a terminal shows it."""
    table = Table(
        title=Text(printable(title), "table.title") if title else None,
        caption=Text(printable(caption), "table.caption") if caption else None,
        caption_justify="left",
        title_justify="left",
        box=None,
        padding=(0, GAP, 0, 0),
        pad_edge=False,
    )
    for column in columns:
        table.add_column(
            Text(column.title),
            justify="right" if column.right else "left",
            no_wrap=not column.wraps,
            overflow="fold",
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*(Text("\n".join(map(printable, cell.split("\n")))) for cell in row))
    return table


def _parts(cell: str) -> tuple[str, str, str]:
    """Value, interval and mark of a cell such as ``.0120 [.0095, .0145] *``."""
    value, bracket, rest = cell.partition(" [")
    interval, _, mark = rest.partition("]")
    return value, f"[{interval}]" if bracket else "", mark


def _stacked(cell: str) -> str:
    value, interval, mark = _parts(cell)
    return f"{value}{mark}\n{interval}" if interval else cell


def _value(cell: str) -> str:
    value, _, mark = _parts(cell.partition("±")[0])
    return f"{value}{mark}"
