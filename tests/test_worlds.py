"""Other worlds: what is found and sampled, what is claimed, and that shop, people and crossing do what they say."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from coldstart_utils.book import cli, world_plots, world_tales
from coldstart_utils.book import worlds as opened
from coldstart_utils.catalogue import worlds
from coldstart_utils.catalogue.atomic import read_atomic
from coldstart_utils.data import worlds as kept
from coldstart_utils.ground import ColdstartError
from coldstart_utils.measure import claims, crossing, people, shop, study
from coldstart_utils.models.teachers import ease

INTER = "user_id:token|item_id:token\nu1|a\nu1|b\nu2|a\nu2|b\nu3|a\n"
ITEM = "item_id:token|title:token_seq\na|RED MUG\nb|<b>Blue</b> mug\nc|\n"


class Reader:
    """An encoder without a model: a text is the counts of its letters, of length 1."""

    def encode(self, texts):
        counts = np.array([[text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts])
        return (counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)).astype(np.float32)


@pytest.fixture
def tasteful(write_atomic):
    """40 users choose among 30 items within one of three kinds; dirt: HTML, capitals, no title, one untouched."""

    def make(name="shop", ids="", **files):
        rng, kinds = np.random.default_rng(0), ["red mug", "green hat", "<p>PAPER bag</p>"]
        items = [f"{ids}{i}|{kinds[i % 3] if i != 7 else ''}|{1 + i % 5}" for i in range(31)]
        pairs = [
            f"{ids}u{u}|{ids}{i}|{1e9 + 86_400 * (n + i * (i > 23)):.0f}"
            for u in range(40)
            for n, i in enumerate(rng.permutation(np.arange(u % 3, 30, 3))[:7])
        ]
        inter = "\n".join(["user_id:token|item_id:token|timestamp:float", *pairs]) + "\n"
        item = "\n".join(["item_id:token|title:token_seq|price:float", *items]) + "\n"
        return write_atomic(name, **({"inter": inter, "item": item} | files))

    return make


# --- Folders ---------------------------------------------------------------------------------------------------------


def test_worlds_are_found_one_by_one_and_in_a_folder(write_atomic, tmp_path, monkeypatch):
    monkeypatch.setenv("COLDSTART_CACHE", str(tmp_path / "none"))
    shop_folder, news = write_atomic("shop", inter=INTER), write_atomic("news", inter=INTER)
    (tmp_path / "queries only").mkdir()
    assert worlds.find_worlds(str(tmp_path)) == {"news": news, "shop": shop_folder}
    assert worlds.find_worlds(f"{news}, {shop_folder}") == {"news": news, "shop": shop_folder}
    monkeypatch.setenv("COLDSTART_DATA", str(tmp_path))
    assert set(worlds.find_worlds()) == {"news", "shop"}
    monkeypatch.setenv("COLDSTART_DATA", str(tmp_path / "gone"))
    assert worlds.find_worlds() == {}


def test_a_folder_that_is_none_and_a_name_for_two_worlds_are_refused(write_atomic, tmp_path):
    with pytest.raises(ColdstartError, match=r"expected folders .* got 'nowhere'"):
        worlds.find_worlds("nowhere")
    first = write_atomic("shop", inter=INTER)
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "shop").mkdir()
    (tmp_path / "else" / "shop" / "shop.inter").write_bytes((first / "shop.inter").read_bytes())
    with pytest.raises(ColdstartError, match="two folders are called 'shop'"):
        worlds.find_worlds(f"{first},{tmp_path / 'else'}")


def test_folders_are_made_absolute_one_or_many(write_atomic, tmp_path, monkeypatch):
    write_atomic("shop", inter=INTER), write_atomic("a, b", inter=INTER)
    monkeypatch.chdir(tmp_path)
    given = {"WORLDS": "shop, nowhere", "DATASET": "a, b", "QUESTIONS": ""}
    cli._resolve_folders(given)
    assert given == {"WORLDS": f"{tmp_path / 'shop'},nowhere", "DATASET": str(tmp_path / "a, b"), "QUESTIONS": ""}
    assert set(worlds.find_worlds(str(tmp_path / "a, b"))) == {"a, b"}


def test_what_its_audience_wrote_is_left_out_and_said(write_atomic):
    item = "item_id:token|title:token_seq|tags:token_seq\na|A|rock\nb|B|metal\n"
    heard = worlds.open_world(write_atomic("lastfm-2k", inter=INTER, item=item))
    assert "tags" not in heard.items and "tags" in heard.notes[-1]


def test_a_sample_keeps_the_best_known_and_users_with_two_choices(write_atomic):
    small = worlds.sample(read_atomic(write_atomic(inter=INTER, item=ITEM)), 2, 5)
    assert small.items["item_id"].tolist() == ["a", "b"] and small.n_users == 2
    assert small.matrix().toarray().tolist() == [[1, 1], [1, 1]]
    assert small.users["user_id"].tolist() == ["u1", "u2"]
    assert worlds.sample(read_atomic(write_atomic(inter=INTER, item=ITEM)), 9, 1).n_users == 1


# --- Claims ----------------------------------------------------------------------------------------------------------


def test_numbers_that_need_no_model(write_atomic):
    found = claims.traits(read_atomic(write_atomic(inter=INTER, item=ITEM)))
    assert (found["users"], found["items"], found["choices"]) == (3, 3, 5)
    assert found["choices an item"] == 2.5 and found["rare"] == 1 and found["words an item"] == 2
    assert 0 <= found["fame"] <= 1


def test_every_claim_is_asked_where_there_is_taste(tasteful):
    found = opened.claimed(tasteful(), Reader(), opened.How(folds=3, trials=2))
    table = claims.answers(found.assign(world="shop"))
    assert set(table["claim"]) == set(claims.CLAIMS) - {"blocks"}, "one column cannot be parted into blocks"
    means = found[found["metric"] == "ndcg"].groupby("model")["value"].mean()
    assert means["one text"] > means["oracle popularity"], "choice is taste here"
    assert (table["diff_low"] <= table["difference"]).all() and (table["difference"] <= table["diff_high"]).all()


def test_holm_corrects_over_the_worlds_of_a_claim():
    rng = np.random.default_rng(0)
    rows = [
        (world, model, fold, "ndcg", 0.3 + lead * (model == "title, model") + 0.01 * rng.random())
        for world, lead in (("a", 0.2), ("b", 0.0), ("c", -0.2))
        for model in ("title, model", "title, TF-IDF")
        for fold in range(5)
    ]
    table = claims.answers(pd.DataFrame(rows, columns=["world", "model", "fold", "metric", "value"]))
    assert table.set_index("world")["answer"].to_dict() == {"a": "Yes", "b": "Not shown", "c": "No, the reverse"}
    assert world_plots.verdicts(table, title="").axes


def test_the_posterior_meets_the_better_of_its_parts():
    values = {"posterior": 0.3, "guess alone": 0.1, "choices alone": 0.4}
    rows = [("w", m, f, "recall", v + f / 1000) for m, v in values.items() for f in range(3)]
    table = claims.answers(pd.DataFrame(rows, columns=["world", "model", "fold", "metric", "value"]))
    assert table["difference"].iloc[0] == pytest.approx(-0.1)


def test_the_nearest_world_is_oneself():
    traits = kept.read().query("look == 'traits'").pivot(index="world", columns="metric", values="value")
    for world in traits.index:
        assert claims.nearest(traits, traits.loc[world].to_dict())[0] == world


def test_a_number_foretells_only_what_stands_after_holm():
    traits = pd.DataFrame({name: np.arange(9.0) for name in claims.HINTS}, index=list("abcdefghi"))
    leads = {"ceiling": np.arange(9.0), "bridge": [4, 0, 5, 1, 6, 2, 7, 3, 8], "title": np.zeros(9)}
    rows = [
        {"claim": claim, "world": world, "difference": lead, "better": False}
        for claim, of_worlds in leads.items()
        for world, lead in zip(traits.index, of_worlds)
    ]
    page = claims.halves(pd.DataFrame(rows), traits).set_index("claim")
    assert page.loc["ceiling", "correlation"] == 1 and page.loc["ceiling", "p"] < 0.001
    assert page.loc["title", ["correlation", "p"]].tolist() == [0, 1] and 0.05 < page.loc["bridge", "p"] < 1
    told = world_tales.told_halves(page.reset_index())
    assert "**Fame foretells" in told and "little surprise" in told
    assert "choices an item (+.50" in told.split("**Not shown to foretell a finding:**")[1]
    assert "little surprise" not in world_tales.told_halves(page.drop("ceiling").reset_index())


def test_the_recipe_is_told_ahead_only_where_it_is_shown():
    rng = np.random.default_rng(0)
    rows = [
        (world, model, fold, 0.3 + lead * (model == "recipe") + 0.01 * rng.random())
        for world, lead in (("sure", 0.2), ("level", 0.0), ("lost", -0.2))
        for model in ("recipe", "ridge")
        for fold in range(5)
    ]
    table = world_tales.hindsight(pd.DataFrame(rows, columns=["world", "model", "fold", "ndcg"]), "recipe")
    told = world_tales.told_hindsight_best(table)
    assert "in 1 of 3 comparisons** (sure), shown behind in lost" in told


def test_every_finding_of_the_recorded_worlds_is_told():
    table = claims.answers(kept.read().query("look == 'claims'"))
    told = world_tales.told_answers(table, ["ml-100k"])
    assert all(claim.said.replace("*", r"\*") in told for claim in claims.CLAIMS.values())
    only_tail = table.assign(better=table["claim"] == "tail")
    assert "by construction" in world_tales.told_answers(only_tail, [])
    assert "by construction" not in world_tales.told_answers(table.assign(better=True), [])


def test_news_without_a_shown_difference_says_so():
    rows = kept.read().query("look == 'news'")
    told = world_tales.told_news(world_tales.compared_news(rows))
    assert told.startswith("**No difference to trying without text is shown in ml-100k or mind-2000**")
    sure = rows.assign(value=rows["value"] + (rows["model"] == "text"))
    assert "**Shown to differ from trying: text in" in world_tales.told_news(world_tales.compared_news(sure))


# --- A shop ----------------------------------------------------------------------------------------------------------


def test_words_of_colour_make_no_other_product():
    groups = shop.variants(["RED RETROSPOT MUG", "Blue retrospot mug", "RED HAT", "red", "blue"])
    assert groups[0] == groups[1] != groups[2] and groups[3] != groups[4]


def test_a_variant_is_known_only_if_it_is_not_new_itself():
    X = sparse.csr_matrix(np.ones((4, 6)))
    split = study.item_folds(X, 3)[0].outer
    groups = np.arange(6)
    groups[split.candidates[0]] = groups[split.warm_items[0]]
    groups[split.candidates[1]] = 99
    bands = shop.with_variant(groups, split)
    assert bands["variant known"].tolist() == [split.candidates[0]]
    assert bands["no variant"].tolist() == [split.candidates[1]]


def test_prices_near_each_other_are_alike():
    K = shop.price_bands(np.array([1.0, 1.1, 50, np.nan]), bands=4)
    alike = (K @ K.T).toarray()
    assert alike[0, 1] > alike[0, 2] and not alike[3].any()


def test_days_to_customers_counts_from_the_first_sale(write_atomic):
    day = 86_400
    pairs = [("u0", "old", 0), ("u0", "new", 20), ("u1", "new", 23), ("u2", "new", 29), ("u3", "old", 60)]
    inter = "user_id:token|item_id:token|timestamp:float\n" + "".join(
        f"{u}|{i}|{1e9 + day * t:.0f}\n" for u, i, t in pairs
    )
    table = shop.days_to_customers(read_atomic(write_atomic(inter=inter)), (2, 3, 4), watched=10)
    assert table["median"].tolist()[:2] == [3, 9] and np.isnan(table["median"][2])
    assert table["share"].tolist() == [1, 1, 0] and table["items"].iloc[0] == 1
    with pytest.raises(ColdstartError, match="times of purchase"):
        shop.days_to_customers(read_atomic(write_atomic("bare", inter=INTER)), (2,))


def test_a_basket_is_what_one_user_took_at_one_moment(write_atomic):
    inter = (
        "user_id:token|item_id:token|timestamp:float\nu|a|1000000000\nu|b|1000000000\nu|c|1000000009\nv|a|1000000000\n"
    )
    filled = shop.baskets(read_atomic(write_atomic(inter=inter)))
    assert sorted(map(tuple, filled.toarray())) == [(0, 0, 1), (1, 0, 0), (1, 1, 0)]


def test_customers_in_the_place_of_baskets_are_the_bridge_itself():
    X = sparse.csr_matrix((np.random.default_rng(0).random((20, 12)) < 0.4).astype(float))
    split = study.item_folds(X, 3)[0].outer
    warm = split.warm_items
    taught = shop.FromBaskets({}, split.train).taught(split)
    assert np.allclose(taught, split.train[:, warm] @ ease(split.train[:, warm], 300.0), atol=1e-6)


def test_the_shop_runs_on_dirt_and_says_nothing_without_prices(tasteful, write_atomic):
    found = opened.shopped(tasteful(), Reader(), opened.How(folds=2, trials=1))
    assert {"ndcg", "latest difference"} <= set(found["metric"]) and np.isfinite(found["value"]).any()
    assert opened.shopped(write_atomic("bare", inter=INTER, item=ITEM), Reader()).empty


# --- People ----------------------------------------------------------------------------------------------------------


def friends(n=40, seed=0):
    A = np.triu(np.random.default_rng(seed).random((n, n)) < 0.2, 1).astype(float)
    return sparse.csr_matrix(A + A.T)


def test_a_newcomer_loses_row_and_column():
    A = friends()
    for fold in people.friend_folds(A, 4):
        split = fold.outer
        assert not split.train[split.users].nnz and not split.train[:, split.users].nnz
        assert (split.train != split.train.T).nnz == 0
        assert (np.diff(split.support[split.users].indptr) == 1).all()
        assert not np.isin(split.candidates, split.users).any()
        seen = (split.support + split.test).tocoo()
        assert all(A[i, j] for i, j in zip(seen.row, seen.col))


def test_every_newcomer_is_new_once():
    split_users = np.concatenate([fold.outer.users for fold in people.friend_folds(friends(), 4)])
    assert len(split_users) == len(set(split_users))


def test_a_friend_introduces_their_friends_first():
    A = sparse.csr_matrix(
        np.array([[0, 1, 1, 0, 0], [1, 0, 1, 0, 0], [1, 1, 0, 1, 0], [0, 0, 1, 0, 1], [0, 0, 0, 1, 0]])
    )
    # Without 0 the known people are friends along 1 – 2 – 3 – 4; a friend of a friend's friend counts a tenth.
    told = {1: [0, 0.1, 1, 0.1, 0], 2: [0, 1, 0.2, 1, 0.1]}
    splits = [people.friend_split(A, np.array([0]), seed) for seed in range(4)]
    assert {int(split.support.indices[0]) for split in splits} == {1, 2}
    for split in splits:
        scores = people.friends_of_friends(split)(np.array([0]), np.arange(5))[0]
        assert scores == pytest.approx(told[split.support.indices[0]])


@pytest.mark.parametrize("A, fault", [(np.ones((2, 3)), "square"), (np.eye(3)[::-1], "nothing is left to ask for")])
def test_what_is_no_friendship_is_refused(A, fault):
    with pytest.raises(ColdstartError, match=fault):
        people.friend_split(sparse.csr_matrix(A), np.array([0]), 0)


def test_topics_and_sentences():
    X = sparse.csr_matrix(np.array([[1.0, 5, 0], [0, 0, 0], [2, 0, 0]]))
    assert people.first_choice(X).toarray().tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]
    table = pd.DataFrame({"user": [0, 0, 0, 2], "tag": ["a", "b", "c", "d"], "times": [1.0, 3, 2, 1]})
    assert people.most_given(table, 2).to_dict() == {0: "b, c", 2: "d"}


def test_a_folder_of_friends_and_topics_is_asked_of_both(tasteful):
    net = "source_id:token|target_id:token\n" + "".join(
        f"u{u}|u{(u + 3 * k) % 39}\n" for u in range(39) for k in (1, 2)
    )
    given = [f"u{u}|{['rock', 'jazz', 'folk'][u % 3]}|2" for u in range(40)] + [f"u{u}|live|1" for u in range(40)]
    folder = tasteful(net=net, topics="\n".join(["user_id:token|tag:token_seq|times:float", *given]) + "\n")
    found = opened.befriended(folder, Reader(), opened.How(folds=2, trials=1))
    means = found.groupby(["metric", "model"])["value"].mean()
    assert means["recall friends"].idxmax() != "everybody's list" and np.isfinite(means).all()
    assert means["recall topics", "all choices"] >= means["recall topics", "everybody's list"]


def test_friends_in_a_folder_and_an_unknown_one(tasteful):
    net = "source_id:token|target_id:token\nu0|u1\nu1|u0\nu2|u2\n"
    folder = tasteful(net=net)
    assert worlds.friendships(folder, read_atomic(folder)).nnz == 2, "nobody is their own friend"
    other = tasteful("other", net="source_id:token|target_id:token\nu0|who\n")
    with pytest.raises(ColdstartError, match=r"other.net, line 2, column 'target_id': the id 'who'"):
        worlds.friendships(other, read_atomic(other))
    bare = tasteful("bare")
    assert opened.befriended(bare, Reader()).empty
    with pytest.raises(ColdstartError, match=r"ends in \.topics, found none"):
        worlds.topics_given(bare, read_atomic(bare))


def test_how_often_is_a_number_in_each_row(write_atomic):
    inter = "user_id:token|item_id:token|listens:float|mood:token\nu1|i1|3|low\nu2|i1|{}|high\n"
    folder = write_atomic(inter=inter.format(2))
    assert worlds.strengths(folder, read_atomic(folder), "listens").toarray().tolist() == [[3], [2]]
    with pytest.raises(ColdstartError, match="column 'mood': expected the type float"):
        worlds.strengths(folder, read_atomic(folder), "mood")
    empty = write_atomic("empty", inter=inter.format(""))
    with pytest.raises(ColdstartError, match="line 3, column 'listens': expected a finite number"):
        worlds.strengths(empty, read_atomic(empty), "listens")
    topics = "user_id:token|tag:token_seq|times:float\nu1|rock|\n"
    said = write_atomic("said", inter=inter.format(2), topics=topics)
    with pytest.raises(ColdstartError, match="line 2, column 'times': expected a finite number"):
        worlds.topics_given(said, read_atomic(said))


# --- Crossing --------------------------------------------------------------------------------------------------------


def test_shared_films_are_held_out_by_any_of_their_names(write_atomic):
    first = "item_id:token|title:token_seq\n1|Postino, Il (The Postman)\n2|Alien\n3|Heat\n"
    second = "item_id:token|title:token_seq\n9|The Postman\n1|heat\n"
    pair = [read_atomic(write_atomic(n, inter=f"user_id:token|item_id:token\nu|{i}\n", item=t)) for n, i, t in
            (("one", 2, first), ("two", 9, second))]  # fmt: skip
    assert crossing.not_shared(*pair).tolist() == [1]


def test_equal_ids_of_two_catalogues_never_meet(tasteful, monkeypatch):
    def crossed(ids):
        source, target = tasteful("source"), tasteful("target", ids=ids)
        monkeypatch.setattr(opened, "load_dataset", lambda _: read_atomic(source))
        monkeypatch.setattr(crossing, "not_shared", lambda source, target: np.arange(source.n_items))
        return opened.crossed(target, Reader(), opened.How(folds=2, trials=1))

    pd.testing.assert_frame_equal(crossed(""), crossed("x"))


# --- What is recorded ------------------------------------------------------------------------------------------------


def test_what_is_at_hand_takes_the_place_of_what_is_recorded(tasteful):
    recorded = pd.DataFrame([("traits", w, "", 0, "fame", 0.5) for w in ("shop", "far")], columns=kept.COLUMNS)
    found = opened.gathered("traits", {"shop": tasteful()}, Reader(), recorded)
    assert found.groupby("world")["here"].first().to_dict() == {"far": False, "shop": True}


def test_the_program_goes_on_where_it_stopped(tasteful, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(kept.opened, "LOOKS", {"traits": lambda place, encoder: asked.append(str(place)) or ROW})
    path, place = tmp_path / "worlds.tsv", tasteful()
    for _ in range(2):
        kept.record(path, str(place), only="shop")
    assert asked == [str(place)] and kept.read(path)["value"].tolist() == [0.5]


ROW = pd.DataFrame([{"model": "", "fold": 0, "metric": "fame", "value": 0.5}])


def test_the_recorded_table_asks_every_claim_of_most_worlds():
    table = claims.answers(kept.read().query("look == 'claims'"))
    assert set(table["claim"]) == set(claims.CLAIMS) and set(table["world"]) == set(kept.ORDER)
    assert table["n"].eq(5).all()
