"""The recipe without knobs: held-out scores equal refitting, choices repeat, junk does no harm, faults are told."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from typer.testing import CliRunner

from coldstart_utils.book import advice, cli
from coldstart_utils.catalogue.splits import hide_items
from coldstart_utils.ground import ColdstartError
from coldstart_utils.language.context import tfidf
from coldstart_utils.language.encoders import TextEncoder
from coldstart_utils.measure import recipe
from coldstart_utils.measure.choosing import Outcome, Trial, outcome_of, sum_of
from coldstart_utils.measure.newcomers import NOISES, NewcomerRecipe, _best_blend, newcomers
from coldstart_utils.measure.ranking import evaluate, from_items, from_matrix
from coldstart_utils.measure.recipe import Recipe, transfer
from coldstart_utils.measure.study import user_folds
from coldstart_utils.models import carried, held_out
from coldstart_utils.models.carried import Carried, Setting
from coldstart_utils.models.content import bridge
from coldstart_utils.models.likeness import Likeness, alignment, chosen_together, product
from coldstart_utils.models.teachers import ease


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def world():
    """Return X [150, 80] of people and items with three tastes each, and two views of the items' tastes."""
    people, things = rng(1).normal(size=(150, 3)), rng(2).normal(size=(80, 3))
    appeal = people @ things.T + rng(3).normal(size=80)
    X = sparse.csr_matrix((rng(4).random(appeal.shape) < 1 / (1 + np.exp(3 - 1.5 * appeal))).astype(float))
    views = {name: things @ rng(s).normal(size=(3, 8)) + 0.3 * rng(s + 1).normal(size=(80, 8)) for name, s in VIEWS}
    return X, views


VIEWS = (("first view", 5), ("second view", 7))


@pytest.fixture(scope="module")
def split(world):
    return hide_items(world[0], rng(8).permutation(80)[:16])


@pytest.fixture(scope="module")
def fitted(world, split):
    return transfer(split.train, world[1])


