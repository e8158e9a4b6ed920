"""What-if panels: pure functions, pictures, views through their traits, scenes, and pages without a kernel."""

import itertools
import json
import re
import threading
import warnings
import zlib
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ipywidgets import HTML
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook, new_output
from scipy import sparse

from coldstart_utils.catalogue.atomic import read_atomic
from coldstart_utils.catalogue.dataset import best_known
from coldstart_utils.catalogue.movielens import attach_expansion
from coldstart_utils.ground import ColdstartError
from coldstart_utils.language.encoders import TextEncoder
from coldstart_utils.language.search import REMARKS, WordIndex
from coldstart_utils.models import content, evidence
from coldstart_utils.whatif import (
    atlas,
    finder,
    item,
    item_view,
    labels,
    page,
    panels,
    policy,
    search,
    state,
    stills,
    user,
    user_view,
)  # fmt: skip
from coldstart_utils.whatif.belief import ITEM, USER, answered, arrived
from coldstart_utils.whatif.bench import DIALS, Dials, front, played
from coldstart_utils.whatif.reading import Reader
from coldstart_utils.whatif.state import ItemState, PolicyState, QuestionState, UserState
from coldstart_utils.whatif.world import STEPS, prepare

ASKED = QuestionState("a boy hides a creature from space", film="E.T. the Extra-Terrestrial (1982)")
FARGO, ALIEN, TITANIC = "Fargo (1996)", "Alien (1979)", "Titanic (1997)"

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

    max_tokens = 256

    def __init__(self):
        self.asked = []

    def tokenizer(self, text, **_):
        return {"input_ids": text.split()}

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
    """The panels, of which the first has been looked at."""
    return panels.Panels(world, scene=json.dumps({"item": {"film": FARGO, "k": 3}}))


@pytest.fixture
def all_opened(opened):
    """The panels, each of which has been looked at once."""
    for kind in ("user", "policy", "question", "item"):
        opened.tabs.value = kind
    return opened


def turned_to(shown, kind):
    """Return the view of the panels that is in front from then on."""
    shown.tabs.value = kind
    return shown.views[kind]


def catalogue(write_atomic, *, rich=False, title=""):
    """Return 60 items, the later the better known, and 40 users; `rich` adds jobs, and `title` names of items."""
    rng = np.random.default_rng(0)
    pairs = {(u, i) for u in range(40) for i in rng.choice(60, 12, replace=False, p=np.arange(1, 61) / 1830)}
    inter = "\n".join(f"u{u}|i{i}" for u, i in sorted(pairs))
    head, name = ("|title:token_seq", f"|{title} {{}}") if title else ("", "")
    items = "\n".join(f"i{i}|{'warm' if i % 2 else 'cold'} tale number {i}{name.format(i)}" for i in range(60))
    item = f"item_id:token|story:token_seq{head}\n{items}\n"
    files = {"inter": f"user_id:token|item_id:token\n{inter}\n", "item": item}
    if rich:
        jobs = "\n".join(f"u{u}|{'cook' if u % 2 else 'smith'}" for u in range(40))
        files["user"] = f"user_id:token|occupation:token\n{jobs}\n"
    return read_atomic(write_atomic(**files))


def told(widget):
    return re.sub(r"<[^>]+>", "", widget.value)


# --- A new item


def test_a_film_that_plays_new_is_not_known(write_atomic):
    """Whoever chose it, the guess from its text and the order of users stay the same."""
    dataset = catalogue(write_atomic)
    rows, film = dataset.interactions, 59
    users = np.setdiff1d(np.arange(dataset.n_users), rows["user"][rows["item"] == film])
    changed = pd.concat([rows[rows["item"] != film], rows[: len(users)].assign(user=users, item=film)])
    worlds = [prepare(replace(dataset, interactions=part.reset_index(drop=True)), Words()) for part in (rows, changed)]
    new = ItemState(worlds[0].names[film])
    one, two = (item.new_item(world, new) for world in worlds)
    np.testing.assert_allclose(one.neighbours["similarity"], two.neighbours["similarity"], rtol=1e-6)
    np.testing.assert_allclose(one.shown["score"], two.shown["score"], rtol=1e-6)
    assert list(one.shown.index) == list(two.shown.index)
    assert item.new_item(worlds[1], replace(new, k=10)).shown["score"].iloc[0] != one.shown["score"].iloc[0]


def test_evidence_moves_the_factor_and_narrows_it(world):
    found = {k: item.new_item(world, ItemState(FARGO, k=k)) for k in (0, 5, 20)}
    path = found[20].path
    pd.testing.assert_frame_equal(path[:6], found[5].path)
    assert np.linalg.norm(path[["x", "y"]].iloc[-1] - path[["x", "y"]].iloc[0]) > 1
    area = path["width"] * path["height"]
    assert (np.diff(area) < 0).all() and area.iloc[-1] > 0
    assert found[20].auc.text > 0.6 and (found[20].k, found[0].k) == (20, 0)


