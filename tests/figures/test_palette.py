"""Estimators of one's own are told apart in every figure, whoever stands beside them."""

from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb
from simbench_figures import palette

from simbench.study.figures import find

OWN = ["mine:Discounted", "mine:Other", "yours.py:Third", "d", "e", "f", "g"]
# Machado, Oliveira and Fernandes (2009), severity 1: how the colour-blind see linear RGB
SIGHT = {
    "normal": np.eye(3),
    "protan": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deutan": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritan": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1, 1.089])
DEFAULTS = ["oracle", "naive", "naive-sqrt", "ips", "dr", "upu", "nnpu", "implicitrm", "implicitrm-known"]


def lab(colour: str, sight: str) -> np.ndarray:
    """CIE L*a*b* of a colour as somebody sees it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    share = XYZ @ np.clip(np.array(SIGHT[sight]) @ linear, 0, 1) / WHITE
    x, y, z = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHT)
def test_spare_colours_differ_for_everybody_also_from_the_default_estimators(sight):
    styles = palette.styles([*OWN, *DEFAULTS])
    seen = {name: lab(colour, sight) for name, (colour, _) in styles.items()}
    for own in OWN:
        for other in styles.keys() - {own}:
            assert np.linalg.norm(seen[own] - seen[other]) > 15, f"{own}, {other}"


def test_spares_differ_in_colour_and_marker_and_do_not_depend_on_the_order():
    first = palette.styles(OWN[:6])
    for one, other in combinations(first.values(), 2):
        assert one[0] != other[0] and one[1] != other[1]
    for order in list(permutations(OWN[:6]))[::97]:
        assert palette.styles([*order, "naive", *order]) == first | {"naive": palette.STYLES["naive"]}


def test_many_of_ones_own_still_differ():
    many = palette.styles(f"mine:E{number}" for number in range(40))
    assert len(set(many.values())) == 40
    assert not set(many.values()) & set(palette.STYLES.values())


def test_no_spare_marker_is_an_installed_estimators():
    installed = {marker for _, marker in palette.STYLES.values()}
    assert not installed & {marker for _, marker in palette.styles(OWN).values()}


@pytest.mark.parametrize(
    "name", ["bias-variance", "plane", "efficiency", "learning-rate", "risk", "value-kl"]
)
def test_a_figure_tells_ones_own_estimators_apart(name, table_of):
    table = table_of(name)
    names = dict(
        zip([who for who in table.estimator.unique() if who in palette.STYLES][1:4], OWN, strict=False)
    )
    table = table.replace({"estimator": names})
    shuffled = pd.concat([part for _, part in sorted(table.groupby("estimator"), reverse=True)])
    expected = {to_hex(colour) for who, (colour, _) in palette.styles(names.values()).items()}
    assert len(expected) == len(names) > 1
    for rows in (table, shuffled):
        figure = find(name).module.draw(rows)
        lines = [line for axis in figure.axes for line in axis.lines if line.get_marker() != "None"]
        assert expected <= {to_hex(line.get_color()) for line in lines}
