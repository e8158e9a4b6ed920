"""What wrote `ml-100k-search-ranks.tsv`: where each method put what people, and a language model, asked for.

    python -m coldstart_utils.data.search_ranks [--into FOLDER]

It needs the questions of real people (`coldstart data install tomt`). The table holds ids and ranks, no text. Chapter
11 computes the ranks of people's questions anew where they are installed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from coldstart_utils.catalogue.dataset import Dataset
from coldstart_utils.catalogue.features import item_texts
from coldstart_utils.catalogue.movielens import attach_expansion
from coldstart_utils.catalogue.questions import (
    TOMT,
    Questions,
    generated_questions,
    real_questions,
)
from coldstart_utils.catalogue.sources import load_dataset
from coldstart_utils.ground import ColdstartError, package_file, written_aside
from coldstart_utils.language.encoders import TextEncoder
from coldstart_utils.language.facts import words
from coldstart_utils.language.fields import by_level, engine, halves, levels, together, usual_of_others
from coldstart_utils.language.search import WordIndex, centred
from coldstart_utils.measure import known_items
from coldstart_utils.models.scores import mixture, top_k

RANKS = "ml-100k-search-ranks.tsv"
LIKE_IT = "+ questions like it"
FACTS = ("asked", "query_id", "item_id", "half", "words", "shared")
Array = np.ndarray


def ranks_of(dataset: Dataset, asked: Questions, encoder: TextEncoder) -> pd.DataFrame:
    """Return for each question `FACTS` and the rank of its item by every method.

    `words` is the length of the question, `shared` the share of its stems that stand in the text of its item.
    """
    half, clicks = halves(asked.table["query_id"]), np.bincount(dataset.interactions["item"], minlength=dataset.n_items)
    scores = by_level(levels(dataset), asked.texts, encoder)
    scores |= together(dataset, asked.texts, half, asked.right, encoder, clicks)
    if dataset.name == "ml-100k":
        scores[LIKE_IT] = like_it(dataset, asked, generated_questions(dataset), half, encoder)
    ranks = known_items.best_ranks(scores, asked.relevant)
    told = {
        "asked": asked.name,
        "query_id": asked.table["query_id"],
        "item_id": dataset.items["item_id"].to_numpy()[asked.right],
        "half": half,
        "words": [len(words(text)) for text in asked.texts],
        "shared": np.round(shared_stems(asked.texts, item_texts(dataset), asked.right), 3),
    }
    return pd.concat([pd.DataFrame(told), ranks], axis=1)


def like_it(dataset: Dataset, asked: Questions, others: Questions, half: Array, encoder: TextEncoder) -> Array:
    """Return the scores [questions, items] with each question moved half-way towards the three most similar `others`.

    Those about the same item are left out: they would tell the answer.
    """
    search, vectors, known = engine(dataset, encoder), encoder.encode(asked.texts), encoder.encode(others.texts)
    own, written = centred(vectors, usual_of_others(vectors, half)), centred(known, known.mean(axis=0))
    alike = own @ written.T
    alike[asked.right[:, None] == others.right] = -np.inf
    moved = own + 0.5 * written[top_k(alike, 3)].mean(axis=1)
    words_alone = search.words.scores(asked.texts)
    return mixture([words_alone, *(moved @ field.T for field in search.vectors.values())])


def shared_stems(questions: Sequence[str], texts: Sequence[str], right: Array) -> Array:
    """Return the share of the different stems of each question that stand in the text of its item, stop words aside."""
    asked, known = WordIndex.stems(questions), WordIndex.stems(texts)
    return np.array([len({*own} & {*known[item]}) / max(len({*own}), 1) for own, item in zip(asked, right)])


def of_people(dataset: Dataset, encoder: TextEncoder, *, anew: bool) -> pd.DataFrame | None:
    """Return the ranks for the questions of people about ml-100k: those recorded, or with `anew` computed again
    where the questions are installed. None for another catalogue.
    """
    if dataset.name != "ml-100k":
        return None
    recorded = read()
    people = real_questions(dataset) if anew else None
    return (
        recorded[recorded["asked"] == TOMT].reset_index(drop=True)
        if people is None
        else ranks_of(dataset, people, encoder)
    )


def methods(ranks: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that hold ranks, without `FACTS`."""
    return ranks.drop(columns=list(FACTS))


def read() -> pd.DataFrame:
    """Return the recorded ranks: `FACTS` and one column a method, first the questions of people, then the generated."""
    return pd.read_csv(package_file(RANKS), sep="\t", dtype={"query_id": str, "item_id": str})


def record(into: Path) -> None:
    """Write the table into a folder. Raises ColdstartError where the questions of people are not installed."""
    films, encoder = attach_expansion(load_dataset("ml-100k")), TextEncoder()
    people, made = real_questions(films), generated_questions(films)
    if people is None:
        raise ColdstartError("the questions of people are not installed: run `coldstart data install tomt`")
    _write(pd.concat([ranks_of(films, asked, encoder) for asked in (people, made)]), into / RANKS)


def _write(table: pd.DataFrame, path: Path) -> None:
    with written_aside(path) as aside:
        table.to_csv(aside, sep="\t", index=False, float_format="%.4g")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, default=Path(), help="where the table is written")
    record(parser.parse_args().into)
