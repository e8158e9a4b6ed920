"""The programs behind the recipe's recorded tables: what they measure on a small world, and what is told of it."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from coldstart_utils.book import recipe_tales
from coldstart_utils.catalogue.atomic import read_atomic
from coldstart_utils.catalogue.splits import hide_items
from coldstart_utils.data import new_users, rivals
from coldstart_utils.measure import study

KINDS = ("red", "green", "blue")


class Reader:
    """An encoder without a model: a text is the counts of its letters, of length 1."""

    def encode(self, texts):
        counts = np.array([[text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts])
        return (counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)).astype(np.float32)


@pytest.fixture
def small(write_atomic):
    """60 users choose twelve or more of 45 items, mostly of one of three kinds, which title and genre name."""
    rng = np.random.default_rng(0)
    lines = []
    for u in range(60):
        own = rng.permutation(np.arange(u % 3, 45, 3))[:11]
        lines += [f"u{u}|{i}|{1 + i % 4}" for i in {*own, *rng.integers(0, 45, 5)}]
    items = [f"{i}|{KINDS[i % 3]} thing {i}|{KINDS[i % 3]}|{1 + i % 5}" for i in range(45)]
    inter = "\n".join(["user_id:token|item_id:token|events:float", *lines]) + "\n"
    item = "\n".join(["item_id:token|title:token_seq|genres:token_seq|price:float", *items]) + "\n"
    return write_atomic("small", inter=inter, item=item)


# --- Programs ---------------------------------------------------------------------------------------------------------


def test_new_users_are_measured_at_every_number_of_choices(small):
    rows = new_users.measured(read_atomic(small), Reader())
    assert {0, 1} <= set(rows["k"]) and rows.groupby(["k", "model"]).size().eq(5).all()
    means = rows.groupby(["k", "model"])["ndcg"].mean()
    assert means[1, "recipe"] > means[1, "everybody's list"]
    told = recipe_tales.told_new_users(recipe_tales.new_users_best(rows, new_users.RECIPE))
    assert told.startswith("- 0 choices (1 worlds)") and "- 1 choice (" in told


def test_users_without_a_known_choice_are_told_apart():
    X = np.eye(6)
    X[:3] += np.roll(np.eye(6), 1, axis=1)[:3]
    split = hide_items(sparse.csr_matrix(X), np.array([4]), seed=0)
    found = pd.DataFrame({"fold": 0, "user": [3, 4], "ndcg": [0.2, 0.4]})
    known = rivals.with_known(found, [study.Fold(split, ())])["ndcg_known"]
    assert known.tolist()[0] == 0.2 and np.isnan(known.tolist()[1]), "item 4 was all that user 4 chose"


# --- Tables -----------------------------------------------------------------------------------------------------------


def test_the_recorded_tables_are_whole():
    against, at_first = rivals.read(), new_users.read()
    for table, by in ((against, ["world", "model"]), (at_first, ["world", "k", "model"])):
        assert len(table) and table.groupby(by).size().eq(5).all() and not table["ndcg"].isna().any()
    assert against.groupby("world")["model"].agg(set).map(set(rivals.METHODS).__eq__).all()
    assert "behind" in recipe_tales.told_tail(against, rivals.RECIPE)
    assert "citeulike" in recipe_tales.told_known(against, rivals.RECIPE)
