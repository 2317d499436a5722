"""Methods for the class prior from other distributions run where guests do."""

import os

import numpy as np
import pytest

from simbench.estimator.registry import CLASS_PRIORS, class_prior_method, class_prior_methods
from simbench.study.guests.kinds import seed_for_guests
from simbench.study.guests.priors import class_prior
from simbench.study.guests.process import GuestError

METHODS = """
import os
import numpy as np

def fair(log, seed):
    return (log.feedback.mean(1) + seed % 7 / 100).astype(float)

def number(log, seed):
    return np.full(log.n_replicates, os.getpid() % 90 / 100 + 0.05)

def wrong(log, seed):
    return np.ones(log.n_replicates)

def ends(log, seed):
    os._exit(3)
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A distribution with methods for the class prior."""
    (tmp_path / "acme_priors.py").write_text(METHODS)
    info = tmp_path / "acme_priors-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-priors\nVersion: 1.0\n")
    names = ("fair", "number", "wrong", "ends")
    lines = [f"acme-{name} = acme_priors:{name}" for name in names]
    (info / "entry_points.txt").write_text("\n".join([f"[{CLASS_PRIORS}]", *lines]))
    monkeypatch.syspath_prepend(tmp_path)


def test_a_method_from_outside_is_asked_in_another_process(installed, guest, cell_of):
    log, _ = cell_of("naive").built().draw(range(2))
    found = class_prior("acme-fair", log, 5)
    assert np.array_equal(found, class_prior_method("acme-fair")(log, seed_for_guests(5)))
    assert class_prior("acme-number", log, 5)[0] != os.getpid() % 90 / 100 + 0.05
    with pytest.raises(GuestError, match="acme-wrong gave no class prior strictly between 0 and 1"):
        class_prior("acme-wrong", log, 5)
    with pytest.raises(GuestError, match="ended its process"):
        class_prior("acme-ends", log, 5)


def test_simbenchs_own_run_here_with_the_studys_seed(cell_of, monkeypatch):
    log, _ = cell_of("naive").built().draw(range(2))
    own = class_prior_method("elkan-noto")
    assert np.array_equal(class_prior("elkan-noto", log, 5), own(log, 5))


def test_methods_from_outside_are_described_without_being_imported(installed, monkeypatch):
    said = class_prior_methods()
    assert said["acme-fair"] == "an estimate by acme-priors" and "Elkan" in said["elkan-noto"]
