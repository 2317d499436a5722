"""Estimators by name: installed, made by a factory, or of any module; and what is said of the others."""

from importlib.metadata import EntryPoint

import pytest

from simbench.errors import BadInput
from simbench.estimator.estimator import Estimator
from simbench.estimator.registry import class_prior_method, find, names
from simbench.files import plugins

HERE = {
    "simbench.estimators": {
        "zeta": "simbench_estimators.naive:NaiveSqrt",
        "alpha": "simbench_estimators.naive:Naive",
        "made": "simbench_estimators.outside:named",
        "broken": "no_such_module_anywhere:Thing",
        "odd": "simbench.training.losses:click_nll",
    },
    "simbench.class_priors": {"some": "math:sqrt", "gone": "no_such_module_anywhere:prior"},
}


@pytest.fixture
def installed(monkeypatch):
    """A few entry points of each group, one of them twice, as two paths of the interpreter may have it."""

    def entry_points(group):
        points = [EntryPoint(name, value, group) for name, value in HERE[group].items()]
        return [*points, points[0]]

    monkeypatch.setattr(plugins, "entry_points", entry_points)


def test_names_are_sorted_and_each_is_there_once(installed):
    assert names() == ["alpha", "broken", "made", "odd", "zeta"]


def test_a_name_is_the_class_of_its_entry_point(installed):
    from simbench_estimators.naive import Naive, NaiveSqrt

    assert find("alpha") is Naive and find("zeta") is NaiveSqrt


def test_what_stands_behind_the_colon_is_the_factorys_argument(installed):
    made = find("made:LogisticRegression")
    assert issubclass(made, Estimator) and "LogisticRegression" in made.name
    with pytest.raises(BadInput):
        find("made:no:such:thing")


def test_anything_that_can_be_imported_is_found_by_module_and_class(installed):
    from simbench_estimators.naive import Oracle

    assert find("simbench_estimators.naive:Oracle") is Oracle
    with pytest.raises(BadInput, match="cannot be imported"):
        find("simbench_estimators.naive:NoSuch")
    with pytest.raises(BadInput, match=r"cannot be imported.*no_such_module_anywhere"):
        find("broken")


def test_a_name_that_is_not_there_is_answered_with_the_nearest(installed):
    with pytest.raises(BadInput, match=r"there is no estimator 'alfa'. Did you mean 'alpha'\?"):
        find("alfa")
    with pytest.raises(BadInput) as error:
        find("qqqq")
    assert "Did you mean" not in str(error.value)


def test_what_is_no_estimator_is_refused_with_a_hint_where_a_class_was_forgotten(installed):
    with pytest.raises(BadInput, match=r"'odd' is not a subclass .* \(try odd:ClassName\)"):
        find("odd")
    for name in ("math:sqrt", "fractions:Fraction"):
        with pytest.raises(BadInput, match=rf"'{name}' is not a subclass of simbench.Estimator\."):
            find(name)
    assert find("simbench:Estimator") is Estimator


def test_methods_for_the_class_prior_are_a_group_of_their_own(installed):
    from math import sqrt

    assert class_prior_method("some") is sqrt
    with pytest.raises(
        BadInput, match="there is no method 'alpha' for the class prior; there are: gone, some"
    ):
        class_prior_method("alpha")
    with pytest.raises(BadInput, match="'gone' cannot be imported"):
        class_prior_method("gone")


def test_the_installed_catalogue_is_found_whole():
    assert {"naive", "ips", "implicitrm", "sklearn"} <= set(names())
    for name in ("elkan-noto", "tice", "km2"):
        assert callable(class_prior_method(name))
    assert all(find(name).name == name for name in names() if name != "sklearn")
