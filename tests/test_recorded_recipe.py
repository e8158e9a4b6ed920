"""The programs behind the recipe's recorded tables: what they measure on a small world, and what is told of it."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from coldstart_utils.book import recipe_tales, world_tales
from coldstart_utils.book import worlds as opened
from coldstart_utils.catalogue.atomic import read_atomic
from coldstart_utils.catalogue.splits import hide_items
from coldstart_utils.data import new_users, recipe_parts, rivals, tuned_elsewhere
from coldstart_utils.language.encoders import TextEncoder
from coldstart_utils.measure import claims, people, study
from coldstart_utils.models.likeness import Likeness

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


def test_the_variants_keep_what_they_do_not_change(small):
    dataset = read_atomic(small)
    split = study.item_folds(dataset.matrix())[0].outer
    blocks = {"text vector": Reader().encode(dataset.items["title"].tolist())}
    setting = recipe_parts.transfer(split.train, blocks).setting
    parts = recipe_parts.Parts(split, Likeness(blocks, split.warm_items), setting)
    same = parts.carried(parts.bridge(setting.spread, setting.reg), parts.ease)
    users, items = np.arange(60), np.sort(split.candidates)
    expected = recipe_parts.transfer(split.train, blocks)(users, items)
    np.testing.assert_allclose(same, expected, atol=1e-3)


def test_an_encoder_tuned_elsewhere_has_not_seen_a_name_of_the_world_it_is_used_in(small, write_atomic):
    target, source = read_atomic(small), read_atomic(small)
    source.interactions["rating"] = 1.0 + source.interactions["item"] % 5
    source.items["title"] = [f"{KINDS[i % 3]} {'thing' if i < 9 else 'matter'} {i}" for i in range(45)]
    assert tuned_elsewhere.films_for(source, target).tolist() == list(range(9, 45))
    encoder, how = TextEncoder(cache=False), opened.How(folds=2, trials=1)
    rows = tuned_elsewhere.measured(target, source, encoder, how, steps=1)
    assert rows["films"].eq(36).all()
    assert rows.groupby(["way", "model"]).size().eq(2).all() and len(rows) == 8
    means = rows.groupby(["way", "model"])["ndcg"].mean().unstack()
    assert (means[tuned_elsewhere.CAME] != means[tuned_elsewhere.TUNED]).any()
    # The encoder as it came is the encoder of the package.
    plain = claims.item_methods(opened.prepare(target, encoder))["one text"]
    expected = study.run({"": plain}, study.item_folds(target.matrix())[:2], trials=1)["ndcg"].mean()
    assert means.loc["bridge", tuned_elsewhere.CAME] == pytest.approx(expected, abs=0.02)


def test_every_variant_is_measured_on_every_fold(small, monkeypatch):
    folds = study.item_folds(read_atomic(small).matrix())
    monkeypatch.setattr(study, "item_folds", lambda X: folds[:2])
    rows = recipe_parts.measured("small", read_atomic(small), Reader())
    assert rows.groupby("model").size().eq(2).all() and rows["ndcg"].between(0, 1).all()
    assert {recipe_parts.CHOSEN, "price as a block", "low rank", "ALS in the place of EASE"} <= set(rows["model"])
    told = recipe_tales.told_parts(rows, recipe_parts.CHOSEN)
    assert told.count("\n- ") + 1 == rows["model"].nunique() - 1


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


def test_what_a_tuned_encoder_does_elsewhere_is_told_with_one_correction_over_worlds_and_ways():
    rng, rows = np.random.default_rng(0), []
    for world, lift in (("alike", 0.0), ("better", 0.1), ("worse", -0.1)):
        for fold in range(5):
            came = 0.3 + rng.normal(0, 0.01)
            noise = rng.normal(0, 0.002, 2)
            for way, gain in (("untrained", lift + noise[0]), ("bridge", noise[1])):
                rows += [(world, 9, way, tuned_elsewhere.CAME, fold, came)]
                rows += [(world, 9, way, tuned_elsewhere.TUNED, fold, came + gain)]
    rows = pd.DataFrame(rows, columns=tuned_elsewhere.COLUMNS)
    table = recipe_tales.tuned_compared(rows, tuned_elsewhere.CAME)
    told = recipe_tales.told_tuned(table, rows["films"])
    assert "untrained: shown better in better, worse in worse;" in told
    assert "bridge: shown better in none, worse in none;" in told
    page = recipe_tales.page_of_tuned(table, tuned_elsewhere.CAME)
    assert page["untrained", "shown"].to_dict() == {"alike": "Not shown", "better": "Yes", "worse": "No, the reverse"}
    before = rows[rows["model"] == tuned_elsewhere.CAME].groupby("world")["ndcg"].mean()
    np.testing.assert_allclose(page["bridge", tuned_elsewhere.CAME], before, atol=6e-4)


# --- Groups -----------------------------------------------------------------------------------------------------------


def test_the_group_that_speaks_for_a_topic_tells_no_other_topic_itself():
    X = sparse.csr_matrix(np.array([[2.0, 5, 1], [1, 0, 0]]))
    topics = sparse.csr_matrix(np.array([[1.0, 0], [0, 1], [1, 0]]))
    known = sparse.csr_matrix(np.array([[1.0, 0], [0, 1]]))
    assert people.group_of_topic(X, topics, known).toarray().tolist() == [[1, 0, 0], [0, 0, 0]]


def test_topics_of_a_newcomer_by_topic_group_and_name(small, write_atomic):
    found = opened.grouped(small, Reader(), opened.How(folds=2, trials=1))
    assert set(found["model"]) == {"everybody's list", "one topic", "one group", "a new group's name"}
    assert found["value"].between(0, 1).all() and "Recall@5" in world_tales.told_groups(found.assign(world="small"))
    bare = write_atomic("bare", inter="user_id:token|item_id:token\nu|1\n", item="item_id:token|title:token_seq\n1|a\n")
    assert opened.grouped(bare, Reader()).empty


# --- Tables -----------------------------------------------------------------------------------------------------------


def test_the_recorded_tables_are_whole():
    against, at_first, tried = rivals.read(), new_users.read(), recipe_parts.read()
    for table, by in ((against, ["world", "model"]), (at_first, ["world", "k", "model"]), (tried, ["world", "model"])):
        assert len(table) and table.groupby(by).size().eq(5).all() and not table["ndcg"].isna().any()
    whole = against[~against["world"].str.contains(" items")]
    assert whole.groupby("world")["model"].agg(set).map(set(rivals.METHODS).__eq__).all()
    assert "behind" in recipe_tales.told_tail(against, rivals.RECIPE)
    assert "nothing for fame" in recipe_tales.told_tail_parts(tried)
    assert "citeulike" in recipe_tales.told_known(against, rivals.RECIPE)
