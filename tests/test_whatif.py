"""What-if panels: pure functions, pictures, views through their traits, scenes, and pages without a kernel."""

import asyncio
import io
import json
import re
import warnings
import zlib
from dataclasses import replace

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook, new_output
from scipy import sparse

from coldstart_utils.catalogue.atomic import read_atomic
from coldstart_utils.catalogue.dataset import best_known
from coldstart_utils.catalogue.movielens import attach_expansion
from coldstart_utils.ground import ColdstartError
from coldstart_utils.models import content, evidence
from coldstart_utils.palette import png
from coldstart_utils.whatif import item, panels, policy, user
from coldstart_utils.whatif.belief import USER, answered
from coldstart_utils.whatif.bench import _outcome
from coldstart_utils.whatif.state import START
from coldstart_utils.whatif.world import prepare

FARGO, ALIEN = "Fargo (1996)", "Alien (1979)"
HOSTILE = {
    "emoji": "🎬🤖 robots",
    "html": "<img src=x onerror=alert(1)>",
    "quotes": '"it\'s" `so` \\',
    "mathematics": "$x^2$ and $",
    "long": "and more " * 1200,
    "empty": "",
    "stop words": "the of and",
    "Chinese": "一个关于机器人的爱情故事",
}


class Words:
    """An encoder that needs no model: the words of a text, hashed. It counts what it is asked."""

    def __init__(self):
        self.asked = []

    def encode(self, texts):
        self.asked.append(list(texts))
        vectors = np.zeros((len(texts), 96), np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                vectors[row, zlib.crc32(word.encode()) % 96] += 1
        return content.unit_rows(vectors)


@pytest.fixture(scope="session")
def world(ml100k):
    """The 300 best known films of MovieLens-100K."""
    return prepare(best_known(attach_expansion(ml100k), 300), Words())


@pytest.fixture
def opened(world):
    return panels.Panels(world, scene=json.dumps({"item": {"film": FARGO, "k": 3}}))


def told(widget):
    return re.sub(r"<[^>]+>", "", widget.value)


# --- A new item


def test_a_film_that_plays_new_is_not_known(world):
    """Whoever chose it, the guess from its text and the order of users stay the same."""
    film = world.row[FARGO]
    rows = world.dataset.interactions
    users = np.flatnonzero(~np.isin(np.arange(world.dataset.n_users), rows["user"][rows["item"] == film]))
    changed = rows[rows["item"] != film]
    changed = pd.concat([changed, rows[:50].assign(user=users[:50], item=film)], ignore_index=True)
    other = prepare(replace(world.dataset, interactions=changed), Words())
    for kind in ("neighbours", "path"):
        one, two = (item.new_item(w, {"film": FARGO})[kind] for w in (world, other))
        columns = ["similarity"] if kind == "neighbours" else ["k"]
        np.testing.assert_allclose(one[columns], two[columns], rtol=1e-6)
    scores = [item.new_item(w, {"film": FARGO})["shown"]["score"] for w in (world, other)]
    np.testing.assert_allclose(*scores, rtol=1e-6)
    assert list(scores[0].index) == list(scores[1].index)
    assert item.new_item(other, {"film": FARGO, "k": 10})["shown"]["score"].iloc[0] != scores[0].iloc[0]


def test_evidence_moves_the_factor_and_narrows_it(world):
    frames = {k: item.new_item(world, {"film": FARGO, "k": k}) for k in (0, 5, 20)}
    path = frames[20]["path"]
    pd.testing.assert_frame_equal(path[:6], frames[5]["path"])
    assert np.linalg.norm(path[["x", "y"]].iloc[-1] - path[["x", "y"]].iloc[0]) > 1
    area = {k: f["summary"]["width"].iloc[0] * f["summary"]["height"].iloc[0] for k, f in frames.items()}
    assert area[0] > area[5] > area[20] > 0
    assert frames[20]["summary"]["text"].iloc[0] > 0.6  # order of users who are left, by text alone


def test_parts_of_a_posterior_add_up_to_it(world):
    belief, rows = world.users, [3, 50, 120]
    y = np.array([1.0, 0.0, 1.0])
    start, gains, left = answered(belief, belief.mean + 0.1, belief.other[rows], y, **USER)
    X = sparse.csr_matrix((y, ([0, 0, 0], rows)), shape=(1, len(belief.other)))
    whole = evidence.posterior(X, belief.other, belief.mean[None] + 0.1, belief.covariance, **USER)
    np.testing.assert_allclose(start + gains.sum(axis=0), whole[0], rtol=1e-6)
    assert (np.diag(left) < np.diag(belief.covariance)).all()


def test_the_audience_is_in_shares_and_the_true_one_is_counted(world):
    audience = item.new_item(world, {"film": FARGO})["audience"]
    rows = world.dataset.interactions
    users = rows["user"][rows["item"] == world.row[FARGO]]
    true = (world.groups["age"][users] == "25–34").mean()
    assert audience.query("group == '25–34'")["true"].iloc[0] == pytest.approx(true)
    shares = audience[audience["kind"] == "taste"][["predicted", "true", "all"]].sum()
    np.testing.assert_allclose(shares, 1)
    assert item.new_item(world, {"title": "robots"})["audience"]["true"].isna().all()


def test_words_that_carry_are_found_in_one_batch(world):
    state = {"title": "The Alien", "description": "robots " + "and " * 60}
    before = len(world.encoder.asked)
    found = item.words(world, state)
    assert len(world.encoder.asked) == before + 1
    assert len(found) == 40 and found["word"].iloc[0] in ("Alien", "robots", "The")
    assert found["share"].is_monotonic_decreasing
    assert item.words(world, {}).empty


def test_the_first_picture_does_not_wait_for_the_words(world):
    before = len(world.encoder.asked)
    item.new_item(world, {"title": "a title that nobody has read", "description": "of nine words"})
    assert [len(texts) for texts in world.encoder.asked[before:]] == [2]


# --- A new user


def test_reasons_are_parts_of_the_score(world):
    nobody = user.new_user(world, {})["list"]
    assert set(nobody["reason"]) == {"popularity"} and (nobody["by"] == "").all()
    frames = user.new_user(world, {"liked": [ALIEN, FARGO], "disliked": ["Titanic (1997)"]})
    entries = frames["list"]
    assert len(entries) == 20 and not {ALIEN, FARGO, "Titanic (1997)"} & set(entries["film"])
    gap = entries["score"] - entries[["popularity", "prior", "films", "sentence"]].sum(axis=1)
    np.testing.assert_allclose(gap, gap.iloc[0], rtol=1e-6)  # the mean over the catalogue
    assert {"films"} <= set(entries["reason"]) and {ALIEN, FARGO} >= set(entries["by"]) - {"Titanic (1997)"}


def test_to_like_and_to_dislike_differ(world):
    score = {}
    for key in ("liked", "disliked"):
        entries = user.new_user(world, {key: [ALIEN]})["list"]
        score[key] = entries.set_index("film")["score"].get("Aliens (1986)", 0)
    assert score["liked"] > score["disliked"]


@pytest.mark.parametrize("state", [{"age": 12, "occupation": "student"}, {"sentence": "horror"}])
def test_what_one_says_moves_the_list(world, state):
    part = "prior" if "age" in state else "sentence"
    assert user.new_user(world, state)["list"][part].abs().max() > 1e-3
    assert (user.new_user(world, {})["list"][part].abs() < 1e-12).all()


def test_recall_is_that_of_users_like_this_one(world):
    everyone = user.new_user(world, {})["recall"]
    young = user.new_user(world, {"age": 21})["recall"]
    own = world.recall[world.recall["age"] == "18–24"].groupby("k")["recall"].mean()
    np.testing.assert_allclose(young.set_index("k")["mean"], own)
    assert everyone["like"].iloc[0] == "" and young["like"].iloc[0] == "18–24"
    assert everyone["mean"].iloc[-1] > everyone["mean"].iloc[0]  # choices teach
    assert ((young["low"] <= young["mean"]) & (young["mean"] <= young["high"])).all()


def test_what_was_asked_is_not_asked_again(world):
    first = user.new_user(world, {})["ask"]["film"].iloc[0]
    second = user.new_user(world, {"disliked": [first]})["ask"]["film"]
    assert first not in set(second)


# --- A policy


def test_dials_do_what_they_say(world):
    point = lambda **dials: policy.policy(world, dials)["points"].iloc[0]  # noqa: E731
    plain = point()
    assert point(popularity=0.6)["tail"] > plain["tail"]
    assert point(diversity=0.6)["variety"] > plain["variety"]
    assert point(exploration=1.0)["ndcg"] < 0.5 * plain["ndcg"] < point(text=0.3)["ndcg"]


def test_lists_hold_no_film_twice_and_none_that_is_known(world):
    bench = world.bench
    for dials in ((0.0, 0.0, 0.0, 0.0), (0.5, 0.3, 0.7, 0.5), (1.0, 1.0, 1.0, 1.0)):
        lists = _outcome(bench, dials)[0]
        assert all(len(set(row)) == len(row) for row in lists.tolist())
        assert not np.take_along_axis(bench.known, lists, axis=1).any()


def test_films_change_hands_between_two_pinned_policies(world):
    a, b = {"popularity": 0.0}, {"popularity": 1.0}
    frames = policy.policy(world, {"A": a, "B": b})
    changes, gap = frames["changes"], frames["difference"].iloc[0]
    assert list(frames["points"]["policy"]) == ["now", "A", "B"]
    assert (changes["A"] != changes["B"]).all() and changes["A"].sum() != changes["B"].sum()
    points = frames["points"].set_index("policy")["ndcg"]
    assert gap["mean"] == pytest.approx(points["B"] - points["A"]) and gap["low"] < gap["mean"] < gap["high"] < 0
    assert policy.policy(world, {"A": a, "B": a})["changes"].empty


# --- States and scenes


@pytest.mark.parametrize(
    ("kind", "state", "expected"),
    [
        ("item", {"film": "No such film"}, "in the catalogue; 'No such film' is not"),
        ("item", {"k": "many"}, "scene, item, k: expected a value like 0, got many"),
        ("item", {"k": 51}, "from 0 to 50"),
        ("item", {"k": True}, "expected a value like 0"),
        ("item", {"k": 1.5}, "from 0 to 50"),
        ("item", {"genres": ["Nonsense"]}, "'Nonsense' is not"),
        ("item", {"film": ["a"]}, "expected a value like ''"),
        ("user", {"likes": []}, "expected liked, disliked, age, occupation, sentence"),
        ("user", {"occupation": "wizard"}, "'wizard' is not"),
        ("user", {"liked": [["a"]]}, "in the catalogue"),
        ("policy", {"text": float("nan")}, "from 0 to 1"),
        ("policy", {"A": {"text": 2}}, "from 0 to 1"),
        ("policy", [], "scene, policy: expected"),
    ],
)
def test_a_state_that_does_not_fit_is_told_in_a_sentence(world, kind, state, expected):
    with pytest.raises(ColdstartError, match=re.escape(expected)):
        panels.FUNCTIONS[kind](world, state)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_whatever_is_typed_breaks_nothing_and_is_escaped(world, opened, text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened.views["item"].become({**START["item"], "title": text, "description": text, "year": text[:9]})
        opened.views["item"].draw_words()
        opened.views["user"].controls["sentence"].value = text
        opened.views["item"].controls["film"].value = text
    assert not opened.views["user"].fault.value
    assert text == "" or "catalogue" in told(opened.views["item"].fault) or "match" in told(opened.views["item"].fault)
    shown = [w.value for v in opened.views.values() for w in (v.lists, v.words, v.status, v.fault)]
    assert "<img" not in "".join([*shown, opened.address.value])
    opened.take(opened.written())
    assert "read" in told(opened.fault)


def test_film_names_are_escaped_and_drawn_letter_by_letter(ml100k):
    items = ml100k.items.copy()
    items.loc[items["title"] == "Star Wars", "title"] = "<b>$x_1$</b> 星"
    evil = prepare(best_known(replace(ml100k, items=items), 200), Words())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        view = panels.Panels(evil).views["user"]
        panels.picture(evil, "user", user.new_user(evil, {})).canvas.draw()
    assert "&lt;b&gt;$x_1$" in view.lists.value and "<b>$" not in view.lists.value


def test_a_saved_picture_has_its_title_too(world):
    saved = [png(panels.picture(world, "item", item.new_item(world, {"film": FARGO, "k": k}))) for k in (3, 5)]
    heads = [matplotlib.image.imread(io.BytesIO(picture))[:60] for picture in saved]
    assert heads[0].shape == heads[1].shape and (heads[0] != heads[1]).any()


# --- Views


def test_controls_set_the_state_and_the_picture_follows(opened):
    view = opened.views["item"]
    before, size = bytes(view.image.value), bytes(view.image.value)[16:24]
    view.controls["k"].value = 12
    assert view.state["k"] == 12 and "12 choices revealed" in told(view.status)
    assert bytes(view.image.value) != before and bytes(view.image.value)[16:24] == size


def test_typing_part_of_a_name_changes_nothing_but_a_sentence(opened):
    view = opened.views["item"]
    view.controls["film"].value = "Alie"
    assert view.state["film"] == FARGO and "match" in told(view.fault)
    view.controls["film"].value = ALIEN
    assert view.state["title"] == "Alien" and view.state["k"] == 0 and "Horror" in view.state["genres"]
    assert view.controls["description"].value.startswith("The crew") and not view.fault.value


def test_undo_takes_back_a_step_and_reset_all(opened):
    view = opened.views["item"]
    for letter in ("R", "Ro", "Rob"):
        view.controls["title"].value = letter
    view.controls["year"].value = "1990"
    view.buttons["undo"].click()
    assert (view.state["title"], view.controls["year"].value) == ("Rob", "1996")
    view.buttons["undo"].click()
    assert view.controls["title"].value == "Fargo"
    view.buttons["undo"].click()
    view.controls["title"].value = "other"
    view.buttons["reset"].click()
    assert view.state == view.first
    view.buttons["undo"].click()
    assert view.state["title"] == "other"


def test_films_are_liked_disliked_and_removed(opened):
    view = opened.views["user"]
    for name, button in ((ALIEN, "like"), (FARGO, "dislike"), (ALIEN, "dislike")):
        view.controls["pick"].value = name
        view.buttons[button].click()
    assert (view.state["liked"], view.state["disliked"]) == ([], [FARGO, ALIEN])
    view.controls["chosen"].value = FARGO
    view.buttons["remove"].click()
    assert view.state["disliked"] == [ALIEN] and view.controls["chosen"].options == (("− " + ALIEN, ALIEN),)
    view.controls["pick"].value = "nothing like it"
    view.buttons["like"].click()
    assert "nothing in the catalogue" in told(view.fault) and view.state["liked"] == []


def test_a_fault_stays_until_the_next_good_draw(opened, monkeypatch):
    view = opened.views["policy"]
    before = bytes(view.image.value)

    def broken(world, state):
        raise KeyError("<b>lost")

    monkeypatch.setitem(panels.FUNCTIONS, "policy", broken)
    view.controls["text"].value = 0.5
    assert "KeyError" in told(view.fault) and "<b>lost" not in view.fault.value
    assert bytes(view.image.value) == before
    monkeypatch.undo()
    view.controls["text"].value = 0.6
    assert view.fault.value == "" and bytes(view.image.value) != before


def test_a_burst_is_drawn_at_once_and_once_after(opened, monkeypatch):
    view, drawn = opened.views["policy"], []
    monkeypatch.setitem(panels.FUNCTIONS, "policy", lambda w, s: drawn.append(s["popularity"]) or policy.policy(w, s))

    async def burst():
        for step in range(1, 11):
            view.controls["popularity"].value = step / 20
        immediately = list(drawn)
        while view.pending:
            await asyncio.sleep(0)
        return immediately

    assert asyncio.run(burst()) == [0.05]
    assert drawn == [0.05, 0.5]


def test_both_languages_name_every_control(opened):
    english = {w.description for v in opened.views.values() for w in (v.controls | v.buttons).values()}
    opened.language.value = "zh"
    chinese = {w.description for v in opened.views.values() for w in (v.controls | v.buttons).values()}
    assert len(english) == len(chinese) and not english & chinese
    assert all(re.search("[\u4e00-\u9fff]|^[AB]$", text) for text in chinese)
    assert "已绘制" in opened.views["policy"].status.value and opened.tab.titles[0] == "新物品"
    assert all(len(pair) == 2 and all(pair) for pair in panels.LABELS.values())


def test_a_scene_is_written_and_read(world, opened):
    opened.views["policy"].controls["text"].value = 0.5
    opened.views["policy"].buttons["A"].click()
    opened.write.click()
    scene = json.loads(opened.scene.value)
    assert scene["item"] == {"film": FARGO, "k": 3} and "user" not in scene
    assert scene["policy"]["A"]["text"] == 0.5
    link = re.search(r'href="\?scene=([^"]+)"', opened.address.value)[1]
    for text in (opened.scene.value, link):
        again = panels.Panels(world, scene=text)
        assert {k: v.state for k, v in again.views.items()} == {k: v.state for k, v in opened.views.items()}


def test_a_scene_that_cannot_be_read_is_told(world, opened):
    for text, expected in (("{", "expected JSON"), ('{"nobody": {}}', "expected an object"), ("[1]", "an object")):
        assert expected in told(panels.Panels(world, scene=text).fault)
    opened.scene.value = '{"item": {"film": "<script>"}}'
    opened.read.click()
    assert "in the catalogue" in told(opened.fault) and "<script>" not in opened.fault.value
    assert opened.views["item"].state["film"] == FARGO


def test_the_address_of_a_page_holds_the_scene(monkeypatch):
    monkeypatch.delenv("QUERY_STRING", raising=False)
    assert panels.scene_from_address() == ""
    monkeypatch.setenv("QUERY_STRING", "scene=%7B%22item%22%3A%20%7B%22k%22%3A%203%7D%7D&x=1")
    assert panels.scene_from_address() == '{"item": {"k": 3}}'


def test_without_a_kernel_the_picture_and_a_line_stand_there(opened):
    data, metadata = opened._repr_mimebundle_()
    output = new_output("display_data", data=data, metadata=metadata)
    del output.data["application/vnd.jupyter.widget-view+json"]  # the runner drops what needs a kernel
    page, _ = HTMLExporter().from_notebook_node(new_notebook(cells=[new_code_cell("panels", outputs=[output])]))
    assert f'src="data:image/png;base64,{data["image/png"][:60]}' in page
    assert "What-if panels" in data["text/plain"] and "VBox(" not in page and "Panels(children" not in page


# --- Other catalogues


def catalogue(write_atomic, *, rich):
    rng = np.random.default_rng(0)
    pairs = {(u, i) for u in range(40) for i in rng.choice(60, 12, replace=False, p=np.arange(1, 61) / 1830)}
    inter = "\n".join(f"u{u}|i{i}" for u, i in sorted(pairs))
    items = "\n".join(f"i{i}|{'warm' if i % 2 else 'cold'} tale number {i}" for i in range(60))
    files = {"inter": f"user_id:token|item_id:token\n{inter}\n", "item": f"item_id:token|story:token_seq\n{items}\n"}
    if rich:
        jobs = "\n".join(f"u{u}|{'cook' if u % 2 else 'smith'}" for u in range(40))
        files["user"] = f"user_id:token|occupation:token\n{jobs}\n"
    return read_atomic(write_atomic(**files))


def test_a_catalogue_of_one_text_has_the_controls_that_make_sense(write_atomic):
    world = prepare(catalogue(write_atomic, rich=False), Words())
    shown = panels.Panels(world)
    assert set(shown.views["item"].controls) == {"film", "description", "k"}
    assert set(shown.views["user"].controls) == {"pick", "chosen", "sentence"}
    assert "has no age, genres, occupation, title, year" in told(shown.fault)
    shown.views["item"].controls["description"].value = "a warm tale"
    near = item.new_item(world, shown.views["item"].state)["neighbours"]["film"]
    assert near.str.startswith("warm").all()
    assert all(not view.fault.value for view in shown.views.values())


def test_occupations_alone_are_offered(write_atomic):
    world = prepare(catalogue(write_atomic, rich=True), Words())
    view = panels.Panels(world).views["user"]
    assert view.controls["occupation"].options == ("", "cook", "smith") and "age" not in view.controls
    view.controls["occupation"].value = "cook"
    assert "Drawn" in told(view.status) and not view.fault.value


def test_items_without_text_are_refused(write_atomic):
    folder = write_atomic(inter="user_id:token|item_id:token\nu|i\nv|i\n")
    with pytest.raises(ColdstartError, match="no text column"):
        prepare(read_atomic(folder), Words())


def test_a_catalogue_without_a_tail_has_no_policies(world):
    bare = replace(world, bench=None, notes="no tail here")
    shown = panels.Panels(bare, scene='{"policy": {"text": 0.5}}')
    assert list(shown.views) == ["item", "user"] and told(shown.fault) == "no tail here"
    with pytest.raises(ColdstartError, match="no tail here"):
        policy.policy(bare, {})
