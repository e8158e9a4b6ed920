"""The recipe without knobs: one call, after which items that nobody has chosen have scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from ..catalogue.matrices import feedback
from ..catalogue.splits import Split
from ..ground import ColdstartError
from ..models.carried import MOST_DENSE, Carried, Setting, check_memory
from ..models.likeness import Likeness, shares
from .choosing import Climb, Trial, chosen, refined
from .ranking import Scorer

Array = np.ndarray
Matrix = Any  # a NumPy array or a SciPy sparse matrix
# Blocks are chosen on few known items, numbers on more; the fit takes all.
FEW, FEW_OF_MANY, MORE = 1_400, 1_000, 2_000
LEAST = 10  # known items


@dataclass(frozen=True, eq=False)
class Transferred:
    """What `transfer` fitted: called as (users, items) → scores [users, items], and how it was chosen.

    `tried` counts the settings compared. `before` and `after` are NDCG@20 on known items that played new, where the
    (last) search began and where it ended; `shared` is how many people two known items have in common on average.
    """

    fitted: Carried
    tried: int
    before: float
    after: float
    shared: float

    def __call__(self, users: Array, items: Array) -> Array:
        """Return the scores of `items` for `users`, row numbers of what was learnt from."""
        return self.fitted(users, items)

    @property
    def setting(self) -> Setting:
        """Return what was chosen."""
        return self.fitted.setting

    @property
    def told(self) -> str:
        """Return in a sentence what was chosen and what it gained."""
        return sentence(self.setting, self.shared, self.tried, self.before, self.after)


def sentence(setting: Setting, shared: float, tried: int, before: float, after: float) -> str:
    """Return a setting in words: what makes items alike, how much they share, and how far choices are believed."""
    weights = sorted(shares(setting.weights).items(), key=lambda pair: -pair[1])
    blocks = ", ".join(f"{name} {100 * share:.0f} %" for name, share in weights if share >= 0.005)
    width = "close neighbours" if setting.spread < 0.9 else "neighbours" if setting.spread < 4 else "a wide circle"
    unused = [name for name in setting.weights if name not in dict(weights) or dict(weights)[name] < 0.005]
    without = f" (not used: {', '.join(unused)})" if unused else ""
    return (
        f"{width.capitalize()} by {blocks}{without}; two known items share {shared:.2g} people; bridge penalty "
        f"{setting.reg:.2g}, EASE penalty {setting.penalty:.0f} and {setting.own:g} of each choice itself; an average "
        f"user counts {setting.fame:g} times. Chosen out of {tried} settings on known items that played new, NDCG@20 "
        f"{before:.3f} → {after:.3f}."
    )


def transfer(train: Matrix, blocks: Mapping[str, Matrix]) -> Transferred:
    """Return the scorer of new items, which learnt from `train` [users, items] and `blocks` of features [items, d].

    What is not zero in `train` is a choice; an item without choices is new. Blocks are what is known of all items, by
    name, such as `language.context.content_blocks` gives. Nothing is to be set: weights of the blocks, width and
    penalty of the bridge, penalty of its teacher, the user's own share and the average user's are chosen on known items
    that play new (`choosing.Trial`), always the same for the same data. Raises ColdstartError for fewer than ten known
    items, blocks that do not fit, NaN, and where memory would not suffice.
    """
    X = feedback(train, "train").astype(bool).astype(np.float32)
    warm = np.flatnonzero(np.diff(X.tocsc().indptr))
    if len(warm) < LEAST:
        raise ColdstartError(f"transfer: expected at least {LEAST} items that somebody chose, got {len(warm)}")
    likeness = Likeness(blocks, warm)
    if likeness.items != X.shape[1]:
        raise ColdstartError(f"transfer: train has {X.shape[1]} items and the blocks have {likeness.items} rows")
    # What the fit will need is told now, not after the search.
    check_memory(Carried.bytes(len(warm), X.shape[1], len(warm) <= MOST_DENSE))
    climb = _chosen(X, likeness, warm)
    known = X[:, warm]
    pairs = np.square(np.asarray(known.sum(axis=1), float)).sum() - known.sum()
    shared = float(pairs / max(len(warm) * (len(warm) - 1), 1))
    return Transferred(Carried(X, likeness, climb.setting), climb.tried, climb.first, climb.last, shared)


def _chosen(X: sparse.csr_matrix, likeness: Likeness, warm: Array) -> Climb:
    few = warm if len(warm) <= FEW else _sample(warm, FEW_OF_MANY)
    climb = chosen(Trial(X[:, few], {name: likeness.of(name, few, few) for name in likeness.features}))
    if len(few) == len(warm):
        return climb
    more = _sample(warm, MORE)
    joint = likeness.mixed(climb.setting.weights, more, more)
    return refined(Trial(X[:, more], {"all": joint}, parts=2), climb)


def _sample(items: Array, most: int) -> Array:
    if len(items) <= most:
        return items
    return np.sort(np.random.default_rng(0).choice(items, most, replace=False))


@dataclass(frozen=True, eq=False)
class Recipe:
    """`transfer` as a method of a study (`study.run`): it has no knobs. `blocks` as there."""

    blocks: Mapping[str, Matrix]

    @property
    def knobs(self) -> dict[str, float]:
        """Return nothing: all is chosen inside."""
        return {}

    def fit(self, split: Split) -> Scorer:
        """Return the scorer learnt from `split.train`."""
        return transfer(split.train, self.blocks)
