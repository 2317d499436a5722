"""A named trait: who acts on it, where it comes from, and what is refused."""

import json

import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import zscore

from simbench.errors import BadInput
from simbench.log.rated_responses import load_responses
from simbench.worlds.behaviours.logit import Logit
from simbench.worlds.config import WorldConfig
from simbench.worlds.presets import PRESETS
from simbench.worlds.responses import RatedFile, RatingLink
from simbench.worlds.traits import trait_column, trait_salience
from simbench.worlds.world import build


def test_users_act_on_the_trait_and_on_nothing_else():
    world = build(PRESETS["copyable"].changed(test_size=640), 2.0, 4000, 0)
    for part in (world.train, world.test):
        assert part.trait is not None
        np.testing.assert_array_equal(part.trait, part.features[:, 29])
        assert np.corrcoef(logit(part.propensity), part.trait)[0, 1] == pytest.approx(1, abs=1e-6)
    assert world.train.propensity.mean() == pytest.approx(0.3, abs=1e-9)
    assert abs(np.corrcoef(logit(world.train.reward), world.train.trait)[0, 1]) < 0.06
    assert world.train.context is None


def test_the_trait_does_not_change_the_responses():
    with_trait = build(PRESETS["copyable"], 1.0, 640, 0)
    without = PRESETS["copyable"].changed(reads="features", trait=None)
    np.testing.assert_array_equal(build(without, 1.0, 640, 0).train.reward, with_trait.train.reward)


@pytest.fixture
def answers(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {"prompt": f"p{i // 8}", "response": "word " * int(n), "rating": float(r), "links": int(n % 3)}
        for i, (n, r) in enumerate(zip(rng.integers(1, 200, 400), rng.random(400), strict=True))
    ]
    path = tmp_path / "answers.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    np.save(tmp_path / "features.npy", rng.standard_normal((400, 4)).astype(np.float32))
    return path, np.array([len(row["response"]) for row in rows])


def test_of_real_responses_it_is_their_length_in_characters_and_a_feature(answers):
    path, length = answers
    rated = RatedFile(path=str(path), features=str(path.with_name("features.npy")), trait="length")
    parts = {"responses": rated, "reward": RatingLink(), "behaviour": Logit(reads="trait")}
    world = build(WorldConfig(name="long", **parts), 2.0, 320, 0)
    assert world.train.trait is not None and world.test.trait is not None
    assert sorted([*world.train.trait, *world.test.trait]) == sorted(length)
    assert world.train.features.shape[1] == 5
    of_length = np.corrcoef(world.train.features[:, 4], np.log1p(world.train.trait))[0, 1]
    assert of_length == pytest.approx(1, abs=1e-6)
    of_alpha = np.corrcoef(logit(world.train.propensity), np.log1p(world.train.trait))[0, 1]
    assert of_alpha == pytest.approx(1, abs=1e-6)


def test_it_may_be_a_numeric_column(answers):
    path, _ = answers
    found = load_responses(path, features=path.with_name("features.npy"), trait="links")
    assert found.trait is not None and set(found.trait) == {0, 1, 2}
    with pytest.raises(BadInput, match="no column 'stars'"):
        load_responses(path, features=path.with_name("features.npy"), trait="stars")
    with pytest.raises(BadInput, match=r"answers\.jsonl, row 0 \(line 1\), column 'response'"):
        load_responses(path, features=path.with_name("features.npy"), trait="response")


@pytest.mark.parametrize("trait", [None, "length", "feature:32", "feature:-1", "feature:x", "other:3"])
def test_a_synthetic_trait_must_be_a_feature_that_is_there(trait):
    with pytest.raises(BadInput, match="feature"):
        WorldConfig().changed(name="w", reads="trait", trait=trait)


def test_a_trait_that_nobody_acts_on_must_be_there_too():
    with pytest.raises(BadInput, match="K with K below 32"):
        WorldConfig().changed(name="w", trait="feature:32")
    assert WorldConfig().changed(name="w", trait="feature:31").behaviour == Logit()


def test_a_synthetic_trait_is_the_column_of_its_number():
    assert trait_column("feature:0", 3) == 0 and trait_column("feature:12", 13) == 12
    with pytest.raises(ValueError, match="K with K below 12, got 'feature:12'"):
        trait_column("feature:12", 12)
    with pytest.raises(ValueError, match="got 'column:1'"):
        trait_column("column:1", 12)


def test_responses_stand_out_by_the_logarithm_of_a_length_and_by_any_other_trait_itself():
    values = np.array([0, 3, 10, 400, 25])
    assert trait_salience("length", values) == pytest.approx(zscore(np.log(values + 1.0)))
    for other in ("feature:2", "links"):
        assert trait_salience(other, values) == pytest.approx(zscore(values.astype(float)))
