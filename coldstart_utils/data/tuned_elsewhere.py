"""What wrote `tuned_elsewhere.tsv`: does an encoder tuned on the audience of films read another catalogue better?

    python -m coldstart_utils.data.tuned_elsewhere [--worlds FOLDER] [--only NAME …] [--file FILE]

The upper three layers are tuned on MovieLens-100K as chapter 03 tunes them. In each other world the tuned encoder meets
the same one as it came, on new items: with nothing trained, and behind the bridge. A world is a folder of atomic files
inside FOLDER ($COLDSTART_DATA by default). The program stands beside its product, not among the modules. What is in the
file is not computed again.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from coldstart_utils.book.worlds import FULL, How
from coldstart_utils.catalogue.dataset import Dataset
from coldstart_utils.catalogue.features import item_texts
from coldstart_utils.catalogue.recordings import keep, recorded, with_rows
from coldstart_utils.catalogue.sources import load_dataset
from coldstart_utils.catalogue.worlds import find_worlds, open_world, sample
from coldstart_utils.data.learning_curves import ITEMS_A_STEP, WAYS
from coldstart_utils.data.rivals import arguments
from coldstart_utils.ground import package_file
from coldstart_utils.language import finetuning, towers
from coldstart_utils.language.encoders import TextEncoder
from coldstart_utils.measure import claims, crossing, study
from coldstart_utils.models.content import content_kernel
from coldstart_utils.models.teachers import collaborative_targets
from coldstart_utils.models.transfer import Transfer

Array = np.ndarray
FILE = "tuned_elsewhere.tsv"
SOURCE, STEPS = "ml-100k", 70
LAYERS = WAYS["upper three layers"]
CAME, TUNED = "as it came", "tuned on films"
COLUMNS = ["world", "films", "way", "model", "fold", "ndcg"]


def read(path: Path | None = None) -> pd.DataFrame:
    """Return the recorded rows: world, number of films tuned on, way, model, fold, NDCG@20."""
    return recorded(path or package_file(FILE), COLUMNS)


def films_for(source: Dataset, target: Dataset) -> Array:
    """Return the rows of `source` that may be learnt from: those whose names no item of `target` has."""
    if "title" not in target.items:
        return np.arange(source.n_items)
    return crossing.not_shared(source, target)


def tuned(
    encoder: TextEncoder, source: Dataset, films: Array, *, steps: int = STEPS, seed: int = 0
) -> towers.ItemTower:
    """Return the tower over the texts (title, year, genres) of `films`, its upper layers tuned on who chose them."""
    X, stars = source.matrix()[:, films], source.matrix("rating")[:, films]
    known, _, targets = collaborative_targets(X, stars)
    texts = np.array(item_texts(source, ["title", "year", "genres"]))[films]
    tower = towers.ItemTower(encoder, texts.tolist(), **LAYERS.tower)
    batches = towers.shuffled(known, ITEMS_A_STEP, seed)
    finetuning.fit(tower.model, towers.bridge_loss(tower.encode, targets), batches, epochs=steps,
                   lr=LAYERS.base_rate, max_steps=steps, seed=seed)  # fmt: skip
    return tower


def both_readings(encoder: TextEncoder, learnt: towers.ItemTower, texts: list[str]) -> dict[str, Array]:
    """Return the vectors of `texts` [n, d] by the encoder as it came and by the one that `learnt`."""
    tower = towers.ItemTower(encoder, texts, **LAYERS.tower)
    came = tower.vectors()
    tower.model.load_state_dict(learnt.model.state_dict())
    return {CAME: came, TUNED: tower.vectors()}


def measured(
    target: Dataset, source: Dataset, encoder: TextEncoder, how: How = FULL, *, steps: int = STEPS
) -> pd.DataFrame:
    """Return NDCG@20 on the new items of each fold, by either encoder, untrained and behind the bridge."""
    target = sample(target, how.items, how.users, seed=how.seed)
    films = films_for(source, target)
    learnt = tuned(encoder, source, films, steps=steps, seed=how.seed)
    readings = both_readings(encoder, learnt, item_texts(target))
    ways: dict[str, dict[str, study.Method]] = {"untrained": {}, "bridge": {}}
    for name, Z in readings.items():
        ways["untrained"][name] = study.Arm(partial(claims.untrained_text, vectors=Z - Z.mean(axis=0)))
        ways["bridge"][name] = Transfer({"text": content_kernel([Z])})
    folds = study.item_folds(target.matrix(), 5, seed=how.seed)[: how.folds]
    parts = []
    for way, methods in ways.items():
        found = claims.rows_of_folds(study.run(methods, folds, trials=how.trials), "ndcg")
        parts.append(found.rename(columns={"value": "ndcg"}).assign(way=way))
    return pd.concat(parts).assign(world=target.name, films=len(films))[COLUMNS]


def main() -> None:
    """Measure what the file does not have yet, world by world, and write it after each."""
    given = arguments(__doc__, FILE).parse_args()
    table, encoder, source = read(given.file), TextEncoder(), load_dataset(SOURCE)
    for world, place in find_worlds(str(given.worlds or "")).items():
        if (given.only and world not in given.only) or (table["world"] == world).any():
            continue
        table = with_rows(table, measured(open_world(place), source, encoder))
        keep(table, given.file)


if __name__ == "__main__":
    main()
