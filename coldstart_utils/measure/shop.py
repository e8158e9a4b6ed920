"""What a shop asks of a new product: its first customers, its price, its baskets, its variants of another colour."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce

import numpy as np
import pandas as pd
from scipy import sparse

from ..catalogue.dataset import Dataset
from ..catalogue.splits import Split
from ..ground import ColdstartError
from ..models.content import bridge
from ..models.teachers import ease
from .ranking import Scorer

Array = np.ndarray
COLOURS = (
    "red blue green pink white black ivory cream purple orange yellow brown grey gray silver gold turquoise lilac "
    "natural navy mint clear multicolour multicolor pastel dark light assorted colour color"
)
DAY = 86_400.0


def days_to_customers(dataset: Dataset, customers: Sequence[int], *, watched: float = 90.0) -> pd.DataFrame:
    """Return how many days after its first sale an item had its second customer, its fifth, and so on.

    Only items whose first sale lies `watched` days or more after the beginning of the record (earlier ones may have
    been sold before) and before its end are counted. Columns customers, quartiles `low`, `median`, `high` in days of
    those that got so far, `share`, how many did within `watched` days, and `items`, how many are counted. Raises
    ColdstartError without times or such items.
    """
    table = dataset.interactions
    if "timestamp" not in table:
        raise ColdstartError(f"{dataset.name}: expected times of purchase, found none")
    first = table.groupby("item")["timestamp"].min()
    begin, end = table["timestamp"].min(), table["timestamp"].max()
    new = first[(first > begin + watched * DAY) & (first < end - watched * DAY)].index
    if new.empty:
        raise ColdstartError(f"{dataset.name}: expected items that are first sold {watched:g} days after the beginning")
    sales = table[table["item"].isin(new)].sort_values("timestamp", kind="stable")
    place, since = sales.groupby("item").cumcount() + 1, (sales["timestamp"] - sales["item"].map(first)) / DAY
    rows = []
    for n in customers:
        days = since[place == n]
        low, median, high = days.quantile([0.25, 0.5, 0.75]) if len(days) else (np.nan,) * 3
        share = (days <= watched).sum() / len(new)
        rows.append({"customers": n, "low": low, "median": median, "high": high, "share": share, "items": len(new)})
    return pd.DataFrame(rows)


def price_bands(prices: Array, bands: int = 10) -> sparse.csr_matrix:
    """Return which of the `bands` of equally many items a price falls into [items, bands]: 1, and ½ beside it.

    An item without a price (NaN in `prices` [items]) has none.
    """
    ranks = pd.Series(prices).rank(pct=True).to_numpy()
    known = np.isfinite(ranks)
    own = np.minimum((np.where(known, ranks, 0) * bands).astype(int), bands - 1)
    near = np.abs(np.arange(bands) - own[:, None])
    return sparse.csr_matrix(np.where(near == 0, 1.0, np.where(near == 1, 0.5, 0.0)) * known[:, None])


def variants(titles: Sequence[str]) -> Array:
    """Return a group for each item [items]: titles that differ by colour only share one."""
    colours = set(COLOURS.split())
    words = [re.findall(r"\w+", title.lower()) for title in titles]
    keys = [" ".join(word for word in of_title if word not in colours) for of_title in words]
    # A title of nothing but colours says nothing about likeness.
    keys = [key or f"#{row}" for row, key in enumerate(keys)]
    return pd.factorize(np.array(keys, dtype=object))[0]


def with_variant(groups: Array, split: Split) -> dict[str, Array]:
    """Return the candidates of a split of which a variant is known already, and the others."""
    known = np.isin(groups[split.candidates], groups[split.warm_items])
    return {"variant known": split.candidates[known], "no variant": split.candidates[~known]}


def baskets(dataset: Dataset) -> sparse.csr_matrix:
    """Return baskets × items: what one user chose at one moment. Raises ColdstartError without times."""
    table = dataset.interactions
    if "timestamp" not in table:
        raise ColdstartError(f"{dataset.name}: expected times of purchase, found none")
    rows = table.groupby(["user", "timestamp"], sort=False).ngroup().to_numpy()
    return sparse.csr_matrix(
        (np.ones(len(table)), (rows, table["item"].to_numpy())), shape=(rows.max() + 1, dataset.n_items)
    )


@dataclass(frozen=True, eq=False)
class FromBaskets:
    """The bridge of `Transfer` with EASE learnt from `filled` baskets [baskets, items] in the place of customers."""

    kernels: Mapping[str, Array]
    filled: sparse.csr_matrix

    @property
    def knobs(self) -> dict[str, float]:
        """Return where the search for the penalty starts."""
        return {"reg": 10.0}

    @lru_cache(maxsize=16)  # noqa: B019 - lives as long as its notebook
    def taught(self, split: Split) -> Array:
        """Return what the baskets say of the known items of a split, for every user [users, warm]."""
        warm = split.warm_items
        return np.asarray(split.train[:, warm] @ ease(self.filled[:, warm], 300.0), np.float32)

    def fit(self, split: Split, *, reg: float) -> Scorer:
        """Return the scorer (users, items) → [users, items] of items that `split.train` knows nothing about."""
        K, warm, taught = reduce(np.add, self.kernels.values()), split.warm_items, self.taught(split)
        return lambda users, items: bridge(K, taught[users].T, warm, items, reg).T
