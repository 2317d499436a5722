"""What a run tells, and who hears it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import logit

from simbench.errors import BadInput
from simbench.estimator.registry import find
from simbench.log.feedback import FeedbackLog, Truth
from simbench.study.cell import Cell, fit_cell, run_cell
from simbench.study.config import StudyConfig, plan
from simbench.study.grants import base, checked, granted, in_words, meanings, variants
from simbench.study.shards import Shards
from simbench.study.told_propensity import context_ratio, dispersed, exposure_experiment, shifted
from simbench.training.device_log import DeviceLog
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build


def cell(estimator="ips", grant=("propensity",), world="exclusive", replicates=3, **changes):
    return Cell(
        world=PRESETS[world],
        bias_level=1.0,
        size=2000,
        estimator=estimator,
        parameters={},
        replicates=replicates,
        seed=0,
        grant=grant,
        label_share=0.2,
        device="cpu",
    ).model_copy(update=changes)


def told(at, kind="ome-ips", log=None, truth=None):
    """The one value that this cell grants to an estimator who asks for its base."""
    asks = type("Asks", (find(kind),), {"needs": frozenset(base(name) for name in at.grant)})
    drawn, true = at.built().draw(range(at.replicates))
    given, words = granted(at, asks, log or drawn, truth or true)
    (value,) = given.values()
    assert words == [in_words(name) for name in at.grant]
    return np.asarray(value)


# -- names ------------------------------------------------------------------------------------


def test_a_cell_for_every_variant_that_an_estimator_asks_for_and_one_for_who_asks_for_nothing():
    both = ("propensity", "propensity:estimated", "class prior:tice")
    assert variants(find("naive"), both) == [()]
    assert variants(find("ips"), both) == [("propensity",), ("propensity:estimated",)]
    assert variants(find("snips"), both) == [(p, "class prior:tice") for p in both[:2]]
    cells = plan(StudyConfig(estimators=("naive", "ips", "snips"), grant=both))
    assert [c.estimator for c in cells] == ["naive", "ips", "ips", "snips", "snips"]
    assert len({c.key for c in cells}) == 5


def test_the_default_grant_is_the_true_propensity_and_the_true_prior():
    by_name = {c.estimator: c.grant for c in plan(StudyConfig())}
    assert by_name["ips"] == ("propensity",) and by_name["upu"] == ("class prior",)
    assert by_name["naive"] == () == by_name["oracle"]


def test_a_strength_is_part_of_the_name_unless_it_is_the_usual_one():
    names = ["propensity:distorted=0.5", "propensity:distorted=2.0", "propensity:distorted", "labels"]
    assert checked(names) == ("propensity:distorted", "propensity:distorted=2", "labels")
    assert in_words("propensity:distorted=2") == "propensity (distorted 2)"
    assert in_words("class prior:tice") == "class prior (tice)"
    assert in_words("labels") == "labels"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("propensity:estimate", "no grant 'propensity:estimate'. Did you mean 'propensity:estimated'?"),
        ("truth", "no grant 'truth'. There are: propensity, "),
        ("propensity=3", "'propensity' takes no number"),
        ("class prior:tice=", "'class prior:tice' takes no number"),
        ("propensity:distorted=much", "takes a number of at least 0, got 'propensity:distorted=much'"),
        ("propensity:distorted=-1", "of at least 0"),
        ("propensity:distorted=nan", "of at least 0"),
        ("propensity:shifted=inf", "'propensity:shifted' takes a number, got"),
        ("propensity:estimated=10", "of at least 50"),
    ],
)
def test_a_wrong_name_is_one_sentence(name, message):
    with pytest.raises(BadInput) as caught:
        checked([name])
    assert message in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(BadInput):
        plan(StudyConfig(grant=(name,)))


@pytest.mark.parametrize(
    ("estimator", "grant", "world", "reason"),
    [
        ("ips", (), "exclusive", "needs propensity"),
        ("snips", ("propensity:estimated",), "exclusive", "needs class prior"),
        ("snips", (), "exclusive", "needs class prior and propensity"),
        ("ips", ("propensity:context",), "shared", "needs a world that logs context"),
        ("ips", ("propensity:context",), "rating", "needs a world that logs context"),
    ],
)
def test_what_is_not_there_is_a_row_with_the_reason(estimator, grant, world, reason, tmp_path):
    outcome = run_cell(cell(estimator, grant, world), Shards(tmp_path))
    assert (outcome.status, outcome.reason) == ("skipped", reason)


# -- what each grant holds, and of what it is made ---------------------------------------------


def test_true_grants_are_the_truth_of_the_log():
    at = cell()
    _, truth = at.built().draw(range(3))
    assert np.array_equal(told(at), truth.propensity)
    assert told(cell(grant=("class prior",))) == truth.reward.mean()
    at = cell(grant=("misclick",), world="misclick")
    assert told(at) == PRESETS["misclick"].misclick > 0
    assert told(cell(grant=("misclick:denied",), world="misclick")) == 0


def test_in_a_twin_the_propensity_is_of_the_rating_and_that_of_the_good_is_of_the_response():
    twin = PRESETS["twin:helpsteer"].model_copy(update={"n_features": 4, "test_size": 100})
    at = cell(world="exclusive").model_copy(update={"world": twin, "bias_level": 0.8, "size": 400})
    world = at.built()
    assert np.array_equal(told(at), world.draw(range(3))[1].propensity)
    of_good = at.model_copy(update={"grant": ("propensity:of-good",)})
    assert np.array_equal(told(of_good), world.train.propensity)
    estimated = at.model_copy(update={"grant": ("propensity:estimated=20000",)})
    # a logistic regression on the features: right to a few percent, and far from the propensity of the bad
    assert np.abs(told(estimated).mean(0) - world.train.propensity).mean() < 0.03


READS = {  # which parts of the truth may move a grant
    "propensity": {"propensity"},
    "propensity:estimated": {"propensity", "reward"},  # whom to show, and whether they acted
    "propensity:context": set(),
    "propensity:of-good": {"propensity"},
    "propensity:label-derived": set(),  # the feedback, and the simulator's κ
    "propensity:distorted": {"propensity"},
    "propensity:shifted": {"propensity"},
    "class prior": {"reward"},
    "class prior:elkan-noto": set(),
    "class prior:tice": set(),
    "class prior:km2": set(),
    "class prior:distorted": {"reward"},
    "labels": {"preference"},
    "action rate": {"propensity"},
    "always acts": {"always_acts"},
    "misclick": set(),
    "misclick:denied": set(),
}


@pytest.mark.parametrize("name", meanings())
def test_a_grant_is_made_of_the_truth_that_it_may_use_and_of_nothing_else(name):
    at = cell(grant=(name,), size=400, replicates=1, world="always" if "always" in name else "exclusive")
    log, truth = at.built().draw(range(1))
    rng = np.random.default_rng(1)
    other = {
        "reward": rng.uniform(0.05, 0.95, log.n_rows),
        "propensity": rng.uniform(0.05, 0.95, log.n_rows),
        "preference": ~truth.preference,
        "always_acts": rng.random(log.n_rows) < 0.5,
    }
    before = told(at, log=log, truth=truth)
    moved = {
        part
        for part, value in other.items()
        if not np.array_equal(
            before, told(at, truth=replace(truth, **{part: value}), log=log), equal_nan=name == "labels"
        )
    }
    assert moved == READS[name]


@pytest.mark.parametrize("name", ["propensity:estimated", "propensity:context", "class prior:tice"])
def test_an_estimate_is_one_for_each_replicate_and_the_same_in_any_company(name):
    three, two = (told(cell(grant=(name,), replicates=r)) for r in (3, 2))
    assert len(three) == 3 and len(np.unique(three.reshape(3, -1)[:, 0])) == 3
    assert np.array_equal(three[:2], two)


@pytest.mark.parametrize("name", ["propensity:estimated", "class prior:tice", "class prior:km2", "labels"])
def test_a_grant_depends_on_the_seed_and_not_on_who_asks(name):
    log, truth = cell().built().draw(range(2))
    at = cell(grant=(name,), replicates=2)
    here = told(at, "ips", log, truth)
    assert np.array_equal(here, told(at, "snips", log, truth), equal_nan=True)
    elsewhere = told(at.model_copy(update={"seed": 1}), "ips", log, truth)
    assert not np.array_equal(here, elsewhere, equal_nan=True)


def test_the_exposure_experiment_recovers_a_logit_law():
    """2,000 shown: the standard error of a fitted logit is near .1."""
    log, truth = build(PRESETS["exclusive"], 1.0, 4000, 0).draw(range(2))
    found = exposure_experiment(log, truth, 2000, 0, "test")
    assert np.abs(logit(found) - logit(truth.propensity)).mean() < 0.2
    fewer = exposure_experiment(log, truth, 100, 0, "test")
    assert np.abs(logit(fewer) - logit(truth.propensity)).mean() > 0.2


def test_the_exposure_experiment_shows_good_responses_only():
    """Two kinds of response, one good and always acted on, one bad and never: all are seen to act."""
    features = np.repeat([[0.0], [1.0]], 500, axis=0).astype(np.float32)
    feedback = np.tile([0.0, 1.0], 500)[None].astype(np.float32)
    log = FeedbackLog(features, feedback, np.arange(1000))
    good = features[:, 0].astype(float)
    truth = Truth(good, np.where(good == 1, 1 - 1e-9, 1e-9), feedback > 0)
    with pytest.raises(BadInput, match="one kind of user"):
        exposure_experiment(log, truth, 200, 0)


def context_log(ceiling, n=40_000):
    """Two contexts; users of the first act with probability ``ceiling``, of the second with half of it."""
    rng = np.random.default_rng(0)
    first = np.arange(n) % 2
    alpha = ceiling * np.where(first == 1, 1, 0.5)
    feedback = (rng.random((2, n)) < 0.6 * alpha).astype(np.float32)
    context = first[:, None].astype(np.float32)
    log = FeedbackLog(rng.standard_normal((n, 2)).astype(np.float32), feedback, np.arange(n), context)
    return log, alpha


@pytest.mark.parametrize("ceiling", [1.0, 0.5])
def test_context_gives_the_propensity_over_its_ceiling(ceiling):
    """Click rates of .6·ceiling and half of it, n = 20,000 each: a ratio known to 1.5 %."""
    log, alpha = context_log(ceiling)
    assert context_ratio(log) == pytest.approx(np.tile(alpha / ceiling, (2, 1)), rel=0.06)


@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0])
def test_the_dispersion_is_what_it_states(factor):
    alpha = np.random.default_rng(0).uniform(0.01, 0.99, 500)
    found = dispersed(alpha, factor)
    assert found.mean() == pytest.approx(alpha.mean(), abs=1e-9)
    assert np.ptp(logit(found) - factor * logit(alpha)) < 1e-9


def test_the_shift_is_what_it_states_and_extremes_stay_probabilities():
    alpha = np.random.default_rng(0).uniform(0.01, 0.99, 500)
    assert logit(shifted(alpha, -1.5)) == pytest.approx(logit(alpha) - 1.5, abs=1e-9)
    edges = np.array([1e-12, 0.5, 1.0])
    for found in (dispersed(edges, 5.0), shifted(edges, 40.0), shifted(edges, -900.0)):
        assert ((found > 0) & (found <= 1)).all()


def test_a_distorted_prior_is_the_true_one_times_the_factor():
    true = told(cell(grant=("class prior",)))
    assert told(cell(grant=("class prior:distorted",))) == pytest.approx(1.3 * true)
    assert told(cell(grant=("class prior:distorted=0.5",))) == pytest.approx(true / 2)
    assert told(cell(grant=("class prior:distorted=9",))) == 0.99


# -- through training --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["propensity:estimated", "class prior:elkan-noto"])
def test_what_is_told_per_replicate_follows_its_replicate_through_chunks(name, monkeypatch):
    """Training in chunks of one block gives what training all at once gives."""
    from simbench.training import train as training

    kind = "ips" if name.startswith("propensity") else "upu"
    at = cell(kind, (name,), replicates=20, size=300, parameters={"epochs": 2})
    whole, facts = fit_cell(at, find(kind))
    assert facts["knows"] == in_words(name)
    sizes = []

    def one_block(estimator, log, budget):
        sizes.append(training.block_width(estimator.hidden))
        return sizes[-1]

    monkeypatch.setattr(training, "chunk_size", one_block)
    assert np.array_equal(whole, fit_cell(at, find(kind))[0])
    assert sizes and sizes[0] < 20


def test_a_propensity_per_replicate_follows_those_that_still_train():
    log, _ = cell().built().draw(range(4))
    own = np.random.default_rng(0).uniform(0.1, 1, log.feedback.shape)
    kept = torch.tensor([False, True, False, True])
    for propensity, expected in ((own, own[[1, 3]]), (own[0], own[0])):
        whole = DeviceLog(replace(log, propensity=propensity), np.arange(4), torch.device("cpu"))
        batch = whole.keep(kept).batch(torch.arange(7), {})
        assert batch.propensity is not None
        assert np.allclose(batch.propensity, expected[..., :7])
