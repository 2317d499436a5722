"""Pooling and the reward on top, against loops over the tokens; padding on either side is no token."""

import numpy as np
import pytest
import torch
from transformers import AutoModel, RobertaConfig, RobertaModel

from simbench.reward.language.encoder import TextEncoder
from simbench.reward.language.pooled_reward import PooledRewardConfig, PooledRewardModel
from simbench.reward.language.pooling import packed, pool, positions_of, takes_positions

MASK = torch.tensor([[1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 1, 1, 0, 0], [0, 0, 0, 0, 1]])


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_pooling_is_that_of_a_loop_over_tokens(pooling):
    hidden = torch.randn(5, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    hidden[MASK == 0] = torch.nan
    found = pool(hidden, MASK, pooling)
    assert found.dtype == torch.float32
    for row in range(5):
        tokens = [hidden[row, place].numpy() for place in range(5) if MASK[row, place]]
        expected = {"mean": np.mean(tokens, axis=0), "cls": tokens[0], "last": tokens[-1]}[pooling]
        assert found[row].numpy() == pytest.approx(expected, rel=1e-5)


def test_positions_count_from_the_first_token():
    assert positions_of(MASK)[:3].tolist() == [[0, 1, 2, 2, 2], [0, 0, 0, 1, 2], [0, 1, 2, 3, 4]]


def test_positions_are_given_where_they_mean_what_they_say(models):
    assert takes_positions(AutoModel.from_pretrained(models["bert"]))
    assert takes_positions(AutoModel.from_pretrained(models["llama"]))
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 8}
    assert not takes_positions(RobertaModel(RobertaConfig(vocab_size=20, **sizes)))


def test_a_batch_is_padded_on_the_side_asked(models):
    encoder = TextEncoder.load(str(models["bert"]))
    pad = encoder.tokenizer.pad_token_id
    right = encoder.pad([[5, 6, 7], [8]])
    assert right["input_ids"].tolist() == [[5, 6, 7], [8, pad, pad]]
    assert right["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]] and "position_ids" not in right
    left = encoder.pad([[5, 6, 7], [8]], "left", 4)
    assert left["input_ids"].tolist() == [[pad, 5, 6, 7], [pad, pad, pad, 8]]
    assert left["attention_mask"].tolist() == [[0, 1, 1, 1], [0, 0, 0, 1]]
    assert left["position_ids"].tolist() == [[0, 0, 1, 2], [0, 0, 0, 0]]


@pytest.mark.parametrize(("normalise", "hidden"), [(True, []), (False, [6, 4])])
@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_the_pooled_reward_by_hand(normalise, hidden, pooling, models):
    encoder = AutoModel.from_pretrained(models["bert"]).eval()
    config = PooledRewardConfig(
        encoder.config.to_dict(), pooling, hidden, normalise, pad_token_id=encoder.config.pad_token_id
    )
    torch.manual_seed(0)
    model = PooledRewardModel(config, encoder).eval()
    texts = [[1, 5, 6, 2], [1, 7, 8, 9, 10, 11, 2]]
    pad = encoder.config.pad_token_id
    right = torch.tensor([row + [pad] * (7 - len(row)) for row in texts])
    left = torch.tensor([[pad] * (7 - len(row)) + row for row in texts])
    with torch.inference_mode():
        expected = []
        for row in texts:
            states = encoder(torch.tensor([row])).last_hidden_state[0].double().numpy()
            value = states.mean(0) if pooling == "mean" else states[-1]
            value = value / np.linalg.norm(value) if normalise else value
            for number, layer in enumerate(x for x in model.head if hasattr(x, "weight")):
                value = np.maximum(value, 0) if number else value
                value = layer.weight.numpy() @ value + layer.bias.numpy()
            expected.append(value[0])
        for batch in (right, left):
            given = model(batch, (batch != pad).long()).logits[:, 0].numpy()
            assert given == pytest.approx(expected, abs=1e-5)
            assert model(batch).logits[:, 0].numpy() == pytest.approx(expected, abs=1e-5)


def test_texts_are_moved_to_the_start_of_their_rows():
    ids = torch.tensor([[5, 6, 7, 0, 0], [0, 0, 5, 6, 7], [0, 5, 6, 0, 0], [0, 0, 0, 0, 5]])
    mask = (ids != 0).long()
    moved, kept = packed(ids, mask)
    assert moved.tolist() == [[5, 6, 7], [5, 6, 7], [5, 6, 0], [5, 0, 0]]
    assert kept.tolist() == [[1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 0, 0]]
    wide, kept = packed(ids, mask, 5)
    assert wide[1].tolist() == [5, 6, 7, 0, 0] and kept[3].tolist() == [1, 0, 0, 0, 0]
