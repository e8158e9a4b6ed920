"""context: vectors are joined by the rule that is named, users and moments become what their columns say."""

import dataclasses
from datetime import UTC, datetime

import numpy as np
import pytest
from scipy import sparse

from coldstart_utils.catalogue.atomic import read_atomic
from coldstart_utils.catalogue.features import idf, item_texts, token_features
from coldstart_utils.catalogue.movielens import attach_expansion
from coldstart_utils.ground import ColdstartError
from coldstart_utils.language.context import combine, content_blocks, history_vectors, time_features, user_texts

USER, ITEM, CONTEXT = np.array([[1.0, 2], [3, 4]]), np.array([[3.0, 0], [0, 1]]), np.array([[2.0, 4], [6, 1]])
JOINED = {
    "concat": [[1, 2, 3, 0, 2, 4], [3, 4, 0, 1, 6, 1]],
    "mean": [[2, 2], [3, 2]],
    "sum": [[6, 6], [9, 6]],
    "product": [[6, 0], [0, 4]],
}


@pytest.mark.parametrize("how", JOINED)
def test_vectors_are_joined(how):
    np.testing.assert_allclose(combine(USER, ITEM, CONTEXT, how), JOINED[how], rtol=1e-14)


def test_concatenation_is_the_default_and_takes_any_widths():
    joined = combine(np.ones((5, 3)), np.zeros((5, 4)), np.full((5, 1), 2.0))
    assert joined.shape == (5, 8)
    assert joined[0].tolist() == [1, 1, 1, 0, 0, 0, 0, 2]


@pytest.mark.parametrize("how", JOINED)
def test_one_vector_each_is_one_row(how):
    np.testing.assert_allclose(combine(USER[0], ITEM[0], CONTEXT[0], how), JOINED[how][:1], rtol=1e-14)


@pytest.mark.parametrize("how", ["mean", "sum", "product"])
def test_only_concatenation_takes_different_widths(how):
    with pytest.raises(ColdstartError, match=rf"combine by {how}: .*one width.*\(2, 2\), \(2, 2\), \(2, 1\)"):
        combine(USER, ITEM, CONTEXT[:, :1], how)


@pytest.mark.parametrize("how", JOINED)
def test_different_numbers_of_rows_are_refused(how):
    with pytest.raises(ColdstartError, match=r"as many .*\(2, 2\), \(1, 2\), \(2, 2\)"):
        combine(USER, ITEM[:1], CONTEXT, how)


def test_an_unknown_way_to_join_lists_the_known():
    with pytest.raises(ColdstartError, match="concat, mean, sum, product, got 'max'"):
        combine(USER, ITEM, CONTEXT, "max")


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_matrix, sparse.coo_matrix])
def test_a_history_is_the_mean_of_its_items(kind):
    # Ratings do not weigh; the second user has no history.
    interactions = kind(np.array([[5.0, 0, 1], [0, 0, 0], [0, 2, 0]]))
    found = history_vectors(interactions, np.array([[1.0, 0], [0, 8], [3, 4]]))
    assert found.tolist() == [[2, 2], [0, 0], [0, 8]]


class Lengths:
    """Stands for a text encoder: a text's vector is its length."""

    def encode(self, texts):
        return np.array([[float(len(text))] for text in texts])


def test_movielens_gives_every_block(ml100k):
    films, bare = attach_expansion(ml100k), content_blocks(ml100k, Lengths())
    blocks = content_blocks(films, Lengths())
    assert list(bare) == ["title words", "title vector", "text vector", "all words", "genres", "year", "graph"]
    assert set(blocks) - set(bare) == {
        "synopsis vector",
        "keywords vector",
        "people",
        "generated words",
        "one long vector",
    }
    assert {block.shape[0] for block in blocks.values()} == {1682}
    # What is written by a model must not slip into the blocks that are said to be without it.
    for name, block in bare.items():
        assert abs(blocks[name] - block).max() == 0, name
    assert blocks["text vector"][0] == len("Toy Story (1995). Animation, Children's, Comedy.")
    assert blocks["one long vector"][0] == len(item_texts(films)[0])
    expected = idf(token_features(films, ["people", "origin"], "; "))
    assert abs(blocks["people"] - expected).max() == 0


