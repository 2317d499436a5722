"""What a cell reads is part of what it is: files and code replaced in place make other cells."""

import pickle
import sys
from itertools import count

import numpy as np
import pandas as pd
import pytest

from simbench.errors import BadInput
from simbench.estimator.registry import find
from simbench.files import python_file
from simbench.study import cell as module
from simbench.study.cell import run_cell, with_inputs
from simbench.study.config import StudyConfig, cells_of
from simbench.study.inputs import inputs_of_world
from simbench.study.run import run
from simbench.study.shards import Shards
from simbench.study.table import read_table
from simbench.worlds.config import WorldConfig
from simbench.worlds.presets import PRESETS

MINE = """
from simbench.estimator.estimator import Estimator
from simbench.training.losses import cross_entropy
from {helper} import SIGN

class Mine(Estimator):
    name = "mine"
    epochs = 2

    def reward_loss(self, out, batch):
        return SIGN * cross_entropy(out.reward, batch.feedback)
"""
numbers = count()


def write_responses(folder, seed):
    """Two hundred rated responses and their features."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({
        "prompt": [f"p{number // 4}" for number in range(200)],
        "response": [f"answer {number}" for number in range(200)],
        "rating": rng.standard_normal(200),
    })  # fmt: skip
    frame.to_csv(folder / "responses.csv", index=False)
    np.save(folder / "features.npy", rng.standard_normal((200, 3)).astype(np.float32))


@pytest.fixture
def rated(tmp_path):
    write_responses(tmp_path, 0)
    where = {"kind": "file", "path": str(tmp_path / "responses.csv")}
    where["features"] = str(tmp_path / "features.npy")
    return WorldConfig.model_validate({"name": "rated", "responses": where, "reward": {"kind": "link"}})


def study_of(world, **changes):
    given = {"worlds": (world,), "estimators": ("oracle",), "sizes": (100,), "replicates": 2}
    return StudyConfig(**{**given, "parameters": {"oracle": {"epochs": 2}}, **changes})


def test_a_world_is_known_with_the_content_of_its_files(rated, tmp_path):
    assert inputs_of_world(PRESETS["exclusive"]) == ()
    before = inputs_of_world(rated)
    assert [name for name, _ in before] == [rated.responses.path, rated.responses.features]
    assert all(content.startswith("sha256:") for _, content in before)
    (tmp_path / "features.npy").unlink()
    assert inputs_of_world(rated) == (before[0], (rated.responses.features, "unreadable"))


def test_responses_that_are_replaced_in_place_are_other_cells(rated, tmp_path):
    config, out = study_of(rated), tmp_path / "out"
    first = run(config, out)
    write_responses(tmp_path, 1)
    second = run(config, out)
    fresh = run(config, tmp_path / "fresh")
    pd.testing.assert_frame_equal(second.drop(columns="seconds"), fresh.drop(columns="seconds"))
    assert len(list((out / "shards").iterdir())) == 2 and not first.value.equals(second.value)
    write_responses(tmp_path, 0)  # the first are still there
    pd.testing.assert_frame_equal(run(config, out), first)


def test_responses_that_change_while_a_study_runs_fail_their_cells(rated, tmp_path):
    (cell,) = cells_of(study_of(rated))
    write_responses(tmp_path, 1)
    with pytest.raises(BadInput, match=r"features.npy and .*responses.csv has changed since the study was"):
        cell.built()
    outcome = run_cell(cell, Shards(tmp_path / "shards"))
    assert outcome.status == "failed" and "has changed since the study was planned" in outcome.reason
    assert not (tmp_path / "shards").exists()


def test_code_that_changes_while_its_cell_runs_is_no_result(tmp_path, monkeypatch):
    """What was fitted is what was planned, or it is not kept."""
    cell = module.with_inputs(cell_of("naive", tmp_path)).model_copy(update={"code": (("mine.py:M", "old"),)})
    monkeypatch.setattr(module, "code_of", lambda name, grant: (("mine.py:M", "new"),))
    outcome = run_cell(cell, Shards(tmp_path))
    assert outcome.status == "failed" and list(tmp_path.iterdir()) == []
    assert outcome.reason.startswith("BadInput: mine.py:M has changed since the study was planned")
    monkeypatch.setattr(module, "code_of", lambda name, grant: (("mine.py:M", "old"),))
    assert run_cell(cell, Shards(tmp_path)).status == "ok"


def cell_of(name, tmp_path):
    world = PRESETS["exclusive"].changed(test_size=100, n_features=3, n_context=2)
    (cell,) = cells_of(StudyConfig(worlds=(world,), sizes=(60,), estimators=(name,), replicates=2))
    return cell


def test_inputs_are_those_of_the_moment(rated, tmp_path):
    cell = cells_of(study_of(rated))[0]
    assert with_inputs(cell.model_copy(update={"data": (), "code": ()})) == cell
    write_responses(tmp_path, 1)
    assert with_inputs(cell).key != cell.key


FLAT = """
import numpy as np
from simbench.worlds.behaviour import PointwiseBehaviour