def test_choices_one_by_one_are_the_posterior_of_all_of_them(world):
    belief, told = world.models[0], np.arange(7)
    guess = belief.mean + 0.05
    means, covariances = arrived(belief, guess, belief.covariance, belief.other[told], **ITEM)
    X = sparse.csr_matrix((np.ones(7), (np.zeros(7, int), told)), shape=(1, len(belief.other)))
    whole = evidence.posterior(X, belief.other, guess[None], belief.covariance, **ITEM)
    np.testing.assert_allclose(means[-1], whole[0], rtol=1e-6)
    *_, left = answered(belief, guess, belief.other[told], np.ones(7), **ITEM)
    np.testing.assert_allclose(covariances[-1], left, rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(means[0], guess)


def test_choices_alone_start_from_what_is_known_of_all_items(world):
    """Not from zero: with no text, and no choice yet, the order is that of the mean item."""
    film, k = world.row[FARGO], 5
    result = item.new_item(world, ItemState(FARGO, k=k))
    belief, chose = world.models[world.fold[film]], np.zeros(world.dataset.n_users, bool)
    chose[world.choices[:, [film]].indices] = True
    told = np.random.default_rng(film).permutation(np.flatnonzero(chose))[:k]
    X = sparse.csr_matrix((np.ones(k), (np.zeros(k, int), told)), shape=(1, len(chose)))
    x = evidence.posterior(X, belief.other, belief.mean[None], belief.population, **ITEM)[0]
    left = np.setdiff1d(np.arange(len(chose)), told)
    score, own = belief.other[left] @ x, chose[left]
    order = (score[own][:, None] > score[~own]).mean() + 0.5 * (score[own][:, None] == score[~own]).mean()
    assert result.auc.choices == pytest.approx(order)
    assert np.trace(belief.population) > np.trace(belief.covariance)
    none = item.new_item(world, ItemState(FARGO)).auc
    assert 0.5 < none.choices < 1 and none.text == none.both


def test_parts_of_a_posterior_add_up_to_it(world):
    belief, rows = world.users, [3, 50, 120]
    y = np.array([1.0, 0.0, 1.0])
    start, gains, left = answered(belief, belief.mean + 0.1, belief.other[rows], y, **USER)
    X = sparse.csr_matrix((y, ([0, 0, 0], rows)), shape=(1, len(belief.other)))
    whole = evidence.posterior(X, belief.other, belief.mean[None] + 0.1, belief.covariance, **USER)
    np.testing.assert_allclose(start + gains.sum(axis=0), whole[0], rtol=1e-6)
    assert (np.diag(left) < np.diag(belief.covariance)).all()


def test_the_audience_is_in_shares_and_the_true_one_is_counted(world):
    audience = item.new_item(world, ItemState(FARGO)).audience
    rows = world.dataset.interactions
    users = rows["user"][rows["item"] == world.row[FARGO]]
    true = (world.groups["age"][users] == "25–34").mean()
    assert audience.query("group == '25–34'")["true"].iloc[0] == pytest.approx(true)
    shares = audience[audience["kind"] == "taste"][["predicted", "true", "all"]].sum()
    np.testing.assert_allclose(shares, 1)
    typed = item.new_item(world, ItemState(title="robots"))
    assert typed.audience["true"].isna().all() and typed.of == 0 and np.isnan(typed.auc.both)
    assert "chose" not in typed.shown


def test_words_that_carry_are_found_in_one_batch(world):
    typed = ItemState(title="The Alien", description="robots " + "and " * 60)
    before = len(world.reader.encoder.asked)
    found = item.words(world, typed)
    assert len(world.reader.encoder.asked) == before + 1
    assert len(found) == item.WORDS and found["word"].iloc[0] in ("Alien", "robots", "The")
    assert found["share"].is_monotonic_decreasing
    alien = found[found["word"] == "Alien"].iloc[0]
    assert (alien["field"], alien["start"]) == ("title", 4)
    assert item.words(world, ItemState()).empty


def test_the_first_picture_does_not_wait_for_the_words(world):
    before = len(world.reader.encoder.asked)
    item.new_item(world, ItemState(title="a title that nobody has read", description="of nine words"))
    assert [len(texts) for texts in world.reader.encoder.asked[before:]] == [2]


def test_the_ends_of_an_axis_are_called_by_what_lies_there():
    rng = np.random.default_rng(0)
    place, comedy = rng.normal(size=200), np.zeros((200, 2))
    comedy[place > 0.5, 0] = comedy[place < -0.5, 1] = 1
    low, high = atlas._poles(place, rng.permutation(200) + 1, ["Comedy", "War"], comedy)
    assert (low.tokens, high.tokens, low.popular) == ("War", "Comedy", None)
    few, many = atlas._poles(place, np.exp(place), ["Comedy", "War"], comedy)
    assert (few.popular, many.popular) == (False, True)
    assert atlas._poles(place, rng.permutation(200) + 1, [], np.zeros((200, 0)))[0].tokens == ""


# --- A new user


def test_reasons_are_parts_of_the_score(world):
    nobody = user.new_user(world, UserState()).entries
    assert set(nobody["reason"]) == {"popularity"} and (nobody["by"] == "").all()
    result = user.new_user(world, UserState((ALIEN, FARGO), (TITANIC,)))
    entries = result.entries
    assert len(entries) == 20 and not {ALIEN, FARGO, TITANIC} & set(entries["film"])
    gap = entries["score"] - entries[user.PARTS].sum(axis=1)
    np.testing.assert_allclose(gap, gap.iloc[0], rtol=1e-6)  # the mean over the catalogue
    assert {"films"} <= set(entries["reason"]) and {ALIEN, FARGO} >= set(entries["by"]) - {TITANIC}
    np.testing.assert_allclose(result.answers.sum(axis=1), entries["films"], rtol=1e-6, atol=1e-12)
    assert list(result.answers) == [ALIEN, FARGO, TITANIC] and (result.k, result.liked) == (3, 2)


def test_to_like_and_to_dislike_differ(world):
    score = {}
    for key in ("liked", "disliked"):
        entries = user.new_user(world, UserState(**{key: (ALIEN,)})).entries
        score[key] = entries.set_index("film")["score"].get("Aliens (1986)", 0)
    assert score["liked"] > score["disliked"]


@pytest.mark.parametrize("given", [UserState(age=12, occupation="student"), UserState(sentence="horror")])
def test_what_one_says_moves_the_list(world, given):
    part = "prior" if given.age else "sentence"
    assert user.new_user(world, given).entries[part].abs().max() > 1e-3
    assert (user.new_user(world, UserState()).entries[part].abs() < 1e-12).all()


def test_recall_is_that_of_users_like_this_one(world):
    everyone, young = (user.new_user(world, UserState(age=age)) for age in (0, 21))
    own = world.recall[world.recall["age"] == "18–24"].groupby("k")["recall"].mean()
    np.testing.assert_allclose(young.recall.set_index("k")["mean"], own)
    assert everyone.like == "" and young.like == "18–24"
    assert everyone.recall["mean"].iloc[-1] > everyone.recall["mean"].iloc[0]  # choices teach
    curve = young.recall
    assert ((curve["low"] <= curve["mean"]) & (curve["mean"] <= curve["high"])).all()


def test_what_was_asked_is_not_asked_again(world):
    first = user.new_user(world, UserState()).ask["film"].iloc[0]
    for given in (UserState(disliked=(first,)), UserState(unseen=(first,))):
        assert first not in set(user.new_user(world, given).ask["film"])
    unseen = user.new_user(world, UserState(unseen=(first,)))
    pd.testing.assert_frame_equal(unseen.entries, user.new_user(world, UserState()).entries)


# --- A policy


def test_dials_do_what_they_say(world):
    point = lambda **dials: policy.policy(world, PolicyState(**dials)).points.iloc[0]  # noqa: E731
    plain = point()
    assert point(popularity=0.6)["tail"] > plain["tail"]
    assert point(diversity=0.6)["variety"] > plain["variety"]
    assert point(exploration=1.0)["ndcg"] < 0.5 * plain["ndcg"] < point(text=0.3)["ndcg"]
    assert point(reserve=5)["tail"] == pytest.approx(5 / world.bench.k, abs=0.01)


def test_the_front_gives_places_away_at_the_least_cost(world):
    line = front(world.bench)
    assert (np.diff(line["tail"]) > -1e-9).all() and line["reserve"].is_monotonic_increasing
    assert line["ndcg"].iloc[-1] < line["ndcg"].iloc[0]
    pd.testing.assert_frame_equal(line, world.front)


def test_lists_hold_no_film_twice_and_none_that_is_known(world):
    bench = world.bench
    for dials in (Dials(), Dials(0.5, 0.3, 0.7, 0.5, 6), Dials(1, 1, 1, 1, 20)):
        lists = played(bench, dials).lists
        assert all(len(set(row)) == len(row) for row in lists.tolist())
        assert not np.take_along_axis(bench.known, lists, axis=1).any()


def test_films_change_hands_between_two_pinned_policies(world):
    a, b = Dials(popularity=0.0), Dials(popularity=1.0)
    result = policy.policy(world, PolicyState(A=a, B=b))
    changes, gap = result.changes, result.difference
    assert list(result.points["policy"]) == ["now", "A", "B"]
    assert (changes["A"] != changes["B"]).all() and changes["A"].sum() != changes["B"].sum()
    assert (np.diff(changes["B"] - changes["A"]) <= 0).all()
    points = result.points.set_index("policy")["ndcg"]
    assert gap.mean == pytest.approx(points["B"] - points["A"]) and gap.low < gap.mean < gap.high < 0
    assert policy.policy(world, PolicyState(A=a, B=a)).changes.empty


# --- A question


def test_four_lists_answer_and_the_film_that_is_meant_has_its_place_in_each(world):
    desk, person = world.desk, next(iter(world.desk.people))
    result = search.ask(desk, replace(ASKED, person=person))
    assert list(result.lists["list"].unique()) == [*result.meant] and len(result.meant) == 4
    scores = search.ranked(desk.engine, ASKED.wanted, desk.people[person])
    for name, score in scores.items():
        rows = result.lists[result.lists["list"] == name]
        assert score[rows["item"]].tolist() == sorted(score, reverse=True)[: len(rows)]
        place = 1 + (score > score[desk.row[ASKED.film]]).sum()
        assert result.meant[name] == place
    first = result.lists.iloc[0]
    assert first["words"].split(", ") == list(desk.engine.words.matched(ASKED.wanted, first["item"]))[:4]
    nobody = search.ask(desk, replace(ASKED, person=""))
    assert nobody.lists["list"].nunique() == 3 and len(nobody.meant) == 3


def test_nothing_asked_and_nothing_shared_are_no_faults(world):
    for text in ("", " ", "🎬", "<br>"):
        empty = search.ask(world.desk, QuestionState(text))
        assert empty.question == "" and empty.lists.empty
    strange = search.ask(world.desk, QuestionState("qwertz", film=FARGO))
    assert "by words" not in set(strange.lists["list"]) and strange.meant["by words"] == 0
    assert set(strange.unread) == {"no word"}
    assert set(search.ask(world.desk, QuestionState("一个男孩")).unread) == {"no word", "script"}


def test_a_question_is_typed_an_example_taken_and_a_film_followed(opened):
    view = turned_to(opened, "question")
    assert view.lists.value.count("<section") == 4 and "cs-is-meant" in view.lists.value
    view.fields["wanted"].value = "dinosaurs in a park"
    assert "Jurassic Park (1993)" in view.lists.value and "<mark>" in view.lists.value
    view.finder.box.value = "jurassic"
    view.finder.rows[0][1]["name"].click()
    assert view.state.film == "Jurassic Park (1993)" and "Jurassic Park (1993): place 1" in told(view.lists)
    view.fields["person"].value = ""
    assert view.lists.value.count("<section") == 3
    view.film.click()
    assert view.state.film == "" and "cs-place" not in view.lists.value
    view.take(view.world.examples[1])
    assert view.fields["wanted"].value == view.world.examples[1]
    for _ in range(5):
        view.undo()
    assert view.state == view.first
    view.fields["wanted"].value = ""
    assert "Type what you look for" in told(view.status) and view.lists.value.count("<section") == 0


# --- States and scenes


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("item", {"film": "No such film"}, "in the catalogue; 'No such film' is not"),
        ("item", {"k": "many"}, "scene, item, k: expected a value like 0, got many"),
        ("item", {"k": 51}, "from 0 to 50"),
        ("item", {"k": True}, "expected a value like 0"),
        ("item", {"k": 1.5}, "expected a number from 0 to 50"),
        ("item", {"genres": ["Nonsense"]}, "'Nonsense' is not"),
        ("item", {"film": ["a"]}, "expected a value like ''"),
        ("item", {"title": 5}, "expected a value like ''"),
        ("user", {"likes": []}, "expected liked, disliked, unseen, age, occupation, sentence"),
        ("user", {"occupation": "wizard"}, "'wizard' is not"),
        ("user", {"liked": [["a"]]}, "scene, user, liked: expected"),
        ("user", {"liked": "Fargo (1996)"}, "expected a value like []"),
        ("policy", {"text": float("nan")}, "from 0 to 1"),
        ("policy", {"A": {"text": 2}}, "scene, policy, A, text: expected a number from 0 to 1"),
        ("policy", {"A": {"sound": 2}}, "scene, policy, A: expected text"),
        ("policy", {"reserve": 21}, "from 0 to 20"),
        ("policy", [], "scene, policy: expected"),
        ("question", {"wanted": 5}, "scene, question, wanted: expected a value like ''"),
        ("question", {"person": "nobody"}, "scene, question, person: expected what is in the catalogue"),
        ("question", {"film": "No such film"}, "'No such film' is not"),
        ("question", {"asked": ""}, "expected wanted, person, film"),
    ],
)
def test_a_state_that_does_not_fit_is_told_in_a_sentence(world, kind, given, expected):
    with pytest.raises(ColdstartError, match=re.escape(expected)):
        state.read_state(world, kind, given)


