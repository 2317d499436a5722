"""Fine-tuning: the estimator's own loss, resumed after a kill, in parts, with an adapter; and refusals."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from scipy.stats import spearmanr

from simbench.cli import main
from simbench.errors import BadInput
from simbench.estimator.registry import find
from simbench.log.source import open_table
from simbench.log.user_log import LogColumns, log_of_table
from simbench.reward.language.finetune import finetune, table_tokens
from simbench.reward.language.model import LanguageReward, load_language_model
from simbench.reward.language.reward_networks import RewardNetworks, load_reward_model
from simbench.reward.language.settings import Settings
from simbench.reward.language.training import EncoderTrainer, Silent
from simbench.streams import seed_of
from simbench.training.batches import split_by_prompt
from simbench.training.contract import Network

CONTEXT = ("activity",)


def columns(**known) -> LogColumns:
    return LogColumns("clicked", "text", context=CONTEXT, groups="prompt", **known)


def trained(texts: Path, model: Path, out: Path, estimator="naive", *, progress=None, known=None, **changes):
    own = {"epochs": 1, "batch_size": 16, "evaluations": 2, "head_learning_rate": 3e-3, **changes}
    settings = Settings(model=str(model), **own)
    return finetune(texts, columns(**(known or {})), estimator, settings, out, progress=progress)


def logits_of(model: LanguageReward, texts: Path) -> np.ndarray:
    frame = pd.read_parquet(texts)
    return model.logits(table_tokens(model.parts, open_table(frame), model.card))


def simbench(*arguments: str, code: int = 0) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    assert stopped.value.code == code


class Stops(Silent):
    """Ends the run after a step, as a kill would."""

    def __init__(self, after: int):
        self.after = after

    def step(self, number: int, loss: float, tokens: int) -> None:
        if number == self.after:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("estimator", "known"),
    [
        ("naive", {}),
        ("balanced-naive", {}),
        ("ips", {"propensity": "alpha"}),
        ("nnpu", {"class_prior": 0.5}),
        ("vpu", {}),
        ("implicitrm-known", {"propensity": "alpha"}),
    ],
)
def test_held_out_loss_is_the_estimators_own_on_the_saved_model(estimator, known, texts, models, tmp_path):
    trained(texts, models["bert"], tmp_path, estimator, known=known)
    model = load_language_model(tmp_path)
    frame = pd.read_parquet(texts)
    log, _ = log_of_table(open_table(frame), columns(**known), np.zeros((len(frame), 1), np.float32))
    loss = find(estimator)()
    _, held_out = split_by_prompt(log.groups, loss.validation_share, seed_of(0, "split"))
    from simbench.training.device_log import DeviceLog
    from simbench.training.samples import Outputs

    own = DeviceLog(log, np.zeros(1, np.int64), torch.device("cpu"))
    rows = torch.as_tensor(held_out)
    reward = torch.as_tensor(logits_of(model, texts), dtype=torch.float32)[None, rows]
    expected = float(loss.selection_loss(Outputs(reward), own.batch(rows, {})))
    assert abs(expected - model.card["held_out_loss"]) < 1e-5
    assert not (tmp_path / "checkpoint").exists()


@pytest.mark.parametrize("estimator", ["naive", "nnpu", "implicitrm-prior"])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(estimator, texts, models, tmp_path):
    known = {} if estimator == "naive" else {"class_prior": 0.5}
    found = [
        logits_of(
            trained(texts, models["llama"], tmp_path / str(size), estimator, known=known, **part), texts
        )
        for size, part in ((16, {}), (5, {"micro_batch_size": 5}))
    ]
    assert np.abs(found[0] - found[1]).max() < 2e-5
    assert np.ptp(found[0]) > 0.01


def test_it_learns_what_the_words_say(texts, models, tmp_path):
    model = trained(texts, models["bert"], tmp_path, epochs=6, learning_rate=3e-3, patience=20)
    good = pd.read_parquet(texts).good
    assert spearmanr(logits_of(model, texts), good).statistic > 0.4


@pytest.mark.parametrize(("estimator", "after"), [("implicitrm", 6), ("sar-em", 3), ("sar-em", 12)])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(estimator, after, texts, models, tmp_path):
    steps = {"checkpoint_steps": 2, "epochs": 2, "learning_rate": 1e-3}
    whole = trained(texts, models["bert"], tmp_path / "whole", estimator, **steps)
    assert whole.card["steps"]["planned"] > after
    with pytest.raises(KeyboardInterrupt):
        trained(texts, models["bert"], tmp_path / "cut", estimator, progress=Stops(after), **steps)
    again = trained(texts, models["bert"], tmp_path / "cut", estimator, **steps)
    assert again.card["history"] == whole.card["history"]
    first, second = (load_file(tmp_path / name / "reward" / "model.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_kill_9_and_the_same_command_again(texts, models, tmp_path):
    def arguments(out: Path) -> list[str]:
        flags = ["finetune", str(texts), "--model", str(models["llama"]), "--out", str(out)]
        flags += ["--estimator", "implicitrm", "--context", "activity", "--epochs", "2"]
        return [*flags, "--batch-size", "8", "--checkpoint-steps", "1", "--evaluations", "1"]

    out = tmp_path / "cut"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "simbench", *arguments(out)]
    running = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    index = out / "checkpoint" / "checkpoint.json"
    deadline = time.monotonic() + 120
    while not index.exists() or json.loads(index.read_text())["step"] < 3:
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not (out / "card.json").exists()
    assert json.loads(index.read_text())["step"] < 32
    torch.set_num_threads(1)
    simbench(*arguments(out))
    simbench(*arguments(tmp_path / "whole"))
    cut, whole = (json.loads((folder / "card.json").read_text()) for folder in (out, tmp_path / "whole"))
    assert cut["history"] == whole["history"] and cut["sha256"] == whole["sha256"]


def test_adapter_trains_little_and_is_merged(texts, models, tmp_path):
    model = trained(texts, models["llama"], tmp_path, lora=4, learning_rate=3e-3)
    assert model.card["encoder"]["lora"] == 4
    before = load_reward_model(str(models["llama"])).model.state_dict()
    after = load_language_model(tmp_path).parts.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all("proj" in name or name == "score.weight" for name in changed)
    assert np.array_equal(logits_of(model, texts), logits_of(load_language_model(tmp_path), texts))


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_other_poolings_are_saved_and_loaded(pooling, texts, models, tmp_path):
    model = trained(texts, models["bert"], tmp_path, pooling=pooling)
    assert np.array_equal(logits_of(model, texts), logits_of(load_language_model(tmp_path), texts))


@pytest.mark.parametrize(
    ("networks", "reaches"),
    [
        ((Network(), Network(("propensity",), "context")), False),
        ((Network(), Network(("propensity",))), False),
        ((Network(("reward", "propensity")),), True),
    ],
)
def test_only_heads_on_the_rewards_trunk_shape_the_encoder(networks, reaches, models):
    parts = load_reward_model(str(models["bert"]))
    whole = RewardNetworks(parts, networks, (8,), None, 0)
    out = whole(parts.encoder.pad([[1, 5, 2], [1, 6, 7, 2]]))
    assert out.propensity is not None and out.propensity.shape == (1, 2)
    out.propensity.sum().backward()
    grads = [p.grad for name, p in whole.model.named_parameters() if "layer" in name]
    assert any(g is not None and g.abs().sum() > 0 for g in grads) == reaches


def test_context_and_signals_have_heads_of_their_own(models):
    parts = load_reward_model(str(models["llama"]))
    networks = (Network(), *(Network((f"signal:{k}",), "context") for k in range(3)))
    whole = RewardNetworks(parts, networks, (8,), 2, 0)
    out = whole(parts.encoder.pad([[1, 5, 2], [1, 6, 7, 2]]), torch.zeros(2, 2))
    assert out.signals is not None and out.signals.shape == (1, 3, 2)
    heads = whole.head_names()
    assert "model.score.weight" in heads and not any("layers" in name for name in heads)


def test_a_class_prior_is_estimated_on_the_encoders_embeddings(texts, models, tmp_path):
    model = trained(texts, models["bert"], tmp_path, "upu")
    assert 0 < model.card["class_prior"] < 1
    assert model.card["told"] == [] and model.card["context"] == []  # it reads no context


def test_what_was_cut_or_empty_is_counted(texts, models, tmp_path, capsys):
    frame = pd.read_parquet(texts)
    frame.loc[0, "response"] = ""
    frame.loc[1, "response"] = "word " * 200
    frame.to_parquet(tmp_path / "log.parquet")
    arguments = ["finetune", str(tmp_path / "log.parquet"), "--model", str(models["bert"])]
    simbench(*arguments, "--estimator", "naive", "--epochs", "1", "--out", str(tmp_path / "model"))
    said = capsys.readouterr()
    assert "1 of 160 responses (0.6%) were empty" in said.err and "and cut" in said.err
    assert "all weights" in said.out and "tokens/s" in said.err
    simbench("score", str(tmp_path / "model"), str(texts), "--out", str(tmp_path / "scored.parquet"))
    assert pd.read_parquet(tmp_path / "scored.parquet").reward.between(0, 1).all()


@pytest.mark.parametrize(
    ("estimator", "parameters", "message"),
    [
        ("bpr", {}, "reads pairs"),
        ("oracle", {}, "needs the truth"),
        ("sklearn:LogisticRegression", {}, "no loss that an encoder"),
        ("capture-recapture", {}, "no loss that an encoder"),
        ("implicitrm", {"restarts": 3}, "trained once"),
        ("ips", {}, "must be told the propensity"),
    ],
)
def test_what_cannot_be_trained_is_refused(estimator, parameters, message, texts, models, tmp_path):
    with pytest.raises(BadInput, match=message) as caught:
        finetune(
            texts, columns(), estimator, Settings(model=str(models["bert"])), tmp_path / "m", **parameters
        )
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "m").exists()


def test_another_runs_checkpoint_is_refused_and_a_damaged_one(texts, models, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        trained(texts, models["bert"], tmp_path, progress=Stops(7), checkpoint_steps=1)
    with pytest.raises(BadInput, match="another run"):
        trained(texts, models["bert"], tmp_path, checkpoint_steps=1, learning_rate=1e-3)
    file = next((tmp_path / "checkpoint").glob("step-*.safetensors"))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(BadInput, match="damaged"):
        trained(texts, models["bert"], tmp_path, checkpoint_steps=1)


def test_flags_out_of_range_are_one_sentence(texts, models, tmp_path, capsys):
    command = ["finetune", str(texts), "--model", str(models["bert"]), "--out", str(tmp_path / "m")]
    for more, message in (
        (["--epochs", "0"], "--epochs: input should be greater than or equal to 1"),
        (["--lora", "-1"], "--lora"),
        (["--max-tokens", "9999"], "max-tokens must be from 8 to 64"),
        (["--context", "nowhere"], "no column 'nowhere'"),
    ):
        simbench(*command, *more, code=2)
        assert message in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_a_loss_that_is_not_finite_stops_with_a_sentence(texts, models, tmp_path):
    with pytest.raises(BadInput, match="lower --learning-rate"):
        trained(texts, models["bert"], tmp_path, learning_rate=1e30, head_learning_rate=1e30, clip=0)


def test_rates_warm_up_and_fall():
    settings = Settings(model="m", warmup=0.1)
    shares = [settings.share_of_rate(step, 100) for step in range(100)]
    assert np.argmax(shares) == 10 and shares[0] > 0 and shares[-1] < 0.01
    assert settings.model_copy(update={"schedule": "constant"}).share_of_rate(99, 100) == 1.0


def test_evaluations_fall_where_they_are_asked(models, texts):
    trainer = object.__new__(EncoderTrainer)
    trainer.settings = Settings(model="m", epochs=2, evaluations=3)
    trainer.estimator, trainer.steps_an_epoch, trainer.initial_steps = find("naive")(), 9, 9
    assert sorted(trainer._evaluated_at()) == [12, 15, 18, 21, 24, 27]
