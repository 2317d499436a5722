"""The paper's three data sets, in the hub's own layouts, from folders laid out like its repositories."""

import gzip
import json
import time

import numpy as np
import pandas as pd
import pytest

from simbench.cli import main
from simbench.errors import BadInput
from simbench.files import network
from simbench.log import hub
from simbench.log.rated_responses import load_responses
from simbench.log.source import open_table

datasets = pytest.importorskip("datasets", reason="needs the extra [hub]")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def helpsteer(folder):
    """nvidia/HelpSteer: train.jsonl.gz and validation.jsonl.gz at the root, five attributes 0 to 4."""
    folder.mkdir()
    rows = [
        {
            "prompt": f"prompt {i // 4}",
            "response": f"some answer {i % 5} words {i % 7}",
            "helpfulness": i % 5,
            "correctness": 4,
            "coherence": 4,
            "complexity": 1,
            "verbosity": 2,
        }
        for i in range(40)
    ]
    for split, part in (("train", rows), ("validation", rows[:8])):
        with gzip.open(folder / f"{split}.jsonl.gz", "wt") as file:
            file.write("".join(json.dumps(row) + "\n" for row in part))
    return rows


SPLITS = ("train_prefs", "train_sft", "test_prefs", "test_sft", "train_gen", "test_gen")
CARD = "---\nconfigs:\n- config_name: default\n  data_files:\n" + "".join(
    f"  - split: {split}\n    path: data/{split}-*\n" for split in SPLITS
)


def messages(prompt, answer):
    return [{"content": prompt, "role": "user"}, {"content": answer, "role": "assistant"}]


def ultrafeedback(folder, pairs):
    """HuggingFaceH4/ultrafeedback_binarized: six splits of parquet, named by the card's configuration."""
    (folder / "data").mkdir(parents=True)
    (folder / "README.md").write_text(CARD + "---\n")
    frame = pd.DataFrame(
        {
            "prompt": prompt,
            "prompt_id": f"{i:064x}",
            "chosen": messages(prompt, chosen),
            "rejected": messages(prompt, rejected),
            "messages": messages(prompt, chosen),
            "score_chosen": float(best),
            "score_rejected": float(worst),
        }
        for i, (prompt, chosen, best, rejected, worst) in enumerate(pairs)
    )
    for split in SPLITS:
        part = frame if split == "train_prefs" else frame.iloc[:2]
        part.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet", index=False)


def saferlhf(folder):
    """PKU-Alignment/PKU-SafeRLHF: jsonl by model, named by the card's configuration."""
    models = ("Alpaca-7B", "Alpaca2-7B")
    text = "---\nconfigs:\n- config_name: default\n  data_files:\n"
    for split in ("train", "test"):
        text += f"  - split: {split}\n    path:\n"
        text += "".join(f'    - "data/{model}/{split}.jsonl"\n' for model in models)
    folder.mkdir()
    (folder / "README.md").write_text(text + "---\n")
    lines = []
    for model in models:
        (folder / "data" / model).mkdir(parents=True)
        part = [
            {
                "prompt": f"how to {i % 3}",
                "response_0": f"{model} says {i}",
                "response_1": f"{model} refuses {i}",
                "prompt_source": "Safe-Alpaca3-8B",
                "response_0_source": model,
                "response_1_source": model,
                "is_response_0_safe": i % 4 == 0,
                "is_response_1_safe": True,
                "response_0_harm_category": {"Insulting Behavior": i % 4 > 0, "Privacy Violation": False},
                "response_1_harm_category": {"Insulting Behavior": False, "Privacy Violation": False},
                "response_0_severity_level": i % 4,
                "response_1_severity_level": 0,
                "better_response_id": 0,
                "safer_response_id": 1,
                "response_0_sha256": f"{i:064x}",
                "response_1_sha256": f"{i + 99:064x}",
            }
            for i in range(12)
        ]
        for split in ("train", "test"):
            path = folder / "data" / model / f"{split}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in part))
        lines += part
    return lines


