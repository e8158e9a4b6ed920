"""What a service knows at a moment: the items of a model and those that came since, and what it believes of users.

All of it can be made again from the store; users are read from there when they come.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..ground import ColdstartError
from .belief import Belief
from .ranking import Ranking, Rows, best
from .store import Event, Item, Reader
from .versions import Model
from .words import Shelf

Array = np.ndarray

REMEMBERED = 4096  # users whose beliefs are kept in memory, 33 kB each at rank 64
REASONS = 3  # answers named as reasons of one item


class Unknown(ColdstartError):
    """An item or user that was asked about and is not there."""


@dataclass(frozen=True, eq=False)
class User:
    """What is known of one user: `answers`, place of the item → (time, value) of the event that counts, and belief."""

    answers: dict[int, tuple[float, float]]
    belief: Belief

    @property
    def seen(self) -> list[int]:
        """The places of the items that the user has spoken of."""
        return [*self.answers]


def factors_of(model: Model, items: Sequence[Item]) -> Array:
    """Return the factors of items, learnt where the model has them, else by the bridge, float32 [n, rank]."""
    known = dict(zip(model.numbers.tolist(), range(len(model.numbers))))
    V = np.zeros((len(items), model.V.shape[1]), np.float32)
    new = [row for row, item in enumerate(items) if item.number not in known]
    old = [row for row, item in enumerate(items) if item.number in known]
    V[old] = model.V[[known[items[row].number] for row in old]]
    if new:
        vectors = np.array([items[row].vector for row in new])
        V[new] = model.factors(vectors, [items[row].attributes for row in new])
    return V


@dataclass(eq=False)
class State:
    """The items by place 0, 1, …, their factors, texts, and the users that were asked about last."""

    model: Model
    reader: Reader
    ids: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    place: dict[str, int] = field(default_factory=dict)
    place_of: dict[int, int] = field(default_factory=dict)
    hidden: set[int] = field(default_factory=set)
    last: int = 0
    users: OrderedDict[str, User] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        items = self.reader.items()
        self.ranking = Ranking(factors_of(self.model, items))
        self.prior = self.model.prior
        width = len(items[0].vector) if items else 0
        self.lengths = Rows(np.linalg.norm(self.ranking.rows.all, axis=1)[:, None])
        self.shelf = Shelf(items, width)
        for item in items:
            self._enter(item)
        self.hidden = {self.place_of[number] for number in self.reader.withdrawn()}

    # --- What arrives, after it is on disk ---------------------------------------------------------------------------

    def add(self, item: Item) -> None:
        """Take in a stored item: it is in every answer from now on. One that is known already changes nothing."""
        if item.number in self.place_of:
            return
        factor = factors_of(self.model, [item])[0]
        self._enter(item)
        self.lengths.add(np.array([np.linalg.norm(factor)]))
        self.shelf.add(item)
        # Last: a ranking in another thread may find the item from here on, and asks for its name.
        self.ranking.add(factor)

    def _enter(self, item: Item) -> None:
        self.place[item.item] = self.place_of[item.number] = len(self.ids)
        self.ids.append(item.item)
        self.titles.append(item.title)
        self.last = item.number
        if item.withdrawn:
            self.hidden.add(len(self.ids) - 1)

    def catch_up(self) -> None:
        """Take in what was stored since this state was read: it may have been made beside the one that serves."""
        for item in self.reader.items(self.last):
            self.add(item)
        self.hidden = {self.place_of[number] for number in self.reader.withdrawn()}

    def withdraw(self, number: int, withdrawn: bool) -> None:
        """Leave an item out of every answer from now on, or take it back in."""
        (self.hidden.add if withdrawn else self.hidden.discard)(self.place_of[number])

    def heard(self, event: Event) -> None:
        """Take in a stored event, in O(rank²). One that is taken in already, or that a later one outdoes, changes
        nothing; a user who is not in memory is read from the store when they come.
        """
        user = self.users.get(event.user)
        if user is None:
            return
        assert event.time is not None
        place = self.place_of[event.number]
        v = self.ranking.rows.all[place].astype(float)
        before = user.answers.get(place)
        if before is None:
            belief = user.belief.after(v, event.value)
        elif event.time > before[0]:
            belief = user.belief.corrected(v, event.value - before[1])
        else:
            return
        self.users[event.user] = User(user.answers | {place: (event.time, event.value)}, belief)

    # --- What is asked -----------------------------------------------------------------------------------------------

    def user(self, name: str) -> User:
        """Return what is known of a user, from memory or from the store; of a stranger, the prior."""
        user = self.users.get(name)
        if user is None:
            rows = self.reader.answers(name)
            user = self.believed({self.place_of[number]: (when, value) for number, when, value in rows})
            self.users[name] = user
            if len(self.users) > REMEMBERED:
                self.users.popitem(last=False)
        self.users.move_to_end(name)
        return user

    def believed(self, answers: dict[int, tuple[float, float]], wishes: Array | None = None) -> User:
        """Return what is known of somebody who gave `answers`, and says yes to `wishes` [n, rank], all at once."""
        V = self.ranking.rows.all[[*answers]].astype(float)
        y = np.array([value for _, value in answers.values()])
        if wishes is not None:
            V, y = np.vstack([V, wishes]), np.append(y, np.ones(len(wishes)))
        return User(answers, self.prior.after_all(V, y))

    def guest(self, likes: Sequence[str], dislikes: Sequence[str], wish: Array | None) -> User:
        """Return what is known of somebody without an account, from items and the vector [d] of a sentence.

        A sentence counts as a yes to an item that is what it says. Raises Unknown for an item.
        """
        answers = {self.known(item): (0.0, 0.0) for item in dislikes} | {self.known(i): (0.0, 1.0) for i in likes}
        return self.believed(answers, None if wish is None else self.model.factors(wish[None], [{}]))

    def known(self, item: str) -> int:
        """Return the place of an item. Raises Unknown."""
        if item not in self.place:
            raise Unknown(f"item {item!r} is unknown")
        return self.place[item]

    def recommend(self, user: User, k: int, *, reasons: bool = False) -> list[dict[str, Any]]:
        """Return the k best items that a user has not spoken of: item, title, score, and if asked for, `because`."""
        places, scores = self.ranking.top(user.belief.mean, k, [*self.hidden, *user.seen])
        entries = self._entries(places, scores)
        if reasons:
            for entry, because in zip(entries, self._because(user, places)):
                entry["because"] = because
        return entries

    def _because(self, user: User, places: Array) -> list[dict[str, Any]]:
        """Return for each place the prior's part of the score, the answers that add most, and what the others add."""
        V, seen = self.ranking.rows.all, user.seen
        y = np.array([value for _, value in user.answers.values()])
        start, adds = user.belief.parts(self.prior, V[seen].astype(float), y, V[places].astype(float))
        result = []
        for row, prior in enumerate(start):
            most = [int(j) for j in np.argsort(-adds[row], kind="stable")[:REASONS] if adds[row, j] > 0]
            named = [
                {"item": self.ids[seen[j]], "title": self.titles[seen[j]], "adds": float(adds[row, j])} for j in most
            ]
            others = float(adds[row].sum() - adds[row, most].sum())
            result.append({"prior": float(prior), "answers": named, "others": others})
        return result

    def similar(self, item: str, k: int) -> list[dict[str, Any]]:
        """Return the k items whose factors have the largest cosines with that of an item. Raises Unknown."""
        place = self.known(item)
        V = self.ranking.rows.all
        cosine = (V @ V[place]) / np.maximum(self.lengths.all[:, 0] * self.lengths.all[place, 0], 1e-12)
        return self._best(cosine, k, [*self.hidden, place])

    def search(self, question: str, vector: Array, k: int, user: User | None) -> list[dict[str, Any]]:
        """Return the k items that answer a question best by words and meaning, and where there is a user, by taste."""
        taste = None if user is None else self.ranking.rows.all @ user.belief.mean.astype(np.float32)
        return self._best(self.shelf.scores(question, vector, taste), k, [*self.hidden])

    def _best(self, scores: Array, k: int, hidden: list[int]) -> list[dict[str, Any]]:
        scores[hidden] = -np.inf
        return self._entries(*best(np.arange(len(scores)), scores, k))

    def _entries(self, places: Array, scores: Array) -> list[dict[str, Any]]:
        pairs = zip(places.tolist(), scores.tolist())
        return [{"item": self.ids[place], "title": self.titles[place], "score": score} for place, score in pairs]
