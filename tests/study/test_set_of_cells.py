"""A study is a set of cells: what is added equals what a fresh study computes, bit for bit."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from simbench.errors import BadInput
from simbench.estimator.registry import find
from simbench.study import cell as module
from simbench.study import facts, scoring
from simbench.study.cell import Outcome, fit_cell, run_cell
from simbench.study.config import StudyConfig, cells_of
from simbench.study.finished import read_study, situations
from simbench.study.policy_settings import Downstream
from simbench.study.protocol import EvaluationProtocol
from simbench.study.results import read
from simbench.study.run import run
from simbench.study.shards import DamagedShard, Shards
from simbench.study.table import Footer, earlier_rows, read_draws, read_footer, read_table, write_table
from simbench.worlds.presets import PRESETS

WORLD = PRESETS["exclusive"].changed(test_size=100, n_features=3, n_context=2)
SHARED = PRESETS["shared"].changed(test_size=100, n_features=3, n_context=2)
SHORT = {"epochs": 2}
BASE = StudyConfig(
    worlds=(WORLD,), sizes=(60,), replicates=2, bias_levels=(0.5,), grant=("propensity", "class prior"),
    estimators=("oracle", "naive"),
    parameters=dict.fromkeys(("oracle", "naive", "ips", "nnpu", "implicitrm"), SHORT),
)  # fmt: skip


def asked(**changes):
    """The study with these changes; parameters are those of its estimators."""
    config = BASE.model_copy(update=changes)
    own = {name: value for name, value in BASE.parameters.items() if name in config.estimators}
    return config.model_copy(update={"parameters": own})


ADDED = {
    "estimators": asked(estimators=("ips", "oracle", "implicitrm", "naive")),
    "worlds": asked(worlds=(SHARED, WORLD)),
    "bias levels": asked(bias_levels=(0.5, 1.0)),
    "sizes": asked(sizes=(50, 60)),
    "replicates": asked(replicates=5),
    "draws": asked(draws=3),
    "protocols": asked(protocols=(EvaluationProtocol(), EvaluationProtocol(name="few", replicates=1))),
    "grants": asked(estimators=("oracle", "ips"), grant=("propensity:distorted", "propensity")),
    "margin": asked(margin=0.2, level=0.9),
    "several": asked(estimators=("oracle", "naive", "ips"), replicates=3, bias_levels=(0.0, 0.5)),
    "fewer": asked(estimators=("oracle",), replicates=1),
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    out = tmp_path_factory.mktemp("base") / "out"
    run(asked(), out)
    return out


def contents(out, config):
    """What a study says of its cells: predictions, facts but for the time, and the table without it."""
    shards, found = Shards(out / "shards"), {}
    for cell in cells_of(config):
        predictions, own = shards.read(cell.key, cell.replicates)
        found[cell.key] = predictions.tobytes(), {**own, "parts": None}
    return found, read_table(out).drop(columns="seconds")


@pytest.mark.parametrize("added", ADDED)
def test_what_is_added_to_a_study_equals_a_fresh_one_and_nothing_is_fitted_twice(
    added, base, tmp_path, monkeypatch
):
    config, out, fitted = ADDED[added], tmp_path / "out", []
    run(asked(), out)
    before = {cell.key for cell in cells_of(asked())}

    def counted(cell, kind, world=None, first=0):
        fitted.append((cell.key, first))
        return fit_cell(cell, kind, world, first)

    monkeypatch.setattr(module, "fit_cell", counted)
    run(config, out)
    wanted = [cell for cell in cells_of(config) if cell.key not in before or cell.replicates > 2]
    assert fitted == [(cell.key, 2 if cell.key in before else 0) for cell in wanted]
    monkeypatch.undo()
    run(config, tmp_path / "fresh")
    (here, table), (there, fresh) = contents(out, config), contents(tmp_path / "fresh", config)
    assert here == there
    pd.testing.assert_frame_equal(table, fresh)
    assert read_study(out) == config and read(out).config == config


@pytest.mark.parametrize(
    ("name", "grant"),
    [
        ("naive", ()),
        ("ips", ("propensity:estimated=50",)),
        ("nnpu", ("class prior:km2",)),
        ("implicitrm", ("labels",)),
        ("sklearn:GaussianNB", ()),
    ],
)
def test_replicates_in_steps_are_those_at_once(name, grant, tmp_path):
    (cell,) = cells_of(asked(estimators=(name,), replicates=4, grant=grant, label_share=0.3))
    shards = Shards(tmp_path / "steps")
    for count in (1, 3, 2, 4):
        assert run_cell(cell.model_copy(update={"replicates": count}), shards).status == "ok"
    own, steps = shards.read(cell.key)
    whole, at_once = fit_cell(cell, find(name))
    assert np.array_equal(own, whole.astype(np.float32)) and len({row.tobytes() for row in own}) == 4
    assert steps.items() >= at_once.items()
    assert [part["replicates"] for part in steps["parts"]] == [1, 2, 1]


def test_a_replicate_that_fails_leaves_the_others(tmp_path, monkeypatch):
    (cell,) = cells_of(asked(estimators=("naive",)))
    shards = Shards(tmp_path)
    first = run_cell(cell, shards)
    before = shards.path(cell.key).read_bytes()

    def fails(*_, **__):
        raise ArithmeticError("diverged")

    monkeypatch.setattr(module, "fit_cell", fails)
    outcome = run_cell(cell.model_copy(update={"replicates": 3}), shards)
    assert outcome.status == "failed" and shards.path(cell.key).read_bytes() == before
    assert run_cell(cell, shards) == first


# -- what is there already ---------------------------------------------------------------------


def times(out):
    return {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}


def test_a_finished_study_is_read_back_without_a_world_a_score_or_a_byte_written(base, monkeypatch):
    table, before = read_table(base), times(base)
    monkeypatch.setattr(module, "build", None)  # which cannot be called
    monkeypatch.setattr(scoring, "score", None)
    again = run(asked(), base)
    pd.testing.assert_frame_equal(again, table)
    assert times(base) == before


def test_rows_are_scored_again_where_their_grounds_have_changed(tmp_path, monkeypatch):
    out, scored = tmp_path / "out", []
    run(asked(estimators=("naive",)), out)
    score = scoring.score

    def counted(*args, **options):
        scored.append(args[0].shape)
        return score(*args, **options)

    monkeypatch.setattr(scoring, "score", counted)
    for config, count in (
        (asked(estimators=("naive",)), 0),
        (asked(), 2),  # an oracle came: its excess is over another reference now
        (asked(estimators=("oracle", "naive", "ips")), 1),
        (asked(estimators=("oracle", "naive", "ips"), margin=0.1), 3),
        (asked(estimators=("oracle", "naive", "ips"), margin=0.1, level=0.5), 3),
        (asked(estimators=("oracle", "naive"), margin=0.1, level=0.5, replicates=1), 2),
    ):
        scored.clear()
        run(config, out)
        assert len(scored) == count
    monkeypatch.setattr(scoring, "_rules", lambda: "other code")
    run(asked(estimators=("oracle", "naive"), margin=0.1, level=0.5, replicates=1), out)
    assert len(scored) == 4


def test_a_table_that_was_damaged_is_made_anew(tmp_path):
    out = tmp_path / "out"
    table = run(asked(), out)
    content = bytearray((out / "results.parquet").read_bytes())
    content[60] ^= 1  # in the first page
    (out / "results.parquet").write_bytes(content)
    with pytest.raises(BadInput, match="cannot be read"):
        read_table(out)
    pd.testing.assert_frame_equal(run(asked(), out), table)
    pd.testing.assert_frame_equal(read_table(out), table)


def test_a_footer_that_does_not_fit_the_rows_gives_none_of_them(tmp_path):
    run(asked(), tmp_path / "out")
    table, footer = read_draws(tmp_path / "out"), read_footer(tmp_path / "out")
    assert footer is not None and sum(count for _, count in footer.cells) == len(table)
    wrong = Footer(footer.config, footer.cells[:1])
    for name in ("results.parquet", "draws.parquet"):
        write_table(tmp_path / name, table, wrong)
    assert read_footer(tmp_path) == wrong and earlier_rows(tmp_path / "out")[0] == footer
    assert earlier_rows(tmp_path) == (None, {})
    for name in ("results.parquet", "draws.parquet"):
        write_table(tmp_path / name, table)
    assert read_footer(tmp_path) is None and earlier_rows(tmp_path) == (None, {})


def test_a_table_of_one_study_beside_the_description_of_another_is_not_read(tmp_path):
    """As a kill between the two writes leaves them; the same command again makes them one."""
    run(asked(), tmp_path / "one")
    run(asked(margin=0.2), tmp_path / "two")
    (tmp_path / "one" / "study.json").write_bytes((tmp_path / "two" / "study.json").read_bytes())
    with pytest.raises(BadInput, match="are of two studies: run one of them again"):
        read(tmp_path / "one")
    run(asked(), tmp_path / "one")
    assert read(tmp_path / "one").config == asked()


def test_policies_of_other_cells_do_not_stay_beside_the_table(tmp_path):
    out = tmp_path / "out"
    run(asked(downstream=Downstream(betas=(1.0,))), out)
    assert (out / "downstream.parquet").exists()
    run(asked(estimators=("oracle",)), out)
    assert not (out / "downstream.parquet").exists()


def test_replicates_that_are_not_all_there_are_no_finished_cells(tmp_path):
    run(asked(), tmp_path)
    assert sum(map(len, situations(tmp_path))) == 2
    content = json.loads((tmp_path / "study.json").read_text())
    content["config"]["replicates"] = 3
    (tmp_path / "study.json").write_text(json.dumps(content))
    with pytest.raises(BadInput, match="no finished cell"):
        list(situations(tmp_path))


# -- damage ------------------------------------------------------------------------------------


def flip(shards, cells):
    path = shards.path(cells[0].key).local
    content = bytearray(path.read_bytes())
    content[-9] ^= 4
    path.write_bytes(content)
    return {cells[0].key}


def swap(shards, cells):
    first, second = (shards.path(cell.key).local for cell in cells)
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    return {cell.key for cell in cells}


def empty(shards, cells):
    shards.path(cells[1].key).local.write_bytes(b"")
    return {cells[1].key}


@pytest.mark.parametrize("damage", [flip, swap, empty])
def test_damaged_shards_are_computed_again_and_named(damage, tmp_path):
    out, cells = tmp_path / "out", cells_of(asked())
    run(asked(), out)
    good = contents(out, asked())
    damaged = damage(Shards(out / "shards"), cells)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run(asked(), out)
    assert {warning.category for warning in said} == {DamagedShard}
    named = {key for key in damaged if any(f"{key}.safetensors" in str(one.message) for one in said)}
    assert named == damaged and len(said) == len(damaged)
    found = contents(out, asked())
    assert found[0] == good[0]
    pd.testing.assert_frame_equal(found[1], good[1])


# -- several versions --------------------------------------------------------------------------


def test_a_table_made_of_several_versions_says_so(tmp_path, monkeypatch):
    out = tmp_path / "out"
    run(asked(), out)
    usual = json.loads((out / "study.json").read_text())["made_with"]
    (own,) = facts.stacks({"parts": [facts.made(1, 0.0)]})
    assert usual in ([], [own]) and not [note for note in read(out).notes if "versions" in note]
    older = {**facts._versions(), "torch": "0.1", "numpy": "0.1"}
    monkeypatch.setattr(facts, "_versions", lambda: older)
    run(asked(estimators=("oracle", "naive", "ips")), out)
    other = own.split(",")[0] + ", torch 0.1, numpy 0.1"
    assert json.loads((out / "study.json").read_text())["made_with"] == sorted([own, other])
    (note,) = [note for note in read(out).notes if "versions" in note]
    assert note == f"made with several versions: {'; '.join(sorted([own, other]))}."
    run(asked(), out)  # the newer cells have no part in this one
    assert not [note for note in read(out).notes if "versions" in note]


def test_an_outcome_tells_the_seconds_of_its_replicates_alone(tmp_path):
    (cell,) = cells_of(asked(estimators=("naive",), replicates=4))
    shards = Shards(tmp_path)
    run_cell(cell, shards)
    predictions, own = shards.read(cell.key)
    own["parts"] = [{**own["parts"][0], "seconds": 8.0}]
    shards.write(cell.key, predictions, own)
    few = cell.model_copy(update={"replicates": 1})
    assert run_cell(few, shards) == Outcome(few, "ok", "", 2.0)
