"""language/search: BM25 by its formula, exact and approximate neighbours, questions that nobody should ask."""

import copy

import numpy as np
import pytest

from coldstart_utils.catalogue.atomic import read_atomic
from coldstart_utils.data import search_tuned
from coldstart_utils.ground import ColdstartError
from coldstart_utils.language import search
from coldstart_utils.language.codes import Codes
from coldstart_utils.language.encoders import TextEncoder
from coldstart_utils.models.scores import top_k

FILMS = ["A boy trains a young dragon", "Two dragons and a kingdom at war", "A lawyer defends a boy", ""]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def encoder():
    return TextEncoder()


@pytest.fixture
def films():
    return search.WordIndex(FILMS)


# --- Words -----------------------------------------------------------------------------------------------------------


def by_formula(texts, question, k1=1.5, b=0.75):
    """BM25 as Lucene counts it, word by word."""
    lengths = np.array([len(text) for text in texts])
    scores = np.zeros(len(texts))
    for word in question:
        t = np.array([text.count(word) for text in texts])
        n = (t > 0).sum()
        idf = np.log(1 + (len(texts) - n + 0.5) / (n + 0.5))
        scores += idf * t / (t + k1 * (1 - b + b * lengths / lengths.mean()))
    return scores


@pytest.mark.parametrize("k1, b", [(1.5, 0.75), (0.9, 0.4)])
def test_bm25_is_its_formula_on_random_texts(k1, b, rng):
    vocabulary = [f"qx{n}z" for n in range(40)]
    texts = [[*rng.choice(vocabulary, size=rng.integers(3, 30))] for _ in range(60)]
    questions = [[*rng.choice(vocabulary, size=6)] for _ in range(10)]
    index = search.WordIndex([" ".join(text) for text in texts], k1=k1, b=b)
    scores = index.scores([" ".join(question) for question in questions])
    expected = np.array([by_formula(texts, question, k1, b) for question in questions])
    assert scores == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_words_meet_by_their_stems_and_stop_words_do_not_count(films):
    assert films.stems(["The dragons' kingdom, training"]) == [["dragon", "kingdom", "train"]]
    assert (films.scores(["training of dragons"])[0] > 0).tolist() == [True, True, False, False]
    assert not films.scores(["the of and"]).any()


def test_what_matched_adds_up_to_the_score(films):
    question = "was there a boy who trained dragons, dragon after dragon"
    parts = films.matched(question, 0)
    assert set(parts) == {"boy", "trained", "dragons"} and list(parts.values()) == sorted(parts.values(), reverse=True)
    assert sum(parts.values()) == pytest.approx(films.scores(["boy trained dragons"])[0, 0], rel=1e-5)
    assert films.matched(question, 3) == {}


def test_a_catalogue_without_words_is_told_before_anything_is_shown(write_atomic):
    def shop(*titles):
        rows = "".join(f"{n}|{title}\n" for n, title in enumerate(titles))
        inter = "user_id:token|item_id:token\nu|0\n"
        return read_atomic(write_atomic(inter=inter, item=f"item_id:token|title:token_seq\n{rows}"))

    some = shop("?!", "a whale")
    assert search.with_words(some) is some
    for titles in (("?!", "..."), ("The", "of")):
        with pytest.raises(ColdstartError, match="shop: expected texts of items with words in them"):
            search.with_words(shop(*titles))


def test_the_best_texts_in_batches_are_those_of_the_whole(films):
    questions = ["dragon", "boy", "war kingdom", "nothing of it"] * 3
    items, scores = films.top(questions, 3, batch=5)
    whole = films.scores(questions)
    assert items.tolist() == top_k(whole, 3).tolist()
    assert scores.tolist() == np.take_along_axis(whole, items, 1).tolist()
    assert items[3].tolist() == [0, 1, 2], "without a match the order is that of the catalogue"


@pytest.mark.parametrize("texts", [["", ""], ["the of", "..."], []])
def test_texts_without_words_are_told(texts):
    with pytest.raises(ColdstartError, match="expected texts with words"):
        search.WordIndex(texts)


# --- Vectors ---------------------------------------------------------------------------------------------------------


def test_one_question_is_given_in_a_list():
    index = search.WordIndex(["a green film", "a red car"])
    assert index.scores(["green"]).shape == (1, 2)
    for ask in (index.scores, lambda text: index.top(text, 1), search.WordIndex):
        with pytest.raises(ColdstartError, match="expected a list of texts, got the one string"):
            ask("green film")


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("block", [7, 40, 1000])
def test_nearest_block_by_block_is_the_order_of_all_products(block, rng):
    # Few different numbers, so that many products tie.
    questions, vectors = rng.integers(0, 3, (20, 4)).astype(np.float32), rng.integers(0, 3, (90, 4)).astype(np.float32)
    items, scores = search.nearest(questions, vectors, 25, block=block)
    whole = questions @ vectors.T
    assert items.tolist() == top_k(whole, 25).tolist()
    assert scores.tolist() == np.take_along_axis(whole, items, 1).tolist()


