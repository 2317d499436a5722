"""Who writes the constructor of an estimator, and which values its parameters may have."""

import math
from typing import Annotated, Literal

import numpy as np
import pytest
from pydantic import Field
from simbench_estimators.naive import Naive

from simbench.errors import BadInput
from simbench.estimator.estimator import Estimator
from simbench.log.user_log import LogColumns
from simbench.reward.model import fit_log
from simbench.streams import seed_of
from simbench.study.config import StudyConfig, cells_of, validate


class Written(Estimator):
    """With a constructor of its own."""

    def __init__(self, speed=2, seed=0):
        super().__init__(seed=seed)
        self.speed = speed


def test_a_constructor_that_a_person_wrote_is_inherited():
    class Below(Written):
        name = "below"

    for kind in (Written, Below, type("Mixed", (Written, Estimator), {})):
        assert kind().get_params() == {"speed": 2, "seed": 0}
        made = kind(3, seed=7)
        assert (made.speed, made.seed, made.lr) == (3, 7, Estimator().lr)


def test_a_constructor_from_attributes_is_written_anew_for_every_subclass():
    class Above(Estimator):
        speed: int = 2

    class Below(Above):
        speed = 5
        colour: str = "red"

    usual = Estimator().get_params()
    assert Above().get_params() == {**usual, "speed": 2}
    assert Below().get_params() == {**usual, "speed": 5, "colour": "red"}
    assert Below(speed=1, seed=3).get_params() == {**usual, "speed": 1, "colour": "red", "seed": 3}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"lr": 0}, "lr must be greater than 0, got 0"),
        ({"lr": -1.0}, "lr must be greater than 0"),
        ({"lr": math.nan}, "lr must be a finite number, got nan"),
        ({"lr": math.inf}, "lr must be a finite number, got inf"),
        ({"lr": 10**400}, "lr must be a number"),
        ({"lr": True}, "lr must be a number, got True"),
        ({"lr": "1e-3"}, r"lr must be a number, got '1e-3' \(a text; in YAML, write 1.0e-3 for 1e-3\)"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"batch_size": 2.5}, "batch_size must be a whole number, got 2.5"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"patience": 10**5000}, "patience must be at most 2147483647, got a number of thousands of digits"),
        ({"hidden": 5}, r"hidden must be a tuple, such as \(32, 16\) or \(\), got 5"),
        ({"hidden": (32, 0)}, "entry 2 of hidden must be at least 1, got 0"),
        ({"hidden": [32, "a"]}, "entry 2 of hidden must be a whole number, got 'a'"),
        ({"hidden": (10**9,)}, "entry 1 of hidden must be at most 65536"),
        ({"hidden": None}, "hidden must be a tuple"),
        ({"weight_decay": -1e-9}, "weight_decay must be at least 0"),
        ({"validation_share": 1.0}, "validation_share must be less than 1"),
        ({"validation_share": -0.1}, "validation_share must be at least 0"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"seed": 2**63}, "seed must be less than"),
        ({"device": "gpu9"}, "device must be cpu or cuda, got 'gpu9'"),
        ({"device": "meta"}, "device must be cpu or cuda, got 'meta'"),
        ({"device": None}, "device must be a text"),
        ({"device": "cuda:99"}, r"device must be one that this machine has \(cpu"),
    ],
)
def test_what_is_out_of_range_is_one_sentence(given, said):
    with pytest.raises(BadInput, match=f"Written: {said}") as caught:
        configured_written(given).check_parameters()
    assert str(caught.value).count("\n") == 0


def configured_written(given):
    made = Written()
    for name, value in given.items():
        setattr(made, name, value)
    return made


def test_numpys_numbers_and_lists_are_taken_as_pythons():
    Estimator(seed=np.int64(3), lr=np.float32(0.1), hidden=[4, np.int32(2)], device="cpu").check_parameters()
    assert seed_of(np.int64(3), "x", np.float64(0.5)) == seed_of(3, "x", 0.5)


def test_every_class_that_annotates_a_parameter_has_its_say():
    class Narrow(Estimator):
        lr: Annotated[float, Field(lt=1)] = 0.5
        mode: Literal["a", "b"] | None = "c"  # type: ignore[assignment]  its author's default is taken

    Narrow().check_parameters()
    Narrow(mode=None, lr=0.9).check_parameters()
    for given, said in (
        ({"lr": 0.0}, "greater than 0"),
        ({"lr": 1.0}, "less than 1"),
        ({"mode": "d"}, "mode must be 'a' or 'b'"),
    ):
        with pytest.raises(BadInput, match=said):
            Narrow(**given).check_parameters()


def test_parameters_are_checked_before_anything_is_read(tmp_path):
    for name, parameters in (("naive", {"lr": -1}), ("wmf", {"weight": 0.0}), ("ips", {"clip": 1.0})):
        with pytest.raises(BadInput, match="must be"):
            fit_log(tmp_path / "there is no log", LogColumns("clicked", "col:f"), name, **parameters)
    for setting in ({"parameters": {"naive": {"lr": -1}}}, {"parameters": {"naive": {"width": 3}}}):
        config = StudyConfig(estimators=("naive",), **setting)
        with pytest.raises(BadInput, match=r"must be greater than 0|has no parameter 'width'"):
            validate(config, cells_of(config))
    with pytest.raises(BadInput, match="patience must be at least 1"):
        Naive(patience=0).fit([[1.0], [2.0]], [0, 1])
