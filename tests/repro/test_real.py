"""The main comparison on real data: local files of the same schema stand for the hub's."""

import json

import numpy as np
import pandas as pd
import pytest

from simbench.cli import main
from simbench.errors import BadInput
from simbench.repro.document import read
from simbench.repro.real import SOURCES, RealData
from simbench.repro.steps import chosen
from simbench.worlds.presets import PRESETS
from simbench.worlds.responses import RatedFile, RatingLink


@pytest.fixture
def helpsteer(tmp_path):
    """400 responses with ratings 0 to 4, and 16 features that predict them."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((400, 16)).astype(np.float32)
    rating = np.clip(np.round(2 + features[:, 0] + 0.5 * rng.standard_normal(400)), 0, 4)
    rows = [
        {"prompt": f"p{i // 4}", "response": f"r{i}", "rating": float(rating[i])} for i in range(len(rating))
    ]
    (tmp_path / "helpsteer.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    np.save(tmp_path / "helpsteer.npy", features)
    return tmp_path


def test_every_twin_has_its_data_set():
    for name, world in PRESETS.items():
        if name.startswith("twin:"):
            real = RealData().in_place_of(world)
            source, threshold = SOURCES[name.removeprefix("twin:")]
            assert real.responses == RatedFile(path=source)
            assert real.reward == RatingLink(link="threshold", threshold=threshold)
            assert (real.name, real.behaviour) == (name.replace("twin", "hub"), world.behaviour)


def test_flags_name_known_data_sets():
    assert RealData.parse(["helpsteer=a"], None).responses == {"helpsteer": "a"}
    with pytest.raises(BadInput, match="NAME=VALUE"):
        RealData.parse(["helpstir=a"], None)


def test_other_steps_do_not_change(tmp_path):
    from simbench.repro.run import Run

    for step in chosen("bias-level, twins-honest"):
        twin, real = (step.fingerprint(Run(tmp_path, real=data)) for data in (None, RealData()))
        assert (twin == real) is (step.name == "bias-level")


def test_the_comparison_runs_on_local_files(helpsteer):
    out = helpsteer / "out"
    flags = ["repro", "--data", "hub", "--quick", "--only", "twins-honest", "--out", str(out)]
    flags += ["--responses", f"helpsteer={helpsteer / 'helpsteer.jsonl'}"]
    with pytest.raises(SystemExit) as ended:
        main([*flags, "--embeddings", f"helpsteer={helpsteer / 'helpsteer.npy'}"])
    assert not ended.value.code
    table = pd.read_parquet(out / "twins-honest" / "results.parquet")
    assert set(table.world) == {"hub:helpsteer"} and (table.status == "ok").all()
    found = {finding.key: finding for finding in read(out / "paper_repro.json").findings}
    assert found["R"].verdict == found["5"].verdict != "could not be tested here"


def test_files_without_data_hub_are_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["repro", "--responses", "helpsteer=x"])
    assert ended.value.code == 2 and "--data hub" in capsys.readouterr().err
