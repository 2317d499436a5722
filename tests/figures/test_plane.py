"""The plane of bias² against variance: small multiples by what was told, every mark named."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from simbench_figures.names_in_panels import Box, Spot, place_names, place_numbers
from simbench_figures.palette import STYLES
from simbench_figures.plane import FLOOR, draw, strongest
from simbench_figures.plane_grid import TALLEST, arranged

from simbench.errors import BadInput
from simbench.study.table import COLUMNS


def row(estimator, knows, metric, value, world="a", **columns):
    base = {"world": world, "size": 100, "bias_level": 1.0, "status": "ok", "protocol": "honest"}
    base |= {"low": value * 0.8, "high": value * 1.2, "n_replicates": 20}
    return {**base, "estimator": estimator, "knows": knows, "metric": metric, "value": value, **columns}


SPOTS = [
    ("oracle", "truth", 1e-4, 0.003),
    ("naive", "nothing", 0.1, 0.001),
    ("ips", "propensity", -1e-4, 0.02),
    ("snips", "propensity, class prior", 0.002, 0.01),
]


def table(*worlds, spots=SPOTS, **columns):
    rows = [
        row(name, knows, metric, value, world, **columns)
        for world in worlds
        for name, knows, bias2, variance in spots
        for metric, value in (("bias2", bias2), ("variance", variance))
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def marked(axis) -> dict[str, tuple[float, float]]:
    """From colour to the place of the mark."""
    points = [container.lines[0] for container in axis.containers]
    return {str(point.get_color()): (point.get_xdata()[0], point.get_ydata()[0]) for point in points}


def crowd(n: int) -> list[tuple[str, str, float, float]]:
    """Estimators on nearly one point, of which few names have room."""
    names = [name for name in STYLES if name != "oracle"][:n]
    return [SPOTS[0], *((name, "nothing", 0.05 * 1.02**i, 0.01 * 1.01**i) for i, name in enumerate(names))]


def test_a_panel_a_situation_and_what_was_told_with_the_oracle_in_all():
    figure = draw(table("a", "b"))
    assert len(figure.axes) == 4
    for axis in figure.axes:
        assert marked(axis)[STYLES["oracle"][0]] == (1e-4, 0.003)
    assert marked(figure.axes[0])[STYLES["naive"][0]] == (0.1, 0.001)
    assert len(marked(figure.axes[0])) == 2 and len(marked(figure.axes[1])) == 3
    told = [text.get_text() for axis in figure.axes for text in axis.texts if text.get_rotation() == 270]
    assert sorted(told) == ["told nothing", "told propensity"]


def test_an_estimate_of_bias_below_0_is_hollow_at_the_edge():
    lines = [container.lines[0] for axis in draw(table("a")).axes for container in axis.containers]
    found = {line.get_color(): line for line in lines}
    assert found[STYLES["ips"][0]].get_xdata()[0] == FLOOR
    assert found[STYLES["ips"][0]].get_markerfacecolor() == "white"
    assert found[STYLES["naive"][0]].get_markerfacecolor() != "white"


def test_with_room_names_stand_at_their_marks():
    figure = draw(table("a"))
    texts = {text.get_text() for axis in figure.axes for text in axis.texts}
    assert {"oracle", "naive", "ips", "snips"} <= texts
    assert not figure.legends


def test_without_room_there_are_numbers_and_their_key():
    figure = draw(table("a", spots=crowd(12)))
    texts = [text.get_text() for axis in figure.axes for text in axis.texts]
    key = [text.get_text() for text in figure.legends[0].get_texts()]
    numbers = [text for text in texts if text.isdigit()]
    assert 3 < len(numbers) == len(set(numbers))
    assert sorted(entry.split(" ")[0] for entry in key) == sorted(numbers)
    named = {entry.split(" ", 1)[1] for entry in key} | set(texts)
    assert {name for name, *_ in crowd(12)} <= named


def test_two_replicates_whose_interval_does_not_hold_the_value_are_drawn():
    two = table("a", n_replicates=2)
    draw(two.assign(low=two.value + 1e-17, high=two.value + 1e-17))
    draw(two.assign(low=two.value * 1.1, high=two.value * 0.9))
    draw(two.assign(low=np.nan, high=np.nan))


def test_the_same_estimator_told_two_things_of_one_kind_is_named_with_what_it_was_told():
    twice = [("ips", "labels (0.01)", 0.01, 0.02), ("ips", "labels (0.01), context", 0.002, 0.005)]
    texts = {text.get_text() for axis in draw(table("a", spots=twice)).axes for text in axis.texts}
    assert {"ips (labels (0.01))", "ips (labels (0.01), context)"} <= texts


@pytest.mark.parametrize(
    ("knows", "what"),
    [
        ("context", "context"),
        ("class prior, context", "class prior"),
        ("propensity (estimated)", "propensity (estimated)"),
        ("", "nothing"),
        ("2 signals", "2 signals"),
    ],
)
def test_the_strongest_of_what_was_told_decides(knows, what):
    assert strongest(knows) == what


def test_what_has_no_room_on_the_page_is_counted():
    worlds = [f"w{number}" for number in range(40)]
    figure = draw(table(*worlds))
    assert figure.get_figheight() <= TALLEST
    hidden = 40 - len(figure.axes) // 2
    assert hidden > 0 and any(
        f"{hidden} more situations" in " ".join(t.get_text().split()) for t in figure.texts
    )


@pytest.mark.parametrize("situations", [1, 2, 3, 7])
@pytest.mark.parametrize("heights", [[1.0], [2.5, 1.0, 1.0, 2.0], [3.0] * 7])
def test_panels_lie_on_the_page_and_not_on_one_another(situations, heights):
    grid = arranged(heights, situations)
    assert grid.height < TALLEST and 1 <= grid.situations <= situations
    boxes = [grid.place(line, place, 1.0) for line in range(len(heights)) for place in range(grid.situations)]
    assert all(min(x, y) >= 0 and x + w <= 1 and y + h <= 1 for x, y, w, h in boxes)
    corners = [Box(x, y, x + w, y + h) for x, y, w, h in boxes]
    assert not any(one.meets(other) for one, other in combinations(corners, 2))


def test_letters_lie_neither_on_marks_nor_on_one_another():
    generator = np.random.default_rng(0)
    places = generator.normal((110, 60), (25, 12), (25, 2))
    spots = [Spot(f"estimator-{i}", x, y, Box(x - 8, y - 5, x + 8, y + 5)) for i, (x, y) in enumerate(places)]
    names = place_names(spots, (220, 120))
    numbers = {spot.label: i for i, spot in enumerate(spots) if spot.label not in names}
    letters = list((names | place_numbers(spots, numbers, names, (220, 120))).values())
    assert len(letters) == 25 and 3 < len(names) < 25
    assert not any(one.meets(other) for one, other in combinations(letters, 2))
    marks = [spot.obstacles()[0] for spot in spots]
    assert not any(box.meets(mark) for box in names.values() for mark in marks)


def test_no_name_stands_nearer_to_anothers_mark():
    spots = [Spot("one", 50, 50, Box(40, 50, 60, 50)), Spot("two", 52, 60, Box(50, 60, 54, 60))]
    names = place_names(spots, (120, 100))
    assert names
    for spot, other in (spots, spots[::-1]):
        if box := names.get(spot.label):
            up = [max(box.bottom - place.y, place.y - box.top, 0) for place in (spot, other)]
            across = [max(box.left - place.x, place.x - box.right, 0) for place in (spot, other)]
            assert np.hypot(across[0], up[0]) < np.hypot(across[1], up[1])


def test_without_a_finished_cell_there_is_nothing_to_draw():
    with pytest.raises(BadInput, match="nothing to draw"):
        draw(table())
