"""What the documents show works as they show it."""

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from matplotlib.image import imread

from simbench.study.config import StudyConfig
from simbench.study.file import study_from
from simbench.study.run import run
from simbench.worlds.behaviours.rating import Rating
from simbench.worlds.presets import PRESETS
from simbench.worlds.world import build

ROOT = Path(__file__).parents[1]


def block(document: str, language: str, after: str) -> str:
    """The first code block of a language behind a marker."""
    text = (ROOT / document).read_text().split(after, 1)[1]
    found = re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found.group(1)


def test_the_example_estimator_of_contributing_runs_as_printed(tmp_path):
    """By its file; beside folders that are called as ours are, which a PYTHONPATH of ``.`` puts first."""
    example = block("CONTRIBUTING.md", "python", "<!-- example estimator -->")
    code = [line for line in example.splitlines() if line.strip()]
    assert len(code) <= 15
    (tmp_path / "mine.py").write_text(example)
    for name in ("estimators", "figures"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    command = [sys.executable, "-m", "simbench", "run", "--worlds", "1", "--estimators", "oracle,naive,ips"]
    command += ["--estimator", "mine.py:Discounted", "--bias-level", "0.8", "--replicates", "3"]
    environment = {**os.environ, "PYTHONPATH": "."}
    out = tmp_path / "out"
    arguments = [*command, "--size", "1000", "--out", str(out)]
    subprocess.run(arguments, env=environment, cwd=tmp_path, check=True)
    table = pd.read_parquet(out / "results.parquet")
    assert set(table.status) == {"ok"}
    bias = table[table.metric == "calibration_shift"].set_index("estimator").value
    # half the doubt about missing clicks: predictions above naive's, still below the truth
    assert bias["naive"] < bias["mine.py:Discounted"] < 0


def test_the_example_behaviour_of_contributing_runs_as_printed(tmp_path):
    code = block("CONTRIBUTING.md", "python", "<!-- example behaviour -->")
    (tmp_path / "mine.py").write_text(code)
    check, study = block("CONTRIBUTING.md", "bash", "<!-- example behaviour -->").splitlines()
    run_as_printed = {"cwd": tmp_path, "check": True, "capture_output": True, "text": True}
    found = subprocess.run([sys.executable, "-m", *check.split()], **run_as_printed).stderr
    assert found.count("ok   mine.py:Fatigue") == 9 and "FAIL" not in found
    small = ["--size", "1000", "--replicates", "5"]
    subprocess.run([sys.executable, "-m", *study.split(), *small], **run_as_printed)
    table = pd.read_parquet(tmp_path / "fatigue" / "results.parquet")
    assert set(table.status) == {"ok"} and set(table.behaviour) == {"mine.py:Fatigue"}
    weights = table[(table.metric == "largest_weight") & (table.estimator == "ips")].set_index("bias_level")
    # at level 0 every propensity is .3; at level 1 the last of five is .017 k
    assert abs(weights.value[0.0] - 1 / 0.3) < 1e-6 and weights.value[1.0] > 20


def test_the_python_example_runs_as_printed(capsys):
    names: dict = {}
    exec(block("docs/python.md", "python", "<!-- python example -->"), names)
    verdicts = names["results"].verdicts().set_index("estimator").verdict
    assert verdicts["oracle"] == "reference" and verdicts["naive"] == "biased"
    assert "| naive | nothing |" in capsys.readouterr().out
    assert names["log"].n_replicates == 5 and names["truth"].preference.shape == names["log"].feedback.shape


def test_the_example_figure_of_contributing_is_drawn_as_printed(tmp_path):
    code = block("CONTRIBUTING.md", "python", "<!-- example figure -->")
    assert len(code.splitlines()) < 25
    (tmp_path / "mine.py").write_text(code)
    run(StudyConfig(sizes=(400,), replicates=3, estimators=("oracle", "naive")), tmp_path / "OUT")
    command = block("CONTRIBUTING.md", "bash", "<!-- example figure -->").split()
    assert command[:2] == ["simbench", "figure"]
    subprocess.run([sys.executable, "-m", *command], cwd=tmp_path, check=True)
    assert imread(tmp_path / "OUT" / "mine.png")[..., :3].std() > 0.05
    assert (tmp_path / "OUT" / "mine.pdf").stat().st_size > 5000


def test_the_study_in_the_documents_is_valid():
    study = yaml.safe_load(block("docs/results.md", "yaml", "A study can be written down in YAML"))
    config = study_from(study)
    assert config.replicates == 50 and len(config.worlds) == 3
    assert config.worlds[1] == PRESETS["shared"].changed(misclick=0.05)
    assert config.worlds[2].behaviour == Rating(capped=False)


def test_the_own_log_example_runs_as_printed(tmp_path, monkeypatch):
    log, _ = build(PRESETS["exclusive"], 2.0, 300, 0).draw(range(1))
    assert log.context is not None
    frame = (
        pd.DataFrame(log.features).add_prefix("emb_").assign(prompt_id=log.groups, clicked=log.feedback[0])
    )
    frame = frame.assign(user_activity=log.context[:, 0], position=log.context[:, 1])
    frame.to_parquet(tmp_path / "log.parquet")
    frame[frame.columns[::-1]].to_parquet(tmp_path / "responses.parquet")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(block("docs/own-log.md", "python", "<!-- own log -->"), names)
    assert names["reward"].shape == (log.n_rows,) and np.ptp(names["reward"]) > 0


def test_every_link_to_a_file_leads_somewhere():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")]
    assert len(pages) > 30
    for page in pages:
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_every_page_is_found_from_the_first():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in ROOT.glob("docs/*.md"):
        assert page.name == "README.md" or f"]({page.name})" in index, (
            f"docs/README.md leads not to {page.name}"
        )


def test_the_table_of_verdicts_is_what_check_prints():
    command = [sys.executable, "-m", "simbench", "check", "--format", "markdown"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    written = (ROOT / "docs" / "verdicts.md").read_text()
    assert _verdicts_only(printed) == _verdicts_only(written), (
        "run: simbench check --format markdown > docs/verdicts.md"
    )


def _verdicts_only(document: str) -> str:
    """The document without digits: they may differ in the last place between machines."""
    return re.sub(r"-?[0-9.]+(e-?[0-9]+)?", "#", document)


def test_every_estimator_has_a_witness_that_exists():
    rows = [line.split("|") for line in (ROOT / "docs" / "witnesses.md").read_text().splitlines()]
    rows = [[part.strip() for part in row[1:4]] for row in rows if len(row) == 5][2:]
    described = {name.strip() for row in rows for name in row[0].split(",")}
    assert described == {entry.name for entry in entry_points(group="simbench.estimators")}
    for _, _, named in rows:
        file, test = named.strip("`").split("::")
        candidates = [path for path in (ROOT / "tests").rglob("test_*.py") if str(path).endswith(f"/{file}")]
        assert any(f"def {test}(" in path.read_text() for path in candidates), named
