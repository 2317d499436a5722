"""A secret seed: drawn at random, kept to its user while the study runs, published after its last cell."""

import json
import os
import stat

import numpy as np
import pytest

from simbench.errors import BadInput
from simbench.estimator.registry import find
from simbench.files.location import Location
from simbench.study import secret
from simbench.study.cell import Cell
from simbench.study.config import StudyConfig, cells_of
from simbench.study.finished import read_study
from simbench.study.run import run
from simbench.worlds.presets import PRESETS

GRID = {
    "worlds": (PRESETS["exclusive"].changed(test_size=100),),
    "sizes": (100,),
    "estimators": ("oracle", "naive"),
    "parameters": {"oracle": {"epochs": 1}, "naive": {"epochs": 1}},
    "replicates": 2,
}


class Stopped(Exception):
    """The study is stopped here."""


def config_in(out, **changes):
    return StudyConfig(**{**GRID, **changes}, seed=secret.seed_of_study(Location(out)), secret=True)


def said(out):
    return json.loads((out / "study.json").read_text())


def test_the_seed_is_kept_while_the_study_runs_and_published_at_its_end(tmp_path):
    out = tmp_path / "out"
    config = config_in(out)
    assert config.seed > 1 << 100 and not out.exists()

    def look(outcome, done, total):
        assert str(config.seed) not in (out / "study.json").read_text()
        assert said(out)["seed"] == said(out)["config"]["seed"] == "secret"
        kept = out / secret.FILE
        assert int(kept.read_text()) == config.seed == secret.seed_of_study(Location(out))
        assert os.name != "posix" or stat.S_IMODE(kept.stat().st_mode) == 0o600
        with pytest.raises(BadInput, match="is secret until its last cell has run"):
            read_study(out)
        raise Stopped

    with pytest.raises(Stopped):
        run(config, out, progress=look)
    assert config_in(out) == config  # the same command goes on with the same seed
    table = run(config_in(out), out)
    assert set(table.status) == {"ok"}
    assert said(out)["seed"] == said(out)["config"]["seed"] == config.seed
    assert said(out)["config"]["secret"] is True and not (out / secret.FILE).exists()
    assert read_study(out) == config
    # with the published seed, anybody gets the same numbers
    again = run(StudyConfig(**GRID, seed=config.seed), tmp_path / "again")
    assert np.array_equal(again.value, table.value, equal_nan=True)


def test_a_published_seed_is_no_secret_for_further_cells(tmp_path):
    table = run(config_in(tmp_path), tmp_path)
    assert run(config_in(tmp_path), tmp_path).equals(table)
    with pytest.raises(BadInput, match="is published, and 2 cells are left: choose another --out, or run"):
        run(config_in(tmp_path, bias_levels=(0.8, 1.0), estimators=("oracle", "naive")), tmp_path)


def test_a_seed_that_was_named_never_was_a_secret(tmp_path):
    run(StudyConfig(**GRID, seed=3), tmp_path)
    with pytest.raises(BadInput, match="holds a study with the seed 3, which is no secret"):
        config_in(tmp_path)


def test_where_no_secret_can_be_kept_it_is_refused(tmp_path):
    with pytest.raises(BadInput, match="needs a folder of this machine"):
        secret.seed_of_study(Location("memory://bucket/study"))
    (tmp_path / secret.FILE).write_text("not a number")
    with pytest.raises(BadInput, match=r"seed\.secret is damaged"):
        secret.seed_of_study(Location(tmp_path))


def test_two_studies_have_two_seeds(tmp_path):
    assert secret.seed_of_study(Location(tmp_path / "a")) != secret.seed_of_study(Location(tmp_path / "b"))


def test_a_long_seed_is_shortened_for_estimators_and_another_is_not():
    cell: Cell = cells_of(StudyConfig(**GRID, seed=1 << 100))[1]
    own = cell.arguments(find("naive"))["seed"]
    assert 0 <= own < 1 << 63
    assert own != cell.model_copy(update={"seed": (1 << 100) + 1}).arguments(find("naive"))["seed"]
    largest = (1 << 63) - 1
    assert cell.model_copy(update={"seed": largest}).arguments(find("naive"))["seed"] == largest
