"""benchmarks/gpu_paths.py compares what it says on any machine."""

import importlib.util
import re
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_paths.py"


@pytest.fixture(scope="module")
def paths():
    spec = importlib.util.spec_from_file_location("gpu_paths", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_estimators_are_compared_in_worlds_that_log_what_they_need(paths, capsys, monkeypatch):
    monkeypatch.setattr(paths, "everyone", lambda: ["naive", "pbm", "implicitrm-signals"])
    paths.main(["--device", "cpu", "--small", "--tables", "estimators"])
    text = capsys.readouterr().out
    assert re.findall(r"^\| (\S+) \| 0\.0e\+00 \| yes", text, re.M) == ["implicitrm-signals", "naive", "pbm"]


def test_a_difference_is_seen(paths, capsys, monkeypatch):
    monkeypatch.setattr(paths, "everyone", lambda: ["naive"])
    found = iter((0.5, 0.7))
    fit = paths.fit_cell
    monkeypatch.setattr(paths, "fit_cell", lambda *given: (fit(*given)[0] * 0 + next(found), {}))
    paths.main(["--device", "cpu", "--small", "--tables", "estimators"])
    assert "| naive | 2.0e-01 | no |" in capsys.readouterr().out


def test_without_a_gpu_it_says_how_to_try_it(paths, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit, match="--device cpu --small"):
        paths.main([])
