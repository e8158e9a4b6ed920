"""study: every item new once, equal tuning, and intervals that carry the luck that a claim is about."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from coldstart_utils.ground import ColdstartError
from coldstart_utils.measure import curves, phrases, ranking, study
from coldstart_utils.models.content import block_kernels
from coldstart_utils.models.transfer import LateFusion, Neighbours, Transfer, teacher_scores

ANY = np.random.default_rng(0)
TASTE, KIND = ANY.random((60, 3)), np.eye(3)[ANY.integers(3, size=50)]
MATRIX = sparse.csr_matrix((ANY.random((60, 50)) < 0.6 * TASTE @ KIND.T).astype(float))


def frame(values: dict[str, np.ndarray], folds: int = 2) -> pd.DataFrame:
    """Return rows of ndcg, models × (fold, user), the values a little higher in each fold."""
    parts = [
        pd.DataFrame({"model": name, "fold": fold, "user": range(len(v)), "ndcg": v + fold / 10})
        for name, v in values.items()
        for fold in range(folds)
    ]
    return pd.concat(parts)


# --- Folds -----------------------------------------------------------------------------------------------------------


def test_every_item_is_new_exactly_once_and_settings_never_see_it():
    folds = study.item_folds(MATRIX, 5, seed=3, nested=2)
    new = np.concatenate([fold.outer.candidates for fold in folds])
    assert sorted(new) == np.flatnonzero(np.diff(MATRIX.tocsc().indptr)).tolist()
    for fold in folds:
        assert len(fold.nested) == 2
        for inner in fold.nested:
            assert not np.isin(inner.candidates, fold.outer.candidates).any()
            assert inner.train[:, fold.outer.candidates].nnz == inner.test[:, fold.outer.candidates].nnz == 0


def test_every_user_is_new_exactly_once_the_same_for_every_k():
    folds = {k: study.user_folds(MATRIX, 4, k=k, seed=1) for k in (0, 2)}
    assert sum(len(fold.outer.users) for fold in folds[0]) == np.count_nonzero(np.diff(MATRIX.indptr))
    for cold, warm in zip(folds[0], folds[2]):
        assert set(warm.outer.users) <= set(cold.outer.users)
        assert warm.outer.support.sum(axis=1).max() == 2
        assert warm.outer.train[cold.outer.users].nnz == warm.nested[0].test[cold.outer.users].nnz == 0


def test_only_what_has_enough_is_new_and_reveals_k():
    degrees = np.diff(MATRIX.tocsc().indptr)
    least = int(np.median(degrees))
    folds = study.item_folds(MATRIX, 3, k=4, least=least)
    new = np.concatenate([fold.outer.candidates for fold in folds])
    assert sorted(new) == np.flatnonzero(degrees >= least).tolist()
    for fold in folds:
        for split in (fold.outer, *fold.nested):
            assert (np.diff(split.support.tocsc().indptr)[split.candidates] == 4).all()
            assert split.train[:, split.candidates].nnz == 0
        assert fold.nested[0].test[:, fold.outer.candidates].nnz == 0
    active = int(np.median(np.diff(MATRIX.indptr)))
    users = np.concatenate([f.outer.users for f in study.user_folds(MATRIX, 3, k=1, least=active)])
    assert sorted(users) == np.flatnonzero(np.diff(MATRIX.indptr) >= active).tolist()


def test_each_split_of_the_folds_is_changed():
    folds = study.item_folds(MATRIX, 2)
    asked = study.each_split(folds, lambda split: split.without(split.candidates[:1]))
    assert [len(f.outer.candidates) for f in asked] == [len(f.outer.candidates) - 1 for f in folds]
    assert all(len(f.nested) == 1 and f.nested[0] is not old.nested[0] for f, old in zip(asked, folds))


@pytest.mark.parametrize("make", [study.item_folds, lambda X, n: study.user_folds(X, n, k=0)])
def test_a_number_of_folds_that_cannot_be_is_refused(make):
    for n in (1, 1000):
        with pytest.raises(ColdstartError, match="folds: expected 2 to"):
            make(MATRIX, n)


# --- Tuning ----------------------------------------------------------------------------------------------------------


def test_the_search_finds_a_peak_far_from_its_start_and_keeps_to_its_trials():
    asked = []

    def value(setting):
        asked.append(dict(setting))
        return -(np.log(setting["a"] / 800) ** 2) - np.log(setting["b"] / 0.02) ** 2

    best = study.pattern_search(value, {"a": 1.0, "b": 1.0}, 40)
    assert best["a"] == pytest.approx(800, rel=0.2) and best["b"] == pytest.approx(0.02, rel=0.2)
    assert len(asked) == 40 and len({tuple(s.values()) for s in asked}) == 40


def test_the_search_stays_where_nothing_helps():
    assert study.pattern_search(lambda setting: 0.0, {"a": 2.0}, 9) == {"a": 2.0}
    assert study.pattern_search(lambda setting: 0.0, {}, 9) == {}


def test_every_method_is_tuned_by_as_many_trials_and_never_on_the_test():
    folds, seen = study.item_folds(MATRIX, 2), []

    def fit(split, **knobs):
        seen.append(any(split is fold.outer for fold in folds))
        return ranking.from_items(np.arange(50.0))

    study.run({"one": study.Arm(fit, {"a": 1.0}), "two": study.Arm(fit, {"a": 1.0, "b": 1.0})}, folds, trials=5, k=3)
    assert seen == ([False] * 5 + [True]) * 4


def test_the_results_say_what_was_chosen():
    folds = study.item_folds(MATRIX, 2)
    K = block_kernels({"kind": KIND})
    methods = {
        "bridge": Transfer(K),
        "neighbours": Neighbours(K),
        "any": study.Arm(lambda s: ranking.from_items(np.zeros(50))),
    }
    results = study.run(methods, folds, trials=3, k=5)
    chosen = study.settings(results)
    assert chosen.shape == (3, 2) and chosen.loc["bridge", 0].startswith("reg ") and chosen.loc["any", 1] == ""
    assert (results["seconds"] > 0).all()


# --- Transfer --------------------------------------------------------------------------------------------------------


def test_transfer_is_blind_to_the_choices_of_new_items():
    fold = study.item_folds(MATRIX, 5)[0].outer
    changed = study.item_folds(MATRIX, 5)[0].outer
    changed.test.data[:] = 7.0
    scores = [Transfer(block_kernels({"kind": KIND})).fit(s, reg=1.0)(s.users, s.candidates) for s in (fold, changed)]
    np.testing.assert_array_equal(*scores)


def test_transfer_of_scores_is_transfer_of_factors():
    split = study.item_folds(MATRIX, 5)[0].outer
    U_V = teacher_scores(split, "ALS")
    P, s, Q = np.linalg.svd(U_V.astype(float), full_matrices=False)
    from coldstart_utils.models.content import bridge

    K = block_kernels({"kind": KIND})
    factors = bridge(K["kind"], Q.T * s, split.warm_items, split.candidates, 2.0)
    found = Transfer(K, teacher="ALS").fit(split, reg=2.0)(np.arange(60), split.candidates)
    np.testing.assert_allclose(found, P @ factors.T, atol=1e-5)


def test_a_block_of_weight_zero_is_not_there_and_an_unknown_teacher_is_refused():
    split = study.item_folds(MATRIX, 5)[0].outer
    K = block_kernels({"kind": KIND, "noise": ANY.random((50, 4))})
    both = Transfer(K, weighted=True)
    assert set(both.knobs) == {"reg", "kind", "noise"}
    alone = Transfer({"kind": K["kind"]}).fit(split, reg=3.0)(split.users, split.candidates)
    np.testing.assert_allclose(both.fit(split, reg=3.0, noise=0.0)(split.users, split.candidates), alone, atol=1e-6)
    with pytest.raises(ColdstartError, match="teacher: expected one of EASE, ALS, choices"):
        Transfer(K, teacher="BPR").fit(split, reg=1.0)
    with pytest.raises(ColdstartError, match="at least one block"):
        Transfer({}).fit(split, reg=1.0)


def test_late_fusion_joins_the_scores_of_one_bridge_a_block():
    split = study.item_folds(MATRIX, 5)[0].outer
    K = block_kernels({"kind": KIND, "noise": ANY.random((50, 4))})
    each = [Transfer({name: K[name]}).fit(split, reg=2.0)(split.users, split.candidates) for name in K]
    for join, expected in (("sum", each[0] + each[1]), ("max", np.maximum(*each))):
        found = LateFusion(K, join).fit(split, reg=2.0)(split.users, split.candidates)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert set(LateFusion(K).knobs) == {"reg"}


# --- Comparing -------------------------------------------------------------------------------------------------------


def test_differences_are_paired():
    noise = ANY.random(200)
    table = study.compare(frame({"base": noise, "better": noise + 0.01}), "base", unit="user")
    # Values vary by 0.3, but every user gains exactly 0.01.
    assert table.loc["better", "diff_low"] == pytest.approx(0.01, rel=1e-9)
    assert table.loc["better", "diff_high"] == pytest.approx(0.01, rel=1e-9)
    assert table.loc["better", "high"] - table.loc["better", "low"] > 0.05
    assert table.loc["base", "difference"] == 0 and table.loc["base", "n"] == 200
    assert table.told["better"] == "+.010 (+.010 to +.010)"


def test_the_bootstrap_agrees_with_the_normal_interval():
    values = ANY.normal(0.3, 0.1, 800)
    row = study.compare(frame({"a": values}), "a", unit="user").iloc[0]
    half = 1.96 * values.std() / np.sqrt(800)
    assert (row["high"] - row["low"]) / 2 == pytest.approx(half, rel=0.1)


def test_over_folds_the_interval_is_that_of_nadeau_and_bengio():
    means = {"a": [0.1, 0.2, 0.3, 0.25, 0.2], "b": [0.2, 0.2, 0.5, 0.4, 0.3]}
    rows = [{"model": m, "fold": f, "user": 0, "ndcg": v} for m, values in means.items() for f, v in enumerate(values)]
    row = study.compare(pd.DataFrame(rows), "a").loc["b"]
    plain = stats.ttest_rel(means["b"], means["a"]).confidence_interval()
    # One fifth is tested, four fifths are learnt from: (1/5 + 1/4) / (1/5) times the variance.
    half = (plain.high - plain.low) / 2 * np.sqrt((1 / 5 + 1 / 4) / (1 / 5))
    assert row["difference"] == pytest.approx(0.11)
    assert (row["diff_low"], row["diff_high"]) == pytest.approx((0.11 - half, 0.11 + half))
    assert row["n"] == 5 and (row["p"] < 0.05) == (row["diff_low"] > 0)


def test_holm_is_the_step_down_of_bonferroni():
    np.testing.assert_allclose(study.holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    assert study.holm(np.array([0.9, 0.8])).max() == 1 and len(study.holm(np.array([]))) == 0


def test_a_claim_must_survive_all_claims_of_its_table():
    rng = np.random.default_rng(1)
    base = rng.normal(size=100)
    gains = {f"luck {n}": base + rng.normal(0.2, 1, 100) for n in range(20)} | {"real": base + rng.normal(1, 1, 100)}
    table = study.compare(frame({"base": base} | gains, folds=1), "base", unit="user")
    alone = (table["diff_low"] > 0).sum()
    assert table.better["real"] and not table.better["base"] and not table["worse"].any()
    assert 1 <= table["better"].sum() < alone


def test_questions_are_pairs_and_correct_each_other():
    rng = np.random.default_rng(2)
    base = rng.normal(size=60)
    results = frame({"a": base, "b": base + rng.normal(0.5, 1, 60), "c": base + rng.normal(0.3, 1, 60)}, folds=1)
    pairs = {"b?": ("b", "a"), "c?": ("c", "a"), "b or c?": ("b", "c"), "no data": ("d", "a")}
    table = study.questions(results, pairs, unit="user")
    alone = study.compare(results[results["model"].isin(["a", "c"])], "a", unit="user").loc["c"]
    assert list(table.index) == ["b?", "c?", "b or c?"]
    assert table.p["c?"] == alone["p"] and table.difference["c?"] == alone["difference"]
    assert table.answer.tolist() == ["Yes" if p < 0.05 else "Not shown" for p in study.holm(table["p"].to_numpy())]


def test_a_model_meets_the_baseline_on_the_folds_that_both_ran():
    whole = frame({"base": np.array([0.1, 0.3, 0.2]), "full": np.array([0.2, 0.4, 0.3])})
    later = pd.DataFrame({"model": "late", "fold": 1, "user": range(3), "ndcg": np.array([0.3, 0.3, 0.3])})
    table = study.compare(pd.concat([whole, later]), "base", unit="user")
    # On fold 1 the base has (0.2, 0.4, 0.3); over both folds its mean would be lower by 0.05.
    assert table.loc["late", "difference"] == pytest.approx(0.0, abs=1e-12)
    assert table.loc["full", "difference"] == pytest.approx(0.1) and list(table.index) == ["base", "full", "late"]


def test_tables_of_the_values_of_a_column_stand_one_below_the_other():
    values = frame({"a": ANY.random(9), "b": ANY.random(9)})
    both = pd.concat([values.assign(shots=3), values.assign(shots=1, ndcg=values["ndcg"] * 2)])
    tables = curves.compare_by(both, "shots", "a", units=("user",))
    assert tables["shots"].tolist() == [3, 3, 1, 1]
    alone, drop = study.compare(values, "a", unit="user"), ["told"]
    assert tables[tables["shots"] == 3].drop(columns=["shots", *drop]).equals(alone.drop(columns=drop))


def test_a_tick_needs_every_unit_and_told_says_so():
    base = ANY.random(40)
    rows = [
        pd.DataFrame({"model": name, "fold": fold, "user": range(40), "ndcg": base + gain, "shots": 1})
        for fold, more in enumerate((0.5, -0.1, 0.2))
        for name, gain in (("a", 0.0), ("b", more))
    ]
    single = curves.compare_by(pd.concat(rows), "shots", "a", units=("user",))
    both = curves.compare_by(pd.concat(rows), "shots", "a", units=("user", "fold"))
    assert single.loc["b", "better"] and not both.loc["b", "better"]
    ticked = [set(map(tuple, table.loc[table["better"], ["model", "shots"]].to_numpy())) for table in (single, both)]
    assert ticked == [{("b", 1)}, set()]
    assert not single.loc["b", "told"].endswith("not shown") and both.loc["b", "told"].endswith("not shown")


def test_a_chosen_number_is_read_back():
    rows = [("m", k, fold, f"noise {k}, silence {fold / 10:.3g}") for k in (1, 5) for fold in (1, 2)]
    results = pd.DataFrame(rows, columns=["model", "shots", "fold", "setting"])
    assert study.chosen(results, "m", "silence", "shots").groupby("shots").median().tolist() == pytest.approx(
        [0.15] * 2
    )


def test_each_value_of_a_column_has_its_own_methods():
    fold = study.item_folds(MATRIX, 2)[:1]
    levels = lambda weight: {"m": study.Arm(lambda split: ranking.from_items(weight * np.arange(50.0)))}  # noqa: E731
    results = study.run_each(levels, "weight", (1, -1), fold, k=5)
    assert results.groupby("weight", sort=False)["ndcg"].mean().index.tolist() == [1, -1]
    assert results["model"].unique().tolist() == ["m"]


def test_it_is_told_where_a_curve_reaches_its_goal():
    rows = [("up", 0, k, k / 10) for k in (1, 3, 5)] + [("goal", 0, k, 0.4) for k in (1, 3, 5)]
    rows += [("up", 1, k, 0.1) for k in (1, 3, 5)] + [("goal", 1, k, 0.4) for k in (1, 3, 5)]
    results = pd.DataFrame(rows, columns=["model", "fold", "shots", "ndcg"])
    assert curves.reached_at(results, "shots", "up", "goal", metric="ndcg") == pytest.approx([4, np.inf])


def test_one_fold_says_nothing_about_folds():
    one = pd.DataFrame({"model": list("ab"), "fold": 0, "user": 0, "ndcg": [0.1, 0.9]})
    table = study.compare(one, "a")
    assert np.isinf(table["diff_low"]).all() and not table["better"].any()


@pytest.mark.parametrize("wrong", [{"baseline": "c"}, {"metric": "speed"}, {"unit": "day"}])
def test_unknown_names_are_refused(wrong):
    with pytest.raises(ColdstartError, match=next(iter(wrong))):
        study.compare(frame({"a": np.ones(3)}), **({"baseline": "a"} | wrong))


def test_a_unit_is_a_column_of_the_results():
    rows = pd.DataFrame({"model": ["a", "b"], "fold": [0, 0], "ndcg": [0.1, 0.2]})
    with pytest.raises(ColdstartError, match="unit: expected 'user' or 'fold', a column of the results, got 'user'"):
        study.compare(rows, "a", unit="user")


@pytest.mark.parametrize(
    ("number", "text"), [(0.0123, "+.012"), (-0.0123, "−.012"), (0.0001, ".000"), (-0.0004, ".000"), (1.5, "+1.500")]
)
def test_numbers_are_told_with_sign_and_without_minus_zero(number, text):
    assert phrases.signed(number) == text


def test_evidence_names_what_rows_share_once():
    rows = frame({"base": np.full(9, 0.1), "one": np.full(9, 0.15), "two": np.full(9, 0.2)}, folds=3)
    table = study.compare(rows, "base")
    one, two = "one 0.250, +.050 (+.050 to +.050)", "two 0.300, +.100 (+.100 to +.100)"
    assert phrases.evidence(table) == f"{one}; {two}; base 0.200 (NDCG, 3 folds)"
    assert phrases.evidence(table.assign(seconds=0.3, times=2.0)) == phrases.evidence(table)  # costs are no evidence
    asked = study.questions(rows, {"a": ("one", "base"), "b": ("two", "one")})
    assert phrases.evidence(asked).split("; ")[1:] == [
        "base 0.200 (NDCG, 3 folds)",
        "two 0.300, +.050 (+.050 to +.050)",
        "one 0.250 (NDCG, 3 folds)",
    ]
    assert phrases.evidence(table.loc["base"]) == ""
    along = curves.compare_by(pd.concat([rows.assign(k=1), rows.assign(k=5)]), "k", "base")
    assert phrases.evidence(curves.rows_at(along, "k", {("one", 5)})) == f"{one}; base 0.200 (NDCG, k 5, 3 folds)"


def test_a_table_is_listed_without_its_baseline():
    table = study.compare(frame({"base": np.full(9, 0.1), "other": np.full(9, 0.15)}, folds=1), "base", unit="user")
    assert phrases.listed(table) == "other 0.150, +.050 (+.050 to +.050)"


# --- Folds of choices, and of new and known items together ---


def test_every_choice_is_hidden_once():
    folds = study.choice_folds(MATRIX, 5, seed=2)
    assert [fold.outer.seed for fold in folds] == list(range(5))
    hidden = sum(fold.outer.test for fold in folds)
    assert hidden.max() == 1 and (hidden > MATRIX.astype(bool)).nnz == 0
    # Only what would leave an item without any training choice is not asked.
    lonely = np.diff(MATRIX.tocsc().indptr)[(MATRIX.astype(bool) > hidden.astype(bool)).nonzero()[1]]
    assert (lonely <= 5).all()
    for fold in folds:
        assert (fold.outer.train + fold.outer.test).nnz <= MATRIX.nnz
        assert fold.nested[0].train.nnz < fold.outer.train.nnz
        assert (fold.nested[0].test > fold.outer.train).nnz == 0


def test_users_spread_their_choices_evenly_over_folds():
    sizes = np.array([np.diff(fold.outer.test.indptr) for fold in study.choice_folds(MATRIX, 4)])
    assert (sizes.max(axis=0) - sizes.min(axis=0)).max() <= 2


def test_joint_folds_rank_new_and_known_items_in_one_list():
    for fold in study.joint_folds(MATRIX, 3):
        for split in (fold.outer, *fold.nested):
            new = np.setdiff1d(split.candidates, split.warm_items)
            assert 0 < len(new) < len(split.candidates)
            assert split.test[:, new].nnz and split.test[:, split.warm_items].nnz
        assert (fold.nested[0].train > fold.outer.train).nnz == 0


def test_choice_folds_refuse_what_cannot_be_dealt_out():
    with pytest.raises(ColdstartError, match="warm_parts"):
        study.choice_folds(MATRIX, 1)


def test_what_is_shown_is_said_in_words():
    rng = np.random.default_rng(3)
    base = rng.normal(size=40)
    results = frame(
        {"base": base, "up": base + 1 + rng.normal(0, 0.1, 40), "same": base + rng.normal(0, 1, 40)}, folds=1
    )
    table = study.compare(results, "base", unit="user")
    assert phrases.shown(table) == f"shown to be better: up {table.told['up']}"
    assert phrases.shown(table.loc[["base", "same"]]) == "none is shown to differ"


def test_the_latest_items_make_a_fold_or_none():
    moments = sparse.csr_matrix((np.arange(1.0, MATRIX.nnz + 1), MATRIX.nonzero()), shape=MATRIX.shape)
    assert study.temporal_fold(MATRIX, moments) is None  # users come one after the other: no item is new so late
    late = sparse.csr_matrix(((MATRIX.nonzero()[1] >= 45) * 1000 + np.arange(1.0, MATRIX.nnz + 1), MATRIX.nonzero()))
    share = (MATRIX.nonzero()[1] >= 45).mean()
    late.resize(MATRIX.shape)
    fold = study.temporal_fold(MATRIX, late)
    assert share < 0.2 and set(range(45, 50)) & set(MATRIX.nonzero()[1]) <= set(fold.outer.candidates)
    assert not np.isin(fold.nested[0].candidates, fold.outer.candidates).any()


def test_holm_over_all_values_of_a_column_is_stricter_and_answers_agree_with_their_ticks():
    rng = np.random.default_rng(3)
    base = rng.normal(size=60)
    parts = [frame({"a": base, "b": base + rng.normal(0.35, 1, 60)}, folds=1).assign(kind=kind) for kind in range(6)]
    alone, shared = (
        curves.compare_by(pd.concat(parts), "kind", "a", units=("user",), together=each) for each in (False, True)
    )
    expected = study.holm(alone.loc["b", "p"].to_numpy()) < 0.05
    assert shared.loc["b", "better"].tolist() == expected.tolist() and expected.sum() < alone.loc["b", "better"].sum()
    assert (shared["answer"] == "Yes").tolist() == shared["better"].tolist()


def test_a_claim_in_several_units_needs_all_of_them():
    base = ANY.random(40)
    rows = [
        pd.DataFrame({"model": name, "fold": fold, "user": range(40), "ndcg": base + gain})
        for fold, more in enumerate((0.5, -0.1, 0.2))
        for name, gain in (("a", 0.0), ("b", more))
    ]
    table = curves.compare_in(pd.concat(rows), "a", units=("user", "fold"))
    assert study.compare(pd.concat(rows), "a", unit="user").better["b"]
    assert not table.better["b"] and table.answer["b"] == "Not shown" and table.told["b"].endswith(", not shown")


def test_answers_say_who_is_ahead_where_only_the_correction_says_no():
    results = frame(
        {"a": np.array([0.10, 0.20, 0.30]), "b": np.array([0.15, 0.27, 0.34]), "c": np.array([0.4, 0.1, 0.2])}
    )
    questions = {"is b better?": ("b", "a"), "c": ("c", "a"), "more": ("c", "b"), "a once more": ("a", "b")}
    table = study.questions(results, questions, unit="user")
    table["answer"], table["unit"], table["n"], table["ahead"] = "Not shown", "fold", 3, [3, 1, 1, 0]
    table["diff_low"], table["diff_high"] = [0.01, -0.3, -0.3, -0.09], [0.09, 0.3, 0.3, -0.01]
    first, second, _, last = phrases.answers(table).splitlines()
    assert first.startswith("- Is b better? **Not shown**, +.053") and "*b* is ahead in 3 of 3 folds" in first
    assert second.startswith("- C: **Not shown**, ") and "ahead" not in second
    assert "*b* is ahead in 3 of 3 folds, but not clearly enough for 4 questions at once." in last
    assert phrases.marked(table).iloc[0] == f"{table.told.iloc[0]}, not shown"
    assert phrases.capital("a B") == "A B" and phrases.capital("") == ""


def test_questions_count_the_folds_that_agree():
    rows = [
        pd.DataFrame({"model": name, "fold": fold, "user": range(5), "ndcg": 0.1 + gain})
        for fold, more in enumerate((0.5, -0.1, 0.2))
        for name, gain in (("a", 0.0), ("b", more))
    ]
    assert study.questions(pd.concat(rows), {"b?": ("b", "a")}).loc["b?", "ahead"] == 2
