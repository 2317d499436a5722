"""A study: the grid it plans, what it refuses, and the folder that it calls its own."""

import json
import os
import signal
import threading
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import torch

from simbench import __version__
from simbench.errors import BadInput
from simbench.files.location import Location
from simbench.stops import remembered
from simbench.study import run as study
from simbench.study.cell import Outcome
from simbench.study.config import StudyConfig, cells_of, under, validate
from simbench.study.executors.local import Local
from simbench.study.executors.worker import died
from simbench.study.finished import read_study, situations
from simbench.study.folder import describe, environment, is_of
from simbench.study.policy_settings import Downstream
from simbench.study.protocol import EvaluationProtocol
from simbench.study.run import run
from simbench.study.shards import Shards
from simbench.study.table import read_table
from simbench.training.threads import fixed_threads
from simbench.worlds.presets import PRESETS

SMALL = {"test_size": 100, "n_features": 3, "n_context": 2}
FIRST = PRESETS["exclusive"].changed(**SMALL, default_size=70)
SECOND = PRESETS["rating"].changed(**SMALL)
QUICK = StudyConfig(
    worlds=(FIRST,), sizes=(60,), replicates=2, estimators=("oracle", "sklearn:GaussianNB"),
    parameters={"oracle": {"epochs": 2}},
)  # fmt: skip


# -- the plan ----------------------------------------------------------------------------------


def test_the_grid_is_walked_protocol_by_protocol_world_by_world_size_by_size_level_by_level():
    protocols = (EvaluationProtocol(), EvaluationProtocol(name="one", replicates=1))
    config = StudyConfig(
        worlds=(FIRST, SECOND), bias_levels=(0.2, 0.4), sizes=(50, 60), estimators=("naive", "ips"),
        protocols=protocols,
    )  # fmt: skip
    found = [(c.protocol.name, c.world.name, c.size, c.bias_level, c.estimator) for c in cells_of(config)]
    assert found == [
        (protocol, world, size, level, estimator)
        for protocol in ("honest", "one")
        for world in ("exclusive", "rating")
        for size in (50, 60)
        for level in (0.2, 0.4)
        for estimator in ("naive", "ips")
    ]


def test_what_a_study_states_reaches_every_cell():
    config = StudyConfig(
        worlds=(FIRST,), estimators=("naive", "ips"), parameters={"ips": {"lr": 0.5}}, replicates=3, seed=9,
        label_share=0.25, precision="bf16", device="cuda", memory_budget=1 << 22,
        protocols=(EvaluationProtocol(), EvaluationProtocol(name="few", replicates=2)),
    )  # fmt: skip
    cells = cells_of(config)
    assert [cell.parameters for cell in cells] == [{}, {"lr": 0.5}] * 2
    assert [cell.replicates for cell in cells] == [3, 3, 2, 2]
    assert {cell.size for cell in cells} == {70}  # the world's own number, where none is named
    for name, value in {
        "seed": 9, "label_share": 0.25, "precision": "bf16", "device": "cuda", "memory_budget": 1 << 22,
    }.items():  # fmt: skip
        assert {getattr(cell, name) for cell in cells} == {value}


def test_a_world_may_have_estimators_of_its_own():
    config = StudyConfig(worlds=(FIRST, SECOND), estimators=("naive",), estimators_in={"rating": ("ips",)})
    assert [(c.world.name, c.estimator) for c in cells_of(config)] == [
        ("exclusive", "naive"),
        ("rating", "ips"),
    ]


def test_the_cap_is_the_protocols_where_it_states_one_and_there_is_a_rating_law():
    uncapped = SECOND.changed(capped=False)
    assert under(SECOND, EvaluationProtocol(capped=False)) == uncapped != SECOND
    assert under(uncapped, EvaluationProtocol(capped=True)) == SECOND
    assert under(FIRST, EvaluationProtocol(capped=False)) == FIRST
    assert under(uncapped, EvaluationProtocol()) == uncapped
    (cell,) = cells_of(
        StudyConfig(worlds=(SECOND,), estimators=("naive",), protocols=(EvaluationProtocol(capped=False),))
    )
    assert cell.world == uncapped


