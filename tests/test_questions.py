"""catalogue/questions: what is read is what is in the files, generated questions keep their rules, real ones join."""

import hashlib
import io
import json
import re
import zipfile

import numpy as np
import pandas as pd
import pytest
from bm25s.stopwords import STOPWORDS_EN
from typer.testing import CliRunner

from coldstart_utils.book import cli
from coldstart_utils.catalogue import questions
from coldstart_utils.catalogue.atomic import read_atomic
from coldstart_utils.catalogue.movielens import clean_title, package_table
from coldstart_utils.ground import ColdstartError, package_file
from coldstart_utils.language.facts import words

INTER = "user_id:token|item_id:token\nu1|i1\nu2|i2\n"
ITEM = "item_id:token|title:token_seq\ni1|Heat\ni2|The Piano\ni3|Alien\n"
QUERIES = "query_id:token|text:token_seq\nq1|a heist in a city\nq2|a mute woman\nq3|nobody knows\n"
QRELS = "query_id:token|item_id:token|relevance:float\nq1|i1|1\nq1|i2|0\nq2|i2|2\nq2|i3|1\n"


def read(write_atomic, queries=QUERIES, qrels=QRELS):
    shop = read_atomic(write_atomic(inter=INTER, item=ITEM))
    return questions.read_questions(write_atomic("asked", queries=queries, qrels=qrels), shop)


# --- Files -----------------------------------------------------------------------------------------------------------


def test_questions_are_read_as_they_are_written(write_atomic):
    found = read(write_atomic)
    assert found.texts == ["a heist in a city", "a mute woman"] and len(found) == 2
    assert found.relevant.toarray().tolist() == [[1, 0, 0], [0, 2, 1]]
    assert found.judged.toarray().tolist() == [[True, True, False], [False, True, True]]
    assert found.right.tolist() == [0, 1]
    assert "1 of 3 questions have no right item in shop" in found.notes[0]


def test_without_grades_every_judgement_says_yes(write_atomic):
    found = read(write_atomic, qrels="query_id:token|item_id:token\nq1|i1\nq2|i2\nq3|i1\n")
    assert found.relevant.toarray().tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 0]] and found.notes == ()


def test_a_part_keeps_question_and_answer_together(write_atomic):
    part = read(write_atomic).part(np.array([False, True]))
    assert part.texts == ["a mute woman"] and part.relevant.toarray().tolist() == [[0, 2, 1]]


@pytest.mark.parametrize(
    "files, place, fault",
    [
        ({"qrels": QRELS + "q1|i9|1\n"}, "asked.qrels, line 6", "the id 'i9' is not in the items of shop"),
        ({"qrels": QRELS + "q9|i1|1\n"}, "asked.qrels, line 6", "the id 'q9' is not in asked.queries"),
        ({"qrels": QRELS + "q1|i1|-1\n"}, "asked.qrels, line 6", "expected 0 or more"),
        ({"qrels": QRELS + "q1|i1|\n"}, "asked.qrels, line 6", "expected a finite number"),
        ({"qrels": "query_id:token|item_id:token\n"}, "asked.qrels", "no line below it"),
        ({"qrels": "query_id:token|item_id:token|relevance:float\nq1|i1|0\n"}, "asked", "no question with an item"),
        ({"queries": QUERIES + "q1|again\n"}, "asked.queries, line 5", "stands there twice"),
        ({"qrels": QRELS + "q1|i1|1\n"}, "asked.qrels, line 6", "are judged twice"),
        ({"queries": QUERIES + "q4| \n"}, "asked.queries, line 5", "expected a question, found nothing"),
        ({"queries": "query_id:token|question:token_seq\nq1|a\n"}, "asked.queries, line 1", "'text'"),
    ],
)
def test_a_fault_is_told_with_its_place(write_atomic, files, place, fault):
    with pytest.raises(ColdstartError, match=f"{re.escape(place)}.*{re.escape(fault)}"):
        read(write_atomic, **files)


def test_a_folder_without_questions_is_told(write_atomic, tmp_path):
    shop = read_atomic(write_atomic(inter=INTER, item=ITEM))
    with pytest.raises(ColdstartError, match=r"ends in \.queries, found none"):
        questions.read_questions(tmp_path / "shop", shop)
    with pytest.raises(ColdstartError, match="expected a folder"):
        questions.read_questions(tmp_path / "nowhere", shop)


