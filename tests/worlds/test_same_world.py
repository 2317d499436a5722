"""The same seed makes the same world as ever: stored results of a cell are only right for that world.

Values recorded from the world as it was when the laws of this folder's other tests were first checked
against them. They may change only on purpose, with the version of what is stored; or with a release of NumPy
that changes the draws of a generator, which would part stored results from new ones just the same.
"""

import numpy as np
import pytest

from simbench.worlds.config import WorldConfig
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

# changes to the preset; last feature, first reward, last reward of the test, propensity of the second
# response, of the last response by the last signal, and of the first of the test; clicks of replicate 7
RECORDED = [
    (
        "exclusive",
        {},
        [1.97541988, 0.0286305136, 0.959919795, 0.442429317, 0.332802765, 0.144308957],
        [1, 4, 10, 14, 18, 20, 26, 27, 47],
    ),
    (
        "shared",
        {},
        [-2.34821725, 0.720326107, 0.725663561, 0.116532376, 0.215416442, 0.483875593],
        [20, 35, 36, 39, 46, 56],
    ),
    (
        "confounded",
        {},
        [-0.722970724, 0.581185917, 0.797522397, 0.173214867, 0.390003706, 0.28444651],
        [13, 15, 16, 35, 38, 40, 41, 44, 46],
    ),
    (
        "rating",
        {},
        [0.397822112, 0.467940607, 0.377781206, 0.688325991, 0.0275330396, 1.0],
        [1, 3, 6, 7, 15, 18, 19, 42, 43],
    ),
    (
        "misclick",
        {},
        [-1.13627982, 0.471750122, 0.644652517, 0.570126133, 0.245530131, 0.148596008],
        [2, 5, 27, 31, 47, 54, 56, 57],
    ),
    (
        "always",
        {"always_share": 0.1, "action_rate": 0.4},
        [-0.0992016345, 0.623945332, 0.838789697, 0.166254092, 0.221247039, 0.289193469],
        [3, 10, 14, 25, 31, 39, 42, 43, 45],
    ),
    (
        "signals",
        {},
        [-0.633168936, 0.304396667, 0.917561403, 0.267147609, 0.157980784, 0.361870664],
        [8, 14, 18, 19, 20, 31, 33, 39, 41],
    ),
    (
        "twin:helpsteer",
        {},
        [-0.19663097, 0.589549891, 0.540677545, 0.255008005, 0.329583412, 0.169345518],
        [4, 10, 14, 19, 23, 24, 27, 30, 38],
    ),
    (
        "twin:ultrafeedback",
        {},
        [-1.2610929, 0.996192918, 0.986232939, 0.179298287, 0.417708665, 0.151674035],
        [7, 10, 13, 14, 26],
    ),
    (
        "twin:saferlhf",
        {},
        [0.205781415, 0.089570891, 0.903335636, 0.844101633, 0.932156166, 0.175770572],
        [1, 3, 4, 26, 27, 35, 36, 37, 42],
    ),
    (
        "copyable",
        {"trait": "feature:5"},
        [-0.562741876, 0.276678425, 0.88666092, 0.0947684989, 0.273446448, 0.295288354],
        [5, 7, 12, 17, 20, 26, 28, 29, 31],
    ),
    (
        "page",
        {},
        [-1.03188705, 0.638957783, 0.645138095, 0.577942092, 0.190649791, 0.190649791],
        [7, 14, 21, 46],
    ),
    (
        "ranked",
        {},
        [0.174881443, 0.0620709584, 0.622516264, 0.239986782, 0.331940565, 0.15948077],
        [3, 10, 11, 32, 38, 49, 54],
    ),
    (
        "cascade",
        {},
        [1.25826979, 0.531979976, 0.313917087, 0.363673078, 0.633117925, 0.578880111],
        [0, 4, 22, 26, 30, 42, 46, 57, 59],
    ),
    (
        "regenerate",
        {},
        [-0.170956105, 0.492219856, 0.115887072, 0.346108777, 0.200718396, 0.281410601],
        [15, 23, 55],
    ),
    (
        "users",
        {},
        [0.559583545, 0.789928805, 0.622862179, 0.361177105, 0.137959395, 0.518755115],
        [7, 8, 11, 14, 22, 26, 31, 32, 35],
    ),
    (
        "mlp",
        {"reward": "mlp"},
        [1.44429493, 0.861073301, 0.730420299, 0.139413279, 0.184383934, 0.168661366],
        [6, 9, 22, 29, 33, 35, 38, 39, 43],
    ),
    (
        "many",
        {
            "signals": 3,
            "regenerate": True,
            "signal_dependence": 0.4,
            "exposures": 2,
            "prompt_difficulty": 1.5,
            "responses_per_prompt": 12,
        },
        [-2.12606525, 0.0552781997, 0.0593189862, 0.0750981647, 0.610946136, 0.178180287],
        [11, 14, 16, 21, 24, 27, 30, 31, 33],
    ),
]


@pytest.mark.parametrize(
    ("name", "changes", "values", "clicked"), RECORDED, ids=lambda value: str(value)[:20]
)
def test_a_seed_makes_the_world_that_it_always_made(name, changes, values, clicked):
    config = PRESETS.get(name, WorldConfig(name=name))
    built = build(config.changed(test_size=100, n_features=8, **changes), 0.8, 60, 3)
    law = built.train.law
    alphas = getattr(law, "propensities", law.propensity[None])
    found = [built.train.features[-1, -1], built.train.reward[0], built.test.reward[-1]]
    found += [alphas[0, 1], alphas[-1, -1], built.test.propensity[0]]
    assert found == pytest.approx(values, rel=1e-6)
    assert np.flatnonzero(built.draw(range(7, 8))[0].feedback[0])[:9].tolist() == clicked


def test_every_preset_is_recorded():
    assert PRESETS.keys() <= {name for name, *_ in RECORDED}
