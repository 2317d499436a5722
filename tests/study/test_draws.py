"""Draws of a world: what is of one, what is a mean over several, and what is said of those that failed."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from simbench.score.policies import Prompts, best_of
from simbench.study.config import StudyConfig, cells_of, seed_of_draw
from simbench.study.draws import over_draws
from simbench.study.finished import situations
from simbench.study.policies import downstream_table
from simbench.study.policy_settings import Downstream
from simbench.study.results import read
from simbench.study.run import run
from simbench.study.table import OF_A_DRAW, OF_A_STUDY, read_draws
from simbench.worlds.presets import PRESETS

WORLD = PRESETS["exclusive"].changed(test_size=100, n_features=3, n_context=2)
CONFIG = StudyConfig(
    worlds=(WORLD,),
    sizes=(80,),
    draws=4,
    replicates=3,
    estimators=("oracle", "naive", "bpr"),
    parameters={name: {"epochs": 2} for name in ("oracle", "naive", "bpr")},
)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("draws") / "out"
    run(CONFIG, folder)
    return folder


def test_a_draw_is_a_world_of_its_own_and_the_first_is_that_of_the_seed():
    cells = [cell for cell in cells_of(CONFIG) if cell.estimator == "naive"]
    assert [cell.draw for cell in cells] == [0, 1, 2, 3]
    assert len({cell.key for cell in cells}) == 4 and cells[0].seed == CONFIG.seed == seed_of_draw(
        CONFIG.seed, 0
    )
    rewards = [cell.built().train.reward for cell in cells]
    assert all(not np.allclose(rewards[0], other) for other in rewards[1:])
    single = cells_of(CONFIG.model_copy(update={"draws": 1}))
    assert {cell.key for cell in single} < {cell.key for cell in cells_of(CONFIG)}


def test_a_row_is_the_mean_over_draws_with_students_interval(out):
    table, draws = read(out).table, read_draws(out)
    assert list(table.columns) == OF_A_STUDY and list(draws.columns) == OF_A_DRAW
    assert set(table.n_worlds) == {4} and set(table.n_replicates) == {3}
    for (name, metric), rows in draws.groupby(["estimator", "metric"]):
        if metric == "efficiency":
            continue
        row = table[(table.estimator == name) & (table.metric == metric)].iloc[0]
        half = student.ppf(0.975, 3) * rows.value.std(ddof=1) / 2
        assert (row.value, row.low, row.high) == pytest.approx(
            (rows.value.mean(), rows.value.mean() - half, rows.value.mean() + half), nan_ok=True
        )
    seconds = draws.drop_duplicates(["estimator", "draw"]).groupby("estimator").seconds.sum()
    assert table.groupby("estimator").seconds.first().to_dict() == pytest.approx(seconds.to_dict())


def test_fits_that_were_cut_short_are_told(out):
    """Two epochs are too few: nearly all fits keep the second."""
    late = read(out).table.query("metric == 'unconverged_share'").set_index("estimator").value
    assert set(late.index) == {"oracle", "naive", "bpr"} and late["naive"] > 0.5
    assert any("naive (nothing): " in line and "last epoch" in line for line in read(out).notes)


def test_one_draw_says_what_its_rows_say():
    draws = pd.DataFrame([row_of(draw=0, value=0.2, low=0.1, high=0.3)], columns=OF_A_DRAW)
    found = over_draws(draws, CONFIG.model_copy(update={"draws": 1})).iloc[0]
    assert (found.value, found.low, found.high, found.n_worlds) == (0.2, 0.1, 0.3, 1)


def row_of(draw, value, metric="mse", estimator="naive", **more):
    common = {name: "" for name in OF_A_DRAW} | {"bias_level": 0.8, "size": 80, "seconds": 1.0}
    common |= {"low": math.nan, "high": math.nan, "status": "ok", "knows": "nothing", "n_replicates": 3}
    return common | {"draw": draw, "value": value, "metric": metric, "estimator": estimator, **more}


def test_a_draw_that_failed_is_named_and_the_mean_says_of_how_many_it_is():
    rows = [row_of(draw, value) for draw, value in enumerate((0.1, 0.2, 0.6))]
    rows.append(row_of(3, math.nan, metric="", status="failed", reason="it broke"))
    found = over_draws(pd.DataFrame(rows, columns=OF_A_DRAW), CONFIG)
    failed, mean = found[found.status == "failed"].iloc[0], found[found.metric == "mse"].iloc[0]
    assert failed.reason == "draw 3: it broke"
    assert mean.value == pytest.approx(0.3) and mean.n_worlds == 3
    everywhere = [row_of(draw, math.nan, metric="", status="skipped", reason="needs") for draw in range(4)]
    (only,) = over_draws(pd.DataFrame(everywhere, columns=OF_A_DRAW), CONFIG).itertuples()
    assert only.reason == "needs" and only.n_worlds == 4


def test_the_verdict_is_on_the_mean_distance():
    def judged(distances, excess):
        rows = [
            row_of(draw, value, metric=metric, verdict="undecided")
            for metric, values in (("distance2", distances), ("excess_bias2", excess))
            for draw, value in enumerate(values)
        ]
        found = over_draws(pd.DataFrame(rows, columns=OF_A_DRAW), CONFIG)
        return found[found.metric == "distance2"].iloc[0].verdict

    assert judged((0.0001, 0.0002, 0.0, 0.0001), (0, 0, 0, 0)) == "unbiased"
    assert judged((0.1, 0.11, 0.1, 0.12), (0.1, 0.1, 0.1, 0.1)) == "biased"
    assert judged((0.1, 0.11, 0.1, 0.12), (-0.1, -0.1, -0.1, -0.11)) == "nearer than oracle"
    assert judged((0.0, 0.1, 0.0, 0.0), (0, 0, 0, 0)) == "undecided"


def test_the_best_are_told_and_the_oracle_is_not_among_them():
    levels = {"oracle": 0.01, "a": 0.1, "b": 0.101, "worse": 0.5}
    rows = [
        row_of(draw, level + 0.001 * draw * (1 + number), estimator=name, knows=told)
        for number, (name, level) in enumerate(levels.items())
        for told in ["truth" if name == "oracle" else "nothing"]
        for draw in range(4)
    ]
    found = over_draws(pd.DataFrame(rows, columns=OF_A_DRAW), CONFIG)
    best = found[found.metric == "among_best"].set_index("estimator").value
    assert best.to_dict() == {"a": 1.0, "b": 0.0, "worse": 0.0}


def test_words_say_of_how_many_worlds_they_speak(out, tmp_path):
    assert "Means over 4 drawn worlds, 3 replicates in each" in read(out).to_markdown()
    config = CONFIG.model_copy(update={"draws": 1})
    run(config, tmp_path / "one")
    said = read(tmp_path / "one")
    assert "3 replicates, conditional on this drawn world." in said.to_markdown()
    assert "conditional on this drawn world" in said.to_latex()


def test_policies_are_compared_within_a_draw_and_averaged_over_draws(tmp_path):
    """The worth over the oracle is that of each draw's own oracle."""
    names = ("oracle", "naive")
    short = {name: {"epochs": 2} for name in names}
    few = CONFIG.model_copy(update={"draws": 3, "estimators": names, "parameters": short})
    run(few, tmp_path / "all")
    table = downstream_table(tmp_path / "all", Downstream())
    here = (table.policy == "best of n") & (table.strength == 2) & (table.estimator == "naive")
    row = table[here & (table.metric == "value_over_oracle")].iloc[0]
    worth = {}
    for cells in situations(tmp_path / "all"):
        test = cells[0].cell.built().test
        prompts = Prompts.of(test.groups)
        for found in cells:
            chosen = best_of(prompts.spread(found.predictions), 2)
            worth[found.cell.draw, found.cell.estimator] = prompts.mean_under(chosen, test.reward).mean()
    gaps = [worth[draw, "naive"] - worth[draw, "oracle"] for draw in range(3)]
    assert row.value == pytest.approx(np.mean(gaps)) and len(set(gaps)) == 3
