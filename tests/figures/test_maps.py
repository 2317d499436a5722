"""The figures of identification and efficiency show what the table holds."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from simbench_figures import efficiency, identification
from simbench_figures.palette import luminance

from simbench.errors import BadInput


def rows(world, level, estimator, knows, **metrics) -> list[dict]:
    fixed = {"world": world, "bias_level": level, "estimator": estimator, "knows": knows, "status": "ok"}
    fixed |= {"size": 1000, "n_replicates": 5}
    return [
        {**fixed, "metric": name, "value": value, "low": 0.9 * value, "high": 1.1 * value}
        for name, value in metrics.items()
    ]


@pytest.fixture
def table() -> pd.DataFrame:
    found = rows("shared", 1.0, "implicitrm", "nothing", mse=0.09, restarts_disagree=1.0, swapped_share=0.25)
    found += rows(
        "shared", 1.0, "implicitrm-known", "propensity", mse=0.01, efficiency=0.9, swapped_share=0.0
    )
    found += rows("shared-always", 1.0, "implicitrm", "always acts", mse=0.04, swapped_share=0.0)
    found += rows("shared-always", 1.0, "implicitrm", "nothing", mse=0.25, swapped_share=0.0)
    found += rows("shared-exposures2", 1.0, "implicitrm-signals", "2 signals", mse=0.0225, swapped_share=0.0)
    found += rows("exclusive", 2.0, "implicitrm", "labels (0.01), context", mse=0.0144, efficiency=0.5)
    return pd.DataFrame(found)


def test_the_map_has_a_row_for_what_is_known_and_a_cell_for_its_error(table):
    axis = identification.draw(table).axes[0]
    labels = [tick.get_text() for tick in axis.get_yticklabels()]
    assert labels == ["nothing", "labels of 1 %", "who always acts", "2 users a response", "propensity"]
    columns = [tick.get_text() for tick in axis.get_xticklabels()]
    assert columns == ["shared\nbias level 1", "exclusive\nbias level 2"]
    cells = {tuple(map(int, text.get_position())): text.get_text() for text in axis.texts}
    # a variant of a world is no second cell of what it shares with the world itself
    assert cells[0, 0].splitlines() == [".300", "[.285, .315]", "≠100% ⇄25%"]
    assert cells[0, 2].startswith(".200") and cells[0, 3].startswith(".150")
    assert cells[1, 1].startswith(".120") and len(cells) == 5


def test_estimators_that_were_told_the_same_have_a_row_each(table):
    more = rows("shared", 1.0, "ips", "propensity", mse=0.04) + rows(
        "shared", 1.0, "dr", "propensity", mse=0.09
    )
    axis = identification.draw(pd.concat([table, pd.DataFrame(more)])).axes[0]
    labels = [tick.get_text() for tick in axis.get_yticklabels()]
    assert labels[-3:] == ["propensity\nimplicitrm-known", "propensity\nips", "propensity\ndr"]
    assert labels[:2] == ["nothing", "labels of 1 %"], "one estimator needs no name"
    places = [text.get_position() for text in axis.texts]
    assert len(set(places)) == len(places)


def test_sizes_and_protocols_are_columns_of_their_own_and_many_columns_are_broken_into_two(table):
    first = table[(table.estimator == "implicitrm-known")]
    sizes = pd.concat([first.assign(size=size) for size in (1000, 2000)])
    axis = identification.draw(sizes).axes[0]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == [
        f"shared\nbias level 1\n{size:,} responses" for size in (1000, 2000)
    ]
    levels = pd.concat([first.assign(bias_level=float(level)) for level in range(9)])
    panels = [axis for axis in identification.draw(levels).axes if axis.texts]
    assert [len(axis.texts) for axis in panels] == [5, 4]


def test_letters_of_a_cell_can_be_read_on_its_colour(table):
    one = table[table.estimator == "implicitrm-known"]
    errors = [
        one.assign(bias_level=float(level), value=one.value.where(one.metric != "mse", rmse**2))
        for level, rmse in enumerate((0.06, 0.16, 0.2, 0.22, 0.235, 0.25, 0.4))
    ]
    axis = identification.draw(pd.concat(errors)).axes[0]
    image = axis.images[0]
    for text in axis.texts:
        column, row = text.get_position()
        behind = luminance(to_hex(image.to_rgba(image.get_array())[int(row), int(column)]))
        letters = luminance(text.get_color())
        contrast = (max(behind, letters) + 0.05) / (min(behind, letters) + 0.05)
        assert contrast >= 4.5


def test_efficiency_is_a_curve_for_every_estimator_and_what_it_was_told(table):
    axis = efficiency.draw(table).axes[0]
    names = axis.get_legend_handles_labels()[1]
    assert names == ["implicitrm-known (propensity)"]
    assert np.allclose(axis.containers[0].lines[0].get_ydata(), [0.9])


@pytest.mark.parametrize("figure", [identification, efficiency])
def test_a_study_without_such_numbers_is_refused(figure, table):
    with pytest.raises(BadInput):
        figure.draw(table.assign(status="failed"))
