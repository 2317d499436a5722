"""Estimators from outside: any scikit-learn classifier, an own class, an installed package."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from simbench.errors import BadInput
from simbench.estimator.registry import find, names
from simbench.streams import seed_of

PACKAGE = '''
import numpy as np
from simbench import Estimator
from simbench import loss_negative, loss_positive

class Acme(Estimator):
    """Naive under another name."""

    name = "acme"
    family = "acme family"
    assumption = "acme knows"
    source = "Acme 2026"

    def reward_loss(self, out, batch):
        r = batch.feedback
        return r * loss_positive(out.reward) + (1 - r) * loss_negative(out.reward)

class Broken(Estimator):
    name = "acme-broken"

    def fit_replicates(self, log, replicates=None):
        return {}["no such key"]

class Silent(Estimator):
    name = "acme-silent"

    def fit_replicates(self, log, replicates=None):
        assert len(log.feedback) > 99

class NaN(Estimator):
    name = "acme-nan"

    def fit_replicates(self, log, replicates=None):
        return self

    def predict(self, features):
        return np.full((2, len(features)), np.nan)

class Flat(NaN):
    name = "acme-flat"

    def predict(self, features):
        return np.zeros(len(features))
'''
ENTRY_POINTS = """[simbench.estimators]
acme = acme_rewards:Acme
acme-broken = acme_rewards:Broken
acme-silent = acme_rewards:Silent
acme-nan = acme_rewards:NaN
acme-flat = acme_rewards:Flat
acme-absent = acme_rewards.not_there:Absent
"""


def test_predictions_are_scikit_learns_own(small_world):
    log, _ = small_world.draw(range(3))
    found = find("sklearn:LogisticRegression")().fit_replicates(log).predict(small_world.test.features)
    for prediction, feedback in zip(found, log.feedback, strict=True):
        peer = LogisticRegression().fit(log.features, feedback)
        assert np.array_equal(prediction, peer.predict_proba(small_world.test.features)[:, 1])


def test_a_random_classifier_is_seeded_by_seed_and_replicate(small_world):
    log, _ = small_world.draw(range(2))
    x = small_world.test.features
    kind = find("sklearn:RandomForestClassifier")
    forest = RandomForestClassifier(n_estimators=4)
    found = kind(forest, seed=5).fit_replicates(log).predict(x)
    assert np.array_equal(found, kind(forest, seed=5).fit_replicates(log).predict(x))
    alone = kind(forest, seed=5).fit_replicates(log.replicates(slice(1, 2)), range(1, 2)).predict(x)
    assert np.array_equal(alone[0], found[1])
    seed = seed_of(5, "sklearn", 1) % 2**32
    peer = RandomForestClassifier(n_estimators=4, random_state=seed).fit(log.features, log.feedback[1])
    assert np.array_equal(found[1], peer.predict_proba(x)[:, 1])
    assert not hasattr(forest, "estimators_"), "the classifier that was given must stay unfitted"


@pytest.mark.parametrize("name", ["LogisticRegression", "GaussianNB", "HistGradientBoostingClassifier"])
def test_classifiers_are_found_by_their_class_name(name):
    assert find(f"sklearn:{name}").name == f"sklearn:{name}"
    assert type(find(f"sklearn:{name}")().classifier).__name__ == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sklearn:LogisticRegresion", "no classifier .* Did you mean sklearn:LogisticRegression?"),
        ("sklearn:Nothing_at_all", "no classifier 'Nothing_at_all'.$"),
        ("sklearn:LinearSVC", "sklearn:LinearSVC has no predict_proba"),
        ("sklearn:Ridge", "no classifier"),
        ("implicitrn", "Did you mean 'implicitrm'"),
        ("json:JSONDecoder", "is not a subclass of simbench.Estimator"),
        ("json:NoSuchThing", "cannot be imported"),
        ("sklearn", "is not a subclass .*try sklearn:ClassName"),
    ],
)
def test_a_name_that_cannot_be_used_is_explained(name, message):
    with pytest.raises(BadInput, match=message):
        find(name)


@pytest.fixture
def installed(tmp_path):
    """A package that someone else wrote and installed, here on the path."""
    (tmp_path / "acme_rewards.py").write_text(PACKAGE)
    info = tmp_path / "acme_rewards-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-rewards\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    path = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def simbench(environment, *arguments, code=0):
    command = [sys.executable, "-m", "simbench", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_an_installed_package_is_run_and_what_fails_fails_alone(installed, tmp_path):
    broken = ["acme-broken", "acme-silent", "acme-nan", "acme-flat"]
    chosen = ["naive", "acme", *broken, "sklearn:GaussianNB", "acme_rewards:Acme"]
    options = ["--size", 200, "--replicates", 2, "--format", "json", "--out", tmp_path / "out"]
    done = simbench(installed, "run", "--worlds", "1", "--estimators", ",".join(chosen), *options, code=1)
    rows = {name: [r for r in json.loads(done.stdout) if r["estimator"] == name] for name in chosen}
    assert {name: [(r["status"], r["reason"]) for r in rows[name]] for name in broken} == {
        "acme-broken": [("failed", "KeyError: 'no such key'")],
        "acme-silent": [("failed", "AssertionError")],
        "acme-nan": [("failed", "ArithmeticError: the predictions are not finite: training diverged")],
        "acme-flat": [("failed", "ValueError: the predictions have shape (5000,), not (2, 5000)")],
    }
    for name in set(chosen) - set(broken):
        assert {r["status"] for r in rows[name]} == {"ok"} and len(rows[name]) > 5
    # common random numbers: the same loss and seed on the same replicates is the same result
    values = [
        [(r["metric"], r["value"]) for r in rows[who]] for who in ("acme", "acme_rewards:Acme", "naive")
    ]
    assert values[0] == values[1] != values[2]  # simbench's own is told another seed
    assert "failed: acme-broken, acme-flat, acme-nan, acme-silent" in done.stderr


def test_an_installed_package_is_listed(installed):
    listed = json.loads(simbench(installed, "list", "estimators", "--format", "json").stdout)
    by_name = {row["estimator"]: row for row in listed}
    assert by_name["acme"]["family"] == "acme family" and by_name["acme"]["source"] == "Acme 2026"
    assert set(names()) - {"sklearn"} <= set(by_name) and "sklearn:CLASS" in by_name
    assert "acme_rewards.not_there" in by_name["acme-absent"]["assumes"]


def test_a_package_that_cannot_be_imported_is_named(installed):
    done = simbench(installed, "run", "--worlds", "1", "--estimators", "naive,acme-absent", code=2)
    assert done.stderr.count("\n") == 1
    assert "'acme-absent' cannot be imported" in done.stderr and "acme_rewards.not_there" in done.stderr
