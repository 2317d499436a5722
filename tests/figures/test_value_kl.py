"""The figure of policies: no curve hides another, and what happens is said in words."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from simbench_figures import value_kl
from simbench_figures.curve_ends import spread

KLS = (0.1, 0.5, 1.0, 2.0)
WIDE = (-0.01, 0.02)


def rows(estimator, knows="nothing", value=0.5, trait=0.0, over=None, interval=WIDE, **columns) -> list[dict]:
    """An estimator whose policies' value and trait rise in proportion to the KL."""
    fixed = {"world": "w", "size": 1000, "bias_level": 2.0, "estimator": estimator, "knows": knows}
    fixed |= {"n_replicates": 5, "trait": "length", "protocol": "honest"} | columns
    found = []
    for policy, reward in (("tilted to KL", "probability"), ("best of n", "rank")):
        for kl in KLS:
            metrics = {"kl": kl, "value": 0.4 + value * kl / 10, "trait": 1000 + trait * kl}
            if over is not None:
                metrics["value_over_oracle"] = over
            how = fixed | {"policy": policy, "reward": reward, "strength": kl}
            found += [
                how | {"metric": metric, "value": x, "low": x + interval[0], "high": x + interval[1]}
                for metric, x in metrics.items()
            ]
    return found


def table(*parts, truth_trait=0.0) -> pd.DataFrame:
    truth = rows("truth", "truth", 0.9, truth_trait, n_replicates=1)
    fixed = {**truth[0], "estimator": "reference", "policy": "reference", "reward": "", "knows": ""}
    reference = [
        fixed | {"metric": m, "value": v} for m, v in (("kl", 0.0), ("value", 0.4), ("trait", 1000.0))
    ]
    return pd.DataFrame([*reference, *truth, *(row for part in parts for row in part)])


def notes(figure) -> str:
    return " ".join(figure.get_supxlabel().split())


def test_curves_that_coincide_are_all_seen():
    same = [rows(name) for name in ("naive", "naive-sqrt", "implicitrm")]
    figure = value_kl.draw(table(rows("oracle", "truth", 0.8), *same, rows("ips", "propensity", 0.1)))
    for axis in (axis for axis in figure.axes if axis.axison):
        lines = {line.get_label(): line for line in axis.lines if str(line.get_label())[0].isdigit()}
        assert list(lines) == [
            "1 oracle (truth)",
            "2 naive (nothing)",
            "3 naive-sqrt (nothing)",
            "4 implicitrm (nothing)",
            "5 ips (propensity)",
        ]
        covered = [lines[label] for label in list(lines)[1:4]]
        for below, above in combinations(covered, 2):
            assert below.get_linewidth() - above.get_linewidth() >= 1, "the lower shows at both sides"
            assert below.get_markevery()[0] != above.get_markevery()[0], "markers stand apart"
        assert {text.get_text() for text in axis.texts} == {"1", "2", "3", "4", "5"}


def test_curves_apart_are_of_one_width():
    figure = value_kl.draw(table(rows("naive", value=0.2), rows("ips", "propensity", 0.6)))
    widths = {line.get_linewidth() for line in figure.axes[0].lines if str(line.get_label())[0].isdigit()}
    assert len(widths) == 1


def test_the_same_estimator_told_something_else_has_hollow_marks():
    figure = value_kl.draw(table(rows("ips", "propensity"), rows("ips", "propensity (estimated)", 0.3)))
    faces = {str(line.get_label()): line.get_markerfacecolor() for line in figure.axes[0].lines}
    assert faces["1 ips (propensity)"] != "white" and faces["2 ips (propensity (estimated))"] == "white"


def test_where_the_truth_likes_the_trait_too_it_is_said_why_naive_passes_the_oracle():
    figure = value_kl.draw(
        table(
            rows("oracle", "truth", 0.3, 500, over=0.0, interval=(0, 0)),
            rows("naive", value=0.6, trait=900, over=0.033, interval=(-0.004, 0.005)),
            rows("ips", "propensity", 0.2, 400, over=-0.02),
            truth_trait=700,
        )
    )
    assert (
        "w, bias level 2, at a KL of 1: users act on length, and the true reward prefers more of it, too "
        "(its own policy moves it from 1,000 to 1,700, naive's to 1,900 characters)."
    ) in notes(figure)
    assert "naive by 0.033 [0.029, 0.038] passes the oracle in value: more of the KL goes to length" in notes(
        figure
    )
    assert "(naive 1,900, oracle 1,500 characters)" in notes(figure) and "ips by" not in notes(figure)
    assert "the true reward prefers more of it" in figure.axes[2].get_title()


@pytest.mark.parametrize(
    ("of_truth", "words"),
    [
        (-0.001, "hardly reads (its own policy moves it from 1,000 to 1,000"),
        (20.0, "which the true reward hardly reads"),
        (-300.0, "prefers less of it"),
    ],
)
def test_a_trait_without_worth_is_called_that(of_truth, words):
    figure = value_kl.draw(table(rows("oracle", "truth"), rows("naive", trait=900), truth_trait=of_truth))
    assert words in notes(figure) and "pass" not in notes(figure)


def test_who_passes_without_going_where_the_truth_goes_gets_no_such_reason():
    figure = value_kl.draw(
        table(
            rows("oracle", "truth", 0.3, 500, over=0.0, interval=(0, 0)),
            rows("naive", value=0.6, trait=100, over=0.033, interval=(-0.004, 0.005)),
            truth_trait=700,
        )
    )
    assert "the oracle is fitted as well, and so no ceiling" in notes(figure)
    assert "goes to length" not in notes(figure)


def test_a_world_without_a_trait_and_an_interval_that_holds_0_are_not_explained():
    here = table(rows("oracle", "truth", over=0.0, interval=(0, 0)), rows("naive", over=0.005))
    figure = value_kl.draw(here[here.metric != "trait"].assign(trait=""))
    assert "at a KL of" not in notes(figure)


def test_of_rewards_on_the_logit_the_dashed_curve_is_no_frontier():
    here = table(rows("oracle", "truth"), rows("naive"))
    assert "highest value" in notes(value_kl.draw(here))
    figure = value_kl.draw(here.replace({"reward": {"probability": "logit"}}))
    assert "highest value" not in notes(figure) and "logit" in figure.axes[0].get_title()


def test_situations_that_have_no_room_are_counted():
    parts = [table(rows("oracle", "truth"), rows("naive")).assign(bias_level=float(x)) for x in range(6)]
    figure = value_kl.draw(pd.concat(parts))
    assert "2 more situations of this study have no room" in notes(figure)


def test_texts_at_the_ends_keep_their_order_and_distance():
    values = [10.0, 10.0, 10.0, 40.0, 99.0, 12.0]
    found = spread(values, 8.0, (0.0, 100.0))
    assert (np.diff(np.sort(found)) >= 8 - 1e-9).all() and min(found) >= 0 and max(found) <= 100
    assert found[3] == 40.0 and found[4] == 99.0, "who has room stays"
    assert [found[i] for i in np.argsort(values, kind="stable")] == sorted(found)
