"""What wrote `new_users.tsv`: the recipe for new users against tuned rivals, at 0, 1 and 5 choices, in every world.

    python -m coldstart_utils.data.new_users [--worlds FOLDER] [--only NAME …] [--file FILE]

A world is a folder of atomic files inside FOLDER ($COLDSTART_DATA by default), or ml-100k, which is always there. The
program stands beside its product, not among the modules. What is in the file is not computed again.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from coldstart_utils.book.worlds import profiles
from coldstart_utils.catalogue.dataset import Dataset
from coldstart_utils.catalogue.recordings import keep, recorded, with_rows
from coldstart_utils.catalogue.splits import Split
from coldstart_utils.catalogue.worlds import sample
from coldstart_utils.data.rivals import arguments, worlds
from coldstart_utils.ground import package_file
from coldstart_utils.language.encoders import TextEncoder
from coldstart_utils.measure import claims, people, study
from coldstart_utils.measure.newcomers import Newcomers, newcomers
from coldstart_utils.measure.ranking import Scorer, evaluate
from coldstart_utils.models import k_shot
from coldstart_utils.models.content import block_kernels
from coldstart_utils.models.teachers import ease

Array = np.ndarray
FILE = "new_users.tsv"
RECIPE = "recipe"
SHOTS = (0, 1, 5)
MOST_ITEMS, MOST_USERS, TRIALS = 1_500, 2_000, 4
MEASURES = ["ndcg", "recall"]
COLUMNS = ["world", "users", "items", "k", "model", "fold", *MEASURES, "setting"]


def read(path: Path | None = None) -> pd.DataFrame:
    """Return the recorded rows, one for each world, k, method and fold (`COLUMNS`)."""
    return recorded(path or package_file(FILE), COLUMNS)


def by_ease(split: Split, penalty: float) -> Scorer:
    """Return the scorer of EASE learnt from known users, asked about what new ones reveal."""
    B = ease(split.train[np.flatnonzero(np.diff(split.train.indptr))], penalty)
    return lambda users, items: np.asarray(split.support[users] @ B[:, items])


def rivals(k: int, least: int, alike: Array | None) -> dict[str, study.Method]:
    """Return the rivals with `k` revealed choices by name; `alike` [users, users] is the kernel of profiles, if any."""
    methods: dict[str, study.Method] = {"everybody's list": study.Arm(people.everybody)}
    if alike is not None:
        methods["profile"] = study.Arm(partial(claims.ridge_from_profile, people=alike), {"reg": 10.0})
    if not k:
        return methods
    prior = partial(claims.average_user, least=least)
    return methods | {
        "EASE": study.Arm(by_ease, {"penalty": 300.0}),
        "ALS, folded in": study.Arm(partial(k_shot.by_ratings, k=k), {"reg": 30.0, "alpha": 10.0}),
        "posterior": study.Arm(partial(k_shot.by_both, k=k, prior=prior), {"noise": 0.1, "silence": 0.03}),
    }


def measured(dataset: Dataset, encoder: TextEncoder) -> pd.DataFrame:
    """Return one row for each k, method and fold: means over the new users of the fold, and the setting.

    Nothing where users have too few choices to hide some.
    """
    dataset = sample(dataset, MOST_ITEMS, MOST_USERS)
    X, said = dataset.matrix(), profiles(dataset, encoder)
    reach, least = k_shot.within_reach(np.diff(X.indptr), SHOTS[1:], needed=False)
    if not reach:
        return pd.DataFrame(columns=COLUMNS)
    alike = None if said is None else block_kernels({"profile": said})["profile"]
    folds = {k: study.user_folds(X, k=k, least=least) for k in (0, *reach)}
    parts = [study.run(rivals(k, least, alike), folds[k], trials=TRIALS).assign(k=k) for k in folds]
    for number, fold in enumerate(folds[0]):
        # The same people are new for every k, so that what the others taught is the same too.
        fitted = newcomers(fold.outer.train, None if said is None else {"profile": said})
        for k in folds:
            split = folds[k][number].outer
            scorer = partial(_scores, fitted, split)
            parts.append(evaluate({RECIPE: scorer}, split).assign(k=k, setting=""))
    told = pd.concat(parts).groupby(["k", "model", "fold"], sort=False)
    rows = told[MEASURES].mean().join(told["setting"].first()).reset_index()
    return rows.assign(world=dataset.name, users=dataset.n_users, items=dataset.n_items)[COLUMNS]


def _scores(fitted: Newcomers, split: Split, users: Array, items: Array) -> Array:
    return fitted.scores(users, split.support[users], items)


def main() -> None:
    """Measure what the file does not have yet, world by world, and write it after each."""
    given = arguments(__doc__, FILE).parse_args()
    table, encoder = read(given.file), TextEncoder()
    for world, dataset in worlds(given.worlds):
        if (given.only and world not in given.only) or world != dataset.name or (table["world"] == world).any():
            continue
        rows = measured(dataset, encoder)
        table = with_rows(table, rows)
        keep(table, given.file)


if __name__ == "__main__":
    main()
