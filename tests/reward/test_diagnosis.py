"""What a log says of itself: calibration, compatible rewards, folds, advice, verdict and report."""

import base64
import re
import shutil
import subprocess
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import expit

from simbench.errors import BadInput
from simbench.estimator.registry import find
from simbench.log.feedback import FeedbackLog
from simbench.reward.diagnosis.advice import Worth
from simbench.reward.diagnosis.click_model import click_calibration, wilson
from simbench.reward.diagnosis.cross_fit import prompt_folds, simplest, unseen_clicks
from simbench.reward.diagnosis.diagnose import (
    IDENTIFIED,
    MISFITS,
    NOT_IDENTIFIED,
    RANKING_ONLY,
    Diagnosis,
    diagnose,
)
from simbench.reward.diagnosis.profile import Profile
from simbench.reward.diagnosis.report import as_html, as_text
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build


def test_a_calibrated_model_passes_at_the_stated_rate_and_a_wrong_one_fails():
    """Level .05 over 400 draws: 9 to 33 rejections but for 1 in 1,000."""
    rng = np.random.default_rng(0)
    p = rng.uniform(0.02, 0.6, 4000)
    values = [click_calibration(p, (rng.random(4000) < p).astype(float)).p_value for _ in range(400)]
    assert 9 <= np.sum(np.array(values) < 0.05) <= 33
    assert click_calibration(p, (rng.random(4000) < p**1.3).astype(float)).p_value < 1e-3


def test_wilson_is_statsmodels_value_of_the_textbook():
    """Newcombe 1998, table I: 81 of 263 gives [.2553, .3662]."""
    low, high = wilson(np.array([81 / 263]), np.array([263]))
    assert low[0] == pytest.approx(0.2553, abs=5e-5) and high[0] == pytest.approx(0.3662, abs=5e-5)
    at_zero = wilson(np.array([0.0]), np.array([10]))
    assert at_zero[0][0] <= 0 < at_zero[1][0]


def test_folds_hold_whole_prompts_and_every_row_once():
    groups = np.repeat(np.arange(30), 3)
    unseen = []
    for seen, held in prompt_folds(groups, 4, 0):
        assert not set(groups[seen]) & set(groups[held]) and len(seen) + len(held) == 90
        unseen.extend(held)
    assert sorted(unseen) == list(range(90))


@pytest.mark.parametrize(("is_linear", "hidden"), [(True, ()), (False, (32, 16))])
def test_heads_are_as_simple_as_unseen_feedback_allows(is_linear, hidden):
    """The reward's logit is linear, or a product of two features, which no logistic head can say."""
    rng = np.random.default_rng(3)
    x, z = rng.standard_normal((2, 3000, 4)).astype(np.float32)
    gamma, alpha = expit(4 * x[:, 0] * (1 if is_linear else x[:, 1])), expit(3 * z[:, 0])
    clicked = (rng.random(3000) < gamma * alpha).astype(np.float32)[None]
    log = FeedbackLog(features=x, feedback=clicked, groups=np.arange(3000), context=z)
    estimator = find("implicitrm")(epochs=40, seed=1)
    found = simplest(estimator, log, unseen_clicks(estimator, log))
    assert found.get_params()["hidden"] == hidden


def test_a_profile_reaches_half_a_step_beyond_its_grid():
    grid = np.array([0.4, 0.45, 0.5, 0.95])
    rewards = np.array([[3.0, 2, 1], [1, 2, 3], [2, 3, 9], [0, 1, 0]])
    some = Profile(grid, grid, np.array([False, True, True, False]), rewards)
    assert (some.low, some.high) == (pytest.approx(0.425), pytest.approx(0.525))
    assert Profile(grid, grid, grid > 0.9, rewards).high == pytest.approx(0.975)


def test_compatible_mean_rewards_that_rank_otherwise_identify_nothing():
    rewards = np.array([[1.0, 2, 3, 4, 5], [1, 2, 3, 5, 4], [5, 4, 3, 2, 1]])
    grid = np.array([0.4, 0.45, 0.5])
    narrow = [Profile(grid, grid, np.array(which), rewards) for which in ([1, 1, 0], [1, 1, 1])]
    narrow = [replace(one, compatible=one.compatible.astype(bool)) for one in narrow]
    assert [one.rank_agreement for one in narrow] == [pytest.approx(0.9), pytest.approx(-1.0)]
    alike = part(0.95, 0.2)
    found = [replace(alike, profile=one).verdict for one in narrow]
    assert found == [IDENTIFIED, NOT_IDENTIFIED]


