"""Protocols: each leak is a switch of its own, and without one nothing of the truth gets in."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.isotonic import IsotonicRegression

from simbench.errors import BadInput
from simbench.estimator.registry import find
from simbench.study.cell import Cell, fit_cell
from simbench.study.config import StudyConfig, cells_of
from simbench.study.file import Overrides, study_from
from simbench.study.protocol import EvaluationProtocol
from simbench.study.run import run
from simbench.study.told_propensity import label_derived
from simbench.training.batches import split_by_prompt
from simbench.training.holdout import Holdout
from simbench.training.train import train
from simbench.worlds.channel import SignalsLaw
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

TWIN = PRESETS["twin:helpsteer"].changed(n_features=6, test_size=200)
SETTINGS = ({"lr": 3e-2}, {"lr": 3e-4, "no_such_parameter": 1})


def cell(protocol, estimator="naive", grant=(), **parameters):
    return Cell(
        world=TWIN,
        bias_level=0.8,
        size=800,
        estimator=estimator,
        parameters={"epochs": 12, "patience": 2, **parameters},
        replicates=3,
        seed=0,
        grant=grant,
        label_share=0.05,
        device="cpu",
        protocol=protocol,
    )


def fitted(protocol, world=None, **changes):
    at = cell(protocol, **changes)
    return fit_cell(at, find(at.estimator), world)[0]


@pytest.fixture(scope="module")
def world():
    return cell(EvaluationProtocol()).built()


class OtherLabels(type(build(TWIN, 0.8, 100, 0))):
    """The same log; which responses are good is another matter."""

    def draw(self, replicates):
        log, truth = super().draw(replicates)
        return log, replace(truth, preference=~truth.preference)


ORACLES = {
    "stopping": EvaluationProtocol(oracle_stopping=True),
    "calibration": EvaluationProtocol(oracle_calibration=("naive",)),
    "selection": EvaluationProtocol(oracle_selection=True, settings=SETTINGS),
}


@pytest.mark.parametrize("leak", [None, "stopping", "calibration"])
def test_labels_of_the_log_reach_a_fit_by_their_switch_alone(leak, world):
    protocol = EvaluationProtocol(split="sample", settings=SETTINGS) if leak is None else ORACLES[leak]
    before, after = fitted(protocol, world), fitted(protocol, OtherLabels(**vars(world)))
    assert np.array_equal(before, after) == (leak is None)


@pytest.mark.parametrize("leak", [None, "selection"])
def test_the_test_reward_reaches_a_fit_by_its_switch_alone(leak, world):
    protocol = EvaluationProtocol(split="sample", settings=SETTINGS) if leak is None else ORACLES[leak]
    reward = np.random.default_rng(0).uniform(0.02, 0.1, len(world.test.reward))
    law = SignalsLaw(reward, world.test.propensity[None], world.config.channel)
    other = replace(world, test=replace(world.test, law=law))
    before, after = fitted(protocol, world), fitted(protocol, other)
    assert np.array_equal(before, after) == (leak is None)


def test_what_leaks_stands_beside_the_result(world):
    for leak, protocol in ORACLES.items():
        assert fit_cell(cell(protocol), find("naive"), world)[1]["knows"] == f"oracle {leak}"
    spared = EvaluationProtocol(
        oracle_calibration=("ips",), oracle_selection=True, settings=SETTINGS, untuned=("naive",)
    )
    assert fit_cell(cell(spared), find("naive"), world)[1]["knows"] == "nothing"
    assert EvaluationProtocol(oracle_calibration=("all",)).told("anyone") == ["oracle calibration"]


def test_an_oracle_stops_where_clean_labels_are_best(world):
    """Epoch by epoch: the kept one has the least cross-entropy against r* on the held-out rows."""
    log, truth = world.draw(range(2))
    labels = truth.preference.astype(np.float32)
    kind, longest = find("naive"), 8
    runs = [
        train(
            kind(epochs=epochs, patience=longest, lr=0.02), log, range(2), holdout=Holdout("prompt", labels)
        )
        for epochs in range(1, longest + 1)
    ]
    model = kind(epochs=longest)
    from simbench.streams import seed_of

    _, rows = split_by_prompt(log.groups, model.validation_share, seed_of(0, "split"))
    p = runs[-1].predict(log.features[rows])
    z = labels[:, rows]
    by_hand = -(z * np.log(p) + (1 - z) * np.log1p(-p)).mean(1)
    assert np.allclose(runs[-1].held_out_loss, by_hand, atol=1e-6)
    losses = np.array([one.held_out_loss for one in runs])
    assert np.allclose(losses, np.minimum.accumulate(losses, 0)) and np.allclose(losses[-1], losses.min(0))
    honest = train(kind(epochs=longest, patience=longest, lr=0.02), log, range(2))
    assert not np.array_equal(honest.epochs, runs[-1].epochs)


def test_a_replicate_stopped_by_clean_labels_equals_itself_alone(world):
    log, truth = world.draw(range(9))
    labels = truth.preference.astype(np.float32)
    # blocks of one replicate, which leave the stack as they stop
    model = find("naive")(hidden=(256,), epochs=20, patience=1, lr=0.02)
    together = model.fit_replicates(log, range(9), Holdout("sample", labels))
    alone = model.fit_replicates(log.replicates(slice(4, 5)), range(4, 5), Holdout("sample", labels[4:5]))
    x = world.test.features
    assert np.allclose(together.predict(x)[4], alone.predict(x)[0], atol=1e-6)
    assert len(set(together.epochs)) > 1


def test_calibration_is_isotonic_regression_of_the_held_out_labels(world):
    log, truth = world.draw(range(3))
    plain = find("naive")(epochs=12, patience=2).fit_replicates(log)
    from simbench.streams import seed_of

    _, rows = split_by_prompt(log.groups, 0.2, seed_of(0, "split"))
    found = fitted(ORACLES["calibration"], world)
    for i, (seen, new) in enumerate(
        zip(plain.predict(log.features[rows]), plain.predict(world.test.features), strict=True)
    ):
        expected = IsotonicRegression(out_of_bounds="clip").fit(seen, truth.preference[i, rows]).predict(new)
        assert np.allclose(found[i], expected)


def test_selection_keeps_for_each_log_the_setting_that_is_best_on_the_test(world):
    near = EvaluationProtocol(oracle_selection=True, settings=({"hidden": (64,)},))
    tried = [fitted(EvaluationProtocol(), world, **setting) for setting in ({}, {"hidden": (64,)})]
    each = np.argmin([((one - world.test.reward) ** 2).mean(1) for one in tried], 0)
    assert len(set(each)) > 1
    assert np.array_equal(fitted(near, world), np.stack(tried)[each, np.arange(3)])
    tried = [fitted(EvaluationProtocol(), world, **setting) for setting in ({}, {"lr": 3e-2}, {"lr": 3e-4})]
    error = [((one - world.test.reward) ** 2).mean(1) for one in tried]
    best = np.stack(tried)[np.argmin(error, 0), np.arange(3)]
    assert np.array_equal(fitted(ORACLES["selection"], world), best)
    observed = fitted(EvaluationProtocol(settings=SETTINGS), world)
    assert any(np.array_equal(observed[0], one[0]) for one in tried)
    assert np.array_equal(fitted(EvaluationProtocol(settings=SETTINGS, untuned=("naive",)), world), tried[0])


def test_split_by_sample_parts_the_responses_of_a_prompt(world):
    groups = world.train.groups
    whole, single = (split_by_prompt(Holdout(by).units(groups), 0.2, 0) for by in ("prompt", "sample"))
    assert not set(groups[whole[0]]) & set(groups[whole[1]])
    assert len(set(groups[single[0]]) & set(groups[single[1]])) > 50


def test_the_label_derived_propensity_is_a_function_of_the_click():
    """As its description computes it: r = .1, .2, .3 at κ = .5 make the odds of the two weights 10, 8 and 5.8
    with a clip at .1."""
    for rate, ratio in ((0.1, 10.0), (0.2, 8.0), (0.3, 5.8)):
        feedback = (np.arange(1000) < 1000 * rate).astype(np.float32)[None]
        found = label_derived(feedback, 0.5, 0.2)
        k = 0.2 / (rate + (1 - rate) * 0.5**4)
        assert np.allclose(found, np.minimum(1, k * np.where(feedback == 1, 1, 0.5**4)))
        weight = 1 / found.clip(0.1, 1)
        assert weight[0, -1] / weight[0, 0] == pytest.approx(ratio, abs=0.05)


def test_the_grid_is_run_under_every_protocol(tmp_path):
    protocols = (
        EvaluationProtocol(),
        EvaluationProtocol(name="published", capped=False, grant=("propensity:label-derived",), replicates=1),
        EvaluationProtocol(name="stored", grant=(), grant_of={"ips": ("propensity",)}),
    )
    config = StudyConfig(
        worlds=(TWIN,), bias_levels=(0.8,), sizes=(300,), replicates=2, estimators=("oracle", "naive", "ips"),
        protocols=protocols, grant=(), parameters={"ips": {"epochs": 2}},
    )  # fmt: skip
    cells = {(c.protocol.name, c.estimator): c for c in cells_of(config)}
    assert len(cells) == 9 and len({c.key for c in cells.values()}) == 9
    published = cells["published", "ips"]
    assert (
        not published.world.behaviour.capped
        and published.world.name == TWIN.name
        and published.replicates == 1
    )
    assert published.grant == ("propensity:label-derived",) and cells["honest", "ips"].grant == ()
    assert cells["stored", "ips"].grant == ("propensity",) and cells["stored", "naive"].grant == ()
    found = run(config, tmp_path / "out")
    assert set(found.protocol) == {"honest", "published", "stored"}
    rows = {key: part for key, part in found.groupby(["protocol", "estimator"])}
    assert set(rows["honest", "ips"].status) == {"skipped"}
    assert set(rows["published", "ips"].knows) == {"propensity (label-derived)"}
    assert {"r2", "mae", "rmse"} <= set(rows["published", "naive"].metric)
    with pytest.raises(BadInput, match="same name"):
        run(
            config.model_copy(update={"protocols": (EvaluationProtocol(), EvaluationProtocol())}),
            tmp_path / "other",
        )


@pytest.mark.parametrize("name", ["twins-honest", "twins-published", "leaks"])
def test_the_studies_of_the_twins_are_valid_and_the_honest_ones_leak_nothing(name):
    config = study_from(name, Overrides(n_features=8))
    cells = cells_of(config)
    assert {c.world.responses.n_features for c in cells} == {8} and {
        c.world.name for c in cells
    } <= PRESETS.keys()
    for one in cells:
        leaks = one.protocol.told(one.estimator)
        honest = one.protocol.name in ("honest", "off: all")
        assert not (honest and (leaks or one.protocol.split == "sample" or not one.world.behaviour.capped))
        assert not (honest and {"propensity", "class prior", "propensity:label-derived"} & set(one.grant))
    published = {p.name: p for p in config.protocols}.get("published")
    if published is not None:
        for protocol in config.protocols:
            if protocol.name.startswith("off: ") and protocol.name != "off: all":
                pairs = zip(published.model_dump().items(), protocol.model_dump().values(), strict=True)
                changed = {key for (key, one), other in pairs if one != other} - {"name"}
                assert len(changed - {"grant_of"}) == 1, (protocol.name, changed)


def test_a_world_in_a_study_file_may_be_a_preset_with_changes(tmp_path):
    study = tmp_path / "study.yaml"
    study.write_text("worlds: [{preset: shared, n_features: 7}, exclusive]")
    first, second = study_from(study).worlds
    assert first == PRESETS["shared"].changed(n_features=7) and second == PRESETS["exclusive"]
    study.write_text("worlds: [{preset: shard}]")
    with pytest.raises(BadInput, match="'shared'"):
        study_from(study)


def test_impossible_protocols_are_refused():
    with pytest.raises(ValidationError, match="needs settings"):
        EvaluationProtocol(oracle_selection=True)
    with pytest.raises(ValidationError):
        EvaluationProtocol(replicates=0)


@pytest.mark.parametrize(
    ("protocol", "by", "sees"),
    [
        (EvaluationProtocol(), None, False),
        (
            EvaluationProtocol(oracle_calibration=("all",), oracle_selection=True, settings=SETTINGS),
            None,
            False,
        ),
        (EvaluationProtocol(split="sample"), "sample", False),
        (EvaluationProtocol(oracle_stopping=True), "prompt", True),
    ],
)
def test_training_is_handed_labels_under_oracle_stopping_alone(protocol, by, sees, world):
    handed = []

    class Spy(find("naive")):
        def fit_replicates(self, log, replicates=None, holdout=None):
            handed.append(holdout)
            return super().fit_replicates(log, replicates, holdout)

    fit_cell(cell(protocol, epochs=1), Spy, world)
    assert {None if one is None else one.by for one in handed} == {by}
    assert any(one is not None and one.oracle_labels is not None for one in handed) == sees
