"""language/fields, whatif/search, book/searching: what a catalogue says field by field, and how it is shown."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from coldstart_utils.book import searching
from coldstart_utils.catalogue.atomic import read_atomic
from coldstart_utils.catalogue.dataset import best_known
from coldstart_utils.catalogue.movielens import attach_expansion
from coldstart_utils.catalogue.questions import generated_questions, questions_from_texts
from coldstart_utils.data import search_ranks, shop_ranks
from coldstart_utils.ground import ColdstartError
from coldstart_utils.language import fields, search
from coldstart_utils.language.encoders import TextEncoder
from coldstart_utils.measure import known_items
from coldstart_utils.models.scores import rank_of, top_k
from coldstart_utils.whatif import stills
from coldstart_utils.whatif.search import Answers, listed, ranked

SHOP = {
    "inter": "user_id:token|item_id:token\nu1|i1\nu2|i2\nu2|i1\n",
    "item": "item_id:token|title:token_seq|year:token\ni1|Red lamp|1990\ni2|Blue lamp|1991\ni3|Green chair|1990\n",
}


@pytest.fixture(scope="module")
def encoder():
    return TextEncoder()


@pytest.fixture
def shop(write_atomic):
    return read_atomic(write_atomic(**SHOP))


@pytest.fixture(scope="module")
def films(ml100k):
    return best_known(attach_expansion(ml100k), 150)


def test_levels_say_more_and_more(films, shop):
    texts = fields.levels(films)
    assert list(texts) == ["title", "+ year, genres", "+ synopsis", "+ keywords", "+ people, origin"]
    lengths = [sum(map(len, level)) for level in texts.values()]
    assert lengths == sorted(lengths) and len(set(lengths)) == 5
    assert list(fields.levels(shop)) == ["title", "+ year, genres"], "the same text again is left out"


def test_a_column_of_ones_own_may_be_called_as_a_generated_one(write_atomic):
    item = "item_id:token|title:token_seq|synopsis:token_seq\ni1|Red lamp|it glows\ni2|Blue lamp|it hums\n"
    own = read_atomic(write_atomic(inter="user_id:token|item_id:token\nu1|i1\n", item=item))
    assert fields.levels(own)["all columns"] == ["Red lamp. it glows.", "Blue lamp. it hums."]


def test_columns_without_a_word_are_left_out(write_atomic):
    item = "item_id:token|title:token_seq|plot:token_seq\ni1||a lamp\ni2||a chair\n"
    bare = read_atomic(write_atomic(inter="user_id:token|item_id:token\nu1|i1\n", item=item))
    assert list(fields.levels(bare)) == ["all columns"] and fields.exact_asks(bare) == {}


def test_a_catalogue_without_text_is_told(write_atomic, encoder):
    bare = read_atomic(write_atomic(inter=SHOP["inter"]))
    for make in (fields.levels, fields.fields, lambda d: fields.engine(d, encoder)):
        with pytest.raises(ColdstartError, match="its items have no text column"):
            make(bare)


def test_the_engine_takes_off_what_all_have_in_common(shop, encoder):
    engine = fields.engine(shop, encoder, ["a lamp, please", "a chair, please"])
    assert engine.usual == pytest.approx(encoder.encode(["a lamp, please", "a chair, please"]).mean(axis=0))
    parts = engine.parts(["a red light"])
    assert set(parts) == {"words", "text"} and all(part.shape == (1, 3) for part in parts.values())
    assert top_k(engine.scores(["a red light"]), 1).tolist() == [[0]]


def test_halves_depend_on_the_id_alone():
    ids = [f"q{n}" for n in range(400)]
    half = fields.halves(ids)
    assert fields.halves(ids[::-1]).tolist() == half[::-1].tolist()
    assert 160 < half.sum() < 240


def test_what_is_learnt_comes_from_the_other_half():
    half, values = np.array([0, 1, 1, 0]), np.array([[1.0], [10.0], [20.0], [3.0]])
    learnt = fields.crossed(half, lambda rows: values[rows].mean(axis=0), (1,))
    assert learnt.ravel().tolist() == [15, 2, 2, 15]
    assert fields.crossed(np.zeros(3, int), lambda rows: values[rows].mean(axis=0), (1,)).ravel().tolist() == [0, 0, 0]


def test_no_answer_of_its_own_half_reaches_a_learnt_weight():
    rng = np.random.default_rng(0)
    parts, half, right = list(rng.normal(size=(2, 8, 5))), np.array([0, 1] * 4), rng.integers(0, 5, 8)
    before = fields._with_learnt(parts, half, right)
    changed = np.where(half == 0, (right + 1) % 5, right)
    after = fields._with_learnt(parts, half, changed)
    assert after[half == 0] == pytest.approx(before[half == 0])
    assert not np.allclose(after[half == 1], before[half == 1])


def test_a_new_item_has_no_clicks_and_all_others_keep_theirs():
    scores, clicks = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]]), np.array([50, 5, 5])
    found = fields.with_clicks(scores, np.array([0, 1]), clicks, np.array([9.0, 9.0, 9.0]))
    known, new, guessed = (found[f"clicks 1{end}"] for end in ("", ", item new", ", item new, guessed"))
    assert (known != new).tolist() == [[True, False, False], [False, True, False]]
    assert new[0, 0] < guessed[0, 0] < known[0, 0] and new[1, 1] < known[1, 1] < guessed[1, 1]


def test_a_guess_of_clicks_is_that_of_the_neighbours(shop, encoder):
    engine = fields.engine(shop, encoder)
    guess = fields.guessed_clicks(engine, np.array([10, 10, 10]), neighbours=2)
    assert guess == pytest.approx([10, 10, 10])
    own = fields.guessed_clicks(engine, np.array([1000, 0, 0]), neighbours=2)
    assert own[0] == pytest.approx(0) and (own[1:] > 0).all(), "an item does not guess from its own"


def test_exact_questions_are_answered_by_their_item(shop):
    asks = fields.exact_asks(shop)
    assert list(asks) == ["title", "year"]
    titles, right = asks["title"]
    assert titles == ["Red lamp", "Blue lamp", "Green chair"] and right.toarray().tolist() == np.eye(3).tolist()
    years, right = asks["year"]
    assert years == ["from 1990", "from 1991"] and right.toarray().tolist() == [[1, 0, 1], [0, 1, 0]]


def test_a_title_finds_its_item_by_words(shop, encoder):
    found = search_ranks.exact(shop, fields.engine(shop, encoder), 3)
    assert list(found) == ["title", "year"] and found["title"]["words"].tolist() == [1, 1, 1]


def test_what_a_shop_says_has_an_interval_for_each_part():
    told = searching.told_shop(shop_ranks.read())
    assert told.count("\n") == 2 and told.count(" to ") == 6
    table = known_items.compare(shop_ranks.read()[["words", "meaning"]], np.arange(len(shop_ranks.read())), "words")
    assert searching.shop_table(table)["difference to words"].tolist()[0] == "–"


@pytest.fixture(scope="module")
def asked(films):
    return questions_from_texts(films, films.items["keywords"].tolist(), most=40)


def test_ranks_of_all_methods(films, asked, encoder):
    ranks = search_ranks.ranks_of(films, asked, encoder)
    methods = search_ranks.methods(ranks)
    assert methods.min().min() == 1 and methods.max().max() <= films.n_items and not methods.isna().any().any()
    expected = {f"{level} | {way}" for level in fields.levels(films) for way in ("words", "meaning")}
    assert expected | {fields.OURS, "by ranks", "weights learnt", "clicks 0.5, item new"} <= set(methods)
    assert (ranks["item_id"] == films.items["item_id"].to_numpy()[asked.right]).all()
    assert ranks["shared"].median() > 0.9, "the questions are made of the texts"


def test_what_is_learnt_for_a_half_comes_from_the_other():
    half = np.array([0, 1, 1, 0])
    usual = fields.usual_of_others(np.eye(4), half).tolist()
    assert usual == [[0, 0.5, 0.5, 0], [0.5, 0, 0, 0.5], [0.5, 0, 0, 0.5], [0, 0.5, 0.5, 0]]
    assert fields.crossed(half, lambda rows: rows.astype(float), (2,)).tolist() == [[1, 2], [0, 3], [0, 3], [1, 2]]
    assert not fields.crossed(np.zeros(3, int), lambda rows: np.ones(2), (2,)).any(), "there is no other half"


def test_a_question_like_it_never_tells_the_answer(films, asked, encoder):
    first, others = asked.part(np.arange(1)), asked.part(np.arange(1, len(asked)))
    half = fields.halves(first.table["query_id"])
    # The question itself is among those asked, and counts for nothing but the mean that is taken off.
    with_itself, without = (search_ranks.like_it(films, first, o, half, encoder) for o in (asked, others))
    assert with_itself == pytest.approx(without, abs=0.2)
    assert (rank_of(with_itself, first.right) - rank_of(without, first.right)).max() <= 1


def test_what_was_recorded_is_about_the_questions_of_people_and_generated_ones(ml100k):
    recorded = search_ranks.read()
    people, made = (part for _, part in recorded.groupby("asked", sort=False))
    assert len(people) == 489 and len(made) == 470
    assert made["item_id"].tolist() == ml100k.items["item_id"][generated_questions(ml100k).right].tolist()
    assert search_ranks.LIKE_IT in recorded and not search_ranks.methods(recorded).isna().any().any()
    numbers = recorded.drop(columns=["asked", "query_id", "item_id"])
    assert all(dtype.kind in "if" for dtype in numbers.dtypes), "no text of anybody"
    assert people["half"].tolist() == fields.halves(people["query_id"]).tolist()


def test_recorded_ranks_are_those_of_another_catalogue_never(shop, ml100k, encoder):
    assert search_ranks.of_people(shop, encoder, anew=True) is None
    assert len(search_ranks.of_people(ml100k, encoder, anew=False)) == 489


OFFICE = (
    "item_id:token|title:token_seq|description:token_seq\n"
    "i1|HP 74 ink|HP 74 ink. Black, for printers of the series 74\n"
    "i2|Red stapler|\ni3|Oak desk|A table of oak, 74 inches wide\n"
)


def test_titles_ask_for_descriptions_that_do_not_repeat_them(write_atomic, encoder):
    shop = read_atomic(write_atomic(inter="user_id:token|item_id:token\nu1|i1\n", item=OFFICE))
    table = shop_ranks.held_back(shop)
    assert table["item_id"].tolist() == ["i1", "i3"], "without a description there is nothing to find"
    assert table["description"][0] == "Black, for printers of the series 74"
    ranks = shop_ranks.ranks_of(table, encoder)
    assert ranks["number"].tolist() == [1, 0] and ranks["length"].tolist() == [3, 2]
    assert ranks["words and meaning"].tolist() == [1, 1]


def test_a_shop_without_descriptions_is_told(shop):
    with pytest.raises(ColdstartError, match=r"expected items with a title and a description, without {'description'}"):
        shop_ranks.held_back(shop)


def test_what_was_recorded_of_a_shop_are_ids_and_ranks():
    ranks = shop_ranks.read()
    methods = ranks.drop(columns=[*shop_ranks.FACTS])
    assert ranks["item_id"].is_unique and methods.min().min() == 1 and methods.max().max() <= len(ranks)
    assert all(dtype.kind in "if" for dtype in ranks.drop(columns="item_id").dtypes), "no text of anybody"


# --- The panel and the figures ---------------------------------------------------------------------------------------


def four_answers(engine, question, names, taste=None, weight=1.0):
    """Return the lists of eight for a question, and what was not read of it."""
    question = search.cleaned(question)
    lists = listed(engine, question, names, ranked(engine, question, taste, weight=weight), 8)
    return lists, search.remarked(question, engine.words, engine.encoder)


def test_four_answers_show_what_matched_and_whose_taste(shop, encoder):
    engine, names = fields.engine(shop, encoder), ["red", "blue", "green"]
    answers, told = four_answers(engine, "<b>lamp</b> of red", names, np.array([0, 0, 9.0]), weight=50)
    assert list(answers["list"].unique()) == ["by words", "by meaning", "by both", "by both, for this person"]
    by_words = answers[answers["list"] == "by words"]
    assert by_words["name"].tolist() == ["red", "blue"] and by_words["words"].tolist() == ["red, lamp", "lamp"]
    assert answers[answers["list"] == "by both, for this person"]["name"].iloc[0] == "green" and told == {}


def test_a_question_that_no_word_answers_lists_meanings_only(shop, encoder):
    answers, told = four_answers(fields.engine(shop, encoder), "something to sit on", ["red", "blue", "green"])
    assert "by words" not in set(answers["list"]) and "no word" in told
    with pytest.raises(ColdstartError, match="question: expected words"):
        four_answers(fields.engine(shop, encoder), " ", ["red", "blue", "green"])


def test_figures_are_drawn_and_what_was_typed_is_no_mathematics(films, asked, encoder):
    ranks = search_ranks.ranks_of(films, asked, encoder)
    table = known_items.compare(search_ranks.methods(ranks), ranks["item_id"], fields.OURS)
    facts = ranks[["item_id", "shared"]].assign(rank=ranks[fields.OURS])
    lists, _ = four_answers(fields.engine(films, encoder), "toys $ that _{ live", films.items["title"].tolist())
    curve = searching.clicks_curve(ranks, fields.OURS, fields.CLICK_WEIGHTS)
    for figure in (
        searching.by_level({"a": table, "b": table}, fields.OURS, title="t", xlabel="x"),
        searching.shared_words({"a": facts}, title="t"),
        stills.answers(Answers("toys $ that _{ live", lists, {"by both": 3}, {"no word": {}})),
        stills.answers(Answers("nothing", lists.iloc[:0], {}, {})),
    ):
        assert isinstance(figure, Figure)
        figure.canvas.draw()
    assert "Title alone: words" in searching.told_levels("a", table, fields.OURS)
    assert "known" in searching.told_clicks(curve, 0.5) and len(curve) == 3 * (1 + len(fields.CLICK_WEIGHTS))
    assert isinstance(searching.found_by_people(ranks, ranks, fields.OURS, curve), dict)
    fame = searching.told_by_fame(ranks, np.arange(len(ranks)), fields.OURS, "clicks 0.5")
    assert fame.startswith("By fame") and fame.count(" to ") == 2
    assert searching.told_steps({"a": table}).startswith("By meaning, what adds most is for a *")
    assert searching.told_found(table).startswith("Taking off the means ")
    read = searching.ways_table(table, table)
    assert read.loc[fields.OURS, "difference"] == "–" and read["first ten"].is_monotonic_decreasing
    assert pd.Series(searching.told_shared({"a": facts})).str.contains("median").all()