# --- Held out ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 6])
def test_what_is_said_without_a_group_equals_refitting_without_it(size):
    X = sparse.csr_matrix((rng().random((60, 25)) < 0.2).astype(float))
    Z = rng(1).normal(size=(25, 5))
    K = Z @ Z.T
    M, P = held_out.student_misses(K, 0.7), held_out.teacher(X, 3.0)
    for group in held_out.random_groups(25, 25 // size):
        W = held_out.student_without(M, group)
        said = X[:, group.others] @ (held_out.teacher_without(P, group).carried(W) + 0.5 * W.T)
        known = X[:, group.others]
        taught = known @ ease(known, 3.0) + 0.5 * known.toarray()
        np.testing.assert_allclose(said, bridge(K, taught.T, group.others, group.items, 0.7).T, atol=1e-12)


def test_groups_cover_every_item_once_and_repeat():
    groups = held_out.random_groups(23, 5, seed=3)
    assert sorted(np.concatenate([group.items for group in groups])) == [*range(23)]
    assert all(set(g.items) | set(g.others) == {*range(23)} for g in groups)
    assert all((a.items == b.items).all() for a, b in zip(groups, held_out.random_groups(23, 5, seed=3)))
    with pytest.raises(ColdstartError, match="2 to 23 parts"):
        held_out.random_groups(23, 1)


def test_inverse_is_one_and_says_where_there_is_none():
    A = rng().normal(size=(9, 9))
    A = A @ A.T + np.eye(9)
    np.testing.assert_allclose(held_out.inverse(A) @ A, np.eye(9), atol=1e-10)
    assert held_out.inverse(A.astype(np.float32)).dtype == np.float32
    with pytest.raises(ColdstartError, match="positive definite"):
        held_out.inverse(-A)


# --- Likeness ---------------------------------------------------------------------------------------------------------


def test_an_item_without_words_is_like_nothing_in_particular():
    X = rng().normal(size=(30, 6))
    X[[4, 5]] = 0
    known = np.arange(20)
    K = Likeness({"a": X}, known).of("a", np.arange(30), np.arange(30))
    assert np.allclose(np.diag(K), 1, atol=1e-6) and np.allclose(K, K.T, atol=1e-6)
    spoken = np.setdiff1d(known, [4, 5])
    np.testing.assert_allclose(K[4, 7], K[np.ix_(spoken, [7])].mean(), atol=1e-6)
    np.testing.assert_allclose(K[4, 5], K[np.ix_(spoken, spoken)].mean(), atol=1e-6)
    assert np.linalg.eigvalsh(K.astype(float)).min() > -1e-5


def test_alignment_finds_the_block_that_made_the_audiences(world):
    X, views = world
    known = np.flatnonzero(np.diff(X.tocsc().indptr))
    likeness = Likeness({**views, "noise": rng(9).normal(size=(80, 8))}, known)
    weights = alignment({n: likeness.of(n, known, known) for n in likeness.features}, chosen_together(X[:, known]))
    assert sum(weights.values()) == pytest.approx(1) and weights["noise"] < 0.05
    K = {"a": np.eye(4, dtype=np.float32)}
    assert alignment(K, np.zeros((4, 4), np.float32)) == {"a": 1.0}


# --- The fit ----------------------------------------------------------------------------------------------------------


SETTING = Setting({"first view": 0.7, "second view": 0.3}, spread=0.8, reg=0.5, penalty=20.0, own=0.3, fame=1.0)


def by_hand(X, views, setting):
    """Return the scores of all new items, each step by what the series has already."""
    warm = np.flatnonzero(np.diff(X.tocsc().indptr))
    new = np.setdiff1d(np.arange(X.shape[1]), warm)
    unit = {name: V / np.linalg.norm(V, axis=1, keepdims=True) for name, V in views.items()}
    K = product(sum(setting.weights[name] * U @ U.T for name, U in unit.items()), setting.spread)
    known = X[:, warm].toarray()
    x = known + setting.fame * known[known.any(axis=1)].mean(axis=0)
    taught = x @ (ease(X[:, warm], setting.penalty) + setting.own * np.eye(len(warm)))
    return bridge(K, taught.T, warm, new, setting.reg).T, new


def test_the_fit_is_bridge_and_ease(world, split):
    expected, new = by_hand(split.train, world[1], SETTING)
    scorer = Carried(split.train, Likeness(world[1], split.warm_items), SETTING)
    np.testing.assert_allclose(scorer(np.arange(150), new), expected, atol=2e-4)
    np.testing.assert_allclose(scorer(np.array([3]), new[::-1]), expected[[3], ::-1], atol=2e-4)


def test_with_all_landmarks_and_tastes_the_low_rank_is_the_whole(world, split):
    expected, new = by_hand(split.train, world[1], SETTING)
    scorer = Carried(split.train, Likeness(world[1], split.warm_items), SETTING, most=10)
    assert not scorer.dense
    np.testing.assert_allclose(scorer(np.arange(150), new), expected, atol=2e-2)


def test_what_others_ask_for_meanwhile_is_not_answered(world, split):
    whole = Carried(split.train, Likeness(world[1], split.warm_items), SETTING)._parts
    choices, ours, theirs = split.train[:, split.warm_items], split.candidates[:5], split.candidates[5:9]
    first = whole.scores(choices, ours)

    class Interrupted(np.ndarray):
        def tobytes(self):
            whole.scores(choices, theirs)
            return np.asarray(self).tobytes()

    np.testing.assert_allclose(whole.scores(choices, ours.view(Interrupted)), first)


def test_a_stored_zero_is_no_choice(world, split):
    train, new = split.train.tolil(), split.candidates[0]
    train[0, new] = 1
    stored = train.tocsr()
    stored.data[(stored.tocoo().row == 0) & (stored.tocoo().col == new)] = 0
    scorer = Carried(stored, Likeness(world[1], split.warm_items), SETTING)
    assert scorer.warm.tolist() == split.warm_items.tolist()


def test_someone_without_choices_gets_the_average_list(world, split):
    train = split.train.tolil()
    train[0] = 0
    scorer = Carried(train.tocsr(), Likeness(world[1], split.warm_items), SETTING)
    scores = scorer(np.arange(150), split.candidates)
    assert np.corrcoef(scores[0], scores[1:].mean(axis=0))[0, 1] > 0.99


def test_memory_is_told_before_it_is_taken(world, split, monkeypatch):
    monkeypatch.setattr(carried, "_free_memory", lambda: 1000)
    with pytest.raises(ColdstartError, match="GB of memory"):
        Carried(split.train, Likeness(world[1], split.warm_items), SETTING)
    monkeypatch.setattr(recipe, "_chosen", lambda *_: pytest.fail("searched before memory was asked for"))
    with pytest.raises(ColdstartError, match="GB of memory"):
        transfer(split.train, world[1])
    monkeypatch.setattr(carried, "_free_memory", lambda: None)
    Carried(split.train, Likeness(world[1], split.warm_items), SETTING)


# --- The choice -------------------------------------------------------------------------------------------------------


def test_an_outcome_is_the_ndcg_of_a_full_ranking(world):
    X, _ = world
    known = np.flatnonzero(np.diff(X.tocsc().indptr))
    trial = Trial(X[:, known].astype(np.float32), {"a": np.eye(len(known), dtype=np.float32)})
    asked = trial.asked[0]
    scores = rng().normal(size=(150, len(asked.group.items))).astype(np.float32)
    S = np.zeros((150, len(known)))
    S[:, asked.group.items] = scores
    expected = evaluate({"": from_matrix(S)}, hide_items(X[:, known], asked.group.items))["ndcg"].mean()
    assert asked.outcome(scores, len(known)).mean == pytest.approx(expected)


def test_a_gain_that_hangs_on_one_item_is_no_gain():
    flat = Outcome(np.full(50, 0.2), np.full(100, 0.1), 100)
    wide = Outcome(np.full(50, 0.21), np.full(100, 0.105), 100)
    lucky = replace(flat, items=np.r_[0.7, np.full(49, 0.2)])
    assert wide.beats(flat) and not flat.beats(wide) and not flat.beats(flat)
    assert lucky.mean == pytest.approx(wide.mean) and lucky.beats(flat) and not lucky.beats(flat, sure=1.5)


def test_ties_share_their_places_inside_the_list_and_beyond_it():
    scores = np.zeros((2, 40), np.float32)
    scores[0, :3] = 2, 1, 1  # the second of two that tie; in row 1 all forty tie for twenty places
    found = outcome_of(scores, np.array([0, 1]), np.array([2, 7]), np.arange(40), 40)
    assert found.users == pytest.approx([1 / np.log2(1.5 + 2), 1 / np.log2(19.5 + 2)])
    assert found.mean == pytest.approx(found.users.mean())


def test_a_setting_far_behind_is_given_up_in_the_race(world):
    X, views = world
    known = np.flatnonzero(np.diff(X.tocsc().indptr))
    likeness = Likeness({**views, "noise": rng(9).normal(size=(80, 8))}, known)
    trial = Trial(X[:, known].astype(np.float32), {n: likeness.of(n, known, known) for n in likeness.features})
    good = Setting({"first view": 1.0, "second view": 1.0, "noise": 0.0})
    bad = replace(good, weights={"first view": 0.0, "second view": 0.0, "noise": 1.0})
    best = trial.outcomes(good)[good.own, good.fame]
    alone = trial.outcomes(bad)
    assert sum_of(best).mean > sum_of(alone[bad.own, bad.fame]).mean + 0.1
    assert trial.outcomes(bad, best) == {} and len(trial.outcomes(good, best)) == len(alone)


def test_the_choice_repeats_and_gains(world, split, fitted):
    again = transfer(split.train, world[1])
    assert again.setting == fitted.setting and again.tried == fitted.tried and again.told == fitted.told
    users = np.arange(150)
    np.testing.assert_array_equal(again(users, split.candidates), fitted(users, split.candidates))
    assert fitted.after >= fitted.before > 0
    assert "first view" in fitted.told and f"out of {fitted.tried} settings" in fitted.told


def test_an_irrelevant_block_does_no_harm(world, split, fitted):
    noisy = transfer(split.train, {**world[1], "noise": rng(10).normal(size=(80, 8))})
    scores = evaluate({"with": noisy, "without": fitted}, split).groupby("model")["ndcg"].mean()
    assert scores["with"] >= scores["without"] - 0.003
    weights = noisy.setting.weights
    assert weights["noise"] < 0.1 * sum(weights.values())


def test_it_beats_chance_and_runs_as_a_method(world, split):
    method = Recipe(world[1])
    assert method.knobs == {}
    found = evaluate({"recipe": method.fit(split), "chance": from_matrix(rng().random((150, 80)))}, split)
    means = found.groupby("model")["ndcg"].mean()
    assert means["recipe"] > means["chance"] + 0.1


@pytest.mark.parametrize(
    "change",
    [
        lambda X: X.astype(np.int8).toarray() > 0,
        lambda X: (3 * X).tocsc().astype(np.float32).tocoo(),
    ],
)
def test_any_kind_of_number_gives_the_same(world, split, fitted, change):
    views = {name: block.astype(np.float32) for name, block in world[1].items()}
    other = transfer(change(split.train), {"first view": sparse.coo_matrix(views.pop("first view")), **views})
    assert other.setting.spread == fitted.setting.spread and other.setting.reg == fitted.setting.reg
    users = np.arange(150)
    np.testing.assert_allclose(other(users, split.candidates), fitted(users, split.candidates), atol=1e-3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda X, b: (X, {}), "at least one block"),
        (lambda X, b: (X, [*b.values()]), "at least one block"),
        (lambda X, b: (X, {**b, "short": np.ones((7, 2))}), "one row an item"),
        (lambda X, b: (X, {"short": np.ones((7, 2))}), "80 items and the blocks have 7 rows|row numbers"),
        (lambda X, b: (X, {"a": np.full((80, 2), np.nan)}), "finite"),
        (lambda X, b: (X, {"a": np.full((80, 2), "x")}), "expected numbers"),
        (lambda X, b: (X, {"a": np.zeros((80, 2))}), "none of them says anything"),
        (lambda X, b: (sparse.csr_matrix(X.shape), b), "at least 10 items that somebody chose, got 0"),
        (lambda X, b: (np.full(X.shape, np.nan), b), "finite"),
    ],
)
def test_faults_are_told_in_a_sentence(world, change, said):
    with pytest.raises(ColdstartError, match=said):
        transfer(*change(*world))


