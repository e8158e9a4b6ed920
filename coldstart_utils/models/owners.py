"""A game: owners choose the text of their item, the platform ranks, and each answers the others' choices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..catalogue.matrices import floats
from ..ground import ColdstartError

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Game:
    """`scores` [owners, texts, users] says how each text of each owner ranks; text 0 is the honest one.

    `rivals` [users, n] are the scores of items whose owners do not play, `k` the length of a list (that of all other
    items, if these are fewer), `cost` what an owner thinks a text other than the honest one costs, as a share of users,
    and `explore` the share of places that go to an item at random. Raises ColdstartError for shapes that do not fit and
    numbers out of range.
    """

    scores: Array
    rivals: Array
    k: int = 20
    cost: float = 0.0
    explore: float = 0.0

    def __post_init__(self) -> None:
        scores, rivals = floats(self.scores, "scores"), floats(self.rivals, "rivals")
        if scores.ndim != 3 or rivals.ndim != 2 or scores.shape[2] != len(rivals):
            raise ColdstartError(
                "game: expected scores [owners, texts, users] and rivals [users, n], "
                f"got {scores.shape} and {rivals.shape}"
            )
        if not 0 <= self.explore <= 1 or not self.cost >= 0 or self.k < 1:
            found = f"{self.explore}, {self.cost}, {self.k}"
            raise ColdstartError(f"game: expected explore in 0 to 1, cost of 0 or more, k of 1 or more, got {found}")

    def standing(self, chosen: Array) -> Array:
        """Return the scores [users, owners] of the texts that are `chosen` [owners]."""
        return self.scores[np.arange(len(chosen)), chosen].T

    def payoffs(self, owner: int, chosen: Array) -> Array:
        """Return what each text [texts] would bring an owner while all others keep theirs: exposure less cost."""
        others = np.delete(self.standing(chosen), owner, axis=1)
        pool = np.concatenate([self.rivals, others], axis=1)
        k = min(self.k, pool.shape[1])
        cut = -np.partition(-pool, k - 1, axis=1)[:, k - 1]
        seen = (self.scores[owner] > cut).mean(axis=1)
        by_chance = k / (pool.shape[1] + 1)
        return (1 - self.explore) * seen + self.explore * by_chance - self.cost * (np.arange(len(seen)) > 0)


@dataclass(frozen=True, eq=False)
class Played:
    """`path` [rounds + 1, owners] are the texts after each round; `settled` says that nobody wants to move."""

    path: Array
    settled: bool


def best_responses(game: Game, *, rounds: int = 12) -> Played:
    """Return how the game goes when, one after another, each owner takes the text that is best against the others'.

    All begin honestly; who gains nothing stays. It has settled when in a whole round nobody moves: then no owner gains
    by moving alone (a Nash equilibrium in pure strategies).
    """
    chosen = np.zeros(len(game.scores), int)
    path = [chosen.copy()]
    for _ in range(rounds):
        for owner in range(len(chosen)):
            worth = game.payoffs(owner, chosen)
            best = int(np.argmax(worth))
            if worth[best] > worth[chosen[owner]] + 1e-12:
                chosen[owner] = best
        path.append(chosen.copy())
        if (path[-1] == path[-2]).all():
            return Played(np.array(path), True)
    return Played(np.array(path), False)
