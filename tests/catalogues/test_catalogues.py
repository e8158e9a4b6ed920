"""Small legal catalogues go through the chapters: each runs, or says in one sentence what the catalogue lacks.

`make test` takes a sample; `make catalogues` takes every catalogue through every chapter and writes the table.
"""

import os
import re

import chapters
import pytest
import shops

ALL = os.environ.get("COLDSTART_CATALOGUES") == "all"
# What a chapter cannot do without, by catalogue: the sentence that it stops with.
NO_TEXT = "its items have no text column; text methods need a .item file with one"
SAYS = {("no_text", chapter): NO_TEXT for chapter in chapters.NOTEBOOKS}
# Chapters 11 and 13 hide no items and no choices of a person, so that few choices do not stop them.
FOLDED = [chapter for chapter in chapters.NOTEBOOKS if chapter not in ("11", "13")]
SAYS |= {("five_items", chapter): "expected 10 or more items that somebody chose, found 5" for chapter in FOLDED}
SAYS |= {("five_items", chapter): "expected 10 or more items with two choices, found 5" for chapter in ("07", "08")}
SAYS |= {("one_each", chapter): "or more users with two choices, found 0" for chapter in FOLDED if chapter > "02"}
SAYS.pop(("one_each", "05"))
SAYS["two_users", "07"] = "expected 10 or more users with two choices, found 2"
SAYS["two_users", "08"] = "expected 10 or more items with two choices, found 8"
SAYS["two_users", "06"] = "nothing is left to ask for"
SAYS["no_words", "11"] = SAYS["no_words", "16"] = "expected texts of items with words in them"
SAYS["five_items", "16"] = "expected 15 or more items that somebody chose, found 5"
SAYS["tiny", "16"] = "expected 15 or more items that somebody chose, found 12"
SAYS["few_users", "16"] = "expected 20 or more users who chose something, found 12"
SAYS["two_users", "16"] = "expected 20 or more users who chose something, found 2"
ALL_CHOSEN = "expected 1 or more pairs of a user and an item not chosen, found 0"
SAYS |= {("full", chapter): ALL_CHOSEN for chapter in ("08", "10", "15", "16")}
SAYS["one_moment", "09"] = "nobody with a history chose an item known by then"
SAYS["balanced", "16"] = "expected items of unequal fame, found that all have 16 choices"
SAYS["balanced", "09"] = "nobody with a history chose an item known by then"
# One catalogue of each kind, and each chapter with several; one that lacks nothing and one without text go through all,
# the bare one through all but the three that take longest.
SAMPLE = [
    *(("whole", chapter) for chapter in chapters.NOTEBOOKS),
    *(("bare", chapter) for chapter in chapters.NOTEBOOKS if chapter not in ("03", "04", "12")),
    *(("no_text", chapter) for chapter in chapters.NOTEBOOKS),
    ("dollars", "02"), ("dollars", "10"), ("single", "02"), ("tiny", "07"), ("empty_titles", "06"),
    ("same_rating", "10"), ("balanced", "09"), ("unseen", "05"), ("few_items", "00"), ("commas", "01"),
    ("one_genre", "16"), ("no_words", "01"), ("no_words", "11"), ("few_items", "16"), ("full", "10"), ("short", "03"),
]  # fmt: skip
ASKED = [(name, chapter) for name in shops.FAMILY for chapter in chapters.NOTEBOOKS] if ALL else SAMPLE


@pytest.fixture(scope="session")
def outcomes(request, tmp_path_factory):
    """What each chapter that is asked for did with each catalogue, two at a time."""
    folder = tmp_path_factory.mktemp("catalogues")
    asked = {item.callspec.params["asked"] for item in request.session.items if "outcomes" in item.fixturenames}
    folders = {name: shops.make(folder, name) for name in {name for name, _ in asked}}
    found = chapters.run_all({one: (one[1], {"DATASET": str(folders[one[0]])}) for one in sorted(asked)})
    if ALL:
        (chapters.ROOT / "build").mkdir(exist_ok=True)
        (chapters.ROOT / "build" / "catalogues.md").write_text(table(found), encoding="utf-8")
    return found


def table(found):
    """Return the outcomes as a table, catalogues down, chapters across, and below it the sentences."""
    lines = ["| | " + " | ".join(chapters.NOTEBOOKS) + " |", "|---" * (1 + len(chapters.NOTEBOOKS)) + "|"]
    marks, sentences = {"ran": "✓", "broke": "✗"}, []
    for name in shops.FAMILY:
        cells = []
        for chapter in chapters.NOTEBOOKS:
            outcome = found.get((name, chapter))
            if outcome and outcome.kind == "said" and outcome.text not in sentences:
                sentences.append(outcome.text)
            cells.append("" if outcome is None else marks.get(outcome.kind) or f"{sentences.index(outcome.text) + 1}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"{n}. {text}" for n, text in enumerate(sentences, start=1))]) + "\n"


@pytest.mark.parametrize("asked", ASKED, ids="-".join)
def test_a_chapter_runs_or_says_what_is_lacking(asked, outcomes):
    outcome = outcomes[asked]
    assert outcome.kind != "broke", f"cell {outcome.cell}: {outcome.text}"
    assert outcome.broken_claims == ()
    assert outcome.kind == ("said" if asked in SAYS else "ran"), outcome.text
    assert SAYS.get(asked, "") in outcome.text


@pytest.mark.parametrize("asked", ASKED, ids="-".join)
def test_what_is_left_out_is_said_in_a_sentence(asked, outcomes):
    lacking = re.search(r"without (.*?): what needs them is left out", outcomes[asked].told)
    assert lacking, outcomes[asked].told
    expected = {
        "bare": ["titles", "years", "genres", "ratings", "times", "attributes of users", "a knowledge graph"],
        "no_text": ["texts of items", "titles", "years", "genres", "attributes of users", "a knowledge graph"],
    }
    for word in expected.get(asked[0], []):
        assert word in lacking[1]