def told(config) -> list[tuple[str, ...]]:
    return [cell.grant for cell in cells_of(config)]


def test_alternatives_are_grants_in_turn_and_leave_no_one_without_what_another_gives():
    given = (("propensity",), ("class prior",), ("propensity", "class prior"))
    config = StudyConfig(worlds=(FIRST,), alternatives=given, grant=("labels",))
    assert told(config.model_copy(update={"estimators": ("naive",)})) == [()]
    assert told(config.model_copy(update={"estimators": ("ips",)})) == [("propensity",)]
    assert told(config.model_copy(update={"estimators": ("upu",)})) == [(), ("class prior",)]  # needs none
    assert told(config.model_copy(update={"estimators": ("snips",)})) == [("propensity", "class prior")]
    nothing_fits = config.model_copy(update={"estimators": ("snips",), "alternatives": (("propensity",), ())})
    assert told(nothing_fits) == [("propensity",), ()]  # and both are skipped, with their reasons


def test_a_protocol_grants_in_place_of_the_study_and_to_some_in_place_of_all():
    config = StudyConfig(worlds=(FIRST,), estimators=("ips",), grant=("propensity",))
    for protocol, expected in (
        (EvaluationProtocol(), ("propensity",)),
        (EvaluationProtocol(grant=()), ()),
        (EvaluationProtocol(grant=("propensity:shifted=1.0",)), ("propensity:shifted",)),
        (
            EvaluationProtocol(grant=(), grant_of={"ips": ("propensity:distorted",)}),
            ("propensity:distorted",),
        ),
        (EvaluationProtocol(grant=("propensity",), grant_of={"upu": ()}), ("propensity",)),
    ):
        assert told(config.model_copy(update={"protocols": (protocol,)})) == [expected]


