"""Does a model find a concept in vectors, before and after erasure: probes, asked about people they have not seen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..catalogue.matrices import floats
from ..ground import ColdstartError
from ..models.content import bridge
from ..models.erasure import leace
from .intervals import estimate
from .metrics import auc
from .ranking import evaluate, from_matrix
from .study import Fold

Array = np.ndarray


def probed(
    vectors: Array, concept: Array, others: Mapping[str, Array], *, folds: int = 5, seed: int = 0
) -> pd.DataFrame:
    """Return how well probes find a concept [n] of 0 and 1, and `others`, in vectors [n, d] before and after erasure.

    Rows are dealt into folds, of which one is asked and the others are known. The probe 'linear' is a logistic
    regression, 'non-linear' a support vector machine with a Gaussian kernel; both learn from the people that the eraser
    learnt from. 'linear (other people)' learns from one half of the known, its eraser from the other. Columns: asked,
    probe, model ('as they are', 'erased'), fold, auc. Raises ColdstartError for a concept of other values, or of too
    few people.
    """
    vectors, concept = floats(vectors, "vectors").astype(float), np.asarray(concept)
    asked = {"the concept": concept} | {name: np.asarray(values) for name, values in others.items()}
    for name, values in asked.items():
        if {*np.unique(values)} != {0, 1} or np.bincount(values.astype(int)).min() < 2 * folds:
            raise ColdstartError(f"probed: expected {name} as 0 and 1, each of {2 * folds} people or more")
    part = np.random.default_rng(seed).permutation(len(vectors)) % (2 * folds)
    rows = []
    for fold in range(folds):
        known, held = part % folds != fold, part % folds == fold
        half = part < folds
        for learns, erases, kinds in (
            (known, known, ("linear", "non-linear")),
            (known & half, known & ~half, ("linear (other people)",)),
        ):
            erased = leace(vectors[erases], concept[erases])(vectors)
            for model, Z in (("as they are", vectors), ("erased", erased)):
                for name, values in asked.items():
                    for kind in kinds:
                        found = _probe(kind, Z[learns], values[learns], Z[held])
                        rows.append((name, kind, model, fold, auc(found[None], values[None, held] > 0)[0]))
    return pd.DataFrame(rows, columns=["asked", "probe", "model", "fold", "auc"])


def _probe(kind: str, X: Array, y: Array, new: Array) -> Array:
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    # One scale for all coordinates: of one that erasure made constant, a scale of its own would enlarge the rounding.
    middle, spread = X.mean(axis=0), max(float(X.std(axis=0).mean()), 1e-12)
    model = SVC(C=3.0) if kind == "non-linear" else LogisticRegression(C=0.01, max_iter=500)
    found = model.fit((X - middle) / spread, y).decision_function((new - middle) / spread)
    # After erasure the best weights are zero; what is left of rounding has an order, and that would be asked.
    return np.round(found, 6)


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """Return the mean AUC of `probed` with its interval over folds, for what was asked, by probe and vectors."""
    rows = []
    for key, own in found.groupby(["asked", "probe", "model"], sort=False):
        mean, low, high, _ = estimate(own["auc"].to_numpy(), resampled=False, extra=0.25)
        rows.append((*key, mean, low, high))
    return pd.DataFrame(rows, columns=["asked", "probe", "vectors", "mean", "low", "high"])


def price(vectors: Array, erase: Array, folds: list[Fold], *, reg: float = 10.0, k: int = 20) -> pd.DataFrame:
    """Return `ranking.evaluate` of lists for new users by ridge from their vectors [users, d], before and after.

    `folds` are `study.user_folds`; the eraser learns from the known users. Models are 'as they are' and 'erased'.
    """
    rows = []
    for fold in folds:
        split = fold.outer
        known = np.flatnonzero(np.diff(split.train.indptr))
        targets, scorers = split.train[known].toarray(), {}
        for model, Z in (("as they are", vectors), ("erased", leace(vectors[known], erase[known])(vectors))):
            scores = np.zeros(split.train.shape)
            scores[split.users] = bridge(Z @ Z.T, targets, known, split.users, reg)
            scorers[model] = from_matrix(scores)
        rows.append(evaluate(scorers, split, k=k))
    return pd.concat(rows, ignore_index=True)
