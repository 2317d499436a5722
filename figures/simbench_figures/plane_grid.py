"""Where the panels of the plane are: a column per situation, a row per knowledge that was told; in inches."""

from dataclasses import dataclass

from simbench_figures.paper import DOUBLE, TALLEST

LEFT, RIGHT, ACROSS, BETWEEN, TITLE, BOTTOM = 0.7, 0.2, 0.12, 0.09, 0.38, 0.42
LINE = 0.125  # of a note
UNDER = 1.3  # the most that key and notes may take
MOST_COLUMNS = 3
LOWEST_ROW = 0.75


@dataclass(frozen=True)
class Grid:
    """Panels in blocks of up to three situations, where every block has the same rows.

    Parameters
    ----------
    columns : int
        Situations per block.
    heights : tuple of float
        Heights of the rows of panels, in inches.
    situations : int
        Number of situations.
    """

    columns: int
    heights: tuple[float, ...]
    situations: int

    @property
    def block(self) -> float:
        """Height of one block, with its titles and its axis."""
        return TITLE + sum(self.heights) + BETWEEN * (len(self.heights) - 1) + BOTTOM

    @property
    def height(self) -> float:
        """Height of all blocks."""
        return self.block * -(-self.situations // self.columns)

    @property
    def width(self) -> float:
        """Width of one panel."""
        return (DOUBLE - LEFT - RIGHT - ACROSS * (self.columns - 1)) / self.columns

    def points(self, line: int) -> tuple[float, float]:
        """Return the width and height of a panel in points."""
        return 72 * self.width, 72 * self.heights[line]

    def place(self, line: int, situation: int, under: float) -> tuple[float, float, float, float]:
        """Return left, bottom, width and height of a panel, as shares of the figure.

        Parameters
        ----------
        line, situation : int
            Row and situation of the panel.
        under : float
            Height in inches that the figure keeps free below the panels.
        """
        block, column = divmod(situation, self.columns)
        total = self.height + under
        down = block * self.block + TITLE + sum(self.heights[: line + 1]) + BETWEEN * line
        left = LEFT + column * (self.width + ACROSS)
        return left / DOUBLE, (total - down) / total, self.width / DOUBLE, self.heights[line] / total

    def is_first(self, situation: int) -> bool:
        """Return whether the panels of a situation are the leftmost of their block."""
        return situation % self.columns == 0

    def is_last(self, situation: int) -> bool:
        """Return whether the panels of a situation are the rightmost of their block."""
        return situation % self.columns == self.columns - 1 or situation == self.situations - 1


def arranged(heights: list[float], situations: int) -> Grid:
    """Arrange the panels on one page.

    Rows are made lower if necessary, and situations that have no room are left out.

    Parameters
    ----------
    heights : list of float
        Heights of the rows of panels if there were room enough.
    situations : int
        Number of situations.
    """
    columns = min(MOST_COLUMNS, situations)
    lowest = Grid(columns, tuple(min(height, LOWEST_ROW) for height in heights), situations)
    blocks = max(1, min(-(-situations // columns), int((TALLEST - UNDER) / lowest.block)))
    around = blocks * (TITLE + BOTTOM + BETWEEN * (len(heights) - 1))
    share = min(1.0, (TALLEST - UNDER - around) / (blocks * sum(heights)))
    return Grid(columns, tuple(share * height for height in heights), min(situations, blocks * columns))
