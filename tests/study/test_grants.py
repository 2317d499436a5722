"""What a run tells, and who hears it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import logit

from simbench.errors import BadInput
from simbench.estimator.registry import find
from simbench.study import supervision
from simbench.study.cell import Cell, fit_cell, run_cell
from simbench.study.config import StudyConfig, cells_of
from simbench.study.grants import (
    base,
    checked,
    granted,
    in_words,
    meanings,
    parsed,
    unavailable,
    variants,
)
from simbench.study.shards import Shards
from simbench.study.told_propensity import exposure_experiment
from simbench.training.device_log import DeviceLog
from simbench.training.network import block_width
from simbench.worlds.presets import PRESETS


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
    cells = cells_of(StudyConfig(estimators=("naive", "ips", "snips"), grant=both))
    assert [c.estimator for c in cells] == ["naive", "ips", "ips", "snips", "snips"]
    assert len({c.key for c in cells}) == 5


def test_the_default_grant_is_the_true_propensity_and_the_true_prior():
    by_name = {c.estimator: c.grant for c in cells_of(StudyConfig())}
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
        cells_of(StudyConfig(grant=(name,)))


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
    assert told(at) == PRESETS["misclick"].channel.misclick > 0
    assert told(cell(grant=("misclick:denied",), world="misclick")) == 0


def test_in_a_twin_the_propensity_is_of_the_rating_and_that_of_the_good_is_of_the_response():
    twin = PRESETS["twin:helpsteer"].changed(n_features=4, test_size=100)
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
    which = {"always acts": "always", "propensity:label-derived": "rating"}  # what alone can give it
    at = cell(grant=(name,), size=400, replicates=1, world=which.get(name, "exclusive"))
    at = at.model_copy(update={"bias_level": 0.8})  # 1 - κ of the rating law lies below 1
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


def test_a_distorted_prior_is_the_true_one_times_the_factor():
    true = told(cell(grant=("class prior",)))
    assert told(cell(grant=("class prior:distorted",))) == pytest.approx(1.3 * true)
    assert told(cell(grant=("class prior:distorted=0.5",))) == pytest.approx(true / 2)
    assert told(cell(grant=("class prior:distorted=9",))) == 0.99


def test_a_strength_that_is_not_named_is_the_stated_one():
    """2,000 shown, logits halved, logits plus 1, a rate of .2, 1.3 times the prior."""
    for short, long in (
        ("propensity:estimated", "propensity:estimated=2000"),
        ("propensity:distorted", "propensity:distorted=0.5"),
        ("propensity:shifted", "propensity:shifted=1"),
        ("propensity:label-derived", "propensity:label-derived=0.2"),
        ("class prior:distorted", "class prior:distorted=1.3"),
    ):
        assert parsed(short) == parsed(long)
        assert checked([long]) == (short,)
    alpha = told(cell())
    assert logit(told(cell(grant=("propensity:shifted",)))) == pytest.approx(logit(alpha) + 1, abs=1e-6)
    halved = logit(told(cell(grant=("propensity:distorted",))))
    assert np.diff(halved) == pytest.approx(np.diff(logit(alpha)) / 2, abs=1e-6)
    at = cell(grant=("propensity:estimated=500",), replicates=1)
    expected = exposure_experiment(*at.built().draw(range(1)), 500, 0, "exposure", "exclusive")
    assert told(at) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("least", [0.0, 50.0, 0.001, 0.01])
def test_the_smallest_strength_is_allowed_and_anything_below_is_not(least):
    name = {0.0: "labels", 50.0: "propensity:estimated", 0.001: "propensity:label-derived"}
    kind = name.get(least, "class prior:distorted")
    assert parsed(f"{kind}={least:g}") == (kind, least)
    with pytest.raises(BadInput, match="of at least"):
        parsed(f"{kind}={least - 1e-4:g}")


def test_kappa_is_one_minus_the_bias_level_in_the_label_derived_propensity():
    """``k = ρ / (r̄ + (1 - r̄) κ⁴)`` and ``k κ⁴``; κ = .3 at bias level .7."""
    for grant, rate in (("propensity:label-derived", 0.2), ("propensity:label-derived=0.05", 0.05)):
        at = cell(world="rating", grant=(grant,)).model_copy(update={"bias_level": 0.7})
        clicks = at.built().draw(range(3))[0].feedback
        found = told(at)
        for own, row in zip(clicks, found, strict=True):
            k = rate / (own.mean() + (1 - own.mean()) * 0.3**4)
            expected = [min(1, k) if click == 1 else min(1, k * 0.3**4) for click in own]
            assert row == pytest.approx(expected, rel=1e-5)


def test_labels_are_of_the_stated_share_or_of_the_studys_own():
    """6,000 draws: the share is within .03 but with probability 1e-6."""
    at = cell(grant=("labels",))
    _, truth = at.built().draw(range(3))
    for grant, share in ((("labels",), 0.2), (("labels=0.6",), 0.6), (("labels=0",), 0.0)):
        found = told(at.model_copy(update={"grant": grant}))
        known = ~np.isnan(found)
        assert known.mean() == pytest.approx(share, abs=0.031) and found.dtype == np.float32
        assert np.array_equal(found[known], truth.preference[known])
        assert share == 0 or not np.array_equal(known[0], known[1])
    for other in ({"seed": 1}, {"world": PRESETS["exclusive"].model_copy(update={"name": "other"})}):
        elsewhere = told(at.model_copy(update=other), log=at.built().draw(range(3))[0], truth=truth)
        assert not np.array_equal(np.isnan(elsewhere), np.isnan(told(at)))


def test_rates_are_of_the_truth_of_the_log():
    at = cell(grant=("action rate",), world="shared")
    assert told(at) == pytest.approx(at.built().train.propensity.mean()) == pytest.approx(0.3, abs=1e-6)
    at = cell(grant=("always acts",), world="always")
    assert np.array_equal(told(at), at.built().train.always_acts) and 0 < told(at).sum() < 500
    assert told(cell(grant=("misclick",), world="misclick")) == pytest.approx(0.05)


@pytest.mark.parametrize("method", ["elkan-noto", "tice", "km2"])
def test_an_estimated_prior_is_by_the_method_that_is_named_on_this_log_at_this_seed(method, monkeypatch):
    asked = []

    def named(name):
        return lambda log, seed: asked.append((name, log.n_rows, seed)) or np.full(3, 0.25)

    monkeypatch.setattr("simbench.study.guests.priors.class_prior_method", named)
    at = cell(grant=(f"class prior:{method}",)).model_copy(update={"seed": 4})
    assert (told(at) == 0.25).all() and asked == [(method, 2000, 4)]


def test_only_what_is_both_granted_and_asked_for_is_told():
    at = cell(grant=("propensity:shifted=2", "class prior", "labels", "action rate"), replicates=1)
    log, truth = at.built().draw(range(1))
    asks = type("Asks", (find("naive"),), {"needs": frozenset({"action rate"}), "optional": frozenset()})
    given, words = granted(at, asks, log, truth)
    assert list(given) == ["action_rate"] and words == ["action rate"]
    asks.optional = frozenset({"class prior", "propensity", "misclick"})
    given, words = granted(at, asks, log, truth)
    assert words == ["propensity (shifted 2)", "class prior", "action rate"]
    assert set(given) == {"propensity", "class_prior", "action_rate"}


def test_a_name_in_words_is_its_base_and_what_departs_from_it():
    assert in_words("labels=0.01") == "labels (0.01)" and in_words("action rate") == "action rate"
    assert [base(name) for name in ("labels=0.1", "class prior:distorted=2", "misclick:denied")] == [
        "labels", "class prior", "misclick",
    ]  # fmt: skip


def test_what_a_world_cannot_give_is_named():
    everything = ("propensity:context", "propensity:label-derived=0.3", "always acts")
    at = cell(grant=everything, world="shared")
    lacks = ["a world that logs context", "a world with the rating law", "a world with users who always act"]
    assert unavailable(at) == lacks
    assert unavailable(cell(grant=everything, world="exclusive")) == lacks[1:]
    assert unavailable(cell(grant=everything, world="rating")) == [lacks[0], lacks[2]]
    assert unavailable(cell(grant=everything, world="always")) == lacks[:2]
    assert unavailable(cell(grant=("propensity",), world="shared")) == []


def test_an_estimator_runs_with_every_combination_of_what_it_asks_for():
    asks = type(
        "Asks", (find("naive"),), {"needs": frozenset({"labels"}), "optional": frozenset({"propensity"})}
    )
    several = ("labels=0.1", "labels=0.2", "propensity", "propensity:shifted", "class prior")
    assert variants(asks, several) == [
        ("propensity", "labels=0.1"),
        ("propensity", "labels=0.2"),
        ("propensity:shifted", "labels=0.1"),
        ("propensity:shifted", "labels=0.2"),
    ]
    assert variants(asks, ("labels",)) == [("labels",)] and variants(asks, ()) == [()]


# -- through training --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["propensity:estimated", "class prior:elkan-noto"])
def test_what_is_told_per_replicate_follows_its_replicate_through_chunks(name, monkeypatch):
    """Training in chunks of one block gives what training all at once gives."""
    kind = "ips" if name.startswith("propensity") else "upu"
    at = cell(kind, (name,), replicates=20, size=300, parameters={"epochs": 2})
    whole, facts = fit_cell(at, find(kind))
    assert facts["knows"] == in_words(name)
    sizes = []

    def one_block(estimator, log, budget, precision):
        sizes.append(block_width(estimator.hidden))
        return sizes[-1]

    monkeypatch.setattr(supervision, "chunk_size", one_block)
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
