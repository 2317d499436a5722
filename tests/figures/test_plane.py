"""The plane of bias² against variance."""

import numpy as np
import pandas as pd
import pytest
from simbench_figures.plane import FLOOR, KNOWS, draw

from simbench.errors import BadInput
from simbench.study.table import COLUMNS


def row(estimator, knows, metric, value, world="a"):
    base = {
        "world": world,
        "size": 100,
        "bias_level": 1.0,
        "status": "ok",
        "low": value * 0.8,
        "high": value * 1.2,
    }
    return {**base, "estimator": estimator, "knows": knows, "metric": metric, "value": value}


def table(*worlds):
    spots = [("naive", "nothing", 0.1, 0.001), ("ips", "propensity", -1e-4, 0.02)]
    rows = [
        row(name, knows, metric, value, world)
        for world in worlds
        for name, knows, bias2, variance in spots
        for metric, value in (("bias2", bias2), ("variance", variance))
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_every_estimator_stands_at_its_bias_and_variance_with_the_marker_of_what_it_knew():
    figure = draw(table("a", "b"))
    panels = [axis for axis in figure.axes if axis.axison]
    assert len(panels) == 2
    points = [c.lines[0] for c in panels[0].containers]
    assert [(p.get_xdata()[0], p.get_ydata()[0]) for p in points] == [(0.1, 0.001), (FLOOR, 0.02)]
    assert [p.get_marker() for p in points] == [KNOWS["nothing"], KNOWS["propensity"]]
    assert points[1].get_markerfacecolor() == "white"  # an estimate of bias² below 0
    assert {t.get_text() for t in panels[0].texts} == {"naive", "ips"}


def test_it_is_not_blank():
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(draw(table("a")))
    canvas.draw()
    assert np.asarray(canvas.buffer_rgba())[..., :3].std() > 5


def test_without_a_finished_cell_there_is_nothing_to_draw():
    with pytest.raises(BadInput, match="nothing to draw"):
        draw(table())
