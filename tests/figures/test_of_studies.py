"""Figures that read shards and worlds; all figures of a reproduction; one figure by the command."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from simbench_figures import comparison, groups, leaks, reliability

from simbench.cli.check import CheckOptions, check
from simbench.cli.figure import FigureOptions, FiguresOptions, figure, figures
from simbench.errors import BadInput
from simbench.score.labels import expected_r2
from simbench.study.config import StudyConfig
from simbench.study.figures import find, names
from simbench.study.finished import situations
from simbench.study.protocol import EvaluationProtocol
from simbench.study.run import run
from simbench.worlds.presets import PRESETS

SMALL = {"sizes": (400,), "replicates": 5, "estimators": ("oracle", "naive", "bpr")}
WORLD = PRESETS["misclick"].changed(test_size=500)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two bias levels in one world with misclicks."""
    out = tmp_path_factory.mktemp("study") / "bias-level"
    run(StudyConfig(worlds=(WORLD,), bias_levels=(0.0, 2.0), **SMALL), out)
    return out


@pytest.fixture(scope="module")
def leaky(tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "leaks"
    protocols = (
        EvaluationProtocol(name="published", oracle_stopping=True, split="sample"),
        EvaluationProtocol(name="off: oracle stopping", split="sample"),
        EvaluationProtocol(name="off: all"),
    )
    run(StudyConfig(worlds=(WORLD,), bias_levels=(2.0,), protocols=protocols, **SMALL), out)
    return out


def test_groups_are_the_shares_that_the_world_realises(study):
    shares = groups.read(study)
    assert set(shares.bias_level) == {2.0} and len(shares) == 10
    cell = next(cells[0].cell for cells in situations(study) if cells[0].cell.bias_level == 2.0)
    facts = cell.built().realised()
    total = shares[["PA", "PP", "NA", "NP"]].sum()
    assert total.sum() == pytest.approx(1, abs=1e-12)
    assert pytest.approx(facts["positive_rate"], abs=1e-12) == total.PA + total.PP
    assert total.PA + total["NA"] == pytest.approx(facts["action_rate"], abs=1e-12)
    assert shares.clicks.sum() == pytest.approx(facts["feedback_rate"], abs=1e-12)
    assert (np.diff(shares.propensity) > 0).all()


def test_bins_of_reliability_hold_their_mean_prediction_and_mean_reward(study):
    table = reliability.read(study)
    assert set(table.estimator) == {"oracle", "naive"}, "who only ranks has no calibration"
    found = next(
        cell
        for cells in situations(study)
        for cell in cells
        if cell.cell.estimator == "naive" and cell.cell.bias_level == 2.0
    )
    reward = found.cell.built().test.reward
    lowest = [np.sort(own)[:50].mean() for own in found.predictions]
    true = [reward[np.argsort(own, kind="stable")[:50]].mean() for own in found.predictions]
    row = table[(table.estimator == "naive") & (table.bin == 0)].iloc[0]
    assert row.predicted == pytest.approx(np.mean(lowest), abs=1e-12)
    assert row.value == pytest.approx(np.mean(true), abs=1e-12) and row.low <= row.value <= row.high


def test_the_worth_of_a_leak_is_paired_by_replicate(leaky):
    worth = leaks.read(leaky)
    assert list(worth.leak.unique()) == ["oracle stopping", "all"]
    scores = {}
    for cells in situations(leaky):
        for found in cells:
            if found.cell.estimator == "naive":
                reward = found.cell.built().test.reward
                scores[found.cell.protocol.name] = expected_r2(found.predictions, reward)
    mine = worth[(worth.estimator == "naive") & (worth.metric == "r2") & (worth.leak == "oracle stopping")]
    change = scores["published"] - scores["off: oracle stopping"]
    assert mine.value.item() == pytest.approx(change.mean(), abs=1e-12) and abs(change).max() > 0
    assert set(worth[worth.estimator == "bpr"].metric) == {"auroc"}


def test_without_a_published_protocol_there_are_no_leaks(study):
    with pytest.raises(BadInput, match="published"):
        leaks.read(study)


def test_a_published_variant_stands_beside_its_namesake(table_of):
    table = table_of("comparison")
    published = table.protocol == "published"
    table.loc[published & (table.estimator == "ips"), "estimator"] = "ips@published"
    axis = comparison.draw(table).axes[0]
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert names.count("ips") == 1 and "ips@published" not in names
    with pytest.raises(BadInput, match="honest"):
        comparison.draw(table[published])


@pytest.fixture
def reproduction(tmp_path, study, table_of):
    """The folders of some steps."""
    (tmp_path / "bias-level").symlink_to(study)
    for step, file in (("risk", "results"), ("learning-rate", "results"), ("throughput", "throughput")):
        (tmp_path / step).mkdir()
        table_of(step).to_parquet(tmp_path / step / f"{file}.parquet")
    for protocol in ("published", "honest"):
        (tmp_path / f"twins-{protocol}").mkdir()
        table = table_of("comparison").query("protocol == @protocol")
        table.to_parquet(tmp_path / f"twins-{protocol}" / "results.parquet")
    return tmp_path


def test_all_that_can_be_drawn_is_and_the_others_are_named(reproduction, capsys):
    with pytest.raises(SystemExit) as ended:
        figures(FiguresOptions(folder=reproduction, everything=True))
    assert ended.value.code == 1
    told = capsys.readouterr()
    absent = {"identification", "efficiency", "leaks", "value-kl"}
    drawn = {path.stem for path in (reproduction / "figures").glob("*.png")}
    assert drawn == set(names()) - absent
    assert drawn == {path.stem for path in (reproduction / "figures").glob("*.pdf")}
    assert all(f"{name}: skipped: there is no folder" in told.err for name in absent)
    assert "8 drawn" in told.err and len(told.out.splitlines()) == 16
    picture = imread(reproduction / "figures" / "risk.png")
    assert picture.shape[1] == 2070  # 6.9 inches at 300 dots an inch
    assert picture[..., :3].std() > 0.05


def test_some_can_be_chosen(reproduction, tmp_path, capsys):
    figures(FiguresOptions(folder=reproduction, only="risk,throughput", to=tmp_path / "chosen"))
    assert sorted(path.name for path in (tmp_path / "chosen").iterdir()) == [
        *("risk.pdf", "risk.png", "throughput.pdf", "throughput.png"),
    ]
    for everything, only in ((False, None), (True, "risk")):
        with pytest.raises(BadInput, match="--all, or --only"):
            figures(FiguresOptions(folder=reproduction, everything=everything, only=only))
    with pytest.raises(BadInput, match="Did you mean 'risk'"):
        figures(FiguresOptions(folder=reproduction, only="riks"))


def test_verdicts_that_check_keeps_can_be_drawn(tmp_path, capsys):
    check(CheckOptions(estimators=["naive", "ips"], conformance=False, out=tmp_path / "risk"))
    table = pd.read_parquet(tmp_path / "risk" / "results.parquet")
    assert set(table.estimator) == {"naive", "ips"} and {"case", "verdict", "bias"} <= set(table.columns)
    figure(FigureOptions(name="risk", folder=str(tmp_path / "risk")))
    assert (tmp_path / "risk" / "risk.pdf").stat().st_size > 5000


@pytest.mark.parametrize("name", ["groups", "reliability", "throughput"])
def test_one_figure_is_drawn_from_its_folder(name, reproduction, tmp_path):
    folder = reproduction / find(name).steps[0]
    figure(FigureOptions(name=name, folder=str(folder), to=str(tmp_path / "drawn")))
    assert imread(tmp_path / "drawn.png")[..., :3].std() > 0.05


def test_results_that_cannot_be_drawn_are_one_sentence(tmp_path):
    """A figure of a user's own, and a column of text where numbers belong."""
    (tmp_path / "mine.py").write_text("def draw(table):\n    return table.value + table.estimator.sum()\n")
    run(StudyConfig(sizes=(100,), replicates=2, estimators=("naive",)), tmp_path / "OUT")
    with pytest.raises(BadInput, match=r"'mine' cannot be drawn from the results in .*OUT \(\w+Error"):
        find(str(tmp_path / "mine.py")).draw(tmp_path / "OUT")


def test_what_ran_with_a_few_labels_has_a_row_of_its_own(table_of):
    table = table_of("comparison")
    honest = table[table.protocol == "honest"]
    told = honest[honest.estimator == honest.estimator.iloc[0]].assign(knows="labels (0.05)")
    axis = comparison.draw(pd.concat([table, told])).axes[0]
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert f"{honest.estimator.iloc[0]}, labels" in names and honest.estimator.iloc[0] in names
