"""The figures of identification and efficiency show what the table holds."""

import numpy as np
import pandas as pd
import pytest
from simbench_figures import efficiency, identification

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
    assert labels == ["nothing", "labels of 1 %", "who always acts (5 %)", "2 users a response", "propensity"]
    columns = [tick.get_text() for tick in axis.get_xticklabels()]
    assert columns == ["shared\nbias level 1", "exclusive\nbias level 2"]
    cells = {tuple(map(int, text.get_position())): text.get_text() for text in axis.texts}
    # a variant of a world is no second cell of what it shares with the world itself
    assert cells[0, 0].splitlines() == [".300", "[.285, .315]", "≠100% ⇄25%"]
    assert cells[0, 2].startswith(".200") and cells[0, 3].startswith(".150")
    assert cells[1, 1].startswith(".120") and len(cells) == 5


def test_efficiency_is_a_curve_for_every_estimator_and_what_it_was_told(table):
    axis = efficiency.draw(table).axes[0]
    names = axis.get_legend_handles_labels()[1]
    assert names == ["implicitrm-known (propensity)"]
    assert np.allclose(axis.containers[0].lines[0].get_ydata(), [0.9])


@pytest.mark.parametrize("figure", [identification, efficiency])
def test_a_study_without_such_numbers_is_refused(figure, table):
    with pytest.raises(BadInput):
        figure.draw(table.assign(status="failed"))
