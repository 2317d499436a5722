"""``simbench list``: what there is."""

import json

from simbench.study import figures, library
from simbench.study.grants import meanings


def listed(simbench, what):
    out, _ = simbench("list", what, "--format", "json")
    return json.loads(out)


def test_figures_are_listed_with_what_they_show_and_need(simbench, monkeypatch):
    monkeypatch.setattr(figures.find("risk").module, "SHOWS", "what is off", raising=False)
    monkeypatch.setattr(figures.find("risk").module, "NEEDS", "simbench check --out", raising=False)
    rows = {row["figure"]: row for row in listed(simbench, "figures")}
    assert set(rows) == set(figures.names())
    assert rows["risk"] == {"figure": "risk", "shows": "what is off", "needs": "simbench check --out"}


def test_studies_are_listed_with_what_they_are_about(simbench):
    rows = {row["study"]: row["what"] for row in listed(simbench, "studies")}
    assert list(rows) == library.names() and "variance" in rows
    assert rows["variance"].startswith("Variance reduction told apart from bias") and all(rows.values())


def test_grants_are_listed(simbench):
    assert {row["grant"] for row in listed(simbench, "grants")} == set(meanings())


def test_worlds_are_listed_with_the_feedback_that_they_give(simbench):
    rows = {row["world"]: row for row in listed(simbench, "worlds")}
    assert rows["exclusive"]["behaviour"] == "logit" and "confounded" in rows
    assert float(rows["exclusive"]["feedback rate at bias level 0.5"]) == 0.15


def test_estimators_are_listed_with_what_they_must_be_told(simbench):
    rows = {row["estimator"]: row for row in listed(simbench, "estimators")}
    assert rows["ips"]["told (optionally)"] == "propensity" and "sklearn:CLASS" in rows