def test_helpsteer(tmp_path):
    rows = helpsteer(tmp_path / "HelpSteer")
    source = f"hub:{tmp_path / 'HelpSteer'}"
    frame = open_table(source).frame
    assert frame.rating.tolist() == [row["helpfulness"] for row in rows]
    assert frame.response.tolist() == [row["response"] for row in rows]
    assert frame.group.nunique() == 10 and (frame.group == frame.prompt).all()
    assert len(open_table(f"{source}:validation")) == 8
    found = load_responses(source, features=_npy(tmp_path, 40))
    assert np.argsort(found.reward[:5]).tolist() == [0, 1, 2, 3, 4]  # more helpful, more reward
    assert found.groups.tolist() == [i // 4 for i in range(40)]
    assert "40 of 40 responses to 10 prompts" in found.description
    with pytest.raises(BadInput, match="has no split 'test'; it has: train, validation"):
        open_table(f"{source}:test")


def test_ultrafeedback_binarized(tmp_path):
    pairs = [(f"why {i}?", f"good {i}", 5 + i % 5, f"bad {i}", 1 + i % 4) for i in range(6)]
    ultrafeedback(tmp_path / "uf", pairs)
    frame = open_table(f"hub:{tmp_path / 'uf'}").frame
    assert frame.columns.tolist() == ["prompt", "response", "rating", "group", "role"]
    rows = list(frame.itertuples(index=False, name=None))
    assert rows[0] == ("why 0?", "good 0", 5.0, f"{0:064x}", "chosen")
    assert rows[1] == ("why 0?", "bad 0", 1.0, f"{0:064x}", "rejected")
    assert frame.rating.tolist() == [score for _, _, best, _, worst in pairs for score in (best, worst)]
    assert frame.group.value_counts().eq(2).all() and len(frame) == 12
    assert len(open_table(f"hub:{tmp_path / 'uf'}:test_prefs")) == 4


def test_saferlhf_rewards_the_harmless(tmp_path):
    lines = saferlhf(tmp_path / "PKU")
    source = f"hub:{tmp_path / 'PKU'}"
    frame = open_table(source).frame
    assert frame.rating[0::2].tolist() == [3 - row["response_0_severity_level"] for row in lines]
    assert frame.rating[1::2].eq(3).all() and len(frame) == 2 * len(lines)
    assert frame.response[0::2].tolist() == [row["response_0"] for row in lines]
    assert frame.group.nunique() == 3  # a prompt on several lines is one prompt
    found = load_responses(source, link="threshold", threshold=1.5)
    severity = np.array([row["response_0_severity_level"] for row in lines])
    assert found.reward[0::2].tolist() == (severity < 1.5).astype(float).tolist()
    with pytest.raises(BadInput, match="no rating is above 3: name another --threshold"):
        load_responses(source, link="threshold")  # most are harmless: their median is the highest level


def test_the_ratings_of_ultrafeedback_survive_the_hubs_layout(shared_data, tmp_path):
    known = open_table(shared_data / "ultrafeedback1200.jsonl.gz").frame
    by_role = known.drop_duplicates(["group", "role"]).pivot(index="group", columns="role")
    both = by_role.dropna(subset=[("rating", "chosen"), ("rating", "rejected")])
    columns = [("prompt", "chosen"), ("response", "chosen"), ("rating", "chosen")]
    columns += [("response", "rejected"), ("rating", "rejected")]
    ultrafeedback(tmp_path / "uf", list(both[columns].itertuples(index=False, name=None)))
    frame = open_table(f"hub:{tmp_path / 'uf'}").frame
    assert len(frame) == 2 * len(both) > 2300
    assert frame.rating.between(1, 10).all() and frame.rating.nunique() > 10
    assert np.array_equal(frame.rating[0::2], both[("rating", "chosen")])
    assert np.array_equal(frame.response[1::2], both[("response", "rejected")])
    assert (frame.rating[0::2].to_numpy() >= frame.rating[1::2].to_numpy()).mean() > 0.95


def test_levels_outside_their_scale_are_no_ratings():
    frame = pd.DataFrame({"prompt": "p", "response": "r", "helpfulness": [0, 4, 5, -1, None]})
    assert hub.helpsteer(frame).rating.isna().tolist() == [False, False, True, True, True]


def test_any_other_data_set_passes_as_it_is(tmp_path):
    (tmp_path / "mine").mkdir()
    frame = pd.DataFrame({"question": list("aabb"), "answer": list("cdef"), "score": [1, 2, 3, 4]})
    frame.to_csv(tmp_path / "mine" / "train.csv", index=False)
    assert load_responses(f"hub:{tmp_path / 'mine'}", features=_npy(tmp_path, 4)).rating[3] == 4


def _npy(tmp_path, n):
    np.save(tmp_path / "f.npy", np.eye(n))
    return tmp_path / "f.npy"


def test_no_network_is_one_sentence_and_fast(monkeypatch, capsys):
    monkeypatch.setattr(network.socket, "create_connection", _refused)
    monkeypatch.setattr(network, "getproxies", dict)
    network.hub_reachable.cache_clear()
    started = time.monotonic()
    with pytest.raises(SystemExit) as stop:
        main(["run", "--worlds", "1", "--responses", "hub:nvidia/HelpSteer", "--replicates", "2"])
    said = capsys.readouterr().err
    network.hub_reachable.cache_clear()
    assert stop.value.code == 2 and time.monotonic() - started < 20
    assert said.strip().splitlines()[-1] == (
        "simbench: data set nvidia/HelpSteer is not on this machine and the Hugging Face hub cannot be "
        "reached: give hub:FOLDER with the files of the data set."
    )
    assert "Retrying" not in said


def _refused(*_, **__):
    raise OSError("no route")


@pytest.mark.parametrize(
    ("source", "message"),
    [("hub:", "give hub:OWNER/DATASET"), ("hub:./no/such", "or a folder"), ("hub:a/b/c", "or a folder")],
)
def test_names_that_can_be_none(source, message):
    with pytest.raises(BadInput, match=message):
        open_table(source)


def test_an_empty_folder_and_a_missing_library(tmp_path, monkeypatch):
    with pytest.raises(BadInput, match="cannot be read as a data set"):
        open_table(f"hub:{tmp_path}")
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(BadInput, match=r"pip install 'simbench-rm\[hub\]'"):
        open_table("hub:nvidia/HelpSteer")


def test_a_data_set_is_known_by_the_content_of_its_folder_or_by_its_commit(tmp_path, monkeypatch):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.jsonl").write_text("{}\n")
    before = hub.hub_fingerprint(f"hub:{tmp_path / 'set'}")
    (tmp_path / "set" / "train.jsonl").write_text("{} \n")
    assert before.startswith("sha256:") and hub.hub_fingerprint(f"hub:{tmp_path / 'set'}") != before
    huggingface_hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub, "hub_reachable", lambda: False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert hub.hub_fingerprint("hub:someone/set") == "commit:unknown"
    refs = tmp_path / "datasets--someone--set" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text("abc\n")
    (refs / "v2").write_text("def")
    assert hub.hub_fingerprint("hub:someone/set:test") == "commit:abc"
    assert hub.hub_fingerprint("hub:someone/set@v2") == "commit:def"
