"""Who writes the constructor of an estimator: the annotated attributes, unless a person did."""

from simbench.estimator.estimator import Estimator


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
