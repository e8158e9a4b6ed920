"""What files may say in several ways, and how a catalogue that lacks something says so."""

import numpy as np
import pytest

from coldstart_utils.catalogue.atomic import read_atomic
from coldstart_utils.catalogue.dataset import lacks
from coldstart_utils.catalogue.features import item_texts, token_features
from coldstart_utils.catalogue.movielens import attach_expansion
from coldstart_utils.catalogue.sources import load_dataset
from coldstart_utils.catalogue.tokens import entries, separator_of
from coldstart_utils.ground import ColdstartError
from coldstart_utils.language.context import time_features, user_texts
from coldstart_utils.models.content import unit_rows

INTER = "user_id:token|item_id:token|timestamp:float\nu1|i1|{}\nu1|i2|{}\nu2|i2|{}\n"
SECONDS = (1_600_000_000, 1_600_003_600, 1_600_090_000)


def genres_of(write_atomic, *values):
    """Return the genres of a catalogue whose file has them so; `write_atomic` takes bytes, in which | is no tab."""
    lines = "".join(f"i{n}\t{value}\n" for n, value in enumerate(values, start=1))
    folder = write_atomic(
        inter="user_id:token|item_id:token\nu1|i1\nu1|i2\n", item=f"item_id:token\tgenres:token_seq\n{lines}".encode()
    )
    return read_atomic(folder)  # fmt: skip


@pytest.mark.parametrize("factor, name", [(1, ""), (1e3, "milliseconds"), (1e6, "microseconds"), (1e9, "nanoseconds")])
def test_times_are_seconds_in_whatever_unit_they_come(write_atomic, factor, name):
    shop = read_atomic(write_atomic(inter=INTER.format(*(int(s * factor) for s in SECONDS))))
    assert shop.interactions["timestamp"].tolist() == pytest.approx(SECONDS, abs=1e-3)
    np.testing.assert_allclose(time_features(shop.interactions["timestamp"]), time_features(SECONDS), atol=1e-4)
    assert (name in " ".join(shop.notes)) and bool(name) == ("made seconds" in " ".join(shop.notes))


def test_small_numbers_are_times_as_they_are(write_atomic):
    assert read_atomic(write_atomic(inter=INTER.format(10, 20, 30))).interactions["timestamp"].tolist() == [10, 20, 30]


def test_times_in_two_units_are_refused(write_atomic):
    with pytest.raises(ColdstartError, match="one unit, found seconds and milliseconds"):
        read_atomic(write_atomic(inter=INTER.format(SECONDS[0], SECONDS[1] * 1000, SECONDS[2])))


@pytest.mark.parametrize("between", [" ", ", ", ",", "|", " | ", ";", "; ", "/"])
def test_genres_are_words_however_they_are_parted(write_atomic, between):
    shop = genres_of(write_atomic, between.join(["Comedy", "Drama"]), between.join(["Drama", "Comedy"]))
    assert shop.items["genres"].tolist() == ["Comedy Drama", "Drama Comedy"]
    features = unit_rows(token_features(shop, ["genres"])).toarray()
    assert features[0] @ features[1] == pytest.approx(1)
    assert item_texts(shop) == ["Comedy, Drama.", "Drama, Comedy."]
    assert any("parted by" in note for note in shop.notes) == (between != " ")


def test_a_genre_of_two_words_stays_one(write_atomic):
    shop = genres_of(write_atomic, "Science Fiction, Drama", "Home & Kitchen, Science Fiction")
    assert shop.items["genres"].tolist() == ["Science-Fiction Drama", "Home-&-Kitchen Science-Fiction"]
    assert "hyphen" in " ".join(shop.notes)


def test_one_odd_comma_among_words_changes_nothing():
    assert separator_of(["Comedy Drama", "Western Crime", "Crime Drama", "Drama, Crime"]) == " "
    assert separator_of([]) == separator_of(["", "Drama"]) == " "


def test_a_list_written_out_is_its_entries():
    assert entries(["['Comedy', 'Drama']", '["War"]', "[]", ""]) == [["Comedy", "Drama"], ["War"], [], []]


