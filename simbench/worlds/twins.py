"""Twins of the data sets of the published evaluation: worlds with the same known statistics.

``docs/twins.md`` says which statistic is matched, and where it comes from.
"""

from simbench.worlds.behaviours.rating import Rating
from simbench.worlds.config import WorldConfig
from simbench.worlds.responses import Synthetic
from simbench.worlds.rewards import DrawnRatings

# Ratings of the 2,395 responses of a public subset of UltraFeedback binarized, 1 to 10.
ULTRAFEEDBACK_COUNTS = {
    **{1.0: 19, 2.0: 103, 3.0: 108, 4.0: 132, 4.5: 1, 5.0: 88, 5.5: 1, 6.0: 215, 6.5: 64},
    **{7.0: 363, 7.5: 293, 8.0: 410, 8.5: 437, 9.0: 140, 9.5: 16, 10.0: 5},
}

HELPSTEER = DrawnRatings(
    levels=(0, 1, 2, 3, 4), shares=(0.03, 0.07, 0.216, 0.43, 0.254), threshold=2, reward_scale=1.6
)
ULTRAFEEDBACK = DrawnRatings(
    levels=tuple(ULTRAFEEDBACK_COUNTS),
    shares=tuple(count / sum(ULTRAFEEDBACK_COUNTS.values()) for count in ULTRAFEEDBACK_COUNTS.values()),
    threshold=6.5,
    reward_scale=3.06,
)
SAFERLHF = DrawnRatings(
    levels=(0, 1, 2, 3), shares=(0.47, 0.071, 0.279, 0.18), threshold=1.5, reward_scale=6.8
)

# AUROC that a head trained on clean labels reaches on the published data; for UltraFeedback, what the twin
# reaches at an R² of .508, which is what the published correlation of .71 amounts to.
ATTAINABLE_AUROC = {"twin:helpsteer": 0.815, "twin:ultrafeedback": 0.919, "twin:saferlhf": 0.975}


def _twin(name: str, ratings: DrawnRatings, size: int, per_prompt: int) -> WorldConfig:
    return WorldConfig(
        name=f"twin:{name}",
        responses=Synthetic(n_features=256, responses_per_prompt=per_prompt),
        reward=ratings,
        behaviour=Rating(action_rate=0.2),
        default_size=size,
    )


TWINS = {
    world.name: world
    for world in (
        _twin("helpsteer", HELPSTEER, 28_264, 4),
        _twin("ultrafeedback", ULTRAFEEDBACK, 97_816, 2),
        _twin("saferlhf", SAFERLHF, 118_251, 2),
    )
}

TWIN_DESCRIPTIONS = {
    "twin:helpsteer": "twin of HelpSteer: ratings 0-4 drawn, good above 2, rating power law",
    "twin:ultrafeedback": "twin of UltraFeedback: ratings 1-10 drawn, good above 6.5, rating power law",
    "twin:saferlhf": "twin of PKU-SafeRLHF: severity 0-3 drawn, positive above 1.5, rating power law",
}
