"""A diagnosis as text and as a page: every number is the one that it says it is."""

import base64
import re
import shutil
import subprocess
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from stand_ins import Fit

from simbench.log.feedback import FeedbackLog
from simbench.reward.diagnosis.advice import Worth
from simbench.reward.diagnosis.click_model import click_calibration
from simbench.reward.diagnosis.diagnose import Diagnosis, Overlap
from simbench.reward.diagnosis.profile import Profile
from simbench.reward.diagnosis.report import as_html, as_text, facts
from simbench.training.restarts import Restarts


def a_diagnosis() -> Diagnosis:
    """Of 1,200 responses, a quarter clicked; two of three restarts are equally likely, .3 apart."""
    rng = np.random.default_rng(0)
    rows = 1200
    feedback = (np.arange(rows) % 4 == 0).astype(np.float32)[None]
    log = FeedbackLog(rng.standard_normal((rows, 2)).astype(np.float32), feedback, np.arange(rows))
    rewards = np.array([[[0.2, 0.4, 0.1, 0.3], [0.5, 0.7, 0.4, 0.6], [0.9, 0.1, 0.2, 0.3]]])
    model = Fit(lambda x: np.full((3, len(x)), 0.5), lambda x: np.full((3, len(x)), 0.5))
    restarts = Restarts(model, np.array([[0.5, 0.501, 0.9]]), np.array([[True, True, False]]), rewards)
    grid = np.array([0.3, 0.35, 0.4, 0.45])
    same = np.array([[1.0, 2, 3, 4, 5], [1, 2, 3, 5, 4], [1, 2, 3, 4, 5], [5, 4, 3, 2, 1]])
    profile = Profile(grid, grid + 0.1, np.array([True, True, True, False]), same)
    return Diagnosis(
        log=log,
        restarts=restarts,
        calibration=click_calibration(rng.uniform(0.23, 0.27, rows), feedback[0]),
        profile=profile,
        propensity=rng.uniform(0.1, 0.9, rows),
        overlap=Overlap({0.01: 0.0123, 0.5: 0.4, 0.99: 0.9876}, 0.126, 0.345),
        advice=[Worth("nothing more", 0.2), Worth("the class prior", 0.0512), Worth("9 labels", 0.3, 9)],
    )


def answers(diagnosis: Diagnosis) -> list[str]:
    return [answer for _, answer in facts(diagnosis)]


def test_the_facts_are_the_numbers():
    found = a_diagnosis()
    found = replace(found, calibration=SimpleNamespace(largest_gap=0.04321, p_value=0.01234))
    log, clicks, restarts, levels, overlap, *worth = facts(found)
    assert log == ("log", "1,200 responses, 25.0 % with feedback")
    assert clicks[1].startswith("largest gap of ten bins 0.043; Hosmer-Lemeshow p = 0.0123 on unseen")
    assert restarts[1] == (
        "2 of 3 restarts are equally likely: rewards up to 0.30 apart (RMS), least rank correlation 1.00"
    )
    assert levels[1] == "0.275 to 0.425, by logistic heads; least rank correlation of their rewards 0.90"
    assert overlap[1] == (
        "propensity 0.012 to 0.988 (1 % and 99 %); below .05 for 13 % of the responses; effective sample "
        "34 % of the clicks"
    )
    assert worth == [
        ("with nothing more", "expected error of the reward 0.200 (RMS)"),
        ("with the class prior", "expected error of the reward 0.051 (RMS)"),
        ("with 9 labels", "expected error of the reward 0.300 (RMS)"),
    ]


def test_heads_that_are_networks_and_a_told_prior_are_named():
    found = a_diagnosis()
    wide = replace(found, profile=replace(found.profile, hidden=(8, 4)))
    assert "by networks of hidden layers 8, 4, whose own error is in it;" in answers(wide)[3]
    assert answers(replace(found, profile=None))[3] == "told: the class prior"


def test_advice_of_a_click_model_that_does_not_fit_is_no_fact():
    found = a_diagnosis()
    misfit = replace(found, calibration=SimpleNamespace(largest_gap=0.2, p_value=1e-9))
    assert len(facts(misfit)) == 5 and len(facts(found)) == 8


def test_the_text_aligns_answers_and_ends_with_the_verdict():
    found = a_diagnosis()
    lines = as_text(found).splitlines()
    starts = {line.index(answer) for line, answer in zip(lines, answers(found), strict=False)}
    assert starts == {len("which mean rewards are compatible?") + 2}
    assert lines[-1] == f"VERDICT: identified. {found.summary}" and lines[-2] == ""


@pytest.mark.parametrize(
    ("change", "colour"),
    [("none", "#117733"), ("wide", "#B8860B"), ("other ranks", "#AA2222"), ("misfit", "#AA2222")],
)
def test_the_page_shows_the_verdict_in_its_colour(change, colour, monkeypatch):
    found = a_diagnosis()
    grid, same = np.arange(0.1, 0.9, 0.05), np.tile(np.arange(5.0), (16, 1))
    if change == "wide":
        found = replace(found, profile=Profile(grid, grid, grid < 0.7, same))
    if change == "other ranks":
        found = replace(found, profile=replace(found.profile, compatible=np.full(4, True)))
    if change == "misfit":
        found = replace(found, calibration=SimpleNamespace(largest_gap=0.2, p_value=1e-9))
    figure = SimpleNamespace(savefig=lambda buffer, **options: buffer.write(b"\x89PNG"))
    monkeypatch.setattr("simbench.reward.diagnosis.picture.draw", lambda diagnosis: figure)
    page = as_html(found, "log")
    assert f"border-left: 8px solid {colour}" in page and f"<strong>{found.verdict}</strong>" in page


def test_the_report_holds_the_verdict_and_its_pictures():
    page = as_html(a_diagnosis(), "my <log>.parquet")
    assert "identified" in page and "my &lt;log&gt;.parquet" in page and "my <log>" not in page
    assert "http" not in page and 'src="data:image/png;base64,' in page.replace("\n", "")
    picture = re.search(r"base64,([^\"]+)\"", page)
    assert picture is not None and base64.b64decode(picture.group(1)).startswith(b"\x89PNG")
    for question, answer in facts(a_diagnosis()):
        assert f"<tr><th>{question}</th><td>{answer}</td></tr>" in page


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no headless Chromium on this machine")
def test_a_browser_draws_the_report(tmp_path):
    (tmp_path / "report.html").write_text(as_html(a_diagnosis(), "log.parquet"))
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += ["--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--window-size=1000,1600", f"--screenshot={tmp_path / 'page.png'}"]
    subprocess.run(
        [*command, f"file://{tmp_path / 'report.html'}"], capture_output=True, timeout=120, check=True
    )
    from matplotlib.image import imread

    page = imread(tmp_path / "page.png")[..., :3]
    assert page.shape[:2] == (1600, 1000)
    # the pictures are drawn, not a broken link: coloured pixels in the lower half
    lower = page[700:]
    assert (np.ptp(lower, axis=2) > 0.2).mean() > 0.01
