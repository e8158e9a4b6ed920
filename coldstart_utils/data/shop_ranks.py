"""What wrote `amazon-office-search-ranks.tsv`: where words and meaning put a product that is asked for by its title.

    python -m coldstart_utils.data.shop_ranks FOLDER [--into FOLDER]

FOLDER holds the products as atomic files, with the columns title and description. A question is the title of a
product; searched are all descriptions, from which the title is taken where they begin with it. The table holds ids and
ranks, no text.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from coldstart_utils.catalogue.dataset import Dataset
from coldstart_utils.catalogue.recordings import keep
from coldstart_utils.catalogue.sources import load_dataset
from coldstart_utils.data.search_ranks import shared_stems
from coldstart_utils.ground import ColdstartError, package_file
from coldstart_utils.language.encoders import TextEncoder
from coldstart_utils.language.facts import words
from coldstart_utils.language.fields import halves, usual_of_others
from coldstart_utils.language.search import WordIndex, centred
from coldstart_utils.measure import known_items
from coldstart_utils.models.scores import mixture

RANKS = "amazon-office-search-ranks.tsv"
FACTS = ("item_id", "length", "shared", "number")
WITH_DIGIT = re.compile(r"\d")


def held_back(dataset: Dataset) -> pd.DataFrame:
    """Return item_id, title and description (less the title in front of it) of the items that have words in both.

    Raises ColdstartError without these columns.
    """
    if missing := {"title", "description"} - set(dataset.items.columns):
        raise ColdstartError(f"{dataset.name}: expected items with a title and a description, without {missing}")
    table = dataset.items[["item_id", "title", "description"]].apply(lambda column: column.astype(str).str.strip())
    rest = [
        text[len(title) :].lstrip(" .") if text.lower().startswith(title.lower()) else text
        for title, text in zip(table["title"], table["description"])
    ]
    table = table.assign(description=rest)
    told = [bool(words(title)) and bool(words(text)) for title, text in zip(table["title"], table["description"])]
    return table[told].reset_index(drop=True)


def ranks_of(table: pd.DataFrame, encoder: TextEncoder) -> pd.DataFrame:
    """Return for each row of `held_back` its `FACTS` and the rank of its description by each method.

    `length` is the number of words of the title, `shared` the share of its stems that the description has, `number` is
    1 if the description has one of the title's words with a digit.
    """
    asked, texts, own = table["title"].tolist(), table["description"].tolist(), np.arange(len(table))
    vectors, known, half = encoder.encode(asked), encoder.encode(texts), halves(table["item_id"])
    usual = usual_of_others(vectors, half)
    by_word = WordIndex(texts).scores(asked)
    by_meaning = centred(vectors, usual) @ centred(known, known.mean(axis=0)).T
    scores = {
        "words": by_word,
        "meaning": vectors @ known.T,
        "meaning, centred": by_meaning,
        "words and meaning": mixture([by_word, by_meaning]),
    }
    digits = [{word for word in words(text) if WITH_DIGIT.search(word)} for text in asked]
    told = {
        "item_id": table["item_id"],
        "length": [len(words(text)) for text in asked],
        "shared": np.round(shared_stems(asked, texts, own), 3),
        "number": [int(bool(named & {*words(text)})) for named, text in zip(digits, texts)],
    }
    return pd.concat([pd.DataFrame(told), known_items.best_ranks(scores, sparse.eye(len(own), format="csr"))], axis=1)


def read() -> pd.DataFrame:
    """Return the recorded ranks of amazon-office: `FACTS` and one column a method."""
    return pd.read_csv(package_file(RANKS), sep="\t", dtype={"item_id": str})


def record(folder: Path, into: Path) -> None:
    """Write the table of the products in `folder` into a folder."""
    table = ranks_of(held_back(load_dataset(folder)), TextEncoder())
    keep(table, into / RANKS, numbers=None)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the products, as atomic files")
    parser.add_argument("--into", type=Path, default=Path(), help="where the table is written")
    options = parser.parse_args()
    record(options.folder, options.into)
