"""The table of ``simbench check``: its rows, its cells, and who is in it."""

import pytest

from simbench.errors import BadInput
from simbench.estimator.estimator import Estimator
from simbench.estimator.registry import find
from simbench.score.risk import CASES, RiskVerdict
from simbench.score.risk_table import as_markdown, as_table, collect, legend, states_a_loss


class ByRisk(Estimator):
    def risk(self, out, batch):
        return out.reward.mean(-1)


def test_who_states_a_loss():
    """By a loss of samples or by a risk; the base class and classifiers from outside show neither."""
    assert states_a_loss(find("naive")) and states_a_loss(find("nnpu")) and states_a_loss(ByRisk)
    assert not states_a_loss(Estimator) and not states_a_loss(find("sklearn:LogisticRegression"))


@pytest.fixture
def rows():
    mc = "Monte Carlo only: "
    ips, naive = find("ips"), find("naive")
    return [
        (RiskVerdict("ips", "SCAR", "exactly unbiased", 3e-15, 3e-15, 3e-15), ips),
        (RiskVerdict("ips", "unknown α", "biased", 0.1234, 0.1234, 0.1234), ips),
        (RiskVerdict("naive", "SCAR", mc + "no bias found", 0.0002, -0.0012, 0.0016), naive),
        (RiskVerdict("naive", "known α", mc + "biased", -0.0512, -0.0524, -0.0488), naive),
    ]


def test_a_cell_says_exact_or_by_how_much_it_is_off(rows):
    table = as_table(rows)
    assert list(table.columns) == ["estimator", "must be told", *CASES, "unbiased if"]
    ips, naive = table.to_dict("records")
    assert (ips["estimator"], ips["must be told"]) == ("ips", "propensity")
    assert (ips["SCAR"], ips["unknown α"], ips["known α"]) == ("exact", "off by 0.12", "")
    assert ips["unbiased if"] == "the propensity is known exactly"
    assert (naive["estimator"], naive["must be told"]) == ("naive", "nothing")
    assert naive["SCAR"] == "MC: none found (±0.001)"
    assert naive["known α"] == "MC: off by -0.051 (-0.052 to -0.049)"
    assert naive["true posteriors"] == ""


def test_the_document_holds_the_table_and_the_legend(rows):
    text = as_markdown(rows)
    lines = text.splitlines()
    assert lines[0] == "# Is the risk unbiased?"
    header = next(number for number, line in enumerate(lines) if line.startswith("| estimator"))
    assert lines[header + 1] == "|" + "---|" * 8
    assert lines[header + 2].startswith("| ips | propensity | exact |  | off by 0.12 |")
    assert lines[header + 3].startswith("| naive | nothing | MC: none found")
    assert all(f"* {line}" in text for line in legend()) and text.endswith("\n")
    assert all(line.startswith(f"{case}: {CASES[case]}") for line, case in zip(legend(), CASES, strict=False))
    assert "to 1e-12" in text


def test_the_verdicts_of_named_estimators_are_collected_in_their_order(monkeypatch):
    asked = []

    def check(estimator, seed):
        asked.append((estimator.name, seed))
        return ["first", "second"]

    monkeypatch.setattr("simbench.score.risk.check", check)
    found = collect(["naive", "ips"], 3)
    assert asked == [("naive", 3), ("ips", 3)]
    assert found == [(text, find(name)) for name in ("naive", "ips") for text in ("first", "second")]


def test_all_estimators_with_a_loss_are_collected_by_default(monkeypatch):
    monkeypatch.setattr("simbench.score.risk.check", lambda estimator, seed: [estimator.name])
    found = {name for name, _ in collect(None, 0)}
    assert {"naive", "ips", "nnpu", "implicitrm", "bpr"} <= found


def test_a_named_estimator_without_a_loss_is_refused():
    with pytest.raises(BadInput, match="states no loss of its own"):
        collect(["naive", "sklearn:LogisticRegression"], 0)
