"""Places names beside marks where there is room, and numbers elsewhere; all lengths are in points."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from matplotlib.textpath import TextPath

LETTERS = 7  # points
MARK = 2.6  # half the width of a mark
AIR = 1.2  # between letters and what is beside them
BESIDE = 4.0  # between two numbers, which else are read as one
NEAR, FAR, STEP = 5.0, 44.0, 3.0  # how far from its mark a number may stand
LEADER_FROM = 8.0  # at this distance a line joins letters and mark
DIRECTIONS = 24


class Box(NamedTuple):
    """A rectangle, given by its lower left and upper right corners."""

    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: "Box") -> bool:
        """Return whether the two rectangles overlap."""
        across = min(self.right, other.right) > max(self.left, other.left)
        return across and min(self.top, other.top) > max(self.bottom, other.bottom)

    def within(self, width: float, height: float) -> bool:
        """Return whether the rectangle lies inside a panel of this size."""
        return self.left >= 1 and self.bottom >= 1 and self.right <= width - 1 and self.top <= height - 1


class Spot(NamedTuple):
    """A mark in a panel, with its label and the ends of its error bars."""

    label: str
    x: float
    y: float
    bars: Box

    def obstacles(self) -> list[Box]:
        """Return what letters must not cover: the mark and its two bars."""
        return [
            Box(self.x - MARK, self.y - MARK, self.x + MARK, self.y + MARK),
            Box(self.bars.left, self.y - 0.4, self.bars.right, self.y + 0.4),
            Box(self.x - 0.4, self.bars.bottom, self.x + 0.4, self.bars.top),
        ]


def width_of(text: str) -> float:
    """Return the width of a text in print, in points."""
    return float(TextPath((0, 0), text, size=LETTERS).get_extents().width) + AIR


def place_names(spots: Sequence[Spot], size: tuple[float, float]) -> dict[str, Box]:
    """Find boxes for the names that have room right beside their marks.

    Parameters
    ----------
    spots : sequence of Spot
        Marks of one panel, with different labels.
    size : (float, float)
        Width and height of the panel.

    Returns
    -------
    dict of Box
        Boxes by label; names without room are left out.
    """
    taken = [box for spot in spots for box in spot.obstacles()]
    found: dict[str, Box] = {}
    for spot in sorted(spots, key=lambda spot: _neighbours(spot, spots)):
        others = [other for other in spots if other is not spot]
        free = (box for box in _beside(spot) if _free(box, taken, size) and _is_nearest(spot, box, others))
        box = next(free, None)
        if box is not None:
            found[spot.label] = box
            taken.append(box)
    return found


def place_numbers(
    spots: Sequence[Spot], numbers: dict[str, int], names: dict[str, Box], size: tuple[float, float]
) -> dict[str, Box]:
    """Find boxes for the numbers of the marks without a name, as near to their marks as there is room.

    Parameters
    ----------
    spots, size
        As in :func:`place_names`.
    numbers : dict of int
        The number of each label.
    names : dict of Box
        What :func:`place_names` returned.

    Returns
    -------
    dict of Box
        Boxes by label.
    """
    taken = [*names.values(), *(box for spot in spots for box in spot.obstacles())]
    found: dict[str, Box] = {}
    for spot in sorted(spots, key=lambda spot: -spot.y):
        if spot.label in names:
            continue
        around = list(_around(spot, width_of(str(numbers[spot.label])) + BESIDE))
        letters = [*names.values(), *found.values()]
        strict = (box for box in around if _free(box, taken, size))
        loose = (box for box in around if _free(box, letters, size))
        box = next(strict, None) or next(loose, around[0])
        found[spot.label] = box
        taken.append(box)
    return found


def needs_leader(spot: Spot, box: Box) -> bool:
    """Return whether letters are so far from their mark that a line must join them."""
    return _distance(spot, box) > LEADER_FROM


def _distance(spot: Spot, box: Box) -> float:
    across = max(box.left - spot.x, spot.x - box.right, 0)
    up = max(box.bottom - spot.y, spot.y - box.top, 0)
    return math.hypot(across, up)


def _is_nearest(spot: Spot, box: Box, others: list[Spot]) -> bool:
    """Whether no other mark is nearer to the letters, so that nobody takes them for its name."""
    own = _distance(spot, box)
    return all(_distance(other, box) > own + AIR for other in others)


def _beside(spot: Spot) -> Iterator[Box]:
    """Right, left, above and below, then the corners."""
    width, height, gap = width_of(spot.label), LETTERS + AIR, MARK + AIR
    right, left = spot.x + gap, spot.x - gap - width
    above, below, level = spot.y + gap, spot.y - gap - height, spot.y - height / 2
    middle = spot.x - width / 2
    corners = [(right, level), (left, level), (middle, above), (middle, below)]
    corners += [(x, y) for y in (spot.y + AIR, spot.y - AIR - height) for x in (right, left)]
    # a bar at the right or left: beyond its end
    corners += [(spot.bars.right + AIR, level), (spot.bars.left - AIR - width, level)]
    corners += [(middle, spot.bars.top + AIR), (middle, spot.bars.bottom - AIR - height)]
    for x, y in corners:
        yield Box(x, y, x + width, y + height)


def _around(spot: Spot, width: float) -> Iterator[Box]:
    height = LETTERS + AIR
    rings = math.ceil((FAR - NEAR) / STEP)
    for reach in (NEAR + STEP * ring for ring in range(rings)):
        for turn in range(DIRECTIONS):
            angle = 2 * math.pi * turn / DIRECTIONS
            x = spot.x + (reach + width / 2) * math.cos(angle) - width / 2
            y = spot.y + (reach + height / 2) * math.sin(angle) - height / 2
            yield Box(x, y, x + width, y + height)


def _free(box: Box, taken: list[Box], size: tuple[float, float]) -> bool:
    return box.within(*size) and not any(box.meets(other) for other in taken)


def _neighbours(spot: Spot, spots: Sequence[Spot]) -> int:
    """How many marks are near; the most isolated mark is named first."""
    return sum(abs(other.x - spot.x) < 60 and abs(other.y - spot.y) < 12 for other in spots)
