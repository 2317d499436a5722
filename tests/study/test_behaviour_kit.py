"""The conformance kit of behaviours: the catalogue passes, and every kind of false declaration is found."""

from typing import ClassVar

import numpy as np
import pytest

from simbench.study import behaviour_kit
from simbench.study.behaviour_kit import examine_world
from simbench.worlds.behaviour import Behaviour, PointwiseBehaviour
from simbench.worlds.behaviours.cascade import Cascade
from simbench.worlds.behaviours.logit import Logit
from simbench.worlds.channel import SignalsLaw
from simbench.worlds.law import Drawn, Outcomes
from simbench.worlds.presets import PRESETS
from simbench.worlds.sequential import SequentialLaw

DRAWS = "what is drawn is what is declared"
ADDS_UP = "enumerated pages add up to what is declared"


def world(behaviour: Behaviour):
    return PRESETS["exclusive"].changed(n_features=8).model_copy(update={"behaviour": behaviour})


def failures(behaviour: Behaviour) -> dict[str, str]:
    return {f.requirement: f.detail for f in examine_world(world(behaviour), "x") if not f.passed}


@pytest.mark.parametrize("name", [*PRESETS])
def test_every_world_of_the_catalogue_draws_what_it_declares(name):
    assert [f for f in examine_world(PRESETS[name], name) if not f.passed] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"signals": 3, "signal_dependence": 0.5, "misclick": 0.2},
        {"signals": 2, "regenerate": True, "misclick": 0.1},
        {"exposures": 2, "always_share": 0.2, "action_rate": 0.5},
        {"behaviour": {"kind": "regenerate", "curiosity": 0.3, "patience": 0.6, "reads": "features"}},
        {"behaviour": "page", "signals": 2, "misclick": 0.1},
        {"behaviour": "rating", "misclick": 0.1, "regenerate": True},
    ],
)
def test_so_do_compositions_of_it(changes):
    config = PRESETS["exclusive"].changed(**changes)
    assert [f for f in examine_world(config, "composed") if not f.passed] == []


def test_twins_compose_with_the_channel_as_other_worlds_do():
    config = PRESETS["twin:helpsteer"].changed(n_features=16, misclick=0.1, always_share=0.05)
    assert [f for f in examine_world(config, "composed") if not f.passed] == []


class Misstated(SignalsLaw):
    """Draws with one propensity and declares another."""

    def draw(self, rng):
        return SignalsLaw(self.reward, self.propensities * 0.9, self.channel).draw(rng)


class Overstates(Logit):
    def law(self, scene, bias_level, channel):
        law = super().law(scene, bias_level, channel)
        return Misstated(law.reward, law.propensities, channel)


def test_a_law_that_draws_less_than_it_declares_is_found():
    assert "feedback on good responses differ" in failures(Overstates())[DRAWS]


class Independent(SequentialLaw):
    """Right marginals, but every response is drawn by itself."""

    def draw(self, rng):
        uniform = rng.random((3, len(self.reward)))
        preference = uniform[0] < self.reward
        return Drawn(preference, (preference & (uniform[1] < self.propensity))[None])


class LooseCascade(Cascade):
    def law(self, scene, bias_level, channel):
        law = super().law(scene, bias_level, channel)
        return Independent(law.reward, law.pages, law.steps, False)


def test_right_marginals_with_a_wrong_joint_are_found():
    assert "pages differ" in failures(LooseCascade())[DRAWS]


class Sloppy(SequentialLaw):
    """Its enumeration forgets that users stop."""

    def outcomes(self, rows):
        found = super().outcomes(rows)
        return Outcomes(found.signals, found.shown, np.full(len(found.probability), 0.5**5))


class SloppyCascade(Cascade):
    def law(self, scene, bias_level, channel):
        law = super().law(scene, bias_level, channel)
        return Sloppy(law.reward, law.pages, law.steps, False)


def test_an_enumeration_that_is_not_of_its_marginals_is_found():
    assert "signal_probabilities of page 0" in failures(SloppyCascade())[ADDS_UP]


class Stated(PointwiseBehaviour):
    """The simplest behaviour, with one fault after another."""

    fault: ClassVar[str] = ""

    def propensity(self, scene, bias_level, action_rate, signal):
        strength = np.clip(scene.context[:, 0], -1, 1) * min(bias_level, 1) * 0.5
        alpha = action_rate * (1 + strength - strength.mean())
        if self.fault == "rate":
            return alpha * 1.1
        if self.fault == "scar":
            return alpha + 0.01 * (scene.rank - scene.rank.mean())
        if self.fault == "level":
            return np.full(scene.n_rows, action_rate)
        if self.fault == "range":
            return alpha - alpha.min()
        if self.fault == "refuses" and bias_level == 0:
            return np.log(alpha - alpha)
        return alpha


def test_the_simplest_behaviour_passes():
    assert failures(Stated()) == {}


@pytest.mark.parametrize(
    ("fault", "requirement", "said"),
    [
        ("rate", "the mean action rate is at its target, where declared", "0.3300, and not 0.3000"),
        ("scar", "bias level 0 is SCAR, where declared", "differ by 0.04"),
        ("level", "the bias level changes who acts", "the same at every"),
        ("range", "probabilities lie in their range", "propensity has values from 0 to"),
    ],
)
def test_a_false_declaration_is_named(monkeypatch, fault, requirement, said):
    monkeypatch.setattr(Stated, "fault", fault)
    assert said in failures(Stated())[requirement]


class Modest(Stated):
    """The same faults, but nothing is declared."""

    scar_at_0: ClassVar[bool] = False

    @property
    def keeps_rate(self) -> bool:
        return False


@pytest.mark.parametrize("fault", ["rate", "scar"])
def test_what_is_not_declared_is_not_asked_for(monkeypatch, fault):
    monkeypatch.setattr(Stated, "fault", fault)
    assert failures(Modest()) == {}


class Remembers(Logit):
    """Its draws depend on what was drawn before."""

    def law(self, scene, bias_level, channel):
        law = super().law(scene, bias_level, channel)
        return Counting(law.reward, law.propensities, channel)


class Counting(SignalsLaw):
    drawn = 0

    def draw(self, rng):
        self.drawn += 1
        return super().draw(np.random.default_rng(self.drawn))


def test_a_draw_that_depends_on_those_before_it_is_found():
    found = failures(Remembers())
    assert "drawn alone" in found["a replicate does not depend on the range it is drawn in"]


class Broken(Logit):
    def propensity(self, scene, bias_level, action_rate, signal):
        raise ZeroDivisionError("no users")


def test_an_exception_of_the_behaviour_is_its_finding():
    assert "ZeroDivisionError: no users" in failures(Broken())["works at bias level 0 and above"]


def test_the_error_rate_is_the_one_stated(monkeypatch):
    """With every test at level .2 instead, about a fifth of right worlds is rejected; never nearly all."""
    monkeypatch.setattr(behaviour_kit, "ERROR_RATE", 0.2)
    monkeypatch.setattr(behaviour_kit, "REPLICATES", 500)
    monkeypatch.setattr(behaviour_kit, "LEVELS", (0.0, 0.8))
    rejected = 0
    for seed in range(40):
        monkeypatch.setattr(behaviour_kit, "SEED", seed)
        rejected += behaviour_kit._draws(world(Cascade())) != ""
    assert 1 <= rejected <= 16  # binomial(40, ≤ .2): more than 16 has probability .0008