class Flat(PointwiseBehaviour):
    def propensity(self, scene, bias_level, action_rate, signal):
        return np.full(scene.n_rows, action_rate)
"""


@pytest.fixture
def flat(tmp_path):
    """A cell in a world whose users act by a file."""
    (tmp_path / "flat.py").write_text(FLAT)
    config = study_of(PRESETS["exclusive"].changed(behaviour=f"{tmp_path / 'flat.py'}:Flat", test_size=100))
    return cells_of(config)[0]


def test_users_that_are_edited_are_other_worlds(flat, tmp_path):
    kind = f"{tmp_path / 'flat.py'}:Flat"
    assert [name for name, _ in flat.data] == [kind]
    (tmp_path / "flat.py").write_text(FLAT.replace("action_rate)\n", "action_rate / 2)\n"))
    edited = cells_of(study_of(PRESETS["exclusive"].changed(behaviour=kind, test_size=100)))[0]
    assert edited.data != flat.data and edited.key != flat.key
    with pytest.raises(BadInput, match=r"flat.py:Flat has changed since the study was planned"):
        flat.built()
    assert edited.built().train.propensity.mean() == pytest.approx(0.15)


def test_a_cell_travels_to_a_process_that_has_not_imported_its_users(flat, monkeypatch):
    content = pickle.dumps(flat)
    monkeypatch.delitem(sys.modules, "simbench_file_flat")
    monkeypatch.setattr(python_file, "_ran", {})
    found = pickle.loads(content)
    assert found.key == flat.key and found.data == flat.data
    assert np.array_equal(found.built().train.propensity, flat.built().train.propensity)


def mine(folder, helper, sign):
    (folder / f"{helper}.py").write_text(f"SIGN = {sign}\n")
    (folder / "mine.py").write_text(MINE.format(helper=helper))
    return f"{folder / 'mine.py'}:Mine"


def test_an_estimator_that_is_edited_is_fitted_again(tmp_path, monkeypatch):
    """In its own file, or in one beside it that it imports; at the same size and within the same second."""
    monkeypatch.syspath_prepend(tmp_path)
    found = {}
    for sign in ("+1", "-1", "+1"):
        # a process imports a helper once: each stands for a process of its own
        name = mine(tmp_path, f"helper{next(numbers)}", sign)
        out = run(
            study_of(PRESETS["exclusive"].changed(test_size=100), estimators=(name,), parameters={}),
            tmp_path / "out",
        )
        assert (out.status == "ok").all(), out.reason.item()
        found.setdefault(sign, []).append(out[out.metric == "auroc"].value.item())
    assert found["+1"][0] == found["+1"][1] and found["+1"][0] != found["-1"][0]
    assert read_table(tmp_path / "out").equals(out)
    assert find(name).name == "mine"
