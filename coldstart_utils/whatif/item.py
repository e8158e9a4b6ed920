"""What if this item were new: from a state to tidy frames."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from ..measure import metrics
from ..models import evidence
from .belief import ITEM, _unit, answered
from .state import LONGEST, Frames, State, checked
from .world import FOLDS, World, _features, _texts

Array = np.ndarray

WORD = r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+(?:['’-]\w+)*"


def new_item(world: World, state: Mapping[str, Any]) -> Frames:
    """Return what is predicted for an item nobody has rated, and after `k` real choices of a `film` that plays new.

    Frames: `neighbours` in text space; `audience`, the share of each group in the choices (predicted, true, all);
    `shown`, whom it would be shown to; `path` of the factor on the map, from text to evidence; `summary`, AUC of the
    order of users not revealed (by text, now), and the ellipse of one standard deviation. Raises ColdstartError for a
    state that does not fit.
    """
    state = checked(world, "item", state)
    film = world.row.get(state["film"])
    belief, pairs = world.models[FOLDS if film is None else world.fold[film]], world.dataset.interactions
    features, (vector,) = _read(world, [state])
    chose = np.zeros(len(belief.other), bool)
    chose[pairs["user"][pairs["item"] == (-1 if film is None else film)]] = True
    # Shuffled, but the same each time.
    told = np.random.default_rng(film).permutation(np.flatnonzero(chose))[: state["k"]]
    answers, n = np.zeros((len(told) + 1, len(chose))), len(told)
    answers[:, told] = np.tri(n + 1, n, -1)
    start = np.repeat(belief.guess(features), n + 1, axis=0)
    path = evidence.posterior(sparse.csr_matrix(answers), belief.other, start, belief.covariance, **ITEM)
    # Silence says something about an item only once it has been shown.
    path[0] = start[0]
    covariance = answered(belief, start[0], belief.other[told], np.ones(n), **ITEM)[2] if n else belief.covariance
    spread, turn = np.linalg.eigh(belief.axes.T @ covariance @ belief.axes)
    scores, left = belief.other @ path[-1], np.setdiff1d(np.arange(len(chose)), told)
    order = (path[[0, -1]] @ belief.other[left].T, np.tile(chose[left], (2, 1)))
    auc = metrics.auc(*order) if 0 < chose[left].sum() < len(left) else (np.nan, np.nan)
    near = world.vectors @ _unit(vector - world.centre)
    near[[] if film is None else [film]] = -1
    best = np.argsort(-near, kind="stable")[: 8 * bool(vector.any())]
    every = np.bincount(pairs["user"], minlength=len(chose))
    weights = {"predicted": np.maximum(scores, 0), "true": chose, "all": every}
    shares = {name: w @ world.members.to_numpy() / (w.sum() or np.nan) for name, w in weights.items()}
    top = left[np.argsort(-scores[left], kind="stable")[:10]]
    shown = world.groups.iloc[top].astype(object).fillna("other").assign(score=scores[top])
    ellipse = [*2 * np.sqrt(np.maximum(spread[::-1], 0)), np.degrees(np.arctan2(*turn[::-1, 1]))]
    return {
        "neighbours": pd.DataFrame({"film": [world.names[i] for i in best], "similarity": near[best]}),
        "audience": pd.DataFrame(list(world.members), columns=["kind", "group"]).assign(**shares),
        "shown": shown if film is None else shown.assign(chose=chose[top]),
        "path": pd.DataFrame(path @ belief.axes, columns=["x", "y"]).assign(k=range(n + 1)),
        "summary": pd.DataFrame([[n, chose.sum(), *auc, *ellipse]],
                                columns=["k", "of", "text", "now", "width", "height", "angle"]),
    }  # fmt: skip


def words(world: World, state: Mapping[str, Any]) -> pd.DataFrame:
    """Return each of the first 40 words and the `share` of the prediction that rests on it, largest first.

    With s the scores of all users less their mean, and s′ those of the text without the word, it is 1 − s′·s / s·s:
    what is lost of the contrast between users. All texts are read in one batch.
    """
    state = checked(world, "item", state)
    found = [(key, word) for key in ("title", "description") for word in re.finditer(WORD, state[key][:LONGEST])][:40]
    without = [state | {key: state[key][: word.start()] + state[key][word.end() :]} for key, word in found]
    belief = world.models[world.fold[world.row[state["film"]]] if state["film"] else FOLDS]
    scores = belief.guess(_read(world, [state, *without])[0]) @ belief.other.T
    scores -= scores.mean(axis=1, keepdims=True)
    share = 1 - scores[1:] @ scores[0] / max(scores[0] @ scores[0], 1e-12)
    order = np.argsort(-share, kind="stable")
    return pd.DataFrame({"word": [found[i][1][0] for i in order], "share": share[order]})


def _read(world: World, states: Sequence[State]) -> tuple[Array, Array]:
    """Return features [n, d] and text vectors [n, 384] of the items that `states` describe, read in one batch."""
    items, body = world.dataset.items, world.body
    rows = []
    for s in states:
        said = {"title": s["title"][:LONGEST], "year": s["year"], "genres": " ".join(s["genres"])}
        said[body] = s["description"][:LONGEST]
        row = items.iloc[world.row[s["film"]]].to_dict() if s["film"] else dict.fromkeys(items, "")
        rows.append(row | {column: text for column, text in said.items() if column in items})
    frame = pd.DataFrame(rows)
    parts = _texts(replace(world.dataset, items=frame))
    if not body:
        parts[0] = [f"{text} {s['description'][:LONGEST]}".strip() for text, s in zip(parts[0], states)]
    vectors = world.encode([text for part in parts for text in part]).reshape(len(parts), len(states), -1)
    return _features(world.vocabulary, frame, vectors), vectors[0]