def test_few_vectors_are_searched_exactly_and_the_graph_finds_nearly_the_same(rng):
    vectors, questions = unit(rng.normal(size=(3000, 16))), unit(rng.normal(size=(50, 16)))
    exact, graph = search.VectorIndex(vectors), search.VectorIndex(vectors, approximate=True)
    assert exact.near is None and graph.near is not None
    found, cosines = graph.top(questions, 10)
    right, best = exact.top(questions, 10)
    assert np.mean([len({*a} & {*b}) / 10 for a, b in zip(found, right)]) > 0.9
    assert cosines[:, 0] == pytest.approx(best[:, 0], abs=0.1)
    assert cosines == pytest.approx(np.take_along_axis(exact.scores(questions), found, 1), abs=1e-5)


def test_codes_find_nearly_the_same_and_their_cosines_are_exact(rng, monkeypatch):
    monkeypatch.setattr(search, "GRAPH_UP_TO", 2000)
    monkeypatch.setattr(search, "DEEP", 100)
    kinds, kind = rng.normal(size=(40, 32)), rng.integers(0, 40, 3000)
    vectors = unit(kinds[kind] + 0.5 * rng.normal(size=(3000, 32)))
    vectors[2999] = vectors[5]
    questions = unit(vectors[:50] + 0.02 * rng.normal(size=(50, 32)))
    exact, index = search.VectorIndex(vectors, approximate=False), search.VectorIndex(vectors, approximate=True)
    assert isinstance(index.near, Codes)
    right, (found, cosines) = exact.top(questions, 10)[0], index.top(questions, 10)
    assert np.mean([len({*a} & {*b}) / 10 for a, b in zip(found, right)]) > 0.9
    assert cosines == pytest.approx(np.take_along_axis(exact.scores(questions), found, 1), abs=1e-6)
    assert (np.diff(cosines, axis=1) <= 0).all()
    assert found[5, :2].tolist() == [5, 2999]  # the same vector twice: the lower one first
    # Who asks for more than the nearest lists may hold gets all of it, exactly.
    assert index.top(questions[:3], 3000)[0].tolist() == exact.top(questions[:3], 3000)[0].tolist()


def test_where_the_lists_hold_too_few_nothing_is_made_up(rng):
    places = Codes(unit(rng.normal(size=(400, 8))), probed=0.05).search(unit(rng.normal(size=(4, 8))), 300)[1]
    assert (places[:, 0] >= 0).all() and (places[:, -1] == -1).all()
    assert all(len({*row[row >= 0]}) == (row >= 0).sum() for row in places)


@pytest.mark.parametrize("vectors", [np.zeros((0, 3)), np.zeros(3), np.array([[1.0, np.nan]])])
def test_vectors_that_are_none_are_refused(vectors):
    with pytest.raises(ColdstartError, match="expected finite vectors"):
        search.VectorIndex(vectors)


@pytest.mark.parametrize("k", [0, 5])
def test_k_is_checked(k):
    with pytest.raises(ColdstartError, match="k from 1 to 4"):
        search.VectorIndex(np.eye(4)).top(np.eye(4)[:1], k)


def test_a_question_fed_back_moves_towards_what_it_found():
    vectors = unit(np.array([[1.0, 0.2], [1.0, 0.3], [-1.0, 0.1]]))
    question = unit(np.array([[1.0, -0.2]]))
    moved = search.fed_back(question, vectors, k=2)
    assert (moved @ vectors[:2].T > question @ vectors[:2].T).all()
    assert np.linalg.norm(moved) == pytest.approx(1)
    assert search.fed_back(question, vectors, weight=0.0) == pytest.approx(question)


# --- Questions -------------------------------------------------------------------------------------------------------


def test_the_best_part_is_the_nearest_sentence_of_each_question():
    vectors = np.eye(3, dtype=np.float32)
    parts = unit(np.array([[1, 0, 0], [0, 1, 0], [1, 1, 1]]))
    spoken = search.Spoken(parts[:2], parts, np.array([0, 0, 1]))
    assert spoken.best_part(vectors) == pytest.approx(np.array([[1, 1, 0], [3**-0.5] * 3]))


def test_questions_are_read_sentence_by_sentence(encoder):
    assert search.sentences_of("A film. There was a dragon in it! Help?\nIt ended in a war") == [
        "There was a dragon in it!",
        "It ended in a war",
    ]
    assert search.sentences_of("dragon, war") == ["dragon, war"]
    spoken = search.spoken(["A boy met a dragon. They went to war together.", "dragon"], encoder)
    assert spoken.whole.shape == (2, 384) and spoken.question.tolist() == [0, 0, 1]
    assert spoken.parts[2] == pytest.approx(spoken.whole[1])


