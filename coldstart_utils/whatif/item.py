"""What if this item were new: from what is written about it to its audience, before and after its first choices."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ..measure import metrics
from ..models.content import unit_rows
from .belief import ITEM, Belief, arrived
from .reading import features_of, texts_of_new
from .state import ItemState, completed
from .world import FOLDS, World

Array = np.ndarray

NEAREST, FIRST, WORDS = 8, 10, 40
WORD = r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+(?:['’-]\w+)*"


@dataclass(frozen=True)
class ItemAuc:
    """How often someone who chose the item stands above someone who did not, among users not revealed.

    By the `text` alone, by the `choices` revealed without a text (from the prior over all items), by `both` as the
    panel shows it, and with the most `active` users first. NaN where nobody, or everybody, chose it.
    """

    text: float
    choices: float
    both: float
    active: float


@dataclass(frozen=True)
class NewItem:
    """What is predicted for an item nobody has rated, and after `k` of its `of` real choices (0 if it has none).

    `film` is the one that plays new, '' for an item that was typed.
    `neighbours` in text space: film, similarity. `audience`: kind, group, and the group's share in the choices, as
    predicted, true (NaN for a typed item) and of all items. `shown`, the ten users who would see it first: their
    groups, score, and whether they chose it, if that is known. `path` of the factor on the map after 0 … k choices:
    k, x, y, and width, height and angle (degrees) of the ellipse of one standard deviation.
    """

    film: str
    neighbours: pd.DataFrame
    audience: pd.DataFrame
    shown: pd.DataFrame
    path: pd.DataFrame
    k: int
    of: int
    auc: ItemAuc


def new_item(world: World, state: ItemState) -> NewItem:
    """Return what is predicted for an item nobody has rated, and after `k` real choices of a `film` that plays new.

    A film is judged by the model that was learnt without it. Raises ColdstartError for a state that does not fit.
    """
    state = completed(world, state)
    film = world.row.get(state.film)
    belief = _judge(world, state)
    chose = _chose(world, film)
    told = _revealed(film, chose, state.k)
    features, vectors = _read(world, [state])
    guess = belief.guess(features)[0]
    means, covariances = arrived(belief, guess, belief.covariance, belief.other[told], **ITEM)
    scores = belief.other @ means[-1]
    left = np.setdiff1d(np.arange(len(chose)), told)
    return NewItem(
        film=state.film,
        neighbours=_neighbours(world, vectors[0], film),
        audience=_audience(world, scores, chose),
        shown=_shown(world, scores, chose if film is not None else None, left),
        path=_path(belief, means, covariances),
        k=len(told),
        of=int(chose.sum()),
        auc=_auc(world, belief, means, told, left, chose),
    )


def words(world: World, state: ItemState) -> pd.DataFrame:
    """Return each of the first 40 words, where it stands, and the `share` of the prediction that rests on it.

    Columns: field ('title' or 'description'), start (its place there), word, share; largest share first. With s the
    scores of all users less their mean, and s′ those of the text without the word, the share is 1 − s′·s / s·s: what
    is lost of the contrast between users (erasure, Li et al. 2016). All texts are read in one batch.
    """
    state = completed(world, state)
    found = [
        (field, word.start(), word[0])
        for field in ("title", "description")
        for word in re.finditer(WORD, state.read(field))
    ][:WORDS]
    belief = _judge(world, state)
    features, _ = _read(world, [state, *(_without(state, *place) for place in found)])
    scores = belief.guess(features) @ belief.other.T
    scores -= scores.mean(axis=1, keepdims=True)
    share = 1 - scores[1:] @ scores[0] / max(scores[0] @ scores[0], 1e-12)
    order = np.argsort(-share, kind="stable")
    return (
        pd.DataFrame(found, columns=["field", "start", "word"]).assign(share=share).iloc[order].reset_index(drop=True)
    )


def _judge(world: World, state: ItemState) -> Belief:
    """Return the model that has not met the film, or the one that knows all for an item that was typed."""
    return world.models[world.fold[world.row[state.film]] if state.film else FOLDS]


def _chose(world: World, film: int | None) -> Array:
    """Return who chose a film [users], nobody for none."""
    chose = np.zeros(len(world.active), bool)
    if film is not None:
        chose[world.choices[:, [film]].indices] = True
    return chose


def _revealed(film: int | None, chose: Array, k: int) -> Array:
    """Return the first k who chose a film, in an order that is shuffled but the same each time."""
    return np.random.default_rng(film).permutation(np.flatnonzero(chose))[:k]


def _without(state: ItemState, field: str, start: int, word: str) -> ItemState:
    text = getattr(state, field)
    return replace(state, **{field: text[:start] + text[start + len(word) :]})


def _neighbours(world: World, vector: Array, film: int | None) -> pd.DataFrame:
    near = world.vectors @ unit_rows((vector - world.centre)[None])[0]
    if film is not None:
        near[film] = -1
    best = np.argsort(-near, kind="stable")[: NEAREST if vector.any() else 0]
    return pd.DataFrame({"film": [world.names[item] for item in best], "similarity": near[best]})


def _audience(world: World, scores: Array, chose: Array) -> pd.DataFrame:
    weights = {"predicted": np.maximum(scores, 0), "true": chose, "all": world.active}
    shares = {name: weight @ world.members.to_numpy() / (weight.sum() or np.nan) for name, weight in weights.items()}
    return pd.DataFrame(list(world.members), columns=["kind", "group"]).assign(**shares)


def _shown(world: World, scores: Array, chose: Array | None, left: Array) -> pd.DataFrame:
    top = left[np.argsort(-scores[left], kind="stable")[:FIRST]]
    shown = world.groups.iloc[top].astype(object).fillna("other").assign(score=scores[top])
    return shown if chose is None else shown.assign(chose=chose[top])


def _path(belief: Belief, means: Array, covariances: Array) -> pd.DataFrame:
    x, y = (means @ belief.axes).T
    spread, turn = np.linalg.eigh(belief.axes.T @ covariances @ belief.axes)
    height, width = 2 * np.sqrt(np.maximum(spread, 0)).T
    angle = np.degrees(np.arctan2(turn[:, 1, 1], turn[:, 0, 1])) % 180
    return pd.DataFrame({"k": range(len(x)), "x": x, "y": y, "width": width, "height": height, "angle": angle})


def _auc(world: World, belief: Belief, means: Array, told: Array, left: Array, chose: Array) -> ItemAuc:
    if not 0 < chose[left].sum() < len(left):
        return ItemAuc(*[float("nan")] * 4)
    alone, _ = arrived(belief, belief.mean, belief.population, belief.other[told], **ITEM)
    by_factor = np.stack([means[0], alone[-1], means[-1]]) @ belief.other[left].T
    orders = np.vstack([by_factor, world.active[left] - chose[left]])
    return ItemAuc(*map(float, metrics.auc(orders, np.tile(chose[left], (4, 1)))))


def _read(world: World, states: Sequence[ItemState]) -> tuple[Array, Array]:
    """Return features [n, d] and text vectors [n, 384] of the items that `states` describe, read in one batch."""
    items, texts = texts_of_new(world.dataset, [_as_row(world, state) for state in states])
    if not world.body:
        # Nothing in the catalogue is a description: it follows what else is said.
        texts[0] = [f"{text} {state.read('description')}".strip() for text, state in zip(texts[0], states)]
    vectors = world.reader.encode([text for part in texts for text in part]).reshape(len(texts), len(states), -1)
    return features_of(world.vocabulary, items, list(vectors)), vectors[0]


def _as_row(world: World, state: ItemState) -> Mapping[str, Any]:
    """Return an item in the columns of the catalogue."""
    items = world.dataset.items
    row = items.iloc[world.row[state.film]].to_dict() if state.film else dict.fromkeys(items, "")
    said = {"title": state.read("title"), "year": state.year, "genres": " ".join(state.genres or ())}
    if world.body:
        said[world.body] = state.read("description")
    return row | {column: text for column, text in said.items() if column in row}
