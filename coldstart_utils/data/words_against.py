"""What wrote `ml-100k-words-against.tsv`: ten words for each attacked film, chosen by an owner who knows the defence.

    python -m coldstart_utils.data.words_against [--into FOLDER]

Each word is tried with the real encoder, which takes four minutes of one core. Chapter 16 reads the words and computes
anew what they bring.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from coldstart_utils.catalogue.movielens import attach_expansion
from coldstart_utils.catalogue.sources import load_dataset
from coldstart_utils.ground import written_aside
from coldstart_utils.language.attacks import words_against
from coldstart_utils.language.encoders import TextEncoder
from coldstart_utils.language.storefront import storefronts
from coldstart_utils.measure import study
from coldstart_utils.whatif.attack import KNOWN_TO_OWNERS, picked

TABLE = "ml-100k-words-against.tsv"


def found(each: int = 6, seed: int = 0) -> pd.DataFrame:
    """Return the words that `attacks.words_against` finds: a row a fold, film that chapter 16 attacks, and way."""
    films = attach_expansion(load_dataset("ml-100k").with_least(items=10, users_with_two=2))
    folds = [fold.outer for fold in study.item_folds(films.matrix(), 5, seed=seed)]
    ids, rows = films.items["item_id"], []
    for shop in storefronts(films, folds, TextEncoder()):
        for item in picked(shop, each, seed):
            rows += [(ids[item], way, words_against(shop, item, way).strip()) for way in KNOWN_TO_OWNERS]
    return pd.DataFrame(rows, columns=["item_id", "way", "words"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, default=Path(), help="where the table is written")
    with written_aside(parser.parse_args().into / TABLE) as aside:
        found().to_csv(aside, sep="\t", index=False)