def test_questions_made_of_texts_use_their_words_only(write_atomic):
    shop = read_atomic(write_atomic(inter=INTER, item=ITEM))
    texts = ["one two three four", "", "five"]
    made = questions.questions_from_texts(shop, texts, seed=1)
    assert sorted(made.right) == [0, 2]
    for text, item in zip(made.texts, made.right):
        own = texts[item].split()
        assert set(text.split()) <= set(own) and len(text.split()) == max(1, len(own) // 2)
    assert made.texts == questions.questions_from_texts(shop, texts, seed=1).texts


# --- The questions that a large language model wrote -----------------------------------------------------------------


@pytest.fixture(scope="module")
def known():
    return package_table("ml-100k-queries/known_items")


def test_each_film_is_asked_for_twice(known, ml100k):
    assert known.columns.tolist() == ["query_id", "style", "item_id", "query"]
    assert known["query_id"].is_unique and len(known) == 940
    assert known.groupby("item_id")["style"].agg(sorted).map(tuple).unique().tolist() == [("long", "short")]
    assert (known["query_id"] == "K" + known["item_id"] + known["style"].str[0]).all()
    assert set(known["item_id"]) <= set(ml100k.items["item_id"])


def test_no_question_names_its_film(known, ml100k):
    title = dict(zip(ml100k.items["item_id"], ml100k.items["title"].map(clean_title)))
    own = {i: {w for w in words(text) if len(w) > 2} - set(STOPWORDS_EN) for i, text in title.items()}
    hits = {(row.query_id, word) for row in known.itertuples() for word in set(words(row.query)) & own[row.item_id]}
    assert hits == set()


def test_lengths_and_fields_of_questions(known):
    length = known["query"].str.split().str.len()
    assert length[known["style"] == "long"].between(12, 60).all()
    assert length[known["style"] == "short"].between(2, 10).all()
    for table in (known, package_table("ml-100k-queries/needs")):
        text = table["query"]
        assert (text == text.str.strip()).all() and not text.str.contains(r'["\r\x00-\x1f]|  |<|&\w+;').any()


def test_needs_are_graded_in_their_pool(ml100k):
    needs, grades = package_table("ml-100k-queries/needs"), package_table("ml-100k-queries/needs_grades")
    assert len(needs) == 120 and needs["query_id"].is_unique and set(grades["query_id"]) == set(needs["query_id"])
    assert needs["query"].str.split().str.len().between(3, 20).all()
    assert grades["relevance"].value_counts().to_dict() == {"0": 3778, "1": 497, "2": 464}
    assert not grades.duplicated(["query_id", "item_id"]).any() and set(grades["item_id"]) <= set(
        ml100k.items["item_id"]
    )
    found = questions.generated_needs(ml100k)
    assert found.relevant.nnz == 497 + 464 and len(found) == 119
    assert "1 of 120 questions have no right item" in found.notes[0]


def test_the_second_judge_judged_what_the_first_did():
    first, second = (package_table(f"ml-100k-queries/{name}") for name in ("needs_grades", "needs_second_grades"))
    both = second.merge(first, on=["query_id", "item_id"], suffixes=("_2", ""))
    assert len(both) == len(second) == 240
    assert (both["relevance_2"] == both["relevance"]).mean() == pytest.approx(0.96, abs=0.005)


def test_generated_questions_are_joined_by_id(ml100k, known):
    asked = questions.generated_questions(ml100k, "short")
    row = known[known["query_id"] == "K716s"].iloc[0]
    at = asked.table.index[asked.table["query_id"] == "K716s"][0]
    assert asked.texts[at] == row["query"] and ml100k.items["item_id"][asked.right[at]] == "716"
    assert len(asked) == 470 and (asked.relevant.sum(axis=1) == 1).all()
    with pytest.raises(ColdstartError, match="style: expected one of long, short, got 'medium'"):
        questions.generated_questions(ml100k, "medium")


def test_generated_questions_are_for_movielens_alone(write_atomic):
    with pytest.raises(ColdstartError, match=r"shop.*ml-100k only"):
        questions.generated_needs(read_atomic(write_atomic(inter=INTER, item=ITEM)))


# --- The questions of real people ------------------------------------------------------------------------------------

IDS = pd.read_csv(package_file("tomt-ml-100k-ids.tsv"), sep="\t", dtype=str)


def release(threads):
    """An archive of the form of the authors' release: JSON lines in a folder for each split, and judgements beside."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as z:
        for split in ("train", "test"):
            lines = [json.dumps(t) for n, t in enumerate(threads) if (n % 5 == 0) == (split == "test")]
            z.writestr(f"trec_dataset/{split}/queries.jsonl", "\n".join(lines) + "\n")
            z.writestr(f"trec_dataset/{split}/qrel.txt", "1 0 2 1\n")
    return buffer.getvalue()


def zipped(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as z:
        for name, content in files.items():
            z.writestr(f"trec_dataset/{name}.jsonl", content)
    return buffer.getvalue()


def threads():
    extra = [{"id": "not-ours", "title": "A book", "text": "?"}]
    return extra + [
        {"id": thread, "title": f"Film number\t{n}", "text": "It had a\n dragon.", "sentence_annotations": None}
        for n, thread in enumerate(IDS["query_id"])
    ]


def sha(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def test_the_table_of_ids_names_threads_and_films(ml100k):
    assert IDS.columns.tolist() == ["query_id", "item_id"] and len(IDS) == 489 and IDS["query_id"].is_unique
    assert set(IDS["item_id"]) <= set(ml100k.items["item_id"]) and IDS["item_id"].nunique() == 292


def test_the_release_is_joined_to_the_films(serve, tmp_path, ml100k, monkeypatch):
    content = release(threads())
    folder = questions.download_tomt(tmp_path / "tomt-ml-100k", serve(content), sha(content))
    monkeypatch.setenv("COLDSTART_DATA", str(tmp_path))
    asked = questions.real_questions(ml100k)
    assert questions.tomt_folder() == folder and len(asked) == 489
    assert asked.texts[1] == "Film number 1. It had a dragon."
    assert ml100k.items["item_id"][asked.right[3]] == IDS["item_id"][3]


def test_the_release_as_its_authors_describe_it_is_read_whole(serve, tmp_path, ml100k):
    """TREC.md of the release: the format of TREC's track of 2023, its three splits, `sentence_annotations` null."""
    buffer, asked = io.BytesIO(), threads()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as z:
        for n, split in enumerate(("train", "validation", "test")):
            own = [{"url": f"https://reddit.com/{t['id']}", "domain": "movies", **t} for t in asked[n::3]]
            z.writestr(f"trec_dataset/{split}/", "")
            lines = "".join(json.dumps(t, ensure_ascii=False) + "\n" for t in own)
            z.writestr(f"trec_dataset/{split}/queries.jsonl", lines.encode())
            z.writestr(f"trec_dataset/{split}/qrel.txt", "".join(f"{t['id']} 0 12345 1\n" for t in own))
            z.writestr(f"__MACOSX/trec_dataset/{split}/._queries.jsonl", b"\x00\x05\x16\x07 of the Finder \xff")
    content = buffer.getvalue()
    folder = questions.download_tomt(tmp_path / "tomt-ml-100k", serve(content), sha(content))
    found = questions.read_questions(folder, ml100k)
    assert found.table["query_id"].tolist() == IDS["query_id"].tolist()
    assert found.texts[200] == "Film number 200. It had a dragon."
    assert ml100k.items["item_id"][found.right].tolist() == IDS["item_id"].tolist()


def test_install_fetches_them_into_the_cache(serve, tmp_path, monkeypatch):
    content = release(threads())
    monkeypatch.setenv("COLDSTART_CACHE", str(tmp_path))
    monkeypatch.delenv("COLDSTART_DATA", raising=False)
    monkeypatch.setattr(questions.download_tomt, "__defaults__", (serve(content), sha(content)))
    assert questions.tomt_folder() is None
    outcome = CliRunner().invoke(cli.app, ["data", "install", "tomt"])
    assert outcome.exit_code == 0 and questions.tomt_folder() == tmp_path / "tomt-ml-100k"


@pytest.mark.parametrize(
    "content, fault",
    [
        (release(threads()[:200]), r"290 of 489 threads are not in it"),
        (release([{"title": "no id"}]), r"queries\.jsonl, line 1: expected a JSON object with id, title and text"),
        (release([["a", "list"]]), r"queries\.jsonl, line 1: expected a JSON object"),
        (release([{"id": 1, "text": {"a": 1}}]), r"queries\.jsonl, line 1: expected a JSON object"),
        (zipped(queries=b'{"id": "caf\xe9"}'), r"queries\.jsonl, line 1: expected a JSON object"),
        (zipped(queries="[\n{}\n]"), r"queries\.jsonl, line 1: expected a JSON object"),
        (zipped(documents="{}"), r"expected a file queries\.jsonl in it, found none"),
        (b"no zip", r"tomt\.zip: expected a zip archive"),
    ],
)
def test_a_release_that_lacks_something_is_told_and_nothing_is_written(serve, tmp_path, content, fault):
    with pytest.raises(ColdstartError, match=fault):
        questions.download_tomt(tmp_path / "tomt-ml-100k", serve(content), sha(content))
    assert not (tmp_path / "tomt-ml-100k").exists()


def test_a_release_that_differs_is_refused(serve, tmp_path):
    with pytest.raises(ColdstartError, match="could not be downloaded and verified"):
        questions.download_tomt(tmp_path / "tomt-ml-100k", serve(release(threads())), sha(b"another"))


def test_without_them_there_are_none(tmp_path, ml100k, monkeypatch):
    monkeypatch.setenv("COLDSTART_DATA", str(tmp_path))
    monkeypatch.setenv("COLDSTART_CACHE", str(tmp_path))
    assert questions.real_questions(ml100k) is None
