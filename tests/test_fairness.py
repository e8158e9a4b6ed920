"""Penalties on groups, erasure of a concept, and tables of groups: against other ways to compute them."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from coldstart_utils.book import consequences, consequences_told
from coldstart_utils.catalogue.atomic import read_atomic
from coldstart_utils.catalogue.dataset import Dataset
from coldstart_utils.ground import ColdstartError
from coldstart_utils.measure import groups, ranking, study
from coldstart_utils.models import erasure, parity
from coldstart_utils.models.content import bridge


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    Z, Y, members = rng.normal(size=(30, 4)), rng.normal(size=(24, 12)), np.arange(12) < 5
    return Z, Z @ Z.T, Y, np.arange(24), np.arange(24, 30), members


def by_brute_force(Z, Y, warm, new, reg, members, weight, aim):
    """Solve the normal equations of all users at once, with an intercept that is not penalised."""
    c = parity.contrast(members)
    c = c / np.linalg.norm(c)
    D = np.column_stack([np.ones(len(Z)), Z - Z[warm].mean(axis=0)])
    penalty = reg * np.diag([0.0, *np.ones(Z.shape[1])])
    users, d = Y.shape[1], D.shape[1]
    G = np.eye(users) + weight * np.outer(c, c)
    # W [d, users]: DᵀD W G + penalty W = DᵀY (the target of 'equal errors' is weighted as the loss is).
    right = D[warm].T @ Y @ (G if aim == "equal errors" else np.eye(users))
    left = np.kron(D[warm].T @ D[warm], G.T) + np.kron(penalty, np.eye(users))
    W = np.linalg.solve(left, right.ravel()).reshape(d, users)
    return D[new] @ W


@pytest.mark.parametrize("aim", parity.AIMS)
@pytest.mark.parametrize("weight", [0.0, 0.5, 20.0])
def test_the_closed_form_is_the_minimum(problem, aim, weight):
    Z, K, Y, warm, new, members = problem
    fair = parity.fair_bridge(K, Y, warm, new, 2.0, members, weight, aim)
    assert fair == pytest.approx(by_brute_force(Z, Y, warm, new, 2.0, members, weight, aim), abs=1e-8)


def test_without_weight_it_is_the_bridge_and_with_much_groups_get_the_same(problem):
    _, K, Y, warm, new, members = problem
    plain = bridge(K, Y, warm, new, 2.0)
    assert parity.fair_bridge(K, Y, warm, new, 2.0, members, 0.0, "equal scores") == pytest.approx(plain)
    heavy = parity.fair_bridge(K, Y, warm, new, 2.0, members, 1e9, "equal scores")
    before, after = (parity.gaps(F.T, np.zeros((12, 6)), members) for F in (plain, heavy))
    assert after["score gap"] < 1e-6 < before["score gap"]
    # Within a group nothing changes but its mean.
    inside = heavy[:, members] - plain[:, members]
    assert np.ptp(inside, axis=1).max() < 1e-9


def test_equal_errors_learns_the_difference_of_groups_instead_of_shrinking_it():
    rng = np.random.default_rng(1)
    Z, members = rng.normal(size=(60, 3)), np.arange(40) < 20
    Y = Z @ rng.normal(size=(3, 1)) * members + 0.1 * rng.normal(size=(60, 40))
    warm, new = np.arange(40), np.arange(40, 60)
    found = {
        aim: parity.gaps(parity.fair_bridge(Z @ Z.T, Y[warm], warm, new, 50.0, members, 30.0, aim).T, Y[new].T, members)
        for aim in parity.AIMS
    }
    assert found["equal errors"]["error gap"] < 0.2 * found["equal scores"]["error gap"]
    assert found["equal scores"]["score gap"] < 0.2 * found["equal errors"]["score gap"]


@pytest.mark.parametrize(
    "change, match",
    [
        ({"members": np.arange(12) == 0}, "two users or more on each side, got 1 and 11"),
        ({"members": np.ones(12, bool)}, "got 12 and 0"),
        ({"members": np.ones(12)}, "expected a mask of users"),
        ({"members": np.arange(5) < 2}, "mask of 12 users"),
        ({"weight": -1.0}, "weight: expected a number of 0 or more"),
        ({"aim": "justice"}, "aim: expected one of equal scores, equal errors, got 'justice'"),
    ],
)
def test_what_is_no_group_is_refused_in_a_sentence(problem, change, match):
    _, K, Y, warm, new, members = problem
    asked = {"members": members, "weight": 1.0, "aim": "equal scores"} | change
    with pytest.raises(ColdstartError, match=match):
        parity.fair_bridge(K, Y, warm, new, 2.0, **asked)


# --- Erasure ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def told():
    rng = np.random.default_rng(2)
    concept = rng.integers(2, size=400)
    X = rng.normal(size=(400, 6)) @ rng.normal(size=(6, 6))
    X[:, :2] += 2 * concept[:, None]
    return X, concept


def test_no_linear_function_is_correlated_with_what_was_erased(told):
    X, concept = told
    erased = erasure.leace(X, concept)(X)
    assert np.abs(np.cov(erased.T, concept)[-1, :-1]).max() < 1e-9
    assert np.abs(np.cov(X.T, concept)[-1, :-1]).max() > 0.3
    # Twice is once.
    assert erasure.leace(X, concept)(erased) == pytest.approx(erased)


def test_it_moves_less_than_the_projection_that_also_erases(told):
    X, concept = told
    moved = np.square(erasure.leace(X, concept)(X) - X).sum()
    across = np.cov(X.T, concept)[-1, :-1]
    across /= np.linalg.norm(across)
    plain = np.outer((X - X.mean(axis=0)) @ across, across)
    assert np.abs(np.cov((X - plain).T, concept)[-1, :-1]).max() < 1e-9
    assert moved < np.square(plain).sum()


def test_the_map_is_that_of_the_paper(told):
    X, concept = told
    one = erasure.leace(X, concept)
    centred, z = X - X.mean(axis=0), concept - concept.mean()
    values, axes = np.linalg.eigh(centred.T @ centred / len(X))
    W = axes @ np.diag(values**-0.5) @ axes.T
    seen = W @ (centred.T @ z / len(X))
    assert one.map == pytest.approx(np.linalg.inv(W) @ np.outer(seen, seen) / (seen @ seen) @ W)


def test_groups_as_columns_take_out_one_direction_less_than_there_are_groups(told):
    X, concept = told
    kind = concept + (X[:, 3] > 0)
    columns = np.eye(3)[kind]
    one, other = erasure.leace(X, columns), erasure.leace(X, columns[:, :2])
    assert np.linalg.matrix_rank(one.map, tol=1e-8) == 2
    assert one.map == pytest.approx(other.map)
    assert np.abs(np.cov(one(X).T, columns.T)[:6, 6:]).max() < 1e-9


def test_directions_without_spread_do_no_harm(told):
    X, concept = told
    erased = erasure.leace(np.column_stack([X, X[:, 0], np.ones(400)]), concept)(
        np.column_stack([X, X[:, 0], np.ones(400)])
    )
    assert np.isfinite(erased).all() and np.abs(np.cov(erased.T, concept)[-1, :-1]).max() < 1e-8


@pytest.mark.parametrize(
    "concept, match", [(np.ones(400), "got a constant"), (np.zeros(3), "a concept for each of 400 vectors, got 3")]
)
def test_a_concept_that_says_nothing_is_refused(told, concept, match):
    with pytest.raises(ColdstartError, match=match):
        erasure.leace(told[0], concept)
    with pytest.raises(ColdstartError, match="expected vectors that differ"):
        erasure.leace(np.ones((400, 3)), told[1])


# --- Groups ----------------------------------------------------------------------------------------------------------


def catalogue():
    rng = np.random.default_rng(0)
    n = 200
    users = pd.DataFrame(
        {
            "user_id": [str(u) for u in range(n)], "age": [str(18 + u % 50) for u in range(n)],
            "gender": ["M" if u % 3 else "F" for u in range(n)],
            "occupation": ["student" if u % 2 else "other" if u % 4 else "nurse" for u in range(n)],
        }
    )  # fmt: skip
    user = np.repeat(np.arange(n), 1 + np.arange(n) % 12)
    table = pd.DataFrame({"user": user, "item": rng.integers(40, size=len(user))}).drop_duplicates()
    items = pd.DataFrame({"item_id": [str(i) for i in range(40)]})
    return Dataset("made", table, items, users, pd.DataFrame(), pd.DataFrame())


def test_groups_are_large_enough_to_speak_of():
    kinds = groups.groups_of_users(catalogue(), least=40)
    assert set(kinds) == {"age", "gender", "occupation", "choices"}
    assert set(kinds["occupation"].dropna()) == {"student", "nurse"}
    assert kinds["gender"].value_counts().to_dict() == {"M": 133, "F": 67}
    assert all(values.value_counts().min() >= 25 for values in kinds.values())
    few = dataclasses.replace(catalogue(), users=catalogue().users.assign(gender=["F", *["M"] * 199]))
    assert "gender" not in groups.groups_of_users(few)


def test_where_all_chose_equally_often_halves_are_made_by_rank():
    made = catalogue()
    pairs = pd.DataFrame(
        [(user, (user + step) % 40) for user in range(200) for step in range(3)], columns=["user", "item"]
    )
    bare = dataclasses.replace(made, users=made.users[["user_id"]], interactions=pairs)
    (halves,) = groups.groups_of_users(bare).values()
    assert halves.value_counts().to_dict() == {"fewer": 100, "more": 100}


def test_a_group_that_is_served_worse_is_found_and_noise_is_not():
    rng, kinds = np.random.default_rng(0), groups.groups_of_users(catalogue())
    rows = [
        (fold, user, rng.normal(0.3 - 0.1 * (kinds["gender"][user] == "F"), 0.05))
        for fold in range(5)
        for user in range(200)
    ]
    results = pd.DataFrame(rows, columns=["fold", "user", "recall"])
    results["error"] = 1 - results["recall"]
    both = groups.by_group(results, kinds)
    table, errors = (both[both["metric"] == metric].set_index("model") for metric in ("recall", "error"))
    # More recall is better, less error too.
    assert errors.loc["F", "worse"] and errors.loc["F", "difference"] == pytest.approx(-table.loc["F", "difference"])
    told = consequences_told.served(both)
    assert "**By recall**, served worse: gender F; better: gender M (Holm" in told
    listed = consequences_told.of_groups(both)
    assert listed.loc["gender F", "recall, to others"].endswith(", worse") and len(listed) == len(table)
    assert len(consequences.by_group(both).axes) == 2
    assert table.loc["F", "worse"] and table.loc["M", "better"]
    assert table.loc["F", "difference"] == pytest.approx(-0.1, abs=0.01)
    others = table.drop(["F", "M"])
    assert not (others["better"] | others["worse"]).any()
    assert (table["diff_low"] < table["difference"]).all() and table.loc["F", "n"] == 67


def test_the_error_of_a_user_is_the_share_of_pairs_in_the_wrong_order():
    X = catalogue().matrix()
    folds = study.item_folds(X, 2)
    scores = np.random.default_rng(0).random(X.shape)
    found = groups.served([ranking.from_matrix(scores)] * 2, folds, k=5)
    split, row = folds[1].outer, found[found["fold"] == folds[1].outer.seed].iloc[7]
    own = scores[int(row["user"]), split.candidates]
    chosen = split.test[int(row["user"]), split.candidates].toarray()[0] > 0
    assert row["error"] == pytest.approx((own[chosen][:, None] < own[~chosen]).mean())
    assert found["error"].mean() == pytest.approx(0.5, abs=0.05)


def test_without_a_group_there_is_no_table():
    results = pd.DataFrame({"fold": [0, 1], "user": [0, 0], "recall": [0.1, 0.2], "error": [0.1, 0.2]})
    with pytest.raises(ColdstartError, match="at least one kind of group"):
        groups.by_group(results, {})


def test_places_in_proportion_are_one():
    X = catalogue().matrix()
    folds = study.item_folds(X, 2)
    flat = [ranking.from_matrix(np.random.default_rng(0).random(X.shape)) for _ in folds]
    table = groups.places(flat, folds, {"all": np.ones(40, bool), "half": np.arange(40) < 20}, k=5).set_index("model")
    assert table.loc["all", ["items", "choices", "multiple"]].tolist() == pytest.approx([1, 1, 1])
    assert table.loc["half", "places"] == pytest.approx(0.5, abs=0.15) and not table.loc["all", "shown"]


def test_a_catalogue_of_ones_own_with_origin_and_people_has_groups(write_atomic):
    item = "item_id:token|origin:token|people:token\n" + "".join(f"i{n}|France|A B\n" for n in range(4))
    own = read_atomic(write_atomic(inter="user_id:token|item_id:token\nu|i0\n", item=item))
    assert list(groups.groups_of_items(own)) == ["the first half", "the second half"]


def test_there_is_one_scorer_a_fold():
    X = sparse.csr_matrix(np.random.default_rng(0).random((30, 30)) < 0.4)
    folds = study.item_folds(X, 3)
    scorer = ranking.from_items(np.arange(30.0))
    for ask in (groups.served, lambda one, all_: groups.places(one, all_, {"half": np.arange(30) < 15})):
        with pytest.raises(ValueError, match="longer"):
            ask([scorer], folds)


def test_sides_are_the_later_half_of_groups_in_their_order():
    kinds = {
        "age": pd.Series(["9 to 20", "21 to 30", "31 or more", "21 to 30", np.nan]),
        "gender": pd.Series(["M", "F", "M", np.nan, "F"]),
        "occupation": pd.Series(["nurse", "clerk", "nurse", "nurse", "clerk"]),
    }
    sides = {kind: mask.tolist() for kind, mask in groups.two_sides(kinds).items()}
    assert sides == {"age": [False, False, True, False, False], "gender": [True, False, True, False, False]}


def test_items_are_grouped_by_origin_and_maker_by_genre_or_by_place():
    films = pd.DataFrame(
        {
            "item_id": list("abcde"), "year": ["1990", "1980", "1985", "", "1970"],
            "origin": ["USA; English", "UK; English", "France; French", "", "USA; English"],
            "people": ["Ann; Bob", "Ann", "Cid", "Dee", ""], "genres": ["War", "War Drama", "Drama", "War", ""],
        }
    )  # fmt: skip
    made, films = catalogue(), films.assign(synopsis="", keywords="")

    def found(columns):
        own = groups.groups_of_items(dataclasses.replace(made, items=films[columns]))
        return {name: "".join(films["item_id"][mask]) for name, mask in own.items()}

    # Groups of one item, here the British film, the French one and the maker's later one, are left out.
    assert found([*films]) == {"USA": "ae", "a maker's first here": "bc"}
    assert found(["item_id", "genres"]) == {"War": "abd", "Drama": "bc"}
    halves = {"the first half": "ab", "the second half": "cde"}
    assert found(["item_id"]) == halves
    films["genres"] = "War"  # of every film: it parts nothing
    assert found(["item_id", "genres"]) == halves


def test_the_interval_of_two_groups_is_that_of_scipy():
    rng = np.random.default_rng(5)
    one, other = rng.normal(0.2, 1, 30), rng.normal(0, 3, 80)
    half, p = groups.welch(one, other)
    test = stats.ttest_ind(one, other, equal_var=False)
    low, high = test.confidence_interval()
    assert (half, p) == pytest.approx(((high - low) / 2, test.pvalue))
    assert groups.welch(np.ones(4), np.ones(5)) == (0.0, 1.0) and groups.welch(np.ones(4), np.zeros(5)) == (0.0, 0.0)
    assert groups.welch(one[:1], other) == (0.0, 1.0)


def test_bought_places_go_to_the_group_and_cost_what_its_members_are_worth():
    X = catalogue().matrix()
    fold, members = study.item_folds(X, 2)[:1], np.arange(40) % 2 == 0
    truth = [ranking.from_matrix(X.toarray() + np.random.default_rng(0).random(X.shape) / 9)]
    rows = groups.priced(truth, fold, members, (0, 2, 5), k=5)
    means = rows.groupby("dial")["ndcg"].mean()
    plain = ranking.evaluate({"": truth[0]}, fold[0].outer, k=5)["ndcg"].mean()
    assert means[0.0] == pytest.approx(plain) and means[5.0] < means[0.0] - 0.1
    assert means.is_monotonic_decreasing and rows["model"].unique().tolist() == ["0", "2", "5"]
