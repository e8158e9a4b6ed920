"""The program that records learning curves: what it chooses, what it measures, and that a broken curve goes on."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import BertConfig, BertModel

from coldstart_utils.catalogue.dataset import best_known
from coldstart_utils.data import learning_curves
from coldstart_utils.language.encoders import TextEncoder
from coldstart_utils.language.towers import ItemTower


def test_halves_of_the_manual_are_neighbours_and_a_right_order_is_told():
    halves = learning_curves.manual_halves(5)
    assert len(halves) % 2 == 0 and len(halves) > 100 and all(len(text.split()) == 5 for text in halves)
    turn = np.eye(3)[[1, 2, 0]]
    assert learning_curves.matched(np.vstack([turn, turn])) == 1.0
    assert learning_curves.matched(np.vstack([turn, np.eye(3)])) == 0.0


def rows(arm, rate, step, reg, nested, outer):
    base = {"arm": arm, "rate": rate, "fold": 0, "step": step, "reg": reg}
    return [base | {"split": "nested", "ndcg": nested}, base | {"split": "outer", "ndcg": outer}]


def test_settings_are_chosen_on_the_nested_split_among_what_all_arms_have():
    other, frozen = "other", learning_curves.FROZEN
    curves = pd.DataFrame(
        [
            *rows(frozen, 1, 0, 1.0, 0.3, 0.5),
            *rows(frozen, 1, 7, 1.0, 0.4, 0.6),
            *rows(other, 1, 0, 1.0, 0.1, 0.9),
            *rows(other, 1, 0, 3.0, 0.2, 0.4),  # better on the nested split, worse outside
            *rows(other, 1, 7, 1.0, 0.15, 0.8),
            *rows(other, 3, 7, 1.0, 0.99, 0.99),  # a rate that only one arm has
        ]
    )
    found = learning_curves.chosen(curves, "ndcg").set_index(["arm", "step"])
    assert found["ndcg"].to_dict() == {(frozen, 0): 0.5, (frozen, 7): 0.6, (other, 0): 0.4, (other, 7): 0.8}
    assert found["gain"].to_dict() == pytest.approx(
        {(frozen, 0): 0, (frozen, 7): 0.1, (other, 0): -0.1, (other, 7): 0.3}
    )
    stopped = learning_curves.chosen(curves, "ndcg", stopped=True).set_index("arm")
    assert stopped["step"].to_dict() == {frozen: 7, other: 0}
    assert stopped.loc[other, "gain"] == pytest.approx(-0.1)


@pytest.fixture(scope="module")
def recorder(ml100k):
    """A small random BERT and the best known films."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30522, hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32
    )
    encoder = SimpleNamespace(
        name="small", model=BertModel(config).eval(), tokenizer=TextEncoder().tokenizer, pooling="mean", max_tokens=16
    )
    return learning_curves.Recorder(best_known(ml100k, 200), encoder)


@pytest.mark.parametrize("arm", ["upper three layers", "two towers, upper three layers"])
def test_a_broken_curve_goes_on_as_if_it_had_not_been(recorder, arm, tmp_path):
    whole = pd.concat(recorder.curve(arm, 1.0, 0, [0, 2, 4]))
    state = tmp_path / "curve.pt"
    first = pd.concat(recorder.curve(arm, 1.0, 0, [0, 2], state))
    then = pd.concat(recorder.curve(arm, 1.0, 0, [0, 2, 4], state))
    assert first["step"].unique().tolist() == [0, 2] and then["step"].unique().tolist() == [4]
    both = pd.concat([first, then])
    for column in ("ndcg", "auc", "loss"):
        assert both[column].to_numpy() == pytest.approx(whole[column].to_numpy(), rel=1e-4, nan_ok=True)
    assert set(whole["split"]) == {"nested", "outer"}
    assert whole["arm"].nunique() == (2 if "two" in arm else 1)


def test_a_user_is_described_without_the_film_that_is_asked(recorder):
    split = recorder.folds[0].nested[0]
    tower = ItemTower(recorder.encoder, recorder.texts, frozen=1)
    both = learning_curves.TwoTowers(tower, split.train, tower.vectors())
    film = np.flatnonzero(np.diff(split.train.tocsc().indptr))[:1]
    user = split.train[:, film].nonzero()[0][:1]
    less = split.train.astype(bool).astype(float).tolil()
    less[user, film] = 0
    expected = both.users(less.tocsr()[user] @ both.Z)
    assert torch.allclose(both.users(both.sums[user] - both.Z[film]), expected, atol=1e-5)


def test_what_was_recorded_has_every_way_on_the_same_folds():
    by_ndcg = learning_curves.chosen(learning_curves.read(), "ndcg")
    assert set(by_ndcg["arm"]) == {*learning_curves.WAYS, learning_curves.OWN}
    assert by_ndcg.groupby(["fold", "step"])["arm"].nunique().unique().tolist() == [len(learning_curves.WAYS) + 1]
    start = by_ndcg[(by_ndcg["arm"] == learning_curves.FROZEN) & (by_ndcg["step"] == 0)]
    assert (start["gain"] == 0).all()