# -- what is refused before anything is written ------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"estimators_in": {"no such world": ("naive",)}}, "estimators_in names 'no such world'"),
        (
            {"protocols": (EvaluationProtocol(), EvaluationProtocol(split="sample"))},
            r"same name \(honest, honest\)",
        ),
        (
            {"worlds": (PRESETS["shared"], PRESETS["shared"].changed(misclick=0.1))},
            "two different worlds are called 'shared'",
        ),
        ({"parameters": {"oracle": {"speed": 1}}}, "'oracle' does not take these parameters: .*speed"),
        ({"parameters": {"naive": {"lr": 1}}}, "parameters are given for 'naive', which is not among"),
        ({"precision": "tf32"}, "tf32 is a mode of NVIDIA GPUs"),
        ({"sizes": (5,)}, "at least 10 responses, got 5"),
        ({"bias_levels": (0.5, -1.0)}, "must be a number of at least 0, got -1"),
        ({"device": "cuda:9"}, "got 'cuda:9'"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_is_written(changes, message, tmp_path):
    with pytest.raises(BadInput, match=message):
        run(QUICK.model_copy(update=changes), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_can_run_is_not_refused():
    named = QUICK.model_copy(update={"estimators_in": {"exclusive": ("naive",)}})
    validate(named, cells_of(named))


# -- a run -------------------------------------------------------------------------------------


class Backwards(Local):
    """Tells of the last cell first."""

    def run(self, cells, shards):
        yield from reversed(list(super().run(cells, shards)))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two situations whose cells end in another order, and what was told of its progress."""
    out = tmp_path_factory.mktemp("study") / "out"
    config = QUICK.model_copy(update={"bias_levels": (0.5, 1.0), "downstream": Downstream(betas=(1.0,))})
    heard = []
    table = run(config, out, Backwards(), lambda outcome, done, total: heard.append((outcome, done, total)))
    return config, out, table, heard


def test_the_table_is_in_the_order_of_the_plan_and_progress_in_that_of_the_ends(finished):
    config, out, table, heard = finished
    keys = [cell.key for cell in cells_of(config)]
    assert [outcome.cell.key for outcome, _, _ in heard] == keys[::-1]
    assert [(done, total) for _, done, total in heard] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    order = table[["bias_level", "estimator"]].drop_duplicates().itertuples(index=False)
    assert [tuple(one) for one in order] == [(c.bias_level, c.estimator) for c in cells_of(config)]
    pd.testing.assert_frame_equal(read_table(out), table)
    assert (out / "downstream.parquet").exists()


def test_a_study_says_how_it_was_made(finished):
    config, out, _, _ = finished
    said = json.loads((out / "study.json").read_text())
    assert said["simbench"] == __version__ and said["threads"] == 1 and said["seed"] == 0
    assert said["device"] == "cpu" and said["memory_budget"] == 2 << 30
    assert said["versions"]["torch"] == torch.__version__ and said["versions"]["numpy"] == np.__version__
    assert set(said["versions"]) == {"torch", "numpy", "scipy", "scikit-learn", "pandas"}
    assert "memory_budget" not in said["config"] and said["config"]["replicates"] == 2
    other = environment(config.model_copy(update={"seed": 4, "device": "cuda", "memory_budget": 1 << 21}))
    assert (other["seed"], other["device"], other["memory_budget"]) == (4, "cuda", 1 << 21)


def test_a_folder_takes_more_cells_of_its_study_and_not_those_of_another(finished, tmp_path):
    config, out, _, _ = finished
    assert is_of(Location(out), config)
    for changes in (
        {"memory_budget": 1 << 21}, {"margin": 0.1}, {"level": 0.9}, {"downstream": None},
        {"device": "cpu:1"}, {"estimators": ("naive",)}, {"replicates": 3}, {"worlds": (SECOND,)},
        {"sizes": (70,)}, {"parameters": {}}, {"grant": ()}, {"label_share": 0.5},
        {"protocols": (EvaluationProtocol(name="other"),)},
    ):  # fmt: skip
        assert is_of(Location(out), config.model_copy(update=changes))
    for changes, theirs, ours in (
        ({"seed": 1}, "seed 0", "seed 1"),
        ({"device": "cuda"}, "device cpu", "device cuda"),
        ({"precision": "bf16", "seed": 2}, "seed 0 and precision fp32", "seed 2 and precision bf16"),
    ):
        with pytest.raises(BadInput, match=rf"holds a study with {theirs}, and this one has {ours}: choose"):
            is_of(Location(out), config.model_copy(update=changes))
    assert not is_of(Location(tmp_path / "new"), config)
    (tmp_path / ".study.json.abc.tmp").write_text("{")  # left by a kill in the first write
    assert not is_of(Location(tmp_path), config)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match="exists and holds no study"):
        is_of(Location(tmp_path), config)
    with pytest.raises(BadInput, match="exists and holds no study"):
        is_of(Location(tmp_path / "notes.txt"), config)
    for damaged in ("{", "{}"):
        (tmp_path / "study.json").write_text(damaged)
        with pytest.raises(BadInput, match="is damaged"):
            is_of(Location(tmp_path), config)
    older = {**json.loads((out / "study.json").read_text()), "simbench": "0.0.1"}
    (tmp_path / "study.json").write_text(json.dumps(older))
    with pytest.raises(BadInput, match=f"of simbench 0.0.1, and this is {__version__}: choose another --out"):
        is_of(Location(tmp_path), config)


def test_an_interrupt_that_was_only_remembered_ends_the_run_after_the_cell(tmp_path, monkeypatch):
    @contextmanager
    def at_once():
        heard = threading.Event()
        heard.set()
        yield heard

    monkeypatch.setattr(study, "remembered", at_once)
    with pytest.raises(KeyboardInterrupt):
        run(QUICK, tmp_path / "out")
    assert len(list((tmp_path / "out" / "shards").iterdir())) == 1
    assert not (tmp_path / "out" / "results.parquet").exists()


# -- what it leaves ----------------------------------------------------------------------------


def test_situations_are_the_finished_cells_of_one_protocol_world_size_and_level(tmp_path):
    config = QUICK.model_copy(update={
        "worlds": (FIRST, SECOND), "bias_levels": (0.5, 0.6), "sizes": (50, 60),
        "protocols": (EvaluationProtocol(), EvaluationProtocol(name="other")),
    })  # fmt: skip
    folder = Location(tmp_path)
    describe(folder, config)
    with pytest.raises(BadInput, match="no finished cell"):
        list(situations(folder))
    cells = cells_of(config)
    shards, left_out = Shards(folder / "shards"), cells[3]
    for number, cell in enumerate(cells):
        if cell != left_out:
            shards.write(cell.key, np.full((2, 3), number), {"knows": str(number)})
    found = list(situations(folder))
    assert len(found) == 16 and sum(map(len, found)) == 31 and len(found[1]) == 1
    for group in found:
        where = [(f.cell.protocol.name, f.cell.world.name, f.cell.size, f.cell.bias_level) for f in group]
        assert len(set(where)) == 1
    for one in (one for group in found for one in group):
        number = cells.index(one.cell)
        assert (one.predictions == number).all() and one.facts == {"knows": str(number)}


def test_a_study_is_read_back_unless_another_version_made_it(finished, tmp_path):
    config, out, _, _ = finished
    assert read_study(out) == config
    whole = json.loads((out / "study.json").read_text())
    path = tmp_path / "study.json"
    for content, message in (
        ("{", "is damaged"),
        ("[1]", "is damaged"),
        (json.dumps({"simbench": __version__}), "is damaged"),
        (json.dumps({**whole, "simbench": "0.0.1"}), r"made by simbench 0\.0\.1, not"),
        (
            json.dumps({**whole, "config": {**whole["config"], "replicates": 0}}),
            ": replicates cannot be read",
        ),
    ):
        path.write_text(content)
        with pytest.raises(BadInput, match=message):
            read_study(tmp_path)
    with pytest.raises(BadInput, match="give the folder of a study"):
        read_study(tmp_path / "nowhere")


# -- interrupts, threads, workers --------------------------------------------------------------


@pytest.fixture
def calls():
    """Calls of a handler of SIGINT that is there before."""
    heard, before = [], signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    yield heard
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_is_remembered_and_handed_on_and_the_handler_is_put_back(calls):
    before = signal.getsignal(signal.SIGINT)
    with remembered() as stopped:
        assert not stopped.is_set()
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped.is_set() and calls == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(ZeroDivisionError), remembered():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is before


def test_an_ignored_interrupt_stays_ignored_and_other_threads_leave_handlers_alone(calls):
    own, seen = signal.getsignal(signal.SIGINT), []

    def elsewhere():
        with remembered() as stopped:
            seen.append((stopped.is_set(), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [(False, own)]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with remembered() as stopped:
        os.kill(os.getpid(), signal.SIGINT)
        assert not stopped.is_set() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_threads_are_given_back_whatever_happens():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ZeroDivisionError), fixed_threads():
            assert torch.get_num_threads() == 1
            raise ZeroDivisionError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_cell_that_lost_its_worker_every_time_says_how_often():
    (cell, _) = cells_of(QUICK)
    outcome = died(cell)
    assert outcome.reason == "its worker died 4 times (out of memory, or killed)"
    assert outcome.status == "failed" and np.isnan(outcome.seconds) and outcome.cell == cell
    assert died(cell, "NodeLost").reason.endswith("(NodeLost)")


def test_one_job_runs_here_and_now(tmp_path):
    cells, shards = cells_of(QUICK), Shards(tmp_path)
    with Local() as executor:
        executor.check("cpu", shards)
        executor.check("cpu", Shards("memory://mine"))
        outcomes = executor.run(cells, shards)
        first = next(outcomes)
        assert first == Outcome(cells[0], "ok", "", first.seconds) and not shards.has(cells[1].key)
        assert [outcome.cell for outcome in outcomes] == [cells[1]]
