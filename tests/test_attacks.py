"""Texts that owners hand in, rankers that read them, fake profiles, and the game of all owners."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from coldstart_utils.book import attacks_told, consequences
from coldstart_utils.catalogue.movielens import package_table
from coldstart_utils.catalogue.sources import load_dataset
from coldstart_utils.catalogue.splits import cold_items
from coldstart_utils.ground import ColdstartError
from coldstart_utils.language import attacks
from coldstart_utils.language.storefront import RANKERS, Storefront, cut
from coldstart_utils.measure.phrases import signed
from coldstart_utils.models import evidence, owners, shilling
from coldstart_utils.models.content import bridge, doubt
from coldstart_utils.whatif import attack

WORDS = ["ship", "space", "robot", "star", "love", "kiss", "wedding", "dance", "gun", "cop", "heist", "chase"]


class Letters:
    """Stands for an encoder: counts of letters, scaled."""

    def encode(self, texts):
        counts = np.array([[text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts])
        return (counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1)).astype(np.float32)


@pytest.fixture(scope="module")
def shop():
    rng = np.random.default_rng(0)
    kind = np.arange(90) % 3
    texts = [" ".join(rng.choice(WORDS[4 * k : 4 * k + 4], size=6)) + f" film{i}" for i, k in enumerate(kind)]
    fame = np.where(kind == 0, 0.5, 0.15) * rng.uniform(0.5, 1.5, 90)
    X = sparse.csr_matrix(rng.random((60, 90)) < fame * (0.6 + 0.8 * (np.arange(60)[:, None] % 3 == kind)))
    tags = sparse.csr_matrix(np.eye(3)[kind])
    return Storefront(cold_items(X, 0), texts, tags, Letters(), reg=1.0, k=4)


def test_only_a_new_item_stands_in_the_window(shop):
    known = int(shop.warm[0])
    for ask in (shop.exposure, shop.reach):
        with pytest.raises(ColdstartError, match=f"expected one of the 18 new items, got {known}"):
            ask(known, [shop.texts[known]], "words")


def test_texts_of_single_signs_or_small_words_can_be_read_and_of_marks_cannot(shop):
    for sign in ("x", "the"):
        plain = dataclasses.replace(shop, texts=[f"{sign} {'y' if n % 2 else 'of'}" for n in range(90)])
        assert len(plain.vocabulary) >= 2
    with pytest.raises(ColdstartError, match="storefront: expected texts with words in them"):
        _ = dataclasses.replace(shop, texts=["?!"] * 90).vocabulary


# --- Rankers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ranker", RANKERS)
def test_a_ranker_is_the_bridge_of_its_blocks(shop, ranker):
    everything = np.arange(90)
    blocks = [shop.block(name, everything, shop.texts) for name in RANKERS[ranker]]
    K = sum(np.asarray((b @ b.T).todense() if sparse.issparse(b) else b @ b.T, float) for b in blocks)
    expected = bridge(K, shop.targets, shop.warm, shop.new, shop.reg)
    found = shop.rows(shop.new, [shop.texts[i] for i in shop.new], ranker)
    assert found == pytest.approx(expected, abs=1e-4)
    one = int(shop.new[3])
    assert shop.promise(one, [shop.texts[one]], ranker) == pytest.approx(found[3].mean(), abs=1e-5)


def test_exposure_is_the_share_of_lists(shop):
    item, place = int(shop.new[5]), 5
    scores = shop.lists("words")
    lists = np.argsort(-scores, axis=1, kind="stable")[:, : shop.k]
    assert shop.exposure(item, [shop.texts[item]], "words")[0] == pytest.approx((lists == place).any(axis=1).mean())
    assert cut(np.array([[3.0, 1, 2]]), 2) == 2


def test_push_is_what_a_word_adds_to_the_mean_score(shop):
    item = int(shop.new[0])
    rows = shop.words_of([shop.texts[item], ""])
    adds = float((rows @ shop.push)[0] - (rows @ shop.push)[1])
    found = shop.promise(item, [shop.texts[item], ""], "words")
    assert found[0] - found[1] == pytest.approx(adds, abs=1e-4)


def test_a_cap_bounds_what_a_word_adds(shop):
    capped = shop.capped(shop.word_rows, shop.cap)
    adds = capped.data * shop.push[capped.indices]
    assert adds.max() <= shop.cap + 1e-9
    small = shop.word_rows.data * shop.push[shop.word_rows.indices] <= shop.cap
    assert (capped.data[small] == shop.word_rows.data[small]).all()


def test_levelled_text_says_to_whom_and_not_to_how_many(shop):
    item = int(shop.new[0])
    texts = [shop.texts[item], attacks.stuffed(shop, shop.texts[item])]
    levelled = shop.levelled(np.full(2, item), texts)
    assert np.ptp(levelled.mean(axis=1)) < 1e-5
    assert not np.allclose(levelled[0], levelled[1])


def test_agreement_is_the_least_of_the_blocks(shop):
    items, texts = shop.new[:2], [shop.texts[i] for i in shop.new[:2]]
    agreed = shop.agreed(items, texts)
    assert all((agreed <= shop.rows(items, texts, ranker) + 1e-6).all() for ranker in ("tags", "words", "encoder"))


def test_an_unknown_ranker_is_named(shop):
    with pytest.raises(ColdstartError, match=r"ranker: expected one of words, .* got 'stars'"):
        shop.lists("stars")


# --- Attacks ---------------------------------------------------------------------------------------------------------


def test_greedy_words_raise_the_score_word_by_word_as_no_other_choice_would(shop):
    item = int(next(i for i in shop.new if i % 3))
    found = attacks.ten_words(shop, item, shop.texts[item], n=2, tried=8)
    added = found[len(shop.texts[item]) :].split()
    one = [f"{shop.texts[item]} {word}" for word in shop.vocabulary[np.argsort(-shop.push, kind="stable")[:8]]]
    best = one[int(np.argmax(shop.promise(item, one, "words")))]
    assert len(added) == 2 and found.startswith(best)
    assert shop.promise(item, [found], "words") > shop.promise(item, [shop.texts[item]], "words")


def test_every_attack_keeps_or_replaces_the_text(shop):
    item = int(shop.new[0])
    texts = attacks.attacks(shop, item, " space star")
    assert next(iter(texts)) == "honest" and len(texts) == 7
    own = shop.texts[item]
    assert all(text.startswith(own) for name, text in texts.items() if name != "a rival's text")
    assert texts["a rival's text"] == shop.texts[shop.warm[np.argmax(shop.split.item_counts[shop.warm])]]
    assert attacks.as_people_see_it(texts["hidden in HTML"]) == own


def test_words_shared_by_all_raise_films_that_they_were_not_found_on(shop):
    trigger = attacks.shared_words(shop, shop.new[:2], ranker="words", n=3, tried=6)
    others = [int(i) for i in shop.new[2:8]]
    gains = [shop.promise(i, [shop.texts[i] + trigger, shop.texts[i]], "words") for i in others]
    assert len(trigger.split()) == 3 and np.mean([after - before for after, before in gains]) > 0


@pytest.mark.parametrize(
    "text, match",
    [
        ("", "expected words, got ''"),
        ("<p></p>", "expected words"),
        ("x " * 5001, "10,000 characters at most, got 10,002"),
        (None, "expected a text, got None"),
    ],
)
def test_a_text_that_nobody_could_hand_in_is_refused(text, match):
    with pytest.raises(ColdstartError, match=match):
        attacks.owners_text(text)


def test_html_is_a_text_whose_hidden_parts_nobody_sees():
    told = 'A <b>quiet</b> film <!-- star --><div style="display: none">space</div><span hidden>robot</span> &amp; more'
    assert attacks.owners_text(told) == told
    assert attacks.as_people_see_it(told) == "A quiet film & more"


def test_the_panel_tells_what_a_detector_reads_of_both_texts(shop):
    item = int(shop.new[0])
    signs = attacks.suspicion(shop, item, [shop.texts[item], attacks.imitated(shop)])
    fig = consequences.standing(shop, item, attacks.imitated(shop), "levelled", False)
    assert len(fig.axes[0].patches) == 2 * len(fig.axes[0].get_yticklabels())
    assert f"words {signed(signs[0, 0])} to {signed(signs[1, 0])}" in fig.get_supxlabel()


def test_a_detector_stops_what_is_strange_and_one_honest_text_in_twenty():
    rng = np.random.default_rng(0)
    honest = rng.normal(size=(400, 3))
    assert attacks.stopped(honest, honest).mean() == pytest.approx(0.05, abs=0.01)
    assert attacks.stopped(rng.normal(size=(400, 3)), honest).mean() == pytest.approx(0.05, abs=0.04)
    assert attacks.stopped(np.array([[9.0, 0, 0]]), honest).all()
    with pytest.raises(ColdstartError, match="false_alarms: expected 0 to 1"):
        attacks.stopped(honest, honest, 2.0)


def test_a_copy_and_a_stuffed_text_are_suspicious(shop):
    item = int(shop.new[0])
    signs = attacks.suspicion(shop, item, [shop.texts[item], attacks.imitated(shop), attacks.stuffed(shop, "a film")])
    assert signs[1, 0] == pytest.approx(1) and signs[0, 0] < 0.99
    assert signs[2, 1] > signs[0, 1]


# --- Fake profiles ---------------------------------------------------------------------------------------------------


def test_fake_profiles_push_and_true_answers_undo(shop):
    K = shop.kernel()
    newcomers = shilling.Newcomers(shop.split, K, k=4)
    item = int(min(shop.new, key=lambda i: newcomers.exposure(i, newcomers.prior[i])))
    table = shilling.pushed(newcomers, np.array([item]), [0, 5, 40])
    exposed = table["exposure"].tolist()
    assert exposed[2] >= exposed[1] >= exposed[0] and exposed[2] > exposed[0]
    assert shilling.undone(newcomers, item, newcomers.prior[item], [0])[0][1] == exposed[0]
    path = shilling.undone(newcomers, item, 3 * newcomers.users.mean(axis=0), [0, 60])
    assert path[1][1] <= path[0][1]


def test_the_prior_of_the_same_text_is_the_prior(shop):
    K = shop.kernel()
    newcomers, item = shilling.Newcomers(shop.split, K, k=4), int(shop.new[0])
    assert newcomers.prior_by(K, item) == pytest.approx(newcomers.prior[item], abs=1e-6)
    assert newcomers.answered(item, np.zeros(0), np.zeros((0, newcomers.users.shape[1]))) == pytest.approx(
        newcomers.prior[item]
    )
    row = sparse.csr_matrix(([1.0], ([0], [7])), (1, 60))
    expected = evidence.posterior(
        row, newcomers.users, newcomers.prior[[item]], newcomers.covariance, noise=newcomers.noise
    )
    assert newcomers.answered(item, np.ones(1), newcomers.users[[7]]) == pytest.approx(expected[0])


def test_fakes_choose_what_is_known(shop):
    fakes = shilling.fake_profiles(shop.split, 5, filler=10)
    assert set(fakes.nonzero()[1]) <= set(shop.warm) and np.diff(fakes.indptr).min() >= 5
    with pytest.raises(ColdstartError, match="at least one"):
        shilling.fake_profiles(shop.split, 0)


def test_doubt_is_the_variance_of_the_posterior():
    Z = np.random.default_rng(0).normal(size=(20, 3))
    warm, new = np.arange(15), np.arange(15, 20)
    X = Z - Z[warm].mean(axis=0)
    # The weights of ridge have the posterior covariance reg·(XᵀX + reg·I)⁻¹.
    spread = 2.0 * np.linalg.inv(X[warm].T @ X[warm] + 2.0 * np.eye(3))
    assert doubt(Z @ Z.T, warm, new, 2.0) == pytest.approx(np.einsum("id,de,ie->i", X[new], spread, X[new]))


# --- The game --------------------------------------------------------------------------------------------------------


def test_where_the_game_settles_nobody_gains_by_moving_alone():
    rng = np.random.default_rng(1)
    game = owners.Game(rng.normal(size=(4, 3, 30)), rng.normal(size=(30, 6)), k=2, cost=0.05)
    end = owners.best_responses(game, rounds=50)
    last = end.path[-1]
    assert end.settled and (end.path[0] == 0).all() and last.any()
    for owner in range(4):
        worth = game.payoffs(owner, last)
        assert worth[last[owner]] == pytest.approx(worth.max())


def test_payoffs_are_places_counted_one_by_one():
    rng = np.random.default_rng(2)
    game = owners.Game(rng.normal(size=(3, 2, 20)), rng.normal(size=(20, 4)), k=2, cost=0.1, explore=0.2)
    for chosen in itertools.product((0, 1), repeat=3):
        table = np.concatenate([game.standing(np.array(chosen)), game.rivals], axis=1)
        listed = (np.argsort(-table, axis=1)[:, :2] == 1).any(axis=1).mean()
        expected = 0.8 * listed + 0.2 * 2 / 7 - 0.1 * (chosen[1] > 0)
        assert game.payoffs(1, np.array(chosen))[chosen[1]] == pytest.approx(expected)


def test_what_costs_more_than_it_brings_is_left_alone():
    rng = np.random.default_rng(3)
    game = owners.Game(rng.normal(size=(3, 2, 20)), rng.normal(size=(20, 4)), k=2, cost=2.0)
    end = owners.best_responses(game)
    assert end.settled and (end.path == 0).all()


def test_a_list_is_no_longer_than_there_are_other_items():
    rng = np.random.default_rng(4)
    game = owners.Game(rng.normal(size=(2, 2, 20)), rng.normal(size=(20, 3)), k=20, explore=1.0)
    assert game.payoffs(0, np.zeros(2, int)) == pytest.approx(4 / 5)


def test_a_game_that_is_none_is_refused():
    with pytest.raises(ColdstartError, match=r"expected scores \[owners, texts, users\]"):
        owners.Game(np.zeros((2, 2, 3)), np.zeros((4, 5)))
    with pytest.raises(ColdstartError, match="explore in 0 to 1"):
        owners.Game(np.zeros((2, 2, 3)), np.zeros((3, 5)), explore=2.0)
    for wrong in ({"k": 0}, {"cost": np.nan}):
        with pytest.raises(ColdstartError, match="cost of 0 or more, k of 1 or more"):
            owners.Game(np.zeros((2, 2, 3)), np.zeros((3, 5)), **wrong)


# --- Experiments -----------------------------------------------------------------------------------------------------


def test_tables_of_attacks_have_every_item_attack_and_way(shop):
    rows = attack.attacked([shop], 3, " star", ("words", "cleaned", "levelled"))
    assert len(rows) == 3 * 7 * 3 and rows["exposure"].between(0, 1).all()
    cleaned = rows[rows["way"] == "cleaned"].pivot(index="user", columns="model", values="exposure")
    assert (cleaned["hidden in HTML"] == cleaned["honest"]).all()
    table = attack.effects(rows)
    assert set(table["way"]) == {"words", "cleaned", "levelled"} and {"better", "told"} <= set(table)
    cost = attack.honest_cost([shop], ("text and tags", "cleaned"))
    assert np.allclose(*(cost[cost["model"] == name]["ndcg"] for name in ("text and tags", "cleaned")))


def test_games_and_detection_give_a_row_a_shop(shop):
    caught = attack.detected([shop], 3, " star", {})
    assert set(caught.index) >= {"honest", "a rival's text", *attack.KNOWING} and caught["rate"].between(0, 1).all()
    assert (caught["low"] <= caught["rate"]).all() and caught.loc["a rival's text", "shows"] == 3
    ends = attack.played([shop], 3, "words")
    assert len(ends) == 1 and ends["honest"].between(0, 1).all()
    answers = attack.along(attack.undone([shop], 2, (0, 3)))
    assert isinstance(answers, pd.DataFrame) and len(answers) == 4
    assert len(attack.along(attack.pushed([shop], 2, (0, 3)))) == 4


# --- Owners who know the defence, and a ranker that reads instructions -----------------------------------------------


def test_contained_text_adds_no_more_than_its_caps_to_the_mean_and_goes_on_saying_to_whom(shop):
    tight = dataclasses.replace(shop)
    tight.__dict__["block_caps"] = {"words": 0.0, "encoder": 0.0}
    texts = [attacks.stuffed(shop, shop.texts[i]) for i in shop.new]
    before, after = tight.way("text and tags", shop.new, texts), tight.way("contained", shop.new, texts)
    over = sum(np.maximum(tight._adds(shop.new, texts, name), 0) for name in ("words", "encoder"))
    assert over.max() > 0 and np.ptp(before - after, axis=1).max() < 1e-5
    assert (before - after).mean(axis=1) == pytest.approx(over, abs=1e-5)


def test_nineteen_known_texts_in_twenty_are_not_contained(shop):
    own = [shop.texts[i] for i in shop.warm]
    changed = np.abs(shop.contained(shop.warm, own) - shop.rows(shop.warm, own, "text and tags")).max(axis=1) > 1e-6
    assert 0 < changed.mean() <= 0.11


def test_what_an_attacker_climbs_orders_texts_as_exposure_does(shop):
    item = int(shop.new[0])
    texts = [shop.texts[item], attacks.stuffed(shop, shop.texts[item]), attacks.imitated(shop)]
    exposed, reach = shop.exposure(item, texts, "words"), shop.reach(item, texts, "words")
    assert ((reach > 0) & (reach < 1)).all() and np.ptp(exposed) > 0.5
    assert (reach[exposed == exposed.max()].min() > reach[exposed < exposed.max()]).all()
    # Two texts that reach nobody are told apart.
    far = [shop.texts[item], shop.texts[item] + " " + shop.vocabulary[np.argmin(shop.push)]]
    assert np.ptp(shop.reach(item, far, "words")) > 0


@pytest.mark.parametrize("way", attack.KNOWN_TO_OWNERS)
def test_who_knows_the_defence_takes_the_first_word_and_the_text_that_serve_best(shop, way):
    item = int(shop.new[1])
    words = attacks.words_against(shop, item, way, n=2, tried=len(shop.vocabulary)).split()
    one = [f"{shop.texts[item]} {word}" for word in shop.vocabulary]
    first = shop.vocabulary[np.argmax(shop.reach(item, one, way))]
    assert len(set(words)) == 2 and words[0] == first
    every = [shop.texts[i] for i in attacks.best_known(shop, 10)]
    best = every[int(np.argmax(shop.reach(item, every, way)))]
    assert attacks.best_copy(shop, item, way, tried=10) == best


def test_recorded_words_are_used_and_others_are_searched(shop):
    item = int(attack.picked(shop, 1)[0])
    recorded = {(item, way): "star robot" for way in attack.KNOWN_TO_OWNERS}
    rows = attack.attacked_knowing([shop], 1, recorded).set_index(["way", "model"])["exposure"]
    ten, copy = attack.KNOWING
    for way in attack.KNOWN_TO_OWNERS:
        assert rows[way, ten] == shop.exposure(item, [f"{shop.texts[item]} star robot"], way)[0]
    assert rows["cleaned", copy] == rows["text and tags", copy]
    assert len(attack.attacked_knowing([shop], 1, {})) == len(rows)


def test_recorded_words_belong_to_one_catalogue_and_seed():
    films = load_dataset("ml-100k").with_least(items=10, users_with_two=2)
    words = attack.recorded_words(films, 0)
    assert len(words) == 150 and {way for _, way in words} == set(attack.KNOWN_TO_OWNERS)
    assert all(len(found.split()) == 10 for found in words.values())
    assert attack.recorded_words(films, 1) == {}


def test_a_film_that_a_language_model_is_told_to_put_first_stands_where_the_answers_say():
    rows = [
        (0, reader, text, str(film), 0.0, film / 10 + (text == "order") + 0.01 * reader)
        for reader in range(2)
        for text in ("honest", "order")
        for film in range(4)
    ]
    table = pd.DataFrame(rows, columns=["fold", "reader", "text", "item_id", "alone", "verdict"])
    told = table.assign(alone=table["text"].eq("order") * 1.0)
    found = attack.obeyed(told, k=1).groupby(["way", "model"])["exposure"].mean()
    assert found["its answer", "honest"] == 0.25 and found["its answer", "order"] == 1
    # What it says to nobody rises as much.
    assert found["its answer less that to nobody", "order"] == 0.25


def test_the_recorded_answers_are_of_ten_films_twenty_people_and_four_texts():
    table = package_table("ml-100k-smollm2-attacked")
    sizes = table.groupby(["fold", "reader"])["item_id"].nunique()
    assert len(sizes) == 20 and (sizes == 10).all() and table["text"].nunique() == 4
    orders = attack.effects(attack.obeyed(table), unit="fold").set_index(["way", "model"])
    assert orders.loc[("its answer", "honest"), "mean"] == pytest.approx(0.3)
    told = attacks_told.obeyed(orders.reset_index(), 3, 50)
    assert "**A ranker that is a language model obeys.**" in told and "of 50 new films" in told
