"""catalogue: what is read is what is in the file, faults are told with their place, MovieLens-100K is mended."""

import hashlib
import importlib.metadata
import io
import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer

from coldstart_utils.catalogue import dataset, movielens
from coldstart_utils.catalogue.atomic import read_atomic
from coldstart_utils.catalogue.dataset import liked_pairs
from coldstart_utils.catalogue.features import (
    HINDSIGHT_RELATIONS,
    fact_counts,
    graph_features,
    idf,
    item_texts,
    item_vectors,
    related,
    token_features,
)
from coldstart_utils.catalogue.movielens import attach_expansion, clean_title, download_ml100k
from coldstart_utils.catalogue.sources import load_dataset, small_model, sources
from coldstart_utils.ground import ColdstartError, package_file

INTER = "user_id:token|item_id:token|rating:float|timestamp:float\nu1|i1|4|10\nu1|i2|3.5|20\nu2|i2|1|30\n"
ITEM = "item_id:token|title:token_seq|year:token|genres:token_seq\ni1|Heat|1995|Crime Drama\ni2|Piano, The|1993|Drama\n"
USER = "user_id:token|age:float|gender:token\nu1|24|F\nu2||M\n"
KG = "head_id:token|relation_id:token|tail_id:token\nm1|film.director|p1\nm2|film.director|p1\nm1|film.film.sequel|m2\n"
LINK = "item_id:token|entity_id:token\ni1|m1\ni2|m2\n"
KNOWN_SEQUELS = [
    ("Batman", "Batman Returns"),
    ("Grease", "Grease 2"),
    ("Alien", "Aliens"),
    ("Jaws", "Jaws 2"),
    ("Die Hard", "Die Hard 2"),
]


# --- Reading ---------------------------------------------------------------------------------------------------------


def test_a_folder_is_read_as_it_is_written(write_atomic):
    shop = load_dataset(write_atomic(inter=INTER, item=ITEM, user=USER, kg=KG, link=LINK))
    assert (shop.name, shop.n_users, shop.n_items, shop.notes) == ("shop", 2, 2, ())
    assert shop.matrix("rating").toarray().tolist() == [[4, 3.5], [0, 1]]
    assert shop.matrix("timestamp").toarray().tolist() == [[10, 20], [0, 30]]
    assert shop.matrix().toarray().tolist() == [[1, 1], [0, 1]]
    assert shop.items["title"].tolist() == ["Heat", "Piano, The"]
    assert shop.users["age"][0] == 24 and np.isnan(shop.users["age"][1])
    assert shop.triples.iloc[2].tolist() == ["m1", "film.film.sequel", "m2"]
    assert shop.links.values.tolist() == [[0, "m1"], [1, "m2"]]


def test_rows_follow_the_entity_files_not_the_interactions(write_atomic):
    item = "item_id:token\ni3\ni2\ni1\n"
    shop = read_atomic(write_atomic(inter=INTER, item=item))
    assert shop.matrix("rating").toarray().tolist() == [[0, 3.5, 4], [0, 1, 0]]


def test_columns_of_the_graph_are_found_by_name(write_atomic):
    kg = "tail_id:token|head_id:token|relation_id:token\np1|m1|film.director\n"
    shop = read_atomic(write_atomic(inter=INTER, item=ITEM, kg=kg, link=LINK))
    assert shop.triples.to_dict("records") == [{"head": "m1", "relation": "film.director", "tail": "p1"}]


def test_a_quotation_mark_is_a_character(write_atomic):
    item = 'item_id:token|title:token_seq\ni1|"Heat\ni2|The "other" one"\n'
    assert read_atomic(write_atomic(inter=INTER, item=item)).items["title"].tolist() == ['"Heat', 'The "other" one"']


@pytest.mark.parametrize("value", ["NA", "None", "null", "007", "1e3", "True"])
def test_a_token_stays_the_text_it_is(write_atomic, value):
    item = f"item_id:token|title:token_seq\ni1|{value}\ni2|x\n"
    assert read_atomic(write_atomic(inter=INTER, item=item)).items["title"][0] == value


@pytest.mark.parametrize("alias, known", [("movie_title", "title"), ("release_year", "year"), ("class", "genres")])
def test_columns_have_one_name(write_atomic, alias, known):
    folder = write_atomic(inter=INTER, item=f"item_id:token|{alias}:token\ni1|a\ni2|b\n")
    assert read_atomic(folder).items[known].tolist() == ["a", "b"]


def test_an_alias_gives_way_to_a_column_that_has_the_name(write_atomic):
    folder = write_atomic(inter=INTER, item="item_id:token|genres:token|categories:token\ni1|a|b\ni2|a|b\n")
    assert read_atomic(folder).items.columns.tolist() == ["item_id", "genres", "categories"]


