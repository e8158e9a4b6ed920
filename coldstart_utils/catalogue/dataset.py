"""One catalogue in memory: interactions, items, users and a knowledge graph."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import sparse

from ..ground import ColdstartError

log = logging.getLogger("coldstart")


@dataclass(frozen=True)
class Dataset:
    """A catalogue: `interactions` (user, item, and where known rating, timestamp), `items`, `users`, and a graph.

    `user` and `item` are row numbers of `users` and `items`. `triples` (head, relation, tail) and `links` (item,
    entity) are empty where there is no graph. `notes` says in sentences what was changed or is missing.
    """

    name: str
    interactions: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame
    triples: pd.DataFrame
    links: pd.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def n_users(self) -> int:
        return len(self.users)

    @property
    def n_items(self) -> int:
        return len(self.items)

    def matrix(self, values: str | None = None) -> sparse.csr_matrix:
        """Return the users × items matrix of ones, or of the column `values` ('rating', 'timestamp').

        Raises ColdstartError if the data set has no such column.
        """
        if values is not None and values not in self.interactions:
            raise ColdstartError(f"{self.name}: its .inter file has no column {values!r}")
        data = np.ones(len(self.interactions)) if values is None else self.interactions[values].to_numpy(float)
        rows, columns = self.interactions["user"].to_numpy(), self.interactions["item"].to_numpy()
        return sparse.csr_matrix((data, (rows, columns)), shape=(self.n_users, self.n_items))

    def with_least(
        self, *, items: int = 0, users: int = 0, users_with_two: int = 0, items_with_two: int = 0, not_chosen: int = 0
    ) -> Dataset:
        """Return the catalogue itself, if at least so many `items` were chosen by somebody, so many `users` chose
        something, so many users and items have two choices, and so many pairs of both were not chosen.

        A chapter that cannot do without asks this when it reads the data, before it shows anything. Raises
        ColdstartError.
        """
        of_items, of_users = (self.interactions[side].value_counts() for side in ("item", "user"))
        pairs = len(self.interactions[["user", "item"]].drop_duplicates())
        for what, least, found in (
            ("items that somebody chose", items, len(of_items)),
            ("users who chose something", users, len(of_users)),
            ("users with two choices", users_with_two, int((of_users > 1).sum())),
            ("items with two choices", items_with_two, int((of_items > 1).sum())),
            ("pairs of a user and an item not chosen", not_chosen, len(of_users) * len(of_items) - pairs),
        ):
            if found < least:
                raise ColdstartError(f"{self.name}: expected {least} or more {what}, found {found}")
        return self


def lacks(dataset: Dataset) -> list[str]:
    """Return what the chapters can use and this catalogue does not have, in words."""
    items, text = dataset.items, [c for c in dataset.items.columns[1:] if dataset.items[c].dtype != float]
    known = {
        "texts of items": bool(text) or "year" in items,
        "titles": "title" in items,
        "years": "year" in items,
        "genres": "genres" in items,
        "ratings": "rating" in dataset.interactions,
        "times": "timestamp" in dataset.interactions,
        "attributes of users": dataset.users.shape[1] > 1,
        "a knowledge graph": len(dataset.links) > 0,
    }
    return [name for name, there in known.items() if not there]


def liked_pairs(dataset: Dataset, seed: int = 0) -> pd.DataFrame:
    """Return user, item and label of every interaction: 1 if its rating is at or above the median, else 0.

    Without ratings, or where all are the same, a choice is labelled 1 and as many pairs drawn at random 0.
    """
    table = dataset.interactions
    if "rating" in table and (liked := table["rating"] >= table["rating"].median()).nunique() == 2:
        return table[["user", "item"]].assign(label=liked.astype(int))
    chosen = table[["user", "item"]]
    drawn = chosen.assign(user=np.random.default_rng(seed).permutation(chosen["user"]))
    return pd.concat([chosen.assign(label=1), drawn.assign(label=0)], ignore_index=True)


def best_known(dataset: Dataset, n: int) -> Dataset:
    """Return the catalogue of the `n` most chosen items, with all its users; or all, if it has no more.

    Says so where choices are lost.
    """
    if n >= dataset.n_items:
        return dataset
    counts = np.bincount(dataset.interactions["item"], minlength=dataset.n_items)
    kept = np.sort(np.argsort(-counts, kind="stable")[:n])
    share = 100 * counts[kept].sum() / counts.sum()
    if share < 100:
        log.warning(
            "%s: the best-known %s of %s items, with %.0f %% of all choices", dataset.name, n, len(counts), share
        )
    place = pd.Series(np.arange(n), kept)
    interactions, links = (
        table[table["item"].isin(kept)].assign(item=lambda rows: rows["item"].map(place)).reset_index(drop=True)
        for table in (dataset.interactions, dataset.links)
    )
    items = dataset.items.iloc[kept].reset_index(drop=True)
    return replace(dataset, interactions=interactions, items=items, links=links)
