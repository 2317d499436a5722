"""Behaviours by name: installed, of a module, of a file; and what is said of the others."""

import sys
from importlib.metadata import EntryPoint

import pytest

from simbench.errors import BadInput
from simbench.files import plugins
from simbench.worlds import registry
from simbench.worlds.behaviour import PointwiseBehaviour
from simbench.worlds.behaviours.logit import Logit
from simbench.worlds.behaviours.rating import Rating
from simbench.worlds.config import WorldConfig
from simbench.worlds.registry import find, names, names_a_behaviour
from simbench.worlds.world import build

FILE = """
import numpy as np
from simbench.worlds.behaviour import PointwiseBehaviour

class Flat(PointwiseBehaviour):
    factor: float = 1.0

    def propensity(self, scene, bias_level, action_rate, signal):
        return np.full(scene.n_rows, action_rate * self.factor)

def no_class(): ...
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "flat.py"
    path.write_text(FILE)
    return path


@pytest.fixture
def module(file, monkeypatch):
    """The same file as a module that can be imported."""
    monkeypatch.syspath_prepend(str(file.parent))
    yield "flat"
    sys.modules.pop("flat", None)


def test_the_installed_ones_are_found_by_their_names():
    assert {"logit", "rating"} <= set(names()) and names() == sorted(names())
    for name in names():
        assert find(name).model_fields["kind"].default == name
    assert find("logit") is Logit and find("rating") is Rating
    assert WorldConfig().changed(behaviour="rating").behaviour == Rating()
    assert WorldConfig.model_validate({"behaviour": "rating"}).behaviour == Rating()


def test_a_class_of_a_module_is_found_and_is_named_by_it(module):
    config = WorldConfig().changed(behaviour=f"{module}:Flat", factor=0.5)
    assert config.behaviour.kind == "flat:Flat" and config.behaviour.factor == 0.5
    assert type(config.behaviour) is find("flat:Flat")
    assert find("flat:Flat")().kind == "flat:Flat"  # without being told
    again = WorldConfig.model_validate_json(config.model_dump_json())
    assert again == config and again.behaviour.factor == 0.5
    built = build(config.changed(test_size=100), 1.0, 50, 0)
    assert built.train.propensity == pytest.approx(0.15)


def test_a_class_of_a_file_is_found_and_keeps_its_name(file):
    kind = f"{file}:Flat"
    config = WorldConfig().changed(behaviour={"kind": kind, "factor": 0.5})
    assert config.behaviour.kind == kind
    assert WorldConfig.model_validate_json(config.model_dump_json()) == config
    assert build(config.changed(test_size=100), 1.0, 50, 0).train.propensity == pytest.approx(0.15)
    with pytest.raises(BadInput, match=r"behaviour\.factor: Input should be a valid number.*got 'half'"):
        WorldConfig().changed(behaviour={"kind": kind, "factor": "half"})


def test_a_file_that_was_changed_is_read_again(file):
    first = find(f"{file}:Flat")
    assert find(f"{file}:Flat") is first
    file.write_text(FILE.replace("factor: float = 1.0", "factor: float = 0.25"))
    assert find(f"{file}:Flat")().factor == 0.25


def test_a_name_that_is_not_there_is_answered_with_the_nearest():
    with pytest.raises(BadInput, match=r"there is no behaviour 'ratings'. Did you mean 'rating'\?"):
        find("ratings")
    with pytest.raises(BadInput, match="See: simbench list behaviours") as error:
        WorldConfig().changed(behaviour="qqqq")
    assert "Did you mean" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such_module_anywhere:Thing", "cannot be imported: No module named 'no_such_module_anywhere'"),
        ("simbench.worlds.laws:NoSuch", "cannot be imported"),
        ("math:sqrt", r"'math:sqrt' is not a subclass of simbench\.Behaviour"),
        ("fractions:Fraction", r"is not a subclass of simbench\.Behaviour"),
        ("gone.py:Flat", "gone.py does not exist: name a class of an existing file"),
    ],
)
def test_what_is_no_behaviour_is_refused(name, words):
    with pytest.raises(BadInput, match=words):
        find(name)
    with pytest.raises(BadInput, match=words):
        WorldConfig().changed(behaviour=name)
    assert not names_a_behaviour(name)
    assert names_a_behaviour("logit") and not names_a_behaviour("no-such")


def test_what_a_file_lacks_or_raises_is_said(file):
    for name in ("NoSuch", "no_class", "np"):
        with pytest.raises(BadInput, match="is not a subclass of"):
            find(f"{file}:{name}")
    file.write_text("1 / 0")
    with pytest.raises(BadInput, match=r"flat\.py cannot be imported: ZeroDivisionError"):
        find(f"{file}:Flat")


def test_installed_behaviours_that_cannot_be_had_say_why(monkeypatch):
    points = {"broken": "no_such_module_anywhere:Thing", "twice": "fractions:Fraction"}
    found = [EntryPoint(name, value, registry.GROUP) for name, value in points.items()]
    again = EntryPoint("twice", "simbench.worlds.behaviours.logit:Logit", registry.GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [*found, again])
    assert names() == ["broken", "twice"]
    with pytest.raises(BadInput, match="'broken' cannot be imported: No module named"):
        find("broken")
    with pytest.raises(BadInput, match=r"register 'twice' in the entry-point group simbench\.behaviours"):
        find("twice")


def test_a_subclass_does_not_inherit_the_name():
    class Mine(Logit):
        pass

    assert Mine().kind == f"{__name__}:{Mine.__qualname__}" and Logit().kind == "logit"
    assert issubclass(Mine, PointwiseBehaviour)


def test_a_behaviour_must_be_named():
    for value in (3, {"action_rate": 0.2}, None):
        with pytest.raises(
            ValueError, match="a behaviour is a name, or settings of which `kind` is the name"
        ):
            WorldConfig.model_validate({"behaviour": value})