@pytest.mark.parametrize("ending, mark", [(b"\r\n", b""), (b"\n", b"\xef\xbb\xbf"), (b"\n\n", b"")])
def test_files_from_other_editors_are_read(write_atomic, ending, mark):
    lines = INTER.strip().replace("|", "\t").encode().split(b"\n")
    body = b"\n".join(lines) if ending == b"\n\n" else ending.join(lines)
    assert read_atomic(write_atomic(inter=mark + body + ending)).interactions["timestamp"].tolist() == [10, 20, 30]


def test_what_a_catalogue_lacks_is_noted(write_atomic):
    shop = read_atomic(write_atomic(inter="user_id:token|item_id:token\nu1|i1\nu2|i1\n"))
    assert shop.interactions.columns.tolist() == ["user", "item"]
    assert (shop.n_users, shop.n_items, len(shop.links), len(shop.triples)) == (2, 1, 0, 0)
    notes = " ".join(shop.notes)
    for lacking in ("ratings", "timestamps", "attributes of users", "knowledge graph"):
        assert lacking in notes
    with pytest.raises(ColdstartError, match=r"shop.*\.inter.*'rating'"):
        shop.matrix("rating")


@pytest.mark.parametrize("lines", ["u1|i1|1|30\nu1|i1|5|10\n", "u1|i1|5|10\nu1|i1|1|30\n"])
def test_of_repeated_pairs_the_latest_counts(write_atomic, lines):
    shop = read_atomic(write_atomic(inter=INTER + lines))
    assert shop.matrix("rating").toarray().tolist() == [[1, 3.5], [0, 1]]
    assert "2 repeated pairs" in " ".join(shop.notes)


def test_of_repeated_pairs_without_time_the_last_line_counts(write_atomic):
    inter = "user_id:token|item_id:token|rating:float\nu1|i1|2\nu1|i2|3\nu1|i1|4\n"
    assert read_atomic(write_atomic(inter=inter)).matrix("rating").toarray().tolist() == [[4, 3]]


