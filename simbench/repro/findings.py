"""A claim and what became of it: verdict, grounds and tables, as ``paper_repro.json`` stores them."""

import re

from pydantic import BaseModel, Field, model_validator

from simbench.repro.quantities import Quantity
from simbench.repro.verdicts import ClaimVerdict, Place

SLOT = re.compile(r"\{([^{}]+)\}")


class Table(BaseModel, frozen=True, extra="forbid"):
    """A table of a finding; cells are texts with slots, and every row has one cell per column.

    A long one stands in the document's appendix.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    long: bool = False

    @model_validator(mode="after")
    def _rows_fit(self) -> "Table":
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"a row of {self.title!r} does not fit its columns")
        return self


class Finding(BaseModel, frozen=True, extra="forbid"):
    """A claim and what became of it; texts hold slots ``{key}`` for the quantities.

    Parameters
    ----------
    key : str
        Short and stable: ``"1"``, ``"3b"``.
    claim : str
        What is claimed, and by whom.
    command : str
        The command that measures it.
    verdict : ClaimVerdict
        What the rule decided.
    condition : str
        The condition, in words, if it holds under one.
    places : tuple of Place
        Where it was judged, and by which conditions on its quantities; () if it could not be tested.
    luck : float in [0, 1)
        How probable it is that one of the places holds by luck, see :func:`simbench.repro.verdicts.decide`.
    because : str
        The grounds of the verdict; if it is untested, the reason.
    rule : str
        How the verdict is decided, in words.
    is_exact : bool
        Whether a rerun must get the same verdict.
    quantities : dict of Quantity
        The measured values, by the key of their slots.
    tables : tuple of Table
        Tables to be printed below.
    figure : str
        Name of a figure in ``docs/img`` that shows it; empty for none.
    """

    key: str
    claim: str
    command: str
    verdict: ClaimVerdict
    because: str
    condition: str = ""
    places: tuple[Place, ...] = ()
    luck: float = 0.0
    rule: str = ""
    is_exact: bool = False
    quantities: dict[str, Quantity] = Field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    figure: str = ""

    def fill(self, text: str) -> str:
        """Return the text with every slot filled.

        Raises
        ------
        KeyError
            If a slot names no quantity of this finding.
        """
        return SLOT.sub(lambda slot: str(self.quantities[slot[1]]), text)