def test_an_empty_column_is_left_out_and_told(write_atomic):
    item = "item_id:token|title:token_seq|about:token_seq|year:float\ni1||a|\ni2| |b|\n"
    shop = read_atomic(
        write_atomic(inter=INTER.format(*SECONDS), item=item, user="user_id:token|age:token\nu1|\nu2|\n")
    )
    assert shop.items.columns.tolist() == ["item_id", "about"] and shop.users.columns.tolist() == ["user_id"]
    assert item_texts(shop, ["title"]) == ["a.", "b."]
    for column in ("'title' of the .item", "'year' of the .item", "'age' of the .user"):
        assert column in " ".join(shop.notes)


def test_what_tells_nothing_apart_is_told(write_atomic):
    inter = "user_id:token|item_id:token|rating:float\nu1|i1|3\nu1|i2|3\n"
    item = "item_id:token|genres:token\ni1|War\ni2|War\ni3|War\n"
    notes = " ".join(read_atomic(write_atomic(inter=inter, item=item)).notes)
    assert "All ratings are the same" in notes and "'genres' is the same for all items" in notes
    assert "1 of 3 items are in no interaction" in notes


def test_what_a_folder_lacks_is_said_when_it_is_loaded(write_atomic, caplog):
    folder = write_atomic(inter="user_id:token|item_id:token\nu1|i1\nu2|i1\n")
    shop = load_dataset(folder)
    said = [
        "texts of items",
        "titles",
        "years",
        "genres",
        "ratings",
        "times",
        "attributes of users",
        "a knowledge graph",
    ]
    assert lacks(shop) == said
    assert f"shop: without {', '.join(said)}: what needs them is left out." in caplog.text


def test_a_named_data_set_is_known_and_says_nothing(ml100k, caplog):
    assert lacks(ml100k) == []
    load_dataset("ml-100k")
    assert caplog.text == ""


def test_a_folder_called_like_movielens_is_its_own(write_atomic):
    folder = write_atomic(
        "ml-100k", inter="user_id:token|item_id:token\n1|1\n2|1\n", item="item_id:token|title:token\n1|Mine\n"
    )
    shop = load_dataset(folder)
    assert shop.name == "./ml-100k" and shop.items["title"].tolist() == ["Mine"]
    with pytest.raises(ColdstartError, match="generated columns exist for ml-100k only"):
        attach_expansion(shop)


def test_the_folder_here_has_the_name_it_has(write_atomic, monkeypatch):
    monkeypatch.chdir(write_atomic(inter="user_id:token|item_id:token\nu1|i1\n"))
    assert load_dataset(".").name == "shop"


@pytest.mark.parametrize(
    "files, parts",
    [
        ({"inter": b"user_id:token,item_id:token\nu1,i1\n"}, ("line 1", "tab")),
        ({"inter": "user_id:token|item_id:token\nu1|i1\nu1|i8\nu2|i9\nu2|i7\n", "item": "item_id:token\ni1\n"},
         ("'i8'", "2 other ids")),
        ({"inter": "user_id:token|item_id:token\nu1|i1\n", "item": "item_id:token|class:token|genre:token\ni1|a|b\n"},
         ("'genres'", "class and genre")),
        ({"inter": "user_id:token|item_id:token\nu1|i1\n", "item": "item_id:token|release_year:float\ni1|old\n"},
         ("'release_year'", "'old'")),
    ],
    ids=["commas for tabs", "missing items are counted", "two columns of one name", "a column as it is spelt"],
)  # fmt: skip
def test_bad_files_are_told_as_they_are_written(write_atomic, files, parts):
    with pytest.raises(ColdstartError) as told:
        read_atomic(write_atomic(**files))
    assert [part for part in parts if part not in str(told.value)] == []


@pytest.mark.parametrize(
    "age, gender, occupation, text",
    [
        ("24.0", "M", "technician", "A 24-year-old technician, male."),
        ("18", "female", "unknown", "An 18-year-old person, female."),
        ("nan", "m", "", "A person, male."),
        ("25-34", "Woman", "nurse", "A 25-34-year-old nurse, female."),
        ("30", "non-binary", "clerk", "A 30-year-old clerk, non-binary."),
        ("30", "1", "7", "A 30-year-old person."),
    ],
)
def test_users_are_told_as_people_say_it(write_atomic, age, gender, occupation, text):
    header = "user_id:token|age:token|gender:token|occupation:token"
    user = f"{header}\nu1|{age}|{gender}|{occupation}\nu2|1|F|x\n"
    shop = read_atomic(write_atomic(inter=INTER.format(*SECONDS), user=user))
    assert user_texts(shop)[0] == text
