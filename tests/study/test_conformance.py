"""The conformance kit passes what conforms, and catches by name what does not."""

import numpy as np
import pytest
from simbench_estimators.naive import Naive

from simbench.cli import main
from simbench.estimator.registry import find
from simbench.study.conformance import examine

CHEATER = '''
import inspect
from dataclasses import replace
from simbench_estimators.naive import Naive

class Cheater(Naive):
    """Looks for the truth in its callers' variables, and trains on it."""
    name = "too-good"

    def fit_replicates(self, log, replicates=None):
        for frame in inspect.stack():
            truth = frame.frame.f_locals.get("truth")
            if truth is not None:
                log = replace(log, feedback=truth.preference.astype("float32"))
        return super().fit_replicates(log, replicates)
'''


def failed(kind):
    return {f.requirement for f in examine(kind, kind.name, 600) if not f.passed}


@pytest.mark.parametrize("name", ["naive", "ips", "implicitrm", "nnpu", "bpr", "elkan-noto", "oracle"])
def test_who_conforms_passes(name):
    assert failed(find(name)) == set()


class Wrapped:
    def __init__(self, model, change):
        self.model, self.change = model, change

    def predict(self, features):
        return self.change(self.model.predict(features))


class Forgetful(Naive):
    name = "forgetful"

    def fit_replicates(self, log, replicates=None):
        noise = np.random.default_rng().normal(0, 1e-3)
        return Wrapped(super().fit_replicates(log, replicates), lambda p: (p + noise).clip(0, 1))


class Batchwise(Naive):
    name = "batchwise"

    def fit_replicates(self, log, replicates=None):
        model = super().fit_replicates(log, replicates)
        return Wrapped(model, lambda p: p / p.max(axis=1, keepdims=True))


class Gregarious(Naive):
    name = "gregarious"

    def fit_replicates(self, log, replicates=None):
        return Wrapped(super().fit_replicates(log, replicates), lambda p: 0.5 * p + 0.5 * p.mean(0))


class Contrary(Naive):
    name = "contrary"

    def link(self, reward_logit, calibration=None):
        return super().link(-reward_logit)


class Broken(Naive):
    name = "broken"

    def prepare(self, log):
        raise KeyError("no such column")


@pytest.mark.parametrize(
    ("kind", "requirement"),
    [
        (Forgetful, "same seed, same predictions"),
        (Batchwise, "a row's prediction does not depend on the others"),
        (Gregarious, "a replicate alone equals itself among others"),
        (Contrary, "ranks well where it is easy"),
    ],
)
def test_who_does_not_conform_is_told_where(kind, requirement):
    assert requirement in failed(kind)


def test_an_error_is_a_finding():
    findings = examine(Broken, "broken", 600)
    assert not any(f.passed for f in findings)
    assert findings[0].detail == "KeyError: 'no such column'"


def test_a_cheater_installed_from_outside_is_caught_by_name(tmp_path, monkeypatch, capsys):
    (tmp_path / "acme_cheat.py").write_text(CHEATER)
    info = tmp_path / "acme_cheat-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-cheat\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[simbench.estimators]\ntoo-good = acme_cheat:Cheater\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["check", "too-good"])
    said = capsys.readouterr().err
    assert end.value.code == 1
    assert "FAIL too-good: predictions do not change with a truth that was not told" in said
    assert said.strip().endswith("simbench: does not conform: too-good.")
    assert "FAIL too-good: reaches for nothing but its log: walks the frames of its callers" in said
    # nothing else is wrong with it
    assert said.count("FAIL") == 2
