"""A study tells what it is at besides its cells: before them and after them."""

from simbench.study.config import StudyConfig
from simbench.study.policy_settings import Downstream
from simbench.study.run import run
from simbench.worlds.presets import PRESETS

WORLD = PRESETS["exclusive"].changed(test_size=100)
CONFIG = StudyConfig(
    worlds=(WORLD,),
    bias_levels=(0.5, 1.0),
    sizes=(50,),
    replicates=2,
    estimators=("sklearn:GaussianNB",),
    downstream=Downstream(betas=(1.0,)),
)


def test_every_phase_is_told_in_its_order_and_a_finished_study_checks_no_world(tmp_path):
    phases = []
    for _ in range(2):
        run(CONFIG, tmp_path / "out", phase=lambda what, done, total: phases.append((what, done, total)))
    reading = [("reading finished cells", 0, 2), ("reading finished cells", 1, 2)]
    worlds = [("checking worlds", 0, 2), ("checking worlds", 1, 2)]
    policies = [("policies", 0, 2), ("policies", 1, 2)]
    first = [*reading, *worlds, ("cells", 0, 2), *policies]
    assert phases == [*first, *reading, ("cells", 2, 2), *policies]