# --- New users --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def people(world):
    """Return what a study asks of new users at k = 0, 1 and 5, and profiles that say something of their tastes."""
    X, _ = world
    tastes = rng(1).normal(size=(150, 3))  # as in `world`
    asked = {k: user_folds(X, 5, k=k, least=7)[0].outer for k in (0, 1, 5)}
    return asked, {"tastes": tastes @ rng(20).normal(size=(3, 6)) + 0.3 * rng(21).normal(size=(150, 6))}


def test_profiles_help_at_first_and_choices_from_then_on(people):
    asked, profiles = people
    told, untold = newcomers(asked[0].train, profiles), newcomers(asked[0].train)
    means = {}
    for k, split in asked.items():
        scorers = {
            "profile": lambda u, i, split=split: told.scores(u, split.support[u], i),
            "none": lambda u, i, split=split: untold.scores(u, split.support[u], i),
            "popular": from_items(split.item_counts),
        }
        means[k] = evaluate(scorers, split).groupby("model")["ndcg"].mean()
    assert means[0]["none"] == pytest.approx(means[0]["popular"], abs=0.01)
    assert means[0]["profile"] > means[0]["popular"] + 0.05
    assert means[5]["none"] > means[5]["popular"]
    assert "like profile" in told.told and "all people" in untold.told