def test_reading_changes_nothing(write_atomic):
    folder = write_atomic(inter=INTER + "u1|i9|1|1\n", item=ITEM)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ColdstartError):
        read_atomic(folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


# --- Bad input: one sentence with its place --------------------------------------------------------------------------

BAD = {
    "missing column": ({"inter": "user_id:token|rating:float\nu1|4\n"}, "shop.inter, line 1", "'item_id'"),
    "missing key of items": (
        {"inter": INTER, "item": "id:token|title:token\ni1|a\n"},
        "shop.item, line 1",
        "'item_id'",
    ),
    "missing key of users": ({"inter": INTER, "user": "age:float\n3\n"}, "shop.user, line 1", "'user_id'"),
    "missing relation": (
        {"inter": INTER, "item": ITEM, "link": LINK, "kg": "head_id:token|tail_id:token\na|b\n"},
        "shop.kg, line 1",
        "'relation_id'",
    ),
    "no number": ({"inter": INTER + "u2|i1|good|40\n"}, "shop.inter, line 5", "'rating'", "a number, found 'good'"),
    "no number of a user": ({"inter": INTER, "user": USER + "u3|old|F\n"}, "shop.user, line 4", "'age'", "'old'"),
    "rating that is NaN": ({"inter": INTER + "u2|i1|NaN|40\n"}, "shop.inter, line 5", "'rating'", "finite"),
    "rating left out": ({"inter": INTER + "u2|i1||40\n"}, "shop.inter, line 5", "'rating'", "finite"),
    "rating without bound": ({"inter": INTER + "u2|i1|inf|40\n"}, "shop.inter, line 5", "'rating'", "finite"),
    "time that is NaN": ({"inter": INTER + "u2|i1|3|nan\n"}, "shop.inter, line 5", "'timestamp'", "finite"),
    "rating as token": (
        {"inter": INTER.replace("rating:float", "rating:token")},
        "shop.inter, line 1",
        "'rating'",
        "float",
    ),
    "duplicate item": (
        {"inter": INTER, "item": ITEM + "i1|x|1|y\n"},
        "shop.item, line 4",
        "'item_id'",
        "'i1'",
        "twice",
    ),
    "duplicate user": ({"inter": INTER, "user": USER + "u1|1|M\n"}, "shop.user, line 4", "'user_id'", "'u1'", "twice"),
    "empty file": ({"inter": ""}, "shop.inter", "empty", "user_id:token"),
    "blank file": ({"inter": "\n\n"}, "shop.inter", "empty"),
    "header alone": ({"inter": "user_id:token|item_id:token\n"}, "shop.inter", "no line below"),
    "empty items": ({"inter": INTER, "item": ""}, "shop.item", "empty"),
    "dangling item": ({"inter": INTER + "u1|i9|1|1\n", "item": ITEM}, "shop.inter, line 5", "'item_id'", "'i9'"),
    "dangling user": ({"inter": INTER + "u9|i1|1|1\n", "user": USER}, "shop.inter, line 5", "'user_id'", "'u9'"),
    "dangling link": ({"inter": INTER, "item": ITEM, "kg": KG, "link": LINK + "i9|m\n"}, "shop.link, line 4", "'i9'"),
    "empty id": ({"inter": INTER + "|i1|1|1\n"}, "shop.inter, line 5", "'user_id'", "an id"),
    "too few fields": ({"inter": INTER + "u2|i1|3\n"}, "shop.inter, line 5", "expected 4", "found 3"),
    "too many fields": ({"inter": INTER + "u2|i1|3|4|5\n"}, "shop.inter, line 5", "expected 4", "found 5"),
    "a blank line within": ({"inter": INTER + "\nu2|i1|3|4\n"}, "shop.inter, line 5", "expected 4"),
    "header without types": ({"inter": "user_id|item_id\nu1|i1\n"}, "shop.inter, line 1", "'user_id'", "token"),
    "unknown type": ({"inter": "user_id:token|item_id:int\nu1|1\n"}, "shop.inter, line 1", "'item_id:int'", "float"),
    "column twice": (
        {"inter": "user_id:token|item_id:token|item_id:token\na|b|c\n"},
        "shop.inter, line 1",
        "'item_id'",
    ),
    "no UTF-8": ({"inter": INTER, "item": b"item_id:token\nZo\xeb\n"}, "shop.item, line 2", "UTF-8", "0xeb"),
    "no .inter": ({"item": ITEM}, "shop", ".inter"),
}


@pytest.mark.parametrize("files, parts", [(row[0], row[1:]) for row in BAD.values()], ids=BAD)
def test_bad_input_is_told_with_its_place(write_atomic, files, parts):
    folder = write_atomic(**files)
    with pytest.raises(ColdstartError) as caught:
        load_dataset(folder)
    message = str(caught.value)
    assert message.startswith(str(folder)) and "\n" not in message
    assert [part for part in parts if part not in message] == []


def test_two_files_of_one_kind_are_refused(write_atomic):
    folder = write_atomic(inter=INTER)
    (folder / "other.inter").write_text("")
    with pytest.raises(ColdstartError, match=r"shop: expected one \.inter file, found other\.inter, shop\.inter"):
        load_dataset(folder)


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(ColdstartError, match=r"'ml-99'.*ml-100k, ml-1m.*folder"):
        load_dataset("ml-99")
    with pytest.raises(ColdstartError, match=r"expected .* existing folder"):
        load_dataset(tmp_path / "nowhere")


# --- Where MovieLens-100K comes from ---------------------------------------------------------------------------------

U_DATA = "1\t2\t3\t881250949\n2\t1\t5\t891717742\n"
U_ITEM = (
    "1|Toy Story (1995)|01-Jan-1995||http://x|0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
    "2|Misérables, Les (1995)|01-Jan-1995||http://x|0|0|0|0|0|0|0|0|1|0|0|0|1|0|0|0|0|0|0\n"
    "267|unknown||||1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
)
U_USER = "1|24|M|technician|85711\n2|53|F|other|94043\n"


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as z:
        for name, text in (("data", U_DATA), ("item", U_ITEM), ("user", U_USER)):
            z.writestr(f"ml-100k/u.{name}", text.encode("latin-1"))
    return buffer.getvalue()


def md5(content: bytes) -> str:
    return "md5:" + hashlib.md5(content, usedforsecurity=False).hexdigest()


def test_the_official_archive_becomes_atomic_files(serve, tmp_path):
    content = archive()
    folder = download_ml100k(tmp_path / "ml-100k", serve(content), md5(content))
    assert sorted(path.name for path in folder.iterdir()) == ["ml-100k.inter", "ml-100k.item", "ml-100k.user"]
    films = read_atomic(folder)
    assert films.items["title"].tolist() == ["Toy Story", "Misérables, Les", "unknown"]
    assert films.items["year"].tolist() == ["1995", "1995", ""]
    assert films.items["genres"].tolist() == ["Animation Children's Comedy", "Drama Musical", "unknown"]
    assert films.users.iloc[1].tolist() == ["2", "53", "F", "other", "94043"]
    assert films.matrix("rating").toarray().tolist() == [[0, 3, 0], [5, 0, 0]]


def test_a_second_download_is_none(serve, tmp_path):
    content = archive()
    folder = download_ml100k(tmp_path / "ml-100k", serve(content), md5(content))
    assert download_ml100k(folder, "http://127.0.0.1:9/refuses", "md5:0") == folder


@pytest.mark.parametrize(
    "damage", [lambda z: z[: len(z) // 2], lambda z: z[:-1] + b"!", lambda _: b"<html>busy</html>"]
)
def test_a_wrong_download_is_refused_and_leaves_nothing(serve, tmp_path, damage):
    content = archive()
    url = serve(damage(content))
    with pytest.raises(ColdstartError, match=re.escape(url) + ".*could not be downloaded and verified"):
        download_ml100k(tmp_path / "data" / "ml-100k", url, md5(content))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_unreachable_source_says_what_else_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(ColdstartError, match=r"recbole==1\.2\.1.*COLDSTART_DATA"):
        download_ml100k(tmp_path / "ml-100k", "http://127.0.0.1:9/ml-100k.zip", "md5:0")


@pytest.fixture
def nothing_installed(monkeypatch):
    def distribution(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    monkeypatch.delenv("COLDSTART_DATA", raising=False)


def test_without_the_wheel_the_folder_of_the_environment_is_read(nothing_installed, serve, tmp_path, monkeypatch):
    content = archive()
    download_ml100k(tmp_path / "ml-100k", serve(content), md5(content))
    monkeypatch.setenv("COLDSTART_DATA", str(tmp_path))
    films = load_dataset("ml-100k")
    assert films.name == "ml-100k" and films.n_users == 2
    assert films.items["title"][2] == "", "the dirt is handled whatever the source"
    assert sources()[0]["path"] == str(tmp_path / "ml-100k")


def test_without_wheel_and_folder_it_is_downloaded_into_the_cache(nothing_installed, serve, tmp_path, monkeypatch):
    content = archive()
    url = serve(content)
    monkeypatch.setenv("COLDSTART_CACHE", str(tmp_path))
    local = lambda folder: download_ml100k(folder, url, md5(content))  # noqa: E731
    monkeypatch.setattr("coldstart_utils.catalogue.sources.download_ml100k", local)
    assert load_dataset("ml-100k").n_items == 3
    assert (tmp_path / "ml-100k" / "ml-100k.inter").is_file()


def test_what_cannot_be_downloaded_names_the_command(nothing_installed):
    with pytest.raises(ColdstartError, match="coldstart data install ml-1m"):
        load_dataset("ml-1m")


@pytest.mark.parametrize("installed", [True, False])
def test_sources_say_what_is_where(request, installed):
    if not installed:
        request.getfixturevalue("nothing_installed")
    rows = sources()
    names = "ml-100k ml-1m ml-100k-expansion ml-100k-queries ml-100k-smollm2 open-bandit tomt online-retail lastfm-2k"
    names += " smollm2"
    assert [row["name"] for row in rows] == names.split()
    assert all(
        set(row) == {"name", "what", "licence", "path", "bytes"} and row["what"] and row["licence"] for row in rows
    )
    assert all((row["path"] is None) == (row["bytes"] is None) for row in rows)
    for row in rows:
        if row["path"]:
            assert os.path.exists(row["path"]) and row["bytes"] > 0
    assert (rows[0]["path"] is not None) == installed


# --- Texts and features of items -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "title, spoken",
    [
        ("Heat", "Heat"),
        ("Postino, Il", "Il Postino"),
        ("Magnificent Seven, The", "The Magnificent Seven"),
        ("Postino, Il (The Postman)", "Il Postino (The Postman)"),
        ("Horseman on the Roof, The (Hussard sur le toit, Le)", "The Horseman on the Roof (Hussard sur le toit, Le)"),
        ("Enfer, L'", "L'Enfer"),
        ("Kiss Me, Guido", "Kiss Me, Guido"),
        ("Affair to Remember, An", "An Affair to Remember"),
        ("Good, The Bad and The Ugly, The", "The Good, The Bad and The Ugly"),
        ("", ""),
    ],
)
def test_titles_are_written_as_spoken(title, spoken):
    assert clean_title(title) == spoken


@pytest.mark.parametrize(
    "columns, texts",
    [
        (None, ["Heat (1995). Crime, Drama.", "The Piano (1993). Drama."]),
        (["title"], ["Heat", "The Piano"]),
        (["title", "year"], ["Heat (1995).", "The Piano (1993)."]),
        (["title", "genres"], ["Heat. Crime, Drama.", "The Piano. Drama."]),
        (["genres"], ["Crime, Drama.", "Drama."]),
        (["year"], ["1995.", "1993."]),
        (["title", "synopsis"], ["Heat", "The Piano"]),
        (["synopsis"], ["Heat (1995). Crime, Drama.", "The Piano (1993). Drama."]),
    ],
)
def test_texts_come_from_the_columns_that_exist(write_atomic, columns, texts):
    assert item_texts(read_atomic(write_atomic(inter=INTER, item=ITEM)), columns) == texts


def test_a_year_as_number_and_other_columns_make_text(write_atomic):
    item = "item_id:token|title:token|year:float|price:float|plot:token_seq\ni1|Heat|1995|9.5|Cops.\ni2|Piano|||\n"
    shop = read_atomic(write_atomic(inter=INTER, item=item))
    assert item_texts(shop) == ["Heat (1995). Cops.", "Piano"]


@pytest.mark.parametrize("columns", [None, ["title"], ["item_id"]])
def test_no_text_is_said(write_atomic, columns):
    shop = read_atomic(write_atomic(inter=INTER))
    with pytest.raises(ColdstartError, match=r"shop.*text.*\.item"):
        item_texts(shop, columns)


def test_token_features_mark_each_token_once(write_atomic):
    item = "item_id:token|genres:token_seq|year:float\ni1|Drama Crime Drama|1995\ni2|Drama|\n"
    found = token_features(read_atomic(write_atomic(inter=INTER, item=item)), ("genres", "year", "absent"))
    assert found.toarray().tolist() == [[1, 1, 1], [1, 0, 0]]


def test_rare_tokens_weigh_more():
    features = sparse.csr_matrix([[1, 1, 0, 2], [1, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0]])
    np.testing.assert_allclose(idf(features).toarray()[0], [0, np.log(2), 0, 2 * np.log(4)], rtol=1e-12)


def test_idf_is_that_of_scikit_learn_less_its_added_one():
    rng = np.random.default_rng(0)
    features = sparse.csr_matrix((rng.random((20, 8)) < 0.3) * rng.integers(1, 4, (20, 8)))
    assert (np.diff(features.tocsc().indptr) > 0).all()
    theirs = TfidfTransformer(norm=None, smooth_idf=False).fit_transform(features) - features
    np.testing.assert_allclose(idf(features).toarray(), theirs.toarray(), rtol=1e-9, atol=1e-12)


GRAPH_FACTS = {
    "one director": ("m1|directed_by|p1\nm2|directed_by|p1\n", [[1, 1], [1, 1]]),
    "one director, told from the other side": ("p1|film|m1\np1|film|m2\n", [[1, 1], [1, 1]]),
    "director and country": (
        "m1|directed_by|p1\nm2|directed_by|p1\nm1|country|uk\nm2|country|uk\n",
        [[2, 2], [2, 2]],
    ),
    "one person in two roles": ("m1|directed_by|p1\nm2|actor|p1\n", [[0, 0], [0, 0]]),
    "a fact of one film alone": ("m1|directed_by|p1\nm2|directed_by|p2\n", [[0, 0], [0, 0]]),
    "a fact told twice": ("m1|directed_by|p1\nm1|directed_by|p1\n", [[0, 0], [0, 0]]),
    "films that are not linked": ("m8|directed_by|p1\nm9|directed_by|p1\n", [[0, 0], [0, 0]]),
}


@pytest.mark.parametrize("facts, shared", GRAPH_FACTS.values(), ids=GRAPH_FACTS)
def test_graph_features_are_facts_that_films_share(write_atomic, facts, shared):
    kg = "head_id:token|relation_id:token|tail_id:token\n" + facts
    features = graph_features(read_atomic(write_atomic(inter=INTER, item=ITEM, kg=kg, link=LINK)))
    assert (features @ features.T).toarray().tolist() == shared


def test_facts_are_counted_by_relation_and_side_without_hindsight(write_atomic):
    kg = f"{KG}m1|film.film.award_won|a1\nm1|film.director|p2\n"
    shop = read_atomic(write_atomic(inter=INTER, item=ITEM, kg=kg, link=LINK))
    # The director stands at the head of no fact here; the sequel's two films stand on its two sides.
    assert fact_counts(shop).tolist() == [[2, 0, 1, 0], [1, 0, 0, 1]]


def test_without_a_graph_there_are_no_facts(write_atomic):
    features = graph_features(read_atomic(write_atomic(inter=INTER, item=ITEM)))
    assert features.shape[0] == 2 and features.nnz == 0
    assert fact_counts(read_atomic(write_atomic(inter=INTER, item=ITEM))).shape == (2, 0)


@pytest.mark.parametrize("relation", ["film.film.award_won", "film.film.award_nomination"])
def test_award_relations_are_hindsight(write_atomic, relation):
    kg = f"{KG}m1|{relation}|a1\nm2|{relation}|a1\n"
    shop = read_atomic(write_atomic(inter=INTER, item=ITEM, kg=kg, link=LINK))
    assert graph_features(shop).sum(axis=1).tolist() == [[1], [1]]
    assert graph_features(shop, hindsight=True).sum(axis=1).tolist() == [[2], [2]]


# --- MovieLens-100K --------------------------------------------------------------------------------------------------


def test_movielens_is_whole(ml100k):
    matrix = ml100k.matrix("rating")
    assert (ml100k.n_users, ml100k.n_items, matrix.nnz) == (943, 1682, 100_000)
    assert sorted(set(matrix.data)) == [1, 2, 3, 4, 5]
    assert np.diff(matrix.indptr).min() == 20, "no user is cold: user cold start must be simulated"
    assert ml100k.items["item_id"].tolist() == [str(i) for i in range(1, 1683)]


def test_dirt_of_movielens_is_handled(ml100k):
    items = ml100k.items.set_index("item_id")
    assert items.loc["267"].tolist() == ["", "", ""]
    assert items.loc["1412", "year"] == ""
    years = items["year"].drop(["267", "1412"])
    assert years.str.fullmatch(r"19\d\d").all()
    texts = item_texts(ml100k)
    assert [i for i, text in enumerate(texts) if not text] == [266]
    assert texts[0] == "Toy Story (1995). Animation, Children's, Comedy."
    assert "267" in " ".join(ml100k.notes) and "wrong films" in " ".join(ml100k.notes)


def test_no_article_is_left_behind_a_title(ml100k):
    tails = {
        clean_title(title).partition(" (")[0].rpartition(", ")[2] for title in ml100k.items["title"] if ", " in title
    }
    assert (
        tails & {"The", "A", "An", "Il", "La", "Le", "Les", "L'", "El", "Los", "Das", "Der", "Die", "O", "De"} == set()
    )


@pytest.mark.parametrize("film, sequel", KNOWN_SEQUELS)
def test_the_mended_graph_knows_sequels(ml100k, film, sequel):
    assert related(ml100k, film, "film.film.sequel") == [sequel]


def test_the_mended_graph_links_each_film_once(ml100k):
    assert len(ml100k.links) == ml100k.links["item"].nunique() == 1296
    titles = ml100k.links["item"].map(ml100k.items["title"]).groupby(ml100k.links["entity"])
    assert titles.nunique().max() == 1, "only a film that is listed twice shares its entity"
    popularity = np.diff(ml100k.matrix().tocsc().indptr)
    assert popularity[ml100k.links["item"]].sum() / popularity.sum() == pytest.approx(0.917, rel=1e-3)


def test_the_graph_as_shipped_is_wrong():
    shipped = load_dataset("ml-100k", mend_graph=False)
    assert len(shipped.links) == 1598
    assert related(shipped, "North by Northwest", "film.film.sequel") == ["It Takes Two"]
    assert [film for film, sequel in KNOWN_SEQUELS if sequel in related(shipped, film, "film.film.sequel")] == []


def test_graph_of_movielens_keeps_awards_for_hindsight(ml100k):
    release_day, hindsight = graph_features(ml100k), graph_features(ml100k, hindsight=True)
    assert release_day.shape[0] == hindsight.shape[0] == 1682
    assert set(HINDSIGHT_RELATIONS) == {r for r in ml100k.triples["relation"].unique() if "award" in r}
    assert hindsight.shape[1] > release_day.shape[1] and hindsight.nnz > release_day.nnz


# --- The expansion by a large language model -------------------------------------------------------------------------

EXPANSION = package_file("ml-100k-expansion.tsv")
RECEPTION = (
    r"\b(oscars?\b(?! (wilde|levant))|academy awards?|awards?|award-winning|golden globes?|palme d|bafta|nominat\w+"
    r"|box[ -]office|blockbusters?|gross(ed|ing)|flop(ped|s)?\b|hits?\b(?! man)|smash|acclaim\w*|critics\b"
    r"|critically acc|reviews?\b|reviewers?|ratings?|rated|stars out of|masterpieces?|classics?\b|beloved|well-known"
    r"|cult (classic|film|favou?rite|following|movie|hit)|renowned|celebrated|iconic|seminal|influential|landmark"
    r"|groundbreaking|popular|best-loved|best film|worst film|all[ -]time|underrated|overrated|panned|praised"
    r"|controvers\w+|must-see|sleeper)"
)


@pytest.fixture(scope="module")
def expansion():
    header, *lines = EXPANSION.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    assert header == "item_id\tknown\tsynopsis\tkeywords\tpeople\torigin"
    assert {line.count("\t") for line in lines} == {5}
    return [dict(zip(header.split("\t"), line.split("\t"))) for line in lines]


def test_the_expansion_has_one_line_a_film(expansion, ml100k):
    assert [row["item_id"] for row in expansion] == ml100k.items["item_id"].tolist()


def test_known_films_are_complete_and_others_name_nobody(expansion):
    assert {row["known"] for row in expansion} == {"0", "1"}
    assert [r["item_id"] for r in expansion if not r["synopsis"] or not r["keywords"]] == []
    known = [row for row in expansion if row["known"] == "1"]
    # Item 1351 names nobody: it is known, its makers are not.
    assert [r["item_id"] for r in known if not r["people"]] == ["1351"]
    assert [r["item_id"] for r in known if r["origin"].count("; ") != 1] == []
    assert [r["item_id"] for r in expansion if r["known"] == "0" and (r["people"] or r["origin"])] == []


def test_lengths_keep_to_the_rules(expansion):
    words = {row["item_id"]: len(row["synopsis"].split()) for row in expansion}
    assert {i: n for i, n in words.items() if not 22 <= n <= 40} == {}
    keywords = {row["item_id"]: len(row["keywords"].split(", ")) for row in expansion if row["known"] == "1"}
    assert {i: n for i, n in keywords.items() if not 8 <= n <= 12} == {}
    assert [r["item_id"] for r in expansion if not 1 <= len(r["keywords"].split(", ")) <= 12] == []
    assert [r["item_id"] for r in expansion if len(r["people"].split("; ")) > 4] == []


def test_fields_are_clean(expansion):
    values = [value for row in expansion for value in row.values()]
    assert [value for value in values if value != value.strip() or re.search(r'["\r\x00-\x1f]|  |<|&\w+;', value)] == []
    assert [row["item_id"] for row in expansion if row["keywords"] != row["keywords"].lower()] == []


@pytest.mark.parametrize(
    "text",
    [
        "a box-office hit",
        "Oscar-winning drama",
        "blockbuster, 1990s",
        "cult classic",
        "acclaimed by all",
        "the critics loved it",
        "an award-winning cast",
        "his masterpiece",
        "highly rated",
        "a popular film",
    ],
)
def test_reception_would_be_noticed(text):
    assert re.search(RECEPTION, text, re.IGNORECASE)


def test_no_film_is_told_by_its_reception(expansion):
    hits = {
        (row["item_id"], found[0].lower())
        for row in expansion
        for field in ("synopsis", "keywords", "people", "origin")
        for found in re.finditer(RECEPTION, row[field], re.IGNORECASE)
    }
    assert hits == set()


def test_the_expansion_is_attached_by_id(ml100k, expansion):
    attached = attach_expansion(ml100k)
    for column in movielens.GENERATED:
        assert attached.items[column].tolist() == [row[column] for row in expansion]
    assert attached.items.columns.tolist() == [*ml100k.items.columns, "synopsis", "keywords", "people", "origin"]
    assert "generated" in attached.notes[-1]
    assert "synopsis" not in ml100k.items, "the data set that was given stays as it was"
    assert "toys, friendship" in item_texts(attached)[0]


def test_the_expansion_is_for_movielens_alone(write_atomic):
    with pytest.raises(ColdstartError, match=r"shop.*ml-100k only"):
        attach_expansion(read_atomic(write_atomic(inter=INTER, item=ITEM)))


def test_a_name_is_the_installed_data_set_and_a_path_the_folder(write_atomic, ml100k, monkeypatch):
    folder = write_atomic("ml-100k", inter=INTER, item=ITEM)
    monkeypatch.chdir(folder.parent)
    assert load_dataset("ml-100k").n_items == ml100k.n_items
    for asked in ("./ml-100k", Path("ml-100k"), str(folder)):
        assert load_dataset(asked).n_items < 10


def test_a_number_is_no_data_set():
    with pytest.raises(ColdstartError, match="expected a name or a folder, got 2019"):
        load_dataset(2019)


def test_blank_lines_at_the_end_of_a_windows_file_are_no_rows(write_atomic):
    shop = write_atomic(inter=INTER.replace("\n", "\r\n") + "\r\n\r\n")
    assert len(read_atomic(shop).interactions) == len(read_atomic(write_atomic("other", inter=INTER)).interactions)


def test_films_with_the_same_title_and_year_are_told(ml100k):
    twice = ml100k.items.duplicated(["title", "year"]).sum()
    assert twice == 18
    assert any(note.startswith(f"{twice} films have the title and year of another one") for note in ml100k.notes)


# --- A reader's own matrix of item vectors ----------------------------------------------------------------------------


@pytest.fixture
def catalogue(write_atomic):
    """Three items, whose ids are not their row numbers."""
    return read_atomic(write_atomic(inter="user_id:token|item_id:token\nu|b\nu|a\nu|c"))


def test_own_vectors_by_row_and_by_id(catalogue, tmp_path):
    vectors = np.arange(6.0).reshape(3, 2)
    np.save(tmp_path / "rows.npy", vectors)
    np.testing.assert_array_equal(item_vectors(catalogue, tmp_path / "rows.npy"), vectors)
    np.savez(tmp_path / "ids.npz", ids=np.array(["c", "b"]), vectors=vectors[:2])
    named = item_vectors(catalogue, str(tmp_path / "ids.npz"))
    assert catalogue.items["item_id"].tolist() == ["b", "a", "c"]
    np.testing.assert_array_equal(named, [[2, 3], [0, 0], [0, 1]])


@pytest.mark.parametrize(
    "stored, told",
    [
        (np.ones((2, 4)), "expected 3 rows of numbers, one an item, found float64 of shape \\(2, 4\\)"),
        (np.ones(3), "expected 3 rows"),
        (np.array([["x"], ["y"], ["z"]]), "expected 3 rows of numbers"),
        (np.array([[1], [np.nan], [2]]), "row 1: the item 'a' has a value that is not a finite number"),
        ({"ids": ["b", "a", "x"], "vectors": np.ones((3, 1))}, "row 2: the item 'x' is not an id of the catalogue"),
        ({"ids": ["b", "a", "b"], "vectors": np.ones((3, 1))}, "row 2: the item 'b' stands there twice"),
        ({"ids": ["b", "a"], "vectors": np.ones((3, 1))}, "expected 2 rows"),
        ({"vectors": np.ones((3, 1))}, "ids and vectors"),
        (np.array([[None]] * 3), "expected a .npy file"),
    ],
)
def test_own_vectors_that_do_not_fit_are_refused(catalogue, tmp_path, stored, told):
    path = tmp_path / ("own.npz" if isinstance(stored, dict) else "own.npy")
    np.savez(path, **stored) if isinstance(stored, dict) else np.save(path, stored, allow_pickle=True)
    with pytest.raises(ColdstartError, match=told) as error:
        item_vectors(catalogue, path)
    assert str(path) in str(error.value)


def test_a_file_of_vectors_that_is_none_is_refused(catalogue, tmp_path):
    (tmp_path / "own.npy").write_text("a,b")
    (tmp_path / "empty.npy").touch()
    (tmp_path / "half.npz").write_bytes(b"PK\x03\x04 and no more")
    for name in ("own.npy", "absent.npy", "empty.npy", "half.npz"):
        with pytest.raises(ColdstartError, match=name):
            item_vectors(catalogue, tmp_path / name)


def test_the_best_known_items_keep_their_choices_and_links(ml100k, caplog):
    small = dataset.best_known(ml100k, 50)
    counts = np.diff(ml100k.matrix().tocsc().indptr)
    told = f"ml-100k: the best-known 50 of 1682 items, with {np.sort(counts)[-50:].sum() / counts.sum():.0%}"
    assert caplog.messages == [told.replace("%", " % of all choices")]
    assert small.n_items == 50 and small.n_users == ml100k.n_users
    assert sorted(np.diff(small.matrix().tocsc().indptr)) == sorted(counts)[-50:]
    old = [int(np.flatnonzero(ml100k.items["item_id"] == name)[0]) for name in small.items["item_id"]]
    assert (small.matrix("rating") != ml100k.matrix("rating")[:, old]).nnz == 0
    entity = dict(zip(ml100k.links["item"], ml100k.links["entity"]))
    assert dict(zip(small.links["item"], small.links["entity"])) == {
        new: entity[item] for new, item in enumerate(old) if item in entity
    }
    assert dataset.best_known(small, 50) is small


def test_liked_is_at_or_above_the_median_and_else_chosen_against_random(tmp_path):
    rated = "user_id:token\titem_id:token\trating:float\na\tx\t1\na\ty\t4\nb\tx\t5\n"
    for name, text in (("rated", rated), ("bare", "\n".join(row.rsplit("\t", 1)[0] for row in rated.split("\n")))):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.inter").write_text(text)
    assert list(liked_pairs(load_dataset(tmp_path / "rated"))["label"]) == [0, 1, 1]
    pairs = liked_pairs(load_dataset(tmp_path / "bare"))
    assert list(pairs["label"]) == [1, 1, 1, 0, 0, 0] and sorted(pairs["user"][3:]) == sorted(pairs["user"][:3])


# --- What a small language model wrote -------------------------------------------------------------------------------


def test_the_small_model_wrote_a_clean_line_about_each_film(ml100k):
    table = movielens.package_table("ml-100k-smollm2")
    assert table.columns.tolist() == ["item_id", "sentences"]
    assert table["item_id"].tolist() == ml100k.items["item_id"].tolist()
    assert [text for text in table["sentences"] if not text or text != " ".join(text.split()) or "<|" in text] == []
    # Forty new tokens at most; a slip of the decoder that repeats one text everywhere would show here.
    assert table["sentences"].str.split().str.len().max() <= 40
    assert table["sentences"].nunique() > 0.95 * len(table)


def test_without_the_small_model_the_command_is_named(nothing_installed):
    with pytest.raises(ColdstartError, match="coldstart data install smollm2"):
        small_model()


@pytest.mark.parametrize(
    "least, lacking",
    [
        ({"items": 3}, "3 or more items that somebody chose, found 2"),
        ({"users": 9}, "9 or more users who chose something, found 2"),
        ({"not_chosen": 9}, "9 or more pairs of a user and an item not chosen, found 1"),
        ({"users_with_two": 2}, "2 or more users with two choices, found 1"),
        ({"items": 2, "items_with_two": 2}, "2 or more items with two choices, found 1"),
    ],
)
def test_what_a_chapter_cannot_do_without_is_told(write_atomic, least, lacking):
    shop = read_atomic(write_atomic(inter=INTER, item=ITEM))
    assert shop.with_least(items=2, users_with_two=1, items_with_two=1) is shop
    with pytest.raises(ColdstartError, match=f"shop: expected {lacking}"):
        shop.with_least(**least)
