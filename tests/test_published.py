"""Published tables: what digits tell, which differences few users can show, the warm table, and the card."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from coldstart_utils.book import card, tables
from coldstart_utils.catalogue import splits
from coldstart_utils.ground import ColdstartError
from coldstart_utils.measure import published, warm_table

ROOT = Path(__file__).parents[1]


def test_what_is_published():
    table = published.published("meta-learners").set_index("model")
    assert table.loc["MAMO", "precision"] == 0.6103 and set(table["mode"]) == {"rating", "click"}
    assert published.published("recommenders").set_index("model").loc["SAR", "ndcg"] == 0.382461
    with pytest.raises(ColdstartError, match="expected one of"):
        published.published("of contents")


def test_digits_tell_how_many_users():
    assert 58 in published.users_behind(0.6103, 5) and 57 not in published.users_behind(0.6103, 5)
    assert 58 in published.users_behind(0.9138) and 58 not in published.users_behind(0.5806, 5)
    rng = np.random.default_rng(0)
    for n in rng.integers(1, 100, 50):
        assert n in published.users_behind(round(rng.integers(0, 5 * n + 1) / (5 * n), 4), 5)


def rows_of(rng, n=400):
    luck = rng.normal(0.5, 0.2, n)
    frames = [
        pd.DataFrame({"model": name, "user": range(n), "split": 0, "mode": mode, "precision": luck + own, "ndcg": luck})
        for mode in tables.MODES
        for name, own in {
            "chance": 0,
            "a constant": rng.normal(0, 0.03, n),
            "item means": rng.normal(0, 0.03, n),
        }.items()
    ]
    return pd.concat(frames, ignore_index=True)


def test_spread_of_one_user_and_of_a_pair():
    rows = rows_of(np.random.default_rng(0))
    rows = rows[rows["mode"] == "rating"]
    assert published.spread(rows, "precision", paired=False) == pytest.approx(0.2, abs=0.02)
    assert published.spread(rows, "precision", paired=True) == pytest.approx(0.03 * np.sqrt(2), abs=0.005)


def test_more_users_show_more():
    values, marks = pd.Series({"A": 0.60, "B": 0.55}), pd.Series({"chance": 0.5})
    few, many = (published.survivors(values, marks, n, same=0.1, other=0.2) for n in (20, 4000))
    assert list(few["shown"]) == ["if on the same users", "no", "no"] and set(many["shown"]) == {"on any users"}
    pair = few.iloc[0]
    assert (pair["one"], pair["against"]) == ("A", "B") and pair["difference"] == pytest.approx(0.05)
    assert pair["error any"] == pytest.approx(np.sqrt(2) * 0.2 / np.sqrt(20))


def test_sar_by_hand():
    ratings = sparse.csr_matrix(np.array([[4.0, 2, 0], [5, 0, 3], [0, 1, 0]]))
    times = ratings.copy()
    times.data = np.array([0.0, 30, 30, 30, 30]) * 86_400
    alike = np.array([[1, 1 / 3, 1 / 2], [1 / 3, 1, 0], [1 / 2, 0, 1]])
    affinity = np.array([[2.0, 2, 0], [5, 0, 3], [0, 1, 0]])
    assert np.allclose(warm_table.sar(ratings, times), affinity @ alike)
    assert np.allclose(warm_table.sar(ratings, None), ratings @ alike)
    with pytest.raises(ColdstartError, match="a time for each rating"):
        warm_table.sar(ratings, sparse.csr_matrix(times.toarray()[::-1] + np.eye(3)))


def test_the_warm_table_runs_on_any_catalogue():
    rng = np.random.default_rng(0)
    X = sparse.csr_matrix((rng.random((30, 20)) < 0.4).astype(float))
    R = X.copy()
    R.data = rng.integers(1, 6, R.nnz).astype(float)
    split = splits.warm(X, 0, fraction=warm_table.HIDDEN)
    found = warm_table.scorers(split, R, None)
    assert all(scorer(split.users, split.candidates).shape[1] == len(split.candidates) for scorer in found.values())
    assert warm_table.listed_counts(found, split)["popularity"] == warm_table.listed_counts(found, split).max()


def test_figures_and_sentences_of_tables():
    rows = rows_of(np.random.default_rng(1))
    table = tables.beside(rows, "precision", 58)
    assert len(table) == 2 * 3 + 7 and (table["low"] <= table["high"]).all()
    assert len(tables.draw_beside(table, metric="precision", n=58).axes) == 2
    found = {mode: tables.surviving(rows, rows, mode, "precision", 58) for mode in tables.MODES}
    assert tables.draw_surviving(found, title="", metric="precision").axes
    assert "MWUF 58" in tables.told_users() and "above item means" in tables.told_beside(table, "precision")
    assert "click mode chance 0." in tables.told_few(rows, rows)
    few, many = tables.counts(rows, rows, 58), tables.counts(rows, rows, 10**6)
    assert few.shape == (4, 6) and many.loc["click, nDCG@5", "pairs shown to differ"] == "6 of 6"


def test_a_claim_about_marks_follows_the_rows():
    marks = tables.marks_of(rows := rows_of(np.random.default_rng(2)), rows, 58)
    assert len(marks) == 2 * 7 * 3 and set(marks["metric"]) == {"precision", "ndcg"}
    high = marks.assign(difference=1.0, shown="on any users")
    held, text = tables.none_above(high, "item means")
    assert not held and "+1.000 P@5" in text
    assert tables.none_above(high.assign(difference=-1.0), "item means")[0]


def test_how_far_the_warm_table_is_off():
    table = pd.DataFrame({"model": [*tables.RESTATED, *tables.RESTATED.values()], "mean": [0.39, 0.05, 0.38, 0.04]})
    gap, text = tables.gaps_of(table)
    assert gap == pytest.approx(0.01) and text == "SAR, re-stated +.010; explicit ALS, by rating +.010"


def test_the_card_is_what_the_committed_data_say():
    made = card.committed(ROOT)
    assert made["name"].tolist() == [question.name for question in card.QUESTIONS] and len(made) == 10
    assert made.to_dict() == card.recorded().to_dict()
    assert card.page(made) == (ROOT / "CARD.md").read_text(encoding="utf-8")


def test_the_card_reads_its_tables():
    table = pd.DataFrame({"unit": ["users", "folds"], "low": [0, 0], "high": [1, 4.5]})
    filled = card.filled({"00_interval": table})
    assert filled["hides"].tolist() == ["an interval 4.5 times as wide over new items as over users"]
    assert "chapter 00" in card.page(filled)


def test_who_falls_after_the_best_epoch():
    steps = pd.DataFrame(
        {"model": ["A"] * 3 + ["B"] * 3, "epoch": [1, 2, 3] * 2, "ndcg": [0.1, 0.3, 0.2, 0.1, 0.2, 0.3]}
    )
    said = tables.told_learning(steps)
    assert said.endswith("help: A.") and "might help: B." in said