def part(rank: float, width: float | None, gap: float = 0.0) -> Diagnosis:
    """A diagnosis of which only what the verdict reads is there."""
    grid = np.linspace(0.1, 0.9, 9)
    same = np.tile(np.arange(5.0), (9, 1))
    profile = None if width is None else Profile(grid, grid, grid <= 0.1 + width + 1e-9, same)
    restarts = SimpleNamespace(rank_agreement=np.array([rank]))
    calibration = SimpleNamespace(largest_gap=gap, p_value=1e-9)
    return Diagnosis(None, restarts, calibration, profile, None, None, [])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rank", "width", "verdict"),
    [
        (0.95, 0.2, IDENTIFIED),
        (0.95, None, IDENTIFIED),
        (0.95, 0.4, RANKING_ONLY),
        (0.8, 0.2, NOT_IDENTIFIED),
        (0.8, None, NOT_IDENTIFIED),
    ],
)
def test_the_verdict_reads_ranking_first_and_level_second(rank, width, verdict):
    assert part(rank, width).verdict == verdict


def test_a_model_that_does_not_fit_identifies_nothing():
    assert part(0.95, 0.2, gap=0.2).verdict == MISFITS and "0.20" in part(0.95, 0.2, gap=0.2).summary


def test_advice_is_given_where_it_helps_and_its_model_fits():
    def advised(best: float, gap: float = 0.0) -> Diagnosis:
        worth = [Worth("nothing more", 0.2), Worth("the propensity", best), Worth("9 labels", 0.21, labels=9)]
        return replace(part(0.8, 0.2, gap), advice=worth)

    assert "Most would be gained by the propensity" in advised(0.1).summary
    assert "Nothing further" in advised(0.199).summary
    misfit = replace(advised(0.1, gap=0.2), restarts=part(0.95, 0.2).restarts)
    assert misfit.verdict == MISFITS and "propensity" not in misfit.summary


@pytest.fixture(scope="module")
def diagnoses() -> dict[str, Diagnosis]:
    """Seeds of their own, not those of the benchmark nor those that thresholds were chosen on."""
    found = {}
    for name in ("exclusive", "shared"):
        log, _ = build(PRESETS[name], 3.0, 8000, 77).draw(range(1))
        found[name] = diagnose(log, seed=77, advise=name == "shared")
    return found


def test_logs_that_identify_the_reward_are_told_from_logs_that_do_not(diagnoses):
    assert diagnoses["exclusive"].verdict == IDENTIFIED
    assert diagnoses["shared"].verdict == NOT_IDENTIFIED


def test_the_compatible_mean_rewards_hold_the_true_one(diagnoses):
    profile = diagnoses["exclusive"].profile
    assert profile is not None and profile.low <= 0.5 <= profile.high and profile.hidden == ()


def test_advice_ranks_what_could_be_known(diagnoses):
    advice = diagnoses["shared"].advice
    assert advice[0].knowledge == "nothing more"
    assert [worth.rmse for worth in advice[1:]] == sorted(worth.rmse for worth in advice[1:])
    assert advice[1].rmse < 0.7 * advice[0].rmse
    assert any(worth.labels for worth in advice)


def test_the_report_holds_the_verdict_and_its_pictures(diagnoses, tmp_path):
    page = as_html(diagnoses["shared"], "my <log>.parquet")
    assert "not identified" in page and "my &lt;log&gt;.parquet" in page and "my <log>" not in page
    assert "http" not in page and 'src="data:image/png;base64,' in page.replace("\n", "")
    picture = re.search(r"base64,([^\"]+)\"", page)
    assert picture is not None and base64.b64decode(picture.group(1)).startswith(b"\x89PNG")
    assert "VERDICT: not identified" in as_text(diagnoses["shared"])


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no headless Chromium on this machine")
def test_a_browser_draws_the_report(diagnoses, tmp_path):
    (tmp_path / "report.html").write_text(as_html(diagnoses["exclusive"], "log.parquet"))
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


def test_what_cannot_be_diagnosed_is_one_sentence():
    log, truth = build(PRESETS["exclusive"], 1.0, 200, 0).draw(range(2))
    with pytest.raises(BadInput, match="one log"):
        diagnose(log)
    single = replace(log.replicates(slice(0, 1)), propensity=truth.propensity)
    with pytest.raises(BadInput, match="identified"):
        diagnose(single)
