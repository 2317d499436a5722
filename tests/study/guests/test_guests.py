"""Estimators from outside give the same numbers in their own process, and only a row when they end badly."""

import re
import sys
from dataclasses import replace

import numpy as np
import pytest

from simbench.errors import BadInput
from simbench.estimator import registry
from simbench.files.matrix import MappedMatrix
from simbench.study.cell import fit_cell, run_cell
from simbench.study.guests import kinds
from simbench.study.guests.manifest import STATED
from simbench.study.protocol import EvaluationProtocol
from simbench.study.shards import Shards
from simbench.training.holdout import Holdout
from simbench.training.threads import fixed_threads

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="sessions are forked on Linux alone")


LENIENT = EvaluationProtocol(split="sample", oracle_stopping=True, oracle_calibration=("all",))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("Honest", {}),
        ("Restarted", {"grant": ("labels",)}),
        ("Honest", {"memory_budget": 1 << 20, "replicates": 24}),
        ("Honest", {"protocol": LENIENT}),
        ("Honest", {"protocol": EvaluationProtocol(settings=({"lr": 0.1}, {"hidden": (4,)}))}),
        ("Honest", {"precision": "bf16"}),
    ],
    ids=["plain", "diagnostics and labels", "in chunks", "clean labels", "settings", "bf16"],
)
def test_the_numbers_are_those_of_this_process_bit_for_bit(name, changes, guest, cell_of, both):
    with fixed_threads():
        (there, facts), (here, expected) = both(cell_of(guest(name), **changes))
    assert np.array_equal(there, here) and np.ptp(here) > 0
    assert facts == expected


def test_a_replicate_that_is_added_later_is_the_same(guest, cell_of):
    cell = cell_of(guest("Honest"))
    kind = kinds.find(cell.estimator)
    with fixed_threads():
        assert np.array_equal(fit_cell(cell, kind, first=1)[0], fit_cell(cell, kind)[0][1:])


def test_a_matrix_on_disk_is_handed_over_as_it_is(guest, cell_of, tmp_path):
    world = cell_of(guest("Honest")).built()
    np.save(tmp_path / "x.npy", world.train.features.astype(np.float16))
    features = MappedMatrix.open(tmp_path / "x.npy").scaled(0.5)
    log = replace(world.draw(range(2))[0], features=features)
    with fixed_threads():
        found = [
            find(guest("Honest"))(epochs=2).fit_replicates(log).predict(features)
            for find in (kinds.find, registry.find)
        ]
    assert np.array_equal(*found)


def test_of_clean_labels_a_guest_gets_those_that_stop_its_fit(guest, cell_of):
    world = cell_of(guest("Honest")).built()
    log, truth = world.draw(range(2))
    kind = kinds.find(guest("Honest"))
    needed = kind(seed=3)._needed(Holdout("prompt", truth.preference.astype(np.float32)), log).oracle_labels
    known = ~np.isnan(needed)
    assert 0.1 < known.mean() < 0.3 and np.array_equal(known[0], known[1])
    assert np.array_equal(needed[known], truth.preference[known])


def test_a_guest_is_known_by_its_manifest_and_not_imported(guest):
    kind = kinds.find(guest("Honest"))
    assert issubclass(kind, kinds.Guest) and kind is not registry.find(guest("Honest"))
    own = registry.find(guest("Honest"))
    assert {"name", "needs", "optional", "also_reads", "ranks_only", "mixup"} <= set(STATED)
    for name in (*STATED, "networks"):
        assert getattr(kind(), name) == getattr(own(), name)
    assert kind().get_params() == own().get_params() and kind(share=0.1).share == 0.1
    assert kind().set_params(share=0.2).get_params()["share"] == 0.2
    assert kind.heads() == {"reward"} and "Guest" in repr(kind())
    with pytest.raises(TypeError, match="has no parameter 'shares'"):
        kind(shares=1)
    assert kinds.find("naive") is registry.find("naive")


def test_networks_that_depend_on_the_log_are_planned_for(guest, cell_of):
    log = cell_of(guest("Honest")).built().draw(range(1))[0]
    assert kinds.find(guest("Honest"))().networks_for(log) == registry.find("naive").networks


def test_a_default_that_is_no_number_stays_with_the_guest(guest, cell_of):
    kind = kinds.find(guest("Opaque"))
    assert kind().get_params() == {"thing": None, "seed": 0}
    log = cell_of(guest("Honest")).built().draw(range(2))[0]
    assert kind(seed=1).fit_replicates(log).predict(log.features)[0, 0] == 0.5
    with pytest.raises(BadInput, match=r"a parameter of .* cannot be handed over: .*no number or text"):
        kind(thing=np.median).fit_replicates(log)


def test_seeds_of_guests_derive_one_way(guest, cell_of):
    cell = cell_of(guest("Honest"), seed=5).model_copy(update={"parameters": {}})
    own = cell.arguments(kinds.find(cell.estimator))["seed"]
    assert own == kinds.seed_for_guests(5) != 5 and 0 <= own < 1 << 31
    assert cell.arguments(registry.find("naive"))["seed"] == 5
    assert len({kinds.seed_for_guests(seed) for seed in range(50)}) == 50


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("{}/none.py:Honest", "none.py does not exist"),
        ("{}/guests.py:Absent", "defines no 'Absent'"),
        ("{}/guests.py:np", "is not a subclass"),
        ("json:JSONDecoder", "is not a subclass"),
        ("no_such_package:Kind", "cannot be imported"),
        ("naiv", "Did you mean 'naive'"),
    ],
)
def test_what_cannot_be_found_is_explained_as_in_this_process(name, message, guest):
    name = name.format(guest("x").rpartition("/")[0])
    with pytest.raises(BadInput, match=message):
        kinds.find(name)
    with pytest.raises(BadInput, match=message):
        registry.find(name)


def test_parameters_are_checked_by_the_guest_itself(guest):
    assert kinds.configured(guest("Honest"), {"epochs": 3, "hidden": [4]}).get_params()["epochs"] == 3
    with pytest.raises(BadInput, match="epochs must be at least 1, got 0"):
        kinds.configured(guest("Honest"), {"epochs": 0})
    with pytest.raises(BadInput, match=r"does not take these parameters: .*has no parameter 'epoch'"):
        kinds.configured(guest("Honest"), {"epoch": 1})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("SysExit", "SystemExit: 0"),
        ("Interrupt", "KeyboardInterrupt"),
        ("Markup", "ValueError: [red]not a colour[/red] \N{REPLACEMENT CHARACTER}[31m"),
        ("Strings", "TypeError: predictions has dtype <U1, which is no number"),
        ("Standardises", "ValueError: assignment destination is read-only"),
        pytest.param("OsExit", "it ended its process (exit code 0)", marks=ON_LINUX),
        pytest.param("Segfault", "it ended its process (killed by SIGSEGV)", marks=ON_LINUX),
        ("Huge", "it answered what is no answer: a message of 80,000,0.. bytes is too long"),
        pytest.param("Garbage", "it answered what is no answer: .* bytes is too long", marks=ON_LINUX),
    ],
)
def test_what_ends_badly_is_a_row_with_its_reason(name, reason, guest, cell_of, tmp_path):
    outcome = run_cell(cell_of(guest(name)), Shards(tmp_path / "shards"))
    assert outcome.status == "failed" and not (tmp_path / "shards").exists()
    assert re.fullmatch(reason if ".." in reason or ".*" in reason else re.escape(reason), outcome.reason)
    after = run_cell(cell_of(guest("Honest")), Shards(tmp_path / "shards"))
    assert after.status == "ok"
