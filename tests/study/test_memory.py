"""Replicates train in chunks that fit a stated budget; the budget decides no number."""

import gc
import weakref

import pytest

from simbench.cli import main
from simbench.errors import BadInput
from simbench.estimator import estimator as face
from simbench.estimator.registry import find
from simbench.study.cell import fit_cell
from simbench.study.config import StudyConfig, cells_of
from simbench.study.memory import memory_statement
from simbench.study.run import run
from simbench.training import train as training
from simbench.worlds.presets import PRESETS

SMALL = StudyConfig(
    worlds=(PRESETS["exclusive"].changed(test_size=100),),
    sizes=(300,),
    replicates=20,
    estimators=("naive", "implicitrm", "sklearn:GaussianNB"),
    parameters={"naive": {"epochs": 2}, "implicitrm": {"epochs": 2, "restarts": 2}},
)
FRUGAL = StudyConfig.model_validate({**SMALL.model_dump(), "memory_budget": "1MiB"})


def test_a_study_in_chunks_is_the_study(tmp_path, monkeypatch):
    assert FRUGAL.memory_budget == 1 << 20 and [c.key for c in cells_of(FRUGAL)] == [
        c.key for c in cells_of(SMALL)
    ]
    whole = run(SMALL, tmp_path / "a").drop(columns="seconds")
    fitted, original = [], training.Trainer.__init__

    def watched(self, estimator, log, numbers, *rest):
        fitted.append(len(numbers))
        original(self, estimator, log, numbers, *rest)

    monkeypatch.setattr(training.Trainer, "__init__", watched)
    parts = run(FRUGAL, tmp_path / "b").drop(columns="seconds")
    assert whole.equals(parts) and max(fitted) < 20 and sum(fitted) == 20 + 40
    assert run(FRUGAL, tmp_path / "a").drop(columns="seconds").equals(whole)  # resumed with less memory


def test_the_fitted_networks_of_a_chunk_do_not_outlive_it(monkeypatch):
    models, original = [], face.train

    def watched(*arguments, **options):
        gc.collect()
        assert sum(model() is not None for model in models) <= 1
        fitted = original(*arguments, **options)
        models.append(weakref.ref(fitted))
        return fitted

    monkeypatch.setattr(face, "train", watched)
    predictions, _ = fit_cell(cells_of(FRUGAL)[0], find("naive"))
    assert len(models) >= 2 and predictions.shape[0] == 20


def test_the_run_states_its_budget():
    assert memory_statement(SMALL).startswith("memory: replicates that train at once take at most 2.0GiB (")
    text = memory_statement(FRUGAL)
    assert "at most 1.0MiB: " in text and "4 of 20 for implicitrm at 300 responses" in text


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--memory", "2parsecs"], "could not interpret byte unit"),
        (["--memory", "2B"], "greater than or equal to 1048576"),
        (["--precision", "fp8"], "precision"),
        (["--precision", "tf32"], "tf32 is a mode of NVIDIA GPUs"),
    ],
)
def test_what_cannot_be_is_one_sentence(flags, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["run", "--worlds", "1", *flags, "--out", str(tmp_path / "s")])
    assert end.value.code == 2 and message in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_a_parameter_that_an_estimator_lacks_is_bad_input():
    config = StudyConfig(estimators=("naive",), parameters={"naive": {"nope": 1}})
    with pytest.raises(BadInput, match=r"'naive' does not take these parameters: .*nope"):
        memory_statement(config)