@pytest.mark.parametrize(
    "item, names",
    [
        (
            "item_id:token|plot:token_seq\ni1|Two cops\ni2|One cop\n",
            ["title words", "title vector", "text vector", "all words"],
        ),
        (
            "item_id:token|title:token|genres:token\ni1|Heat|Crime\ni2|Casino|Crime\n",
            ["title words", "title vector", "text vector", "all words", "genres"],
        ),
        (
            "item_id:token|synopsis:token_seq\ni1|Two cops\ni2|One cop\n",
            ["title words", "title vector", "text vector", "all words"],
        ),
    ],
)
def test_blocks_are_those_the_catalogue_allows(write_atomic, item, names):
    shop = read_atomic(write_atomic(inter="user_id:token|item_id:token\nu1|i1\nu1|i2\n", item=item))
    assert list(content_blocks(shop, Lengths())) == names


def test_items_without_text_have_no_blocks(write_atomic):
    shop = read_atomic(write_atomic(inter="user_id:token|item_id:token\nu1|i1\nu1|i2\n"))
    with pytest.raises(ColdstartError, match=r"shop: its items have no.* text"):
        content_blocks(shop, Lengths())


def test_users_of_movielens_are_described(ml100k):
    texts = user_texts(ml100k)
    assert len(texts) == 943
    assert texts[0] == "A 24-year-old technician, male."
    assert texts[1] == "A 53-year-old person, female.", "'other' says nothing"
    assert not [text for text in texts if "other" in text or "none" in text or "nan" in text]


@pytest.mark.parametrize(
    "user, texts",
    [
        (
            "user_id:token|age:float|gender:token\nu1|30|M\nu2||F\n",
            ["A 30-year-old person, male.", "A person, female."],
        ),
        ("user_id:token|occupation:token\nu1|writer\nu2|12\n", ["A writer.", "A person."]),
        ("user_id:token|gender:token\nu1|F\nu2|\n", ["A person, female.", "A person."]),
    ],
)
def test_users_are_described_by_the_columns_that_exist(write_atomic, user, texts):
    folder = write_atomic(inter="user_id:token|item_id:token\nu1|i1\nu2|i1\n", user=user)
    assert user_texts(read_atomic(folder)) == texts


def test_users_without_attributes_are_said(ml100k):
    unknown = dataclasses.replace(ml100k, name="shop", users=ml100k.users[["user_id"]])
    with pytest.raises(ColdstartError, match="shop: no attributes of users"):
        user_texts(unknown)


def at(*when):
    return datetime(*when, tzinfo=UTC).timestamp()


def test_late_evening_is_near_early_morning():
    late, early, noon = time_features(np.array([at(2026, 3, 2, 23), at(2026, 3, 3, 0), at(2026, 3, 3, 12)]))[:, :2]
    assert np.linalg.norm(late - early) == pytest.approx(2 * np.sin(np.pi / 24), rel=1e-9)
    assert np.linalg.norm(noon - early) == pytest.approx(2, rel=1e-9)


@pytest.mark.parametrize("when", [(1970, 1, 1), (1998, 4, 22), (2024, 2, 29), (2026, 11, 29), (1969, 12, 31)])
def test_the_weekday_is_that_of_the_calendar(when):
    angle = 2 * np.pi * datetime(*when).weekday() / 7
    features = time_features(np.array([at(*when, 15)]))[0]
    np.testing.assert_allclose(features[2:], [np.sin(angle), np.cos(angle)], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(features[:2], [np.sin(2 * np.pi * 15 / 24), np.cos(2 * np.pi * 15 / 24)], rtol=1e-9)


def test_moments_lie_on_two_circles():
    features = time_features(np.random.default_rng(0).uniform(0, 2e9, 100))
    assert features.shape == (100, 4)
    np.testing.assert_allclose((features[:, :2] ** 2).sum(1), 1, rtol=1e-12)
    np.testing.assert_allclose((features[:, 2:] ** 2).sum(1), 1, rtol=1e-12)
    assert len(np.unique(features[:, 2:].round(6), axis=0)) == 7


@pytest.mark.parametrize(
    ("age", "job", "start"), [("18", "artist", "An 18-"), ("24", "artist", "A 24-"), ("", "artist", "An artist")]
)
def test_the_article_fits_the_word(write_atomic, age, job, start):
    folder = write_atomic(
        inter="user_id:token|item_id:token\nu1|i1\nu2|i1\n",
        user=f"user_id:token|age:token|occupation:token\nu1|{age}|{job}\nu2|30|software engineer\n",
    )
    texts = user_texts(read_atomic(folder))
    assert texts[0].startswith(start)
    assert texts[1] == "A 30-year-old software engineer."
