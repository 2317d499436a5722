"""The loop over an encoder: rates and decay by parameter, batches, evaluation, and the best that is kept."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from simbench.errors import BadInput
from simbench.estimator.registry import find
from simbench.log.source import open_table
from simbench.log.user_log import LogColumns, log_of_table
from simbench.reward.language.checkpoint import Checkpoints
from simbench.reward.language.reward_networks import (
    RewardNetworks,
    load_reward_model,
    with_lora,
    with_pad_token,
)
from simbench.reward.language.settings import Settings
from simbench.reward.language.training import EncoderTrainer, Silent, Standing
from simbench.training.contract import Network


@pytest.fixture
def trainer(texts, models, tmp_path):
    """Of implicitrm on a BERT: a reward on its pooler, a propensity on one context column."""

    def make(name="implicitrm", estimator=None, **changes) -> EncoderTrainer:
        frame = pd.read_parquet(texts).iloc[:50]
        columns = LogColumns("clicked", "text", context=("activity",), groups="prompt", propensity="alpha")
        log, _ = log_of_table(open_table(frame), columns, np.zeros((50, 1), np.float32))
        parts = load_reward_model(str(models["bert"]))
        ids = parts.encoder.tokenise(frame.response.tolist(), frame.prompt.tolist()).ids
        estimator = estimator or find(name)(seed=2)
        networks = RewardNetworks(parts, estimator.networks_for(log), (4,), 1, 0)
        settings = Settings(model="m", **{"batch_size": 8, "epochs": 3, **changes})
        checkpoints = Checkpoints(tmp_path / "checkpoint", "run")
        own = (estimator, log, ids, networks, parts.encoder, settings, (1e-4, 7e-3), checkpoints)
        return EncoderTrainer(*own, Silent())

    return make


def test_encoder_and_heads_have_rates_of_their_own_and_vectors_do_not_decay(trainer):
    one = trainer(weight_decay=0.3, warmup=0.5)
    one._step(3)
    names = {id(parameter): name for name, parameter in one.learned.items()}
    share = one.settings.share_of_rate(3, one.total)
    assert 0 < share < 1
    found = {}
    for group in one.optimiser.param_groups:
        for parameter in group["params"]:
            found[names[id(parameter)]] = (group["lr"], group["weight_decay"])
    assert set(found) == set(one.learned)
    for name, (rate, decay) in found.items():
        in_encoder = name.startswith("model.bert.")
        assert rate == pytest.approx(share * (1e-4 if in_encoder else 7e-3)), name
        assert decay == (0.3 if one.learned[name].dim() > 1 else 0.0), name
    heads = {name for name in found if not name.startswith("model.bert.")}
    assert heads == one.head_names and "model.classifier.weight" in heads
    assert any(name.startswith("auxiliary.") for name in heads)


def test_an_epoch_reads_every_training_row_once_shortest_first_within_a_batch(trainer):
    one = trainer()
    count = len(one.train_rows)
    assert one.steps_an_epoch == -(-count // 8) and 0 < count < 50
    orders = []
    for epoch in range(2):
        steps = range(epoch * one.steps_an_epoch, (epoch + 1) * one.steps_an_epoch)
        batches = [one._rows_of_step(number) for number in steps]
        assert all(len(rows) == 8 for rows in batches[:-1])
        assert all((np.diff(one.lengths[rows]) >= 0).all() for rows in batches)
        assert sorted(np.concatenate(batches)) == sorted(one.train_rows)
        orders.append(np.concatenate(batches).tolist())
    assert orders[0] != orders[1]


def test_whole_prompts_are_held_out(trainer, texts):
    one = trainer()
    prompts = pd.read_parquet(texts).prompt.iloc[:50].to_numpy()
    assert not set(prompts[one.train_rows]) & set(prompts[one.held_out])
    assert len(one.train_rows) + len(one.held_out) == 50
    assert len(set(prompts[one.held_out])) == round(0.2 * len(set(prompts)))


def test_a_run_is_as_long_as_its_epochs(trainer):
    one = trainer("sar-em", initial_epochs=2)
    first = find("sar-em").initial_epochs
    assert first > 0 and one.initial_steps == 2 * one.steps_an_epoch
    assert one.total == one.initial_steps + 3 * one.steps_an_epoch
    plain = trainer("naive")
    assert plain.initial_steps == 0 and plain.total == 3 * plain.steps_an_epoch


def test_predictions_come_in_the_order_asked(trainer):
    one = trainer(micro_batch_size=3)
    rows = np.array([7, 3, 30, 12, 0, 44, 21])
    found = one.predict(rows)
    for place, row in enumerate(rows):
        with torch.no_grad():
            alone = one._forward(np.array([row]))
        assert found.reward[0, place].item() == pytest.approx(alone.reward[0, 0].item(), abs=1e-5)
        assert found.propensity[0, place].item() == pytest.approx(alone.propensity[0, 0].item(), abs=1e-5)


def test_a_step_returns_the_objective_of_its_batch_and_its_tokens(trainer):
    one = trainer("naive", batch_size=11)
    rows = one._rows_of_step(0)
    logit = one.predict(rows).reward[0].double().numpy()
    clicked = one.log.feedback[0].numpy()[rows]
    expected = np.mean(np.logaddexp(0, logit) - clicked * logit)
    for size in (None, 4):
        one.settings = one.settings.model_copy(update={"micro_batch_size": size})
        assert one._backward(rows, one.estimator.objective) == pytest.approx(expected, rel=1e-5)
    loss, tokens = one._step(0)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert tokens == sum(len(one.ids[row]) for row in rows)


@pytest.mark.parametrize("clip", [0.0, 0.01])
def test_gradients_are_clipped_where_asked(clip, trainer):
    one = trainer("naive", clip=clip)
    one._step(0)
    gradients = [p.grad for p in one.learned.values() if p.grad is not None]
    norm = np.sqrt(sum((gradient.double() ** 2).sum().item() for gradient in gradients))
    assert norm == pytest.approx(0.01, rel=1e-3) if clip else norm > 0.02


def test_the_best_evaluation_is_kept_and_what_is_not_finite_never_is(trainer):
    one = trainer("naive")
    losses = iter([float("nan"), 0.6, 0.7, float("nan"), 0.6, 0.5])
    one.estimator.selection_loss = lambda out, batch: torch.tensor([next(losses)])
    kept = []
    one.checkpoints = SimpleNamespace(write_best=lambda step, tensors: kept.append(step))
    waited = []
    for step in range(1, 7):
        one.standing.step = step
        one._evaluate()
        waited.append(one.standing.waited)
    assert kept == [2, 6] and waited == [1, 0, 1, 2, 3, 0]
    assert (one.standing.best_loss, one.standing.best_step) == (0.5, 6)
    assert [step for step, _ in one.standing.history] == [1, 2, 3, 4, 5, 6]


def test_training_stops_after_its_patience_with_the_best_weights(trainer):
    one = trainer("naive", epochs=9, evaluations=1, patience=2)
    losses = iter([0.5, 0.4, 0.45, 0.41, 0.1])
    weights = []

    def selection_loss(out, batch):
        weights.append(one.learned["model.classifier.weight"].detach().clone())
        return torch.tensor([next(losses)])

    one.estimator.selection_loss = selection_loss
    standing = one.run()
    assert standing.step == 4 * one.steps_an_epoch and standing.best_step == 2 * one.steps_an_epoch
    assert torch.equal(one.learned["model.classifier.weight"], weights[1])
    assert not torch.equal(weights[1], weights[3])


def test_a_run_without_a_finite_loss_is_refused(trainer):
    one = trainer("naive", epochs=1, evaluations=1)
    one.estimator.selection_loss = lambda out, batch: torch.tensor([float("nan")])
    with pytest.raises(BadInput, match="no held-out loss was finite"):
        one.run()
    assert one.standing.best_loss == Standing().best_loss == float("inf")


@pytest.mark.parametrize(("estimator", "places"), [("naive", 3), ("sar-em", 1)])
def test_evaluations_are_spread_over_an_epoch_unless_it_has_an_e_step(estimator, places, trainer):
    one = trainer(estimator, evaluations=3)
    if estimator == "sar-em":
        assert one.estimator.has_epoch_state
    size = one.steps_an_epoch
    within = [round(size * part / places) for part in range(1, places + 1)]
    expected = {one.initial_steps + epoch * size + step for epoch in range(3) for step in within}
    assert one.evaluated_at == expected and max(expected) == one.total


def test_an_adapter_is_twice_its_rank_on_the_encoders_linear_layers(models):
    model = with_lora(load_reward_model(str(models["bert"])).model, 3, 0)
    config = model.peft_config["default"]
    assert (config.r, config.lora_alpha, config.lora_dropout) == (3, 6, 0.0)
    assert all(name.startswith("bert.") for name in config.target_modules)
    saved = set(config.modules_to_save)  # peft adds the usual names of a classifier
    assert "classifier" in saved and not saved & {"bert", "dropout"}
    learned = {name for name, p in model.named_parameters() if p.requires_grad}
    assert all("lora_" in name or "classifier" in name for name in learned)
    with pytest.raises(BadInput, match="at least 1"):
        with_lora(model, 0, 0)


def test_a_pad_token_is_one_that_no_text_holds(models):
    parts = load_reward_model(str(models["llama"]))
    tokenizer, table = parts.encoder.tokenizer, parts.encoder.model.get_input_embeddings().weight
    assert tokenizer.pad_token == "<|pad|>" and tokenizer.pad_token_id not in (None, tokenizer.eos_token_id)
    assert parts.model.config.pad_token_id == parts.encoder.pad_id == len(table) - 1
    assert not table[-1].any() and table[-2].any()
    own = load_reward_model(str(models["bert"]))
    before = len(own.encoder.tokenizer)
    with_pad_token(own.model, own.encoder.tokenizer)
    assert own.encoder.tokenizer.pad_token == "[PAD]" and len(own.encoder.tokenizer) == before


def test_heads_beside_the_reward_read_states_of_unit_variance_and_contexts_as_they_are(models):
    parts = load_reward_model(str(models["bert"]))
    networks = (Network(), Network(("propensity",), "context"))
    bare, told = (RewardNetworks(parts, networks, (8, 4), width, 0) for width in (None, 2))
    kinds = [[type(layer).__name__ for layer in one.auxiliary["1"]] for one in (bare, told)]
    small = ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert kinds == [["LayerNorm", *small], small]
    assert told.auxiliary["1"][0].in_features == 2 and bare.auxiliary["1"][1].in_features == 32
    batch, context = parts.encoder.pad([[1, 5, 2], [1, 6, 7, 2]]), torch.tensor([[1.0, 2], [3, -4]])
    with torch.no_grad():
        out, states = told(batch, context), bare(batch)
        assert torch.allclose(out.propensity[0], told.auxiliary["1"](context)[:, 0])
        assert torch.allclose(out.reward[0], parts.logits(batch)) and torch.equal(out.reward, states.reward)
        pooled = parts.encoder.embed(batch)
        normal = (pooled - pooled.mean(1, keepdim=True)) / pooled.std(1, keepdim=True, correction=0)
        assert torch.allclose(states.propensity[0], bare.auxiliary["1"][1:](normal)[:, 0], atol=1e-4)
