"""What a user is told when a name is unknown."""

import pytest

from simbench.errors import BadInput, NotIdentified, did_you_mean


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("nave", ["oracle", "naive", "naive-sqrt"], " Did you mean 'naive'?"),
        ("naive-sqr", ["oracle", "naive", "naive-sqrt"], " Did you mean 'naive-sqrt'?"),
        ("zzz", ["oracle", "naive"], ""),
        ("ips", {"ips-scar": 1, "ipw": 2}, " Did you mean 'ipw'?"),
        ("x", [], ""),
    ],
)
def test_the_nearest_known_name_is_offered(name, known, hint):
    assert did_you_mean(name, known) == hint == did_you_mean(name, iter(known))


def test_bad_input_is_a_value_error_and_what_is_not_identified_a_warning():
    assert issubclass(BadInput, ValueError) and issubclass(NotIdentified, UserWarning)
