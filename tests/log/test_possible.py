"""What no log of one's own can be, by hand."""

import numpy as np
import pytest

from simbench.errors import BadInput
from simbench.log.feedback import FeedbackLog
from simbench.log.possible import require_possible
from simbench.log.user_log import LogColumns

CLICKS = np.array([1, 0, 0, 1, 0.0])  # a rate of .4
COPIES = np.array([1, 0, 1, 0, 0.0])


def log(**told):
    return FeedbackLog(np.eye(5, dtype=np.float32), CLICKS[None], np.arange(5), **told)


def test_a_told_number_is_not_below_what_the_feedback_shows():
    """Of the responses .4 were clicked: with misclicks at .1, π + (1-π) .1 = .4 is reached at π = 1/3."""
    for fine in ({"class_prior": 0.4}, {"action_rate": 0.4}, {"class_prior": 0.34, "misclick": 0.1}):
        require_possible(log(**fine))
    for wrong, said in (
        ({"class_prior": 0.39}, "the class prior 0.39 is impossible: 0.4 of the responses were clicked"),
        ({"class_prior": 0.33, "misclick": 0.1}, "only good ones are and misclicks at a rate of 0.1"),
        ({"action_rate": 0.39}, "the action rate 0.39 is impossible"),
        ({"action_rate": 0.39, "misclick": 0.3}, "nobody clicks without acting"),
    ):
        with pytest.raises(BadInput, match=said):
            require_possible(log(**wrong))


@pytest.mark.parametrize(
    ("signals", "names", "said"),
    [
        ([CLICKS, CLICKS], ("clicked", "copied"), "the signals clicked and copied are the same in every row"),
        ([CLICKS, CLICKS], ("clicked", "clicked"), "the signal clicked is named twice"),
        ([CLICKS, COPIES, COPIES], ("a", "b", "c"), "the signals b and c are the same"),
        ([CLICKS, 1 - CLICKS], ("clicked", "skipped"), "the signal skipped is the opposite of clicked"),
        ([CLICKS, np.zeros(5)], ("clicked", "copied"), "the signal copied is 0 in every row"),
        ([CLICKS, np.ones(5)], (), "the signal number 1 is 1 in every row"),
    ],
)
def test_a_signal_says_something_of_its_own(signals, names, said):
    require_possible(log(signals=np.stack([CLICKS, COPIES])[None]), ("clicked", "copied"))
    with pytest.raises(BadInput, match=said):
        require_possible(log(signals=np.stack(signals)[None]), names)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e308, -0.1, 1.0])
@pytest.mark.parametrize("name", ["class_prior", "misclick", "action_rate"])
def test_a_told_rate_is_a_probability_before_anything_is_read(name, value):
    with pytest.raises(BadInput, match=f"{name} must lie"):
        LogColumns("clicked", "col:f_", **{name: value})