def test_new_users_repeat_run_as_a_method_and_fit_by_hand(people):
    split = people[0][5]
    first, second = newcomers(split.train), newcomers(split.train)
    assert (first.few, first.more, first.after) == (second.few, second.more, second.after)
    train = split.train[np.flatnonzero(np.diff(split.train.indptr))]
    chosen, own = first.more, split.support[split.users]
    by_hand = own @ ease(train, chosen.penalty) + chosen.weight * np.asarray(train.mean(axis=0))
    by_hand += chosen.share * first.belief.scores(own, chosen.noise)
    found = NewcomerRecipe().fit(split)(split.users, np.arange(80))
    np.testing.assert_allclose(found, by_hand, atol=1e-4)


def test_one_choice_and_five_are_answered_by_their_own_blend(people):
    split = people[0][5]
    fitted = newcomers(split.train)
    same = replace(fitted, few=fitted.more)
    five, one = split.support[split.users], sparse.csr_matrix(people[0][1].support[split.users])
    users, items = split.users, np.arange(80)
    np.testing.assert_array_equal(fitted.scores(users, five, items), same.scores(users, five, items))
    other = replace(fitted, more=replace(fitted.more, weight=7.0))
    np.testing.assert_array_equal(fitted.scores(users, one, items), other.scores(users, one, items))
    assert not np.allclose(fitted.scores(users, five, items), other.scores(users, five, items))


