"""Files of features that stay on disk, through the commands that read them."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from simbench.cli import main
from simbench.files.matrix import MappedMatrix
from simbench.log.rated_responses import load_responses, read_features
from simbench.log.user_log import LogColumns, read_log
from simbench.reward.model import fit_log, load_model
from simbench.study.cell import built
from simbench.study.table import read_table

N, D = 2400, 8


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A log, rated responses, and their features in a file."""
    folder, rng = tmp_path_factory.mktemp("big"), np.random.default_rng(0)
    x = rng.standard_normal((N, D)).astype(np.float32)
    save_file({"embeddings": x}, folder / "x.safetensors")
    rating = x[:, 0] + rng.standard_normal(N)
    frame = pd.DataFrame(
        {"prompt": np.arange(N) // 4, "rating": rating, "clicked": (rating > 0.5).astype(int)}
    )
    frame.to_parquet(folder / "log.parquet")
    return folder


@pytest.fixture
def large(monkeypatch):
    """As if memory held 100 rows; the pools of training stay as they are."""
    monkeypatch.setattr("simbench.log.rated_responses.IN_MEMORY", 100 * D * 4)
    monkeypatch.setattr("simbench.files.matrix.IN_MEMORY", 100 * D * 4)


COLUMNS = {"feedback": "clicked", "groups": "prompt"}


def test_a_file_that_fits_memory_is_read_into_it(files):
    assert isinstance(read_features(files / "x.safetensors", N), np.ndarray)


def test_a_model_fitted_from_disk_is_the_same_model(files, tmp_path, request):
    columns = LogColumns(features=str(files / "x.safetensors"), **COLUMNS)
    path, short = files / "log.parquet", {"epochs": 3, "batch_size": 64}
    fit_log(path, columns, "naive", **short).save(tmp_path / "memory")
    request.getfixturevalue("large")
    assert isinstance(read_log(path, columns).log.features, MappedMatrix)
    fit_log(path, columns, "naive", **short).save(tmp_path / "disk")
    for name in ("card.json", "model.safetensors"):
        assert (tmp_path / "memory" / name).read_bytes() == (tmp_path / "disk" / name).read_bytes()
    model = load_model(tmp_path / "disk")
    assert model.card["log"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    raw = read_features(files / "x.safetensors", N)
    assert isinstance(raw, MappedMatrix)
    assert np.array_equal(model.predict_reward(raw), model.predict_reward(raw[:]))


def test_responses_are_chosen_and_scaled_on_disk(files, large, monkeypatch):
    given = {"features": files / "x.safetensors", "size": 400}
    on_disk = load_responses(files / "log.parquet", **given).features
    few = load_responses(files / "log.parquet", **{**given, "size": 80}).features
    monkeypatch.undo()
    in_memory = load_responses(files / "log.parquet", **given).features
    assert isinstance(on_disk, MappedMatrix) and isinstance(few, np.ndarray)
    assert on_disk.shape == in_memory.shape and np.allclose(on_disk[:], in_memory, rtol=1e-6)


@pytest.mark.parametrize("world", ["exclusive", "shared"])
def test_a_study_of_a_large_file_is_the_study(world, files, tmp_path, request):
    """To rounding: a scale on disk is one product in float32. The propensity of ``shared`` reads features."""
    names = "naive,ips,oracle,sklearn:LogisticRegression"
    flags = [
        "run",
        "--worlds",
        "1",
        "--world",
        world,
        "--responses",
        str(files / "log.parquet"),
        "--size",
        "800",
    ]
    flags += ["--features", str(files / "x.safetensors"), "--replicates", "3", "--estimators", names]

    def study(name):
        with pytest.raises(SystemExit) as end:
            main([*flags, "--out", str(tmp_path / name)])
        assert end.value.code == 0
        return read_table(tmp_path / name)

    found = [study("a")]
    request.getfixturevalue("large")
    built.cache_clear()
    found.append(study("b"))
    built.cache_clear()
    assert (found[0].status == "ok").all()
    values = [table[table.metric == "mse"].value.to_numpy() for table in found]
    assert len(values[0]) == 4 and np.allclose(*values, atol=2e-4)