def test_late_interaction_is_the_mean_of_the_nearest_tokens_by_hand():
    known = search.TokenVectors(np.eye(3, dtype=np.float32), np.array([0, 2]))
    asked = search.TokenVectors(np.array([[0.6, 0.8, 0], [0, 0.6, 0.8], [1, 0, 0]], np.float32), np.array([0, 2]))
    # The first text has the tokens (1,0,0) and (0,1,0), the second (0,0,1); the first question has two tokens.
    assert search.late_interaction(asked, known) == pytest.approx(np.array([[(0.8 + 0.6) / 2, (0 + 0.8) / 2], [1, 0]]))


def test_tokens_of_a_text_do_not_depend_on_its_neighbours_but_for_the_mean(encoder):
    texts = ["A boy trains a young dragon", "", "war"]
    found = search.token_vectors(texts, encoder)
    assert np.diff(np.r_[found.starts, len(found.vectors)]).tolist() == [8, 2, 3]  # the two marks are tokens
    assert np.linalg.norm(found.vectors, axis=1) == pytest.approx(1, abs=1e-5)
    one_by_one = search.token_vectors(texts, encoder, batch=1)
    assert found.vectors == pytest.approx(one_by_one.vectors, abs=1e-4)
    assert search.late_interaction(found, found).argmax(axis=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("question", ["", "  \n ", "?!", None, 7, "<br/><p>"])
def test_a_question_without_words_is_told_in_a_sentence(question):
    with pytest.raises(ColdstartError, match=r"^question: expected (words|a text), got"):
        search.cleaned(question)


def test_html_is_taken_out_of_a_question():
    assert search.cleaned("<p>a boy &amp; a\n<b>dragon</b></p>") == "a boy & a dragon"
    assert search.cleaned("is 1 < 2 and 3 > 2?") == "is 1 < 2 and 3 > 2?"


@pytest.mark.parametrize(
    "question, told",
    [
        ("boy " * 2500, "first 256 of 2502 tokens"),
        ("and of the", "Only words such as"),
        ("zebra", "No word of the question"),
        ("一个男孩和一条龙", "trained on English"),
    ],
)
def test_what_was_not_read_is_told(films, encoder, question, told):
    found = search.remarked(question, films, encoder)
    assert told in " ".join(search.REMARKS[key].format(**numbers) for key, numbers in found.items())
    assert np.isfinite(films.scores([question])).all()


def test_a_plain_question_needs_no_remark(films, encoder):
    assert search.remarked("a boy and his dragon", films, encoder) == {}


# --- The encoder's upper layers, tuned -------------------------------------------------------------------------------


def upper_layers(encoder, layers):
    import torch

    return torch.nn.Sequential(*copy.deepcopy(encoder.model.encoder.layer[-layers:])).train(False)


def test_layers_that_have_learnt_nothing_read_as_the_encoder_does(encoder):
    texts = ["A boy hides a dragon", "War", "Somebody tells a long tale of two towns, a bridge, and a dog " * 3]
    for layers in (1, 2):
        hidden = search_tuned.below(texts, encoder, layers)
        found = search_tuned.read_by(upper_layers(encoder, layers), hidden)
        np.testing.assert_allclose(found, encoder.encode(texts), atol=1e-5, rtol=0)


def test_layers_tuned_by_contrast_find_more_of_what_is_meant(encoder):
    asked = ["a pet that breathes fire", "a trial", "armies", "a queen", "a storm at sea", "a bank is robbed"]
    told = [
        "Boy trains a dragon",
        "A lawyer defends",
        "Two kingdoms fight",
        "She is crowned",
        "A ship sinks",
        "Thieves",
    ]
    items, hidden, right = encoder.encode(told), search_tuned.below(asked, encoder, 1), np.arange(6)

    def loss(upper):
        scores = unit(search_tuned.read_by(upper, hidden) - items.mean(axis=0)) @ items.T / search_tuned.TEMPERATURE
        return (np.log(np.exp(scores).sum(axis=1)) - scores[right, right]).mean()

    before = upper_layers(encoder, 1)
    *_, after = search_tuned.tuned(copy.deepcopy(before), hidden, right, items, 1e-4)
    assert loss(after) < 0.9 * loss(before)


def test_batches_hold_every_text_once_and_like_lengths_together(rng):
    lengths = rng.integers(3, 200, 50)
    for order in (None, rng):
        parts = list(search_tuned.batches(lengths, order))
        assert sorted(np.concatenate(parts)) == list(range(50)) and max(map(len, parts)) <= search_tuned.BATCH
        assert sum(np.ptp(lengths[rows]) for rows in parts) <= np.ptp(lengths)
