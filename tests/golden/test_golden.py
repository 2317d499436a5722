"""Nothing that is drawn or predicted changes unnoticed: every number is held against those on file."""

import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from simbench.study.file import Overrides, study_from
from simbench.study.run import run

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode: helpers are no package
import golden

ROOT = Path(__file__).parents[2]
ROUNDED = 2e-5  # by which a printed number of four digits may differ on another processor, besides rounding


def differences(found: dict, kept: dict, tolerance: float, relative: bool) -> list[str]:
    """What differs, entry by entry; hashes and shapes exactly, values to a tolerance."""
    different = [f"{key}: only in one" for key in sorted(found.keys() ^ kept.keys())]
    for key in sorted(found.keys() & kept.keys()):
        new, old = found[key], kept[key]
        if "shape" not in new:
            different += [f"{key}, {line}" for line in differences(new, old, tolerance, relative)]
        elif new["shape"] != old["shape"] or new.get("sha256") != old.get("sha256"):
            different.append(f"{key}: {new} is not {old}")
        elif "values" in new:
            bounds = {"rtol": tolerance, "atol": 1e-12} if relative else {"rtol": 0, "atol": tolerance}
            if not np.allclose(new["values"], old["values"], **bounds):
                different.append(f"{key}: {new['values']} is not {old['values']}")
    return different


def held(found: dict, kept: dict, name: str) -> None:
    assert not differences(found, kept, golden.TOLERANCE[name], relative=name == "worlds"), (
        "golden numbers changed; on purpose? python tests/golden/golden.py, in a commit that says why"
    )


def split(name: str) -> tuple[dict, dict]:
    """Kept numbers of what ships, and of the rated responses that are not part of the project."""
    kept = golden.read(name)
    real = {key: value for key, value in kept.items() if key.split(" |")[0] in golden.REAL}
    return {key: value for key, value in kept.items() if key not in real}, real


def test_every_world_draws_what_it_drew():
    held(golden.all_worlds(), split("worlds")[0], "worlds")


def test_every_estimator_predicts_what_it_predicted():
    held(golden.all_predictions(), split("predictions")[0], "predictions")


def test_worlds_on_real_responses_draw_what_they_drew(shared_data):
    found = golden.real_worlds()
    kept = split("worlds")[1]
    # features of the text come out of a truncated decomposition, whose last digits are the processor's
    assert not differences(found, kept, 1e-4, relative=False)
    del found["ultrafeedback1200"], kept["ultrafeedback1200"]
    held(found, kept, "worlds")


def test_estimators_on_real_responses_predict_what_they_predicted(shared_data):
    held(golden.real_predictions(), split("predictions")[1], "predictions")


def test_the_comparison_finds_every_kind_of_change():
    kept = {"w": {"draws": golden.hashed(np.arange(3.0)), "reward": golden.measured(np.arange(3.0))}}
    for changed in (
        {"draws": golden.hashed(np.arange(3.0) + 1e-15 + [0, 1e-15, 0])},
        {"draws": golden.hashed(np.arange(3, dtype=np.float32))},
        {"draws": golden.hashed(np.arange(3.0)[None])},
        {"reward": golden.measured(np.array([0.0, 1.0, 2.00001]))},
        {"reward": golden.measured(np.array([1.0, 0.0, 2.0]))},
        {"more": golden.hashed(np.arange(3.0))},
    ):
        assert len(differences({"w": {**kept["w"], **changed}}, kept, 1e-9, relative=True)) == 1
    assert not differences(kept, kept, 1e-9, relative=True)


def readme_table() -> pd.DataFrame:
    """The rows under "What it prints" of the README: estimator, what it was told, numbers, verdict."""
    text = (ROOT / "README.md").read_text().split("## What it prints")[1].split("```")[1]
    number = r"(-?\.\d{4})"
    values = rf"{number} +{number} +{number}(?: \*)? +{number}"
    row = re.compile(rf"^(\S+) +{values} +(\w+) *\n  (\S.*?) +\[{number}, {number}\] *$", re.MULTILINE)
    columns = ["estimator", "bias2", "variance", "mse", "distance2", "verdict", "told", "low", "high"]
    frame = pd.DataFrame(row.findall(text), columns=columns).set_index(["estimator", "told"])
    assert len(frame) >= 7
    return frame


def test_the_readmes_table_is_what_the_main_job_prints(tmp_path):
    """Digit for digit: each number of the run rounds to the one that is printed there.

    Of some estimators: what an estimator predicts does not depend on which others are run.
    """
    some = ("oracle", "balanced-naive", "implicitrm-known")
    config = study_from(overrides=Overrides(estimators=some))
    measured = run(config, tmp_path / "out").query("status == 'ok'")
    metrics = ["bias2", "variance", "mse", "distance2"]
    printed_there = readme_table()
    assert set(some) < set(printed_there.index.get_level_values(0))
    for (name, told), printed in printed_there.iterrows():
        if name not in some:
            continue
        rows = measured[(measured.estimator == name) & (measured.knows == told)].set_index("metric")
        found = [*rows.loc[metrics, "value"], *rows.loc["distance2", ["low", "high"]]]
        said = printed[[*metrics, "low", "high"]].astype(float).to_numpy()
        assert np.abs(said - np.array(found, dtype=float)).max() <= 0.5e-4 + ROUNDED, name
        assert rows.loc["distance2", "verdict"] == printed.verdict, name
