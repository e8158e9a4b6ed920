"""What wrote `papers.tsv` and `papers-curves.tsv`: what papers compare with, on equal terms, beside `transfer`.

    python -m coldstart_utils.data.papers [--worlds FOLDER] [--only WORLD …] [--methods NAME …] [--trials 8]

A world is a folder of atomic files inside FOLDER ($COLDSTART_DATA by default), or ml-100k, which is always there. The
program stands beside its product, not among the modules. A row that is in the file is not computed again, and each is
written as soon as it is known: stop it when you like, it goes on from there.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import optuna  # noqa: F401 what is loaded before the first row is no part of its seconds
import pandas as pd
import torch  # noqa: F401

from coldstart_utils.catalogue.dataset import Dataset, best_known
from coldstart_utils.catalogue.movielens import attach_expansion
from coldstart_utils.catalogue.recordings import keep, recorded, with_rows
from coldstart_utils.catalogue.sources import load_dataset
from coldstart_utils.catalogue.worlds import at_first
from coldstart_utils.data.rivals import check_folder
from coldstart_utils.ground import package_file
from coldstart_utils.language.context import content_blocks, user_texts
from coldstart_utils.language.encoders import TextEncoder
from coldstart_utils.measure import study
from coldstart_utils.models.transfer import teacher_scores
from coldstart_utils.rivals import contest, tuning
from coldstart_utils.rivals.distilled import als_factors
from coldstart_utils.rivals.features import features_of
from coldstart_utils.rivals.learning import Rival
from coldstart_utils.rivals.recorded import COLUMNS, CURVE_COLUMNS, CURVES, KEY, TABLE, knobs_of

WORLDS = ("ml-100k", "citeulike-a-1906", "amazon-office", "ml-100k, generated text")
KEPT = ["ndcg", "recall", "tail_recall"]
MOST_ITEMS, SHOTS, LEAST = 4_000, 5, 15


def load(world: str, folder: Path | None) -> Dataset | None:
    """Return the catalogue of a world, or None where it is not at hand."""
    if world.startswith("ml-100k"):
        films = load_dataset("ml-100k")
        return attach_expansion(films) if "generated" in world else films
    place = folder / world if folder else None
    return best_known(at_first(load_dataset(place)), MOST_ITEMS) if place and place.is_dir() else None


def contests(world: str, dataset: Dataset) -> Iterator[tuple[str, dict[str, study.Method], list[study.Fold]]]:
    """Yield what is asked, the methods and the folds: new items everywhere, new users of MovieLens."""
    X, encoder = dataset.matrix(), TextEncoder()
    blocks = content_blocks(dataset, encoder)
    features = features_of(blocks)
    yield "new items", contest.contestants(blocks, features=features), study.item_folds(X)
    if world == "ml-100k":
        profiles = encoder.encode(user_texts(dataset))
        methods = contest.newcomer_contestants(features, profiles, SHOTS, least=LEAST)
        yield f"new users, {SHOTS} choices", methods, study.user_folds(X, k=SHOTS, least=LEAST)


def row_of(name: str, method: study.Method, fold: study.Fold, trials: int) -> dict[str, object]:
    """Return the means over the users of one fold, the setting and the seconds of processor time, tuning included."""
    # What one method computed is not given to the next: each pays for itself.
    teacher_scores.cache_clear()
    als_factors.cache_clear()
    results = study.run({name: method}, [fold], trials=trials, tuner=tuning.tuned)
    first = results[["model", "fold", "setting", "seconds"]].iloc[0].to_dict()
    return results[KEPT].mean().to_dict() | first | {"trials": trials if method.knobs else 0}


def curve_of(rival: Rival, fold: study.Fold, setting: str) -> pd.DataFrame:
    """Return the learning curve of a rival with the setting it got on a fold, for the new items of that fold."""
    als_factors.cache_clear()
    knobs = {name: number for name, number in knobs_of(setting).items() if name != "epochs"}
    return tuning.curve(rival, fold.outer, **knobs)


def measure(
    world: str, dataset: Dataset, wanted: list[str] | None, trials: int, path: Path, hidden: Mapping[str, object]
) -> None:
    """Add to the file at `path` what it lacks of a world; `hidden` is what all rows share."""
    table = recorded(path, COLUMNS)
    done = set(table[KEY].itertuples(index=False, name=None))
    for asked, methods, folds in contests(world, dataset):
        for name, method in methods.items():
            for fold in folds if wanted is None or name in wanted else ():
                key = (world, asked, name, fold.outer.seed)
                if key in done:
                    continue
                row = row_of(name, method, fold, trials) | {"world": world, "asked": asked, **hidden}
                table = with_rows(table, pd.DataFrame([row])[COLUMNS])
                keep(table, path)
                print(*key, f"{row['ndcg']:.3f} {row['seconds']:.1f} s {row['setting']}", flush=True)


def curves(dataset: Dataset, table: pd.DataFrame, path: Path) -> None:
    """Add the learning curves of ml-100k that the file at `path` lacks."""
    drawn = recorded(path, CURVE_COLUMNS)
    asked, methods, folds = next(contests("ml-100k", dataset))
    known = table[(table["world"] == "ml-100k") & (table["asked"] == asked)].set_index(["model", "fold"])["setting"]
    learners = {name: method for name, method in methods.items() if isinstance(method, Rival)}
    for fold in folds:
        for name, rival in learners.items():
            key = (name, fold.outer.seed)
            if key in known.index and not ((drawn["model"] == key[0]) & (drawn["fold"] == key[1])).any():
                rows = curve_of(rival, fold, known[key]).assign(model=name, fold=fold.outer.seed)
                drawn = with_rows(drawn, rows[CURVE_COLUMNS])
                keep(drawn, path)


def main() -> None:
    """Measure what the files do not have yet, world by world."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=Path, default=os.environ.get("COLDSTART_DATA"))
    parser.add_argument("--only", nargs="*", choices=WORLDS, default=WORLDS[:3])
    parser.add_argument("--methods", nargs="*")
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--folder", type=Path, default=package_file(TABLE).parent, help="where the tables are kept")
    given = parser.parse_args()
    folder = Path(given.worlds) if given.worlds else None
    check_folder(folder)
    for world in given.only:
        dataset = load(world, folder)
        if dataset is None:
            print(f"{world}: not at hand, left out")
            continue
        hidden = {"users": dataset.n_users, "items": dataset.n_items}
        measure(world, dataset, given.methods, given.trials, given.folder / TABLE, hidden)
        if world == "ml-100k":
            curves(dataset, recorded(given.folder / TABLE, COLUMNS), given.folder / CURVES)


if __name__ == "__main__":
    main()