def test_a_wrong_state_is_refused_by_the_function_too(world):
    for run, given in (
        (item.new_item, ItemState("No such film")),
        (user.new_user, UserState(age=-1)),
        (policy.policy, PolicyState(text=2)),
        (lambda world, given: search.ask(world.desk, given), QuestionState(film="No such film")),
    ):
        with pytest.raises(ColdstartError, match="scene, "):
            run(world, given)


def test_what_is_written_is_read_again(world):
    states = {
        "item": ItemState(FARGO, title="", genres=("Comedy",), k=3),
        "user": UserState((ALIEN,), (FARGO,), (TITANIC,), 30, "student", "robots"),
        "policy": PolicyState(0.5, reserve=4, A=Dials(), B=Dials(diversity=0.3)),
        "question": replace(ASKED, person=list(world.desk.people)[3]),
    }
    for kind, given in states.items():
        full = state.completed(world, given)
        text = json.dumps(state.written(world, full))
        assert state.read_state(world, kind, json.loads(text)) == full
    assert state.written(world, state.completed(world, ItemState(FARGO))) == {"film": FARGO}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_whatever_is_typed_breaks_nothing_and_is_escaped(all_opened, text):
    new, person, asked = (all_opened.views[kind] for kind in ("item", "user", "question"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        new.fields["title"].value = new.fields["description"].value = text
        new.fields["year"].value = text[:9]
        new.buttons["mark"].click()
        person.fields["sentence"].value = text
        new.finder.box.value = text
        asked.fields["wanted"].value = text
        stills.picture(new.world, asked.result).canvas.draw()
    assert not person.fault.value and not new.fault.value and not asked.fault.value
    assert "catalogue" in told(new.finder.note) or not text.strip() or finder.matches(new.world, text)[1]
    assert "<img" not in shown_by(all_opened)
    assert ("600" in told(new.status)) == (len(text) > state.LONGEST)
    all_opened.take(all_opened.written())
    assert "read" in told(all_opened.fault)


def shown_by(opened):
    """Return all HTML of the panels, those behind the one in front too."""
    found, left = [], [opened, *opened.views.values()]
    while left:
        widget = left.pop()
        left += getattr(widget, "children", ())
        found += [widget.value] if isinstance(widget, HTML) else []
    return "".join(found)


def test_names_on_the_map_meet_no_other(opened):
    world, drawn = opened.views["item"].world, []
    for film in world.names[:6]:
        figure = stills.picture(world, item.new_item(world, ItemState(film)))
        figure.canvas.draw()
        names = [text.get_window_extent() for text in figure.axes[0].texts]
        drawn.append(len(names))
        assert not any(one.overlaps(other) for one, other in itertools.combinations(names, 2))
    assert min(drawn) >= 1 and max(drawn) <= 4


def test_film_names_are_escaped_and_drawn_letter_by_letter(write_atomic):
    evil = prepare(catalogue(write_atomic, title="<b>$x_1$</b> 星"), Words())
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # a letter that no font has
        shown = panels.Panels(evil)
        view = turned_to(shown, "user")
        for result in (user.new_user(evil, UserState()), item.new_item(evil, ItemState(evil.names[0]))):
            stills.picture(evil, result).canvas.draw()
    assert "&lt;b&gt;$x_1$" in view.list.value and "<b>$" not in view.list.value


# --- Views


def test_controls_set_the_state_and_the_marks_follow(opened):
    view = opened.views["item"]
    before = np.array(view.map.end.x)
    view.fields["k"].value = 12
    assert view.state.k == 12 and "12 of its" in told(view.status)
    assert len(view.map.path.x) == 13 and view.map.end.x[0] == view.map.path.x[-1] != before[0]
    assert len(view.map.ellipse.x) == len(item_view.TURN)


def test_the_panel_opens_with_a_film_that_plays_new_and_words_that_carry_it(world):
    shown = panels.Panels(world)
    view = shown.views["item"]
    assert list(shown.views) == ["item"] and view.state.film == FARGO and view.fields["title"].value == "Fargo"
    assert "<mark" in view.text.value and len(view.map.near_names.text) == item_view.NAMED
    view.fields["title"].value = "Robots"
    assert view.text.value == ""
    view.buttons["mark"].click()
    assert "<mark" in view.text.value and "Robots" in view.text.value


def test_a_click_on_the_map_makes_a_film_the_new_one(opened):
    view = opened.views["item"]
    names = list(view.map.dots.names)
    view.map.dots._handle_custom_msgs(None, {"event": "element_click", "data": {"index": names.index(ALIEN)}}, [])
    assert view.state.film == ALIEN and view.state.k == 0 and view.fields["title"].value == "Alien"
    assert "Horror" in view.state.genres and view.genres["Horror"].value


def test_the_true_audience_is_hidden_until_it_is_revealed(opened):
    view = opened.views["item"]
    assert "cs-true" not in view.audience.value and "✓" not in view.shown.value
    view.revealed.value = True
    assert "cs-true" in view.audience.value and "%" in view.audience.value
    view.play(ALIEN)
    assert not view.revealed.value and "cs-true" not in view.audience.value


def test_a_part_of_a_name_finds_films_those_that_begin_with_it_first(world):
    names, n = finder.matches(world, "  ALIEN ")
    assert names[0].startswith("Alien") and n == sum("alien" in name.lower() for name in world.names)
    assert finder.matches(world, "wars")[0][0] == "Star Wars (1977)"
    assert finder.matches(world, " ") == ([], 0) == finder.matches(world, "<img")
    assert len(finder.matches(world, "the")[0]) == finder.OFFERED < finder.matches(world, "the")[1]


def test_what_is_found_is_offered_and_played(opened):
    view = opened.views["item"]
    view.finder.box.value = "alie"
    (row, buttons), *_ = view.finder.rows
    assert row.layout.display != "none" and buttons["name"].description.startswith("Alien")
    assert view.state.film == FARGO
    buttons["name"].click()
    assert view.state.film.startswith("Alien") and view.finder.box.value == "" and row.layout.display == "none"
    view.finder.box.value = "nothing like it"
    assert "nothing in the catalogue" in told(view.finder.note)


def test_undo_takes_back_a_step_and_reset_all(opened):
    view = opened.views["item"]
    for letter in ("R", "Ro", "Rob"):
        view.fields["title"].value = letter
    view.fields["year"].value = "1990"
    opened.undo.click()
    assert (view.state.title, view.fields["year"].value) == ("Rob", "1996")
    opened.undo.click()
    assert view.fields["title"].value == "Fargo"
    opened.undo.click()
    view.fields["title"].value = "other"
    opened.reset.click()
    assert view.state == view.first
    opened.undo.click()
    assert view.state.title == "other"


def test_films_are_liked_disliked_and_taken_back(opened):
    view = turned_to(opened, "user")
    view.like(ALIEN)
    view.dislike(FARGO)
    view.dislike(ALIEN)
    assert (view.state.liked, view.state.disliked) == ((), (FARGO, ALIEN))
    assert [chip.description[:3] for chip in view.chips.children] == ["− F", "− A"]
    view.chips.children[0].click()
    assert view.state.disliked == (ALIEN,)


def test_one_answer_shows_what_it_changed(opened):
    view = turned_to(opened, "user")
    assert view.before is None and "cs-up" not in view.list.value
    view.like(ALIEN)
    assert "▲" in view.list.value or "★" in view.list.value
    assert "lifted most by your yes to Alien (1979)" in told(view.list)


def test_the_next_question_is_answered_or_passed_over(opened):
    view = turned_to(opened, "user")
    first = view.asked()
    assert first in told(view.question)
    view.buttons["never seen"].click()
    assert view.asked() != first and view.state.unseen == (first,)
    second = view.asked()
    view.buttons["yes"].click()
    assert view.state.liked == (second,) and view.asked() not in (first, second)


def test_a_dragged_point_comes_to_rest_on_the_front(opened):
    view = turned_to(opened, "policy")
    view.become(replace(view.state, text=0.5))
    line = view.world.front
    at = float(line["tail"].iloc[7]) + 0.004
    view.plane.marks["now"]._handle_custom_msgs(
        None, {"event": "drag_end", "point": {"x": at, "y": 0.1}, "index": 0}, []
    )
    assert view.state.dials() == Dials(reserve=7) and view.fields["reserve"].value == 7
    assert view.plane.marks["now"].x[0] == line["tail"].iloc[7]
    assert view.plane.marks["now"].y[0] == line["ndcg"].iloc[7]


def test_two_policies_are_pinned_and_every_dot_says_its_dials(opened):
    view = turned_to(opened, "policy")
    view.buttons["unpin"].click()
    assert "Pin A" in told(view.changes)
    view.buttons["A"].click()
    view.fields["popularity"].value = 0.5
    view.buttons["B"].click()
    assert view.state.A != view.state.B and "B less A: NDCG -" in told(view.changes)
    assert any("Popularity taken off 0.33" in name for name in view.plane.grid.names)
    assert len(view.plane.front.names) == len(view.world.front)


def test_a_fault_in_any_callback_is_told(opened, monkeypatch):
    def broken(*given):
        raise KeyError("lost")

    view = opened.views["item"]
    monkeypatch.setattr("coldstart_utils.whatif.item_view.words", broken)
    view.finder.box.value = "alien ("
    view.finder.rows[0][1]["name"].click()
    assert "KeyError" in told(view.fault)
    monkeypatch.setattr(opened, "speak", broken)
    opened.language.value = "zh"
    assert "KeyError" in told(opened.fault)


def test_a_fault_stays_until_the_next_good_state(opened, monkeypatch):
    view = turned_to(opened, "policy")
    before = np.array(view.plane.marks["now"].y)

    def broken(world, given):
        raise KeyError("<b>lost")

    monkeypatch.setattr("coldstart_utils.whatif.policy_view.policy", broken)
    view.fields["text"].value = 0.5
    assert "KeyError" in told(view.fault) and "<b>lost" not in view.fault.value
    assert (view.plane.marks["now"].y == before).all()
    assert not opened.views["item"].fault.value
    monkeypatch.undo()
    view.fields["text"].value = 0.6
    assert view.fault.value == "" and (view.plane.marks["now"].y != before).all()


def test_both_languages_name_every_control(all_opened):
    def names():
        views = all_opened.views.values()
        return [w.description for v in views for w in (v.fields | v.buttons).values()] + list(
            all_opened.tabs._options_labels
        )

    english = set(names())
    all_opened.language.value = "zh"
    chinese = set(names())
    assert len(english) == len(chinese) and not english & chinese
    assert all(re.search("[\u4e00-\u9fff]", text) for text in chinese)
    assert "当作新片" in all_opened.views["item"].status.value and all_opened.shown.kind == "item"
    asked = all_opened.views["question"]
    assert asked.state == asked.first and asked.state.person == asked.fields["person"].value != ""
    assert all(len(pair) == 2 and all(pair) for pair in labels.labels().values())


def test_every_label_is_used_and_none_is_missing(world):
    """By name in a room of the wing, or by a name that is put together from a part of a result."""
    source = "".join(path.read_text(encoding="utf-8") for path in Path(panels.__file__).parent.glob("*.py"))
    dynamic = (
        "play ",
        "pause ",
        "column ",
        "reason ",
        "part ",
        "measure ",
        "step ",
        "short ",
        "list ",
        "how ",
        "also ",
    )
    names = {*DIALS, *panels.VIEWS, *asdict(UserState()), *asdict(ItemState()), *asdict(QuestionState())}
    names |= {f"remark {key}" for key in REMARKS}
    mentioned = re.findall(r"[\"']([a-z_ ]+)[\"']", source)
    unused = [
        key for key in labels.labels() if key not in {*names, *mentioned, "A", "B"} and not key.startswith(dynamic)
    ]
    assert unused == []
    parts = [f"part {name}" for name in ("popularity", "prior", "yes", "no", "sentence")]
    columns = [f"column {name}" for name in (*world.groups, "chose")]
    lists = search.ask(world.desk, panels.first_question(world.desk)).meant
    columns += [f"{what} {name}" for what in ("list", "how") for name in lists]
    columns += [f"remark {key}" for key in REMARKS]
    assert {*parts, *columns, *(f"step {step}" for step in STEPS)} <= labels.labels().keys()


def test_a_scene_is_written_and_read(world, all_opened):
    view = turned_to(all_opened, "policy")
    view.fields["text"].value = 0.5
    view.buttons["A"].click()
    all_opened.write.click()
    scene = json.loads(all_opened.scene.value)
    assert scene["item"] == {"film": FARGO, "k": 3} and "user" not in scene and next(iter(scene)) == "policy"
    assert scene["policy"]["A"]["text"] == 0.5
    link = re.search(r'href="\?scene=([^"]+)"', all_opened.link.value)[1]
    for text in (all_opened.scene.value, link):
        again = panels.Panels(world, scene=text)
        assert again.kind == "policy" and again.shown.state == all_opened.shown.state
        again.tabs.value = "item"
        assert again.shown.state == all_opened.views["item"].state


def test_a_scene_that_cannot_be_read_is_told(world, opened):
    for text, expected in (
        ("{", "expected JSON"),
        ('{"nobody": {}}', "expected an object"),
        ("[1]", "an object"),
        ('{"item": ' * 100_000, "expected JSON"),
    ):
        shown = panels.Panels(world, scene=text)
        assert expected in told(shown.fault) and shown.shown.state.film == FARGO
    opened.scene.value = '{"item": {"film": "<script>"}}'
    opened.read.click()
    assert "in the catalogue" in told(opened.fault) and "<script>" not in opened.fault.value
    assert opened.views["item"].state.film == FARGO


def test_the_address_is_told_to_who_serves_the_page(world):
    told_of = []
    shown = panels.Panels(world, address=told_of.append)
    shown.shown.fields["k"].value = 4
    assert json.loads(told_of[-1]) == {"item": {"film": FARGO, "k": 4}}


@pytest.fixture(scope="module")
def exporter():
    """What makes a page of a notebook."""
    return HTMLExporter()


@pytest.mark.parametrize("kind", ["item", "user", "policy", "question"])
def test_without_a_kernel_the_picture_and_a_line_stand_there(opened, exporter, kind):
    opened.tabs.value = kind
    data, metadata = opened._repr_mimebundle_()
    output = new_output("display_data", data=data, metadata=metadata)
    del output.data["application/vnd.jupyter.widget-view+json"]  # the runner drops what needs a kernel
    page, _ = exporter.from_notebook_node(new_notebook(cells=[new_code_cell("panels", outputs=[output])]))
    assert f'src="data:image/png;base64,{data["image/png"][:60]}' in page
    assert "What-if panels" in data["text/plain"] and "VBox(" not in page and "Panels(children" not in page


# --- Other catalogues


def test_a_catalogue_of_one_text_has_the_controls_that_make_sense(write_atomic):
    world = prepare(catalogue(write_atomic), Words())
    shown = panels.Panels(world)
    shown.tabs.value = "user"
    assert set(shown.views["item"].fields) == {"description", "k"} and not shown.views["item"].genres
    assert set(shown.views["user"].fields) == {"sentence"}
    assert "has no age, genres, occupation, title, year" in told(shown.fault)
    shown.tabs.value = "question"
    assert shown.shown.result.lists["list"].nunique() == 4
    shown.views["item"].fields["description"].value = "a warm tale"
    near = item.new_item(world, shown.views["item"].state).neighbours["film"]
    assert near.str.startswith("warm").all()
    assert all(not view.fault.value for view in shown.views.values())


def test_a_sentence_is_read_where_a_column_of_ones_own_is_called_synopsis(write_atomic):
    plain = catalogue(write_atomic, rich=False)
    own = replace(plain, items=plain.items.rename(columns={"story": "synopsis"}))
    world = prepare(own, Words())
    assert world.body == "synopsis"
    entries = user.new_user(world, UserState(sentence="a warm tale")).entries
    assert np.ptp(entries["sentence"]) > 0
    assert not user.new_user(world, UserState()).entries["sentence"].any()


def test_who_has_spoken_of_everything_is_asked_nothing(write_atomic):
    world = prepare(catalogue(write_atomic, rich=False), Words())
    warm = [name for name, factor in zip(world.names, world.users.other) if factor.any()]
    said = UserState(liked=tuple(warm[:20]), unseen=tuple(warm[20:-1]))
    assert user.new_user(world, said).ask["film"].tolist() == warm[-1:]
    view = user_view.UserView(world, replace(said, unseen=tuple(warm[20:])), "en")
    assert view.asked() == "" and "Nothing is left to ask" in told(view.question)
    for key in ("yes", "no", "never seen"):
        view.buttons[key].click()
    assert view.state == view.first and not view.fault.value


def test_counting_the_tokens_of_a_question_leaves_the_encoder_alone():
    reader = Reader(TextEncoder(max_tokens=16))
    reader.encode(["word " * 40])
    cut = reader.encoder.tokenizer.backend_tokenizer.truncation
    assert search.remarked("word " * 40, WordIndex(["a boat"]), reader)["cut"] == {"read": 16, "tokens": 42}
    assert reader.encoder.tokenizer.backend_tokenizer.truncation == cut is not None


def test_who_leaves_while_a_seat_is_found_keeps_none(monkeypatch):
    visit = pytest.importorskip("coldstart_utils.whatif.visit")
    house, gone, found = page.House(world=object()), threading.Event(), []
    house.ready.set()
    seat = house.seat
    monkeypatch.setattr(visit, "HOUSE", house)
    monkeypatch.setattr(visit, "LOOK_AGAIN", 0.0)

    def leaves_meanwhile(visitor):
        gone.set()
        house.leave(visitor)
        return seat(visitor)

    monkeypatch.setattr(house, "seat", leaves_meanwhile)
    visit.look("somebody", gone, found.append)
    assert not house.seated and not found


def test_occupations_alone_are_offered(write_atomic):
    world = prepare(catalogue(write_atomic, rich=True), Words())
    shown = panels.Panels(world)
    shown.tabs.value = "user"
    view = shown.views["user"]
    assert view.fields["occupation"].options == ("", "cook", "smith") and "age" not in view.fields
    view.fields["occupation"].value = "cook"
    assert view.state.occupation == "cook" and not view.fault.value


def test_items_without_text_are_refused(write_atomic):
    folder = write_atomic(inter="user_id:token|item_id:token\nu|i\nv|i\n")
    with pytest.raises(ColdstartError, match="no text column"):
        prepare(read_atomic(folder), Words())


def test_a_catalogue_without_a_tail_has_no_policies(world):
    bare = replace(world, bench=None, notes="no tail here")
    shown = panels.Panels(bare, scene='{"policy": {"text": 0.5}}')
    assert list(shown.states) == ["item", "user", "question"] and told(shown.fault) == "no tail here"
    with pytest.raises(ColdstartError, match="no tail here"):
        policy.policy(bare, PolicyState())


def test_steps_are_told_as_they_begin(write_atomic):
    begun = []
    prepare(catalogue(write_atomic), Words(), tell=begun.append)
    assert tuple(begun) == STEPS