def test_the_posterior_comes_in_where_it_helps():
    own, guess = sparse.csr_matrix(np.eye(30)), np.zeros((30, 30), np.float32)
    wanted = sparse.csr_matrix(np.roll(np.eye(30), 1, axis=1))
    said = {3.0: np.asarray(rng(1).normal(size=(30, 30)), np.float32)}
    right = np.asarray(5 * wanted.toarray(), np.float32)
    blend, value = _best_blend(said, guess, dict.fromkeys(NOISES, right), (own, wanted))
    assert blend.share > 0 and value > 0.9
    without, _ = _best_blend({3.0: right}, guess, dict.fromkeys(NOISES, said[3.0]), (own, wanted))
    assert without.share == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda X, b: (sparse.csr_matrix(X.shape), b), "at least 10 users who chose something, got 0"),
        (lambda X, b: (X, {"a": np.ones((7, 2))}), "row numbers"),
        (lambda X, b: (X, {"a": np.ones((151, 2))}), "150 users and the profiles have 151 rows"),
        (lambda X, b: (X, {"a": np.full((150, 2), np.inf)}), "finite"),
    ],
)
def test_faults_about_people_are_told_in_a_sentence(people, change, said):
    with pytest.raises(ColdstartError, match=said):
        newcomers(*change(people[0][0].train, people[1]))


# --- Advice -----------------------------------------------------------------------------------------------------------


def write_world(folder, X, words):
    pairs = sparse.coo_matrix(X)
    lines = [f"u{u}\ti{i}" for u, i in zip(pairs.row, pairs.col)]
    (folder / f"{folder.name}.inter").write_text("user_id:token\titem_id:token\n" + "\n".join(lines) + "\n")
    items = [f"i{i}\t{title}" for i, title in enumerate(words)]
    (folder / f"{folder.name}.item").write_text("item_id:token\ttitle:token_seq\n" + "\n".join(items) + "\n")


@pytest.fixture
def titled(world):
    """Return a title an item, whose words say which tastes it meets."""
    things = rng(2).normal(size=(80, 3))
    return [" ".join(w[int(t > 0)] for w, t in zip(WORDS, thing)) + f" {n}" for n, thing in enumerate(things)]


WORDS = (("quiet", "loud"), ("blue", "red"), ("short", "long"))


def test_advice_counts_measures_and_says_what_to_try(tmp_path, world, titled, monkeypatch):
    monkeypatch.setattr(TextEncoder, "encode", lambda self, texts: tfidf(texts).toarray())  # no weights are loaded
    folder = tmp_path / "shop"
    folder.mkdir()
    write_world(folder, world[0], titled)
    result = CliRunner().invoke(cli.app, ["advise", str(folder)])
    assert result.exit_code == 0, result.output
    for words in ("150 users, 80 items", "words an item", "fewer than five", "recipe without knobs", "Try "):
        assert words in result.output


@pytest.mark.parametrize("kind", ["missing", "empty", "no text", "tiny"])
def test_advice_on_a_bad_folder_is_one_sentence(tmp_path, world, kind):
    folder = tmp_path / "shop"
    if kind != "missing":
        folder.mkdir()
    if kind in ("no text", "tiny"):
        write_world(folder, world[0] if kind == "no text" else world[0][:3, :4], ["a"] * 80)
    if kind == "no text":
        (folder / "shop.item").unlink()
    result = CliRunner().invoke(cli.app, ["advise", str(folder)])
    assert result.exit_code == 1
    last = result.output.strip().splitlines()[-1]
    assert last.startswith("coldstart: ") and "Traceback" not in result.output


def test_advice_recommends_by_what_was_shown():
    counted = advice.Numbers(10, 20, 30, 5.0, 0.6, 0.1)
    table = pd.DataFrame(
        {"mean": [0.2, 0.3], "better": [False, False], "worse": [True, False]}, ["ridge on words", advice.RECIPE]
    )
    assert "Try `transfer" in advice.Advice("shop", counted, table, "").first
    assert "not shown" in advice.Advice("shop", counted, table.assign(worse=False), "").first
    behind = table.assign(worse=False, better=[True, False], mean=[0.4, 0.3])
    assert advice.Advice("shop", counted, behind, "").first.startswith("Try ridge on words first: the recipe is behind")
