"""The trap names who tries what it can see, wherever the code comes from, and passes who does not."""

import inspect
import logging

import numpy as np
import pytest

from simbench.estimator import registry
from simbench.study.conformance import Trap, examine
from simbench.study.guests import kinds
from simbench.study.shards import Shards
from simbench.study.trap import Bait, cell_of, error_of, retold, spring
from simbench.study.tripwires import Tripwires, code_of
from simbench.worlds.world import build

SIZE = 300
SEEN = {
    "Frames": "walks the frames of its callers",
    "Traceback": "",  # no function is called for it
    "Threads": "walks the frames of its callers",
    "Collector": "asks the garbage collector for other objects",
    "Rebuilds": "runs code of simbench.worlds, where the truth is",
    "Shards": "reads the results of a study",
    "Memory": "looks into another process (/proc)",
    "Patches": "replaces simbench.score.moments.against_oracle",
}
BLIND = {"Rebuilds", "Memory", "Patches"}  # what they find does not change with the truth that lies about


@pytest.mark.parametrize("name", SEEN)
def test_who_looks_is_named(name, guest):
    trap = Trap(kinds.find(guest(name, "cheats")), SIZE)
    assert SEEN[name] in trap.content()
    assert trap.content() or not SEEN[name]
    assert (trap.blind() == "") == (name in BLIND)


def test_who_does_not_look_passes(guest):
    trap = Trap(kinds.find(guest("Honest", "cheats")), SIZE)
    assert (trap.blind(), trap.content(), trap.without_luck()) == ("", "", "")


class Knows(registry.find("naive")):
    """Has the rewards of seed 0 by heart."""

    name = "knows"

    def fit_replicates(self, log, replicates=None):
        cell = cell_of(type(self), Bait(0, False, SIZE))
        self.world = build(cell.world, cell.bias_level, cell.size, 0)
        self.model = super().fit_replicates(log, replicates)
        return self

    def predict(self, features):
        if np.array_equal(features, self.world.test.features):
            return np.tile(self.world.test.reward, (2, 1))
        return self.model.predict(features)


def test_who_is_good_only_where_the_seed_is_known_is_named():
    said = Trap(Knows, SIZE).without_luck()
    assert said.startswith("its error is 0 at seed 0, and 0.") and said.endswith(
        "at a seed that nobody knows"
    )


def test_who_ends_the_process_is_a_finding(guest):
    findings = examine(kinds.find(guest("SysExit")), "quits", SIZE)
    assert {finding.detail for finding in findings} == {"SystemExit: 0"}
    assert not any(finding.passed for finding in findings)


@pytest.mark.parametrize(("is_told", "labels"), [(False, False), (True, False), (True, True)])
def test_another_truth_leaves_nothing_of_the_worlds_own(is_told, labels):
    cell = cell_of(registry.find("naive"), Bait(0, True, SIZE))
    own = build(cell.world, cell.bias_level, cell.size, 0)
    other = retold(own, is_told, labels)
    (log, truth), (same, told) = own.draw(range(2)), other.draw(range(2))
    assert np.array_equal(log.feedback, same.feedback) and other.test.features is own.test.features
    assert not np.array_equal(own.test.reward, other.test.reward)
    assert np.array_equal(truth.propensity, told.propensity) == is_told
    assert np.array_equal(truth.preference, told.preference) == labels
    assert np.array_equal(np.sort(truth.reward), np.sort(told.reward)) == is_told


def test_an_error_is_that_of_what_is_predicted():
    cell = cell_of(registry.find("bpr"), Bait(0, False, SIZE))
    test = build(cell.world, cell.bias_level, cell.size, 0).test
    right, flipped = test.reward[None], 1 - test.reward[None]
    assert error_of(registry.find("naive"), right, test) == 0
    assert error_of(registry.find("naive"), right + 0.1, test) == pytest.approx(0.01)
    assert error_of(registry.find("bpr"), 5 * right, test) == pytest.approx(0)
    assert error_of(registry.find("bpr"), flipped, test) == pytest.approx(2)


def test_the_bait_is_a_study_of_full_size_with_shipped_parameters():
    naive = registry.find("naive")
    cell = cell_of(naive, Bait())
    assert (cell.size, cell.bias_level, cell.seed, cell.parameters) == (10_000, 0.8, 0, {})
    assert cell.grant == () and cell_of(registry.find("ips"), Bait()).grant == ("propensity",)
    assert cell_of(naive, Bait(5, True, 50)).parameters == {"epochs": 3}
    assert len(cell_of(registry.find("implicitrm-signals"), Bait()).world.signal_names) == 2


def test_wires_name_the_estimators_own_code_and_not_what_it_calls(tmp_path):
    quiet = logging.getLogger("quiet")
    quiet.propagate = False
    quiet.addHandler(logging.NullHandler())
    with Tripwires(code_of(Knows)) as wires:
        quiet.warning("logging walks frames to find who logs")
    assert wires.reached == []
    with Tripwires(code_of(Knows)) as wires:
        inspect.stack(0)
        inspect.stack(0)
    assert wires.reached == ["walks the frames of its callers"]
    with Tripwires(tmp_path) as wires:  # whose code this is not
        inspect.stack(0)
    assert wires.reached == []


def test_the_results_that_lie_about_are_the_truth_of_that_run(tmp_path):
    """Whoever reads them predicts what changes with the truth."""
    naive = registry.find("naive")
    for name, other in (("a", False), ("b", True)):
        spring(naive, Bait(0, other, SIZE), tmp_path / name)
    keys = [path.stem for path in (tmp_path / "a" / "shards").iterdir()]
    left = [Shards(tmp_path / name / "shards").read(keys[0])[0] for name in ("a", "b")]
    assert left[0].shape == left[1].shape and not np.allclose(*left)
