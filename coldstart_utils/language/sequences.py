"""Histories in the order of choices: when a model is asked for the next one, what it reads, and how it is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from ..catalogue.dataset import Dataset
from ..catalogue.splits import Split
from ..ground import ColdstartError, package_file
from . import finetuning

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

Array = np.ndarray


# --- When one is asked ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class NextChoices(Split):
    """A protocol of moments: each row of `train` is a history up to a moment, of `test` what was chosen in it.

    `past` are the events to learn from: all up to the time `until`, each user's in order. Of each row, `histories` are
    the items before the moment, the latest last, chosen at `times`; `people` says whose they are, `pause` how many
    seconds lie between the latest and the moment.
    """

    past: pd.DataFrame
    until: float
    histories: tuple[Array, ...]
    times: tuple[Array, ...]
    people: Array
    pause: Array


def timed_events(dataset: Dataset) -> pd.DataFrame:
    """Return user, item and timestamp of all interactions; without times, their order in the file counts, in one
    second.
    """
    events = dataset.interactions
    if "timestamp" not in events:
        events = events.assign(timestamp=np.linspace(0, 1, len(events)))
    return events[["user", "item", "timestamp"]]


def in_order(events: pd.DataFrame, seed: int | Sequence[int]) -> pd.DataFrame:
    """Return `events` (user, item, timestamp) by user and time; `seed` shuffles what has the same time.

    A log keeps *some* order within a second. It is the file's, not the user's.
    """
    mixed = events.sample(frac=1, random_state=np.random.default_rng(seed))
    return mixed.sort_values(["user", "timestamp"], kind="stable")


def next_choices(
    events: pd.DataFrame, n_items: int, until: float, *, seed: int = 0, long: float = 3600.0, most: int = 10
) -> NextChoices:
    """Return the protocol that learns from `events` up to the time `until` and is asked at moments after it.

    A moment is a second in which a user with a history chose something. Its history goes up to that second, past
    `until`: the clock runs on. Asked are, of each user, up to `most` moments after a pause of at least `long` seconds
    and up to `most` of the others, spread evenly over time. Items that nobody chose up to `until` are neither ranked
    nor asked for, nor is what a user chooses once more. `seed` shuffles events of the same second. Raises
    ColdstartError if there is no such moment.
    """
    ordered = in_order(events, seed)
    past = ordered[ordered["timestamp"] <= until]
    known = np.unique(past["item"])
    rows = []
    for user, own in ordered.groupby("user"):
        times, items = own["timestamp"].to_numpy(), own["item"].to_numpy()
        for at in _moments(times, until, long, most):
            then = items[at : np.searchsorted(times, times[at], side="right")]
            if len(wanted := then[np.isin(then, known) & ~np.isin(then, items[:at])]):
                rows.append((items[:at], times[:at], wanted, user, times[at] - times[at - 1]))
    if not rows:
        raise ColdstartError(
            f"next_choices: after the time {until:.0f} nobody with a history chose an item known by then"
        )
    histories, stamps, wanted, people, pause = zip(*rows)
    return NextChoices(
        kind="next_choices",
        seed=seed,
        train=histories_matrix(histories, n_items),
        test=histories_matrix(wanted, n_items),
        # Ties are broken by place in this list, as in the other protocols.
        candidates=np.random.default_rng([seed, 2]).permutation(known),
        users=np.arange(len(rows)),
        support=sparse.csr_matrix((len(rows), n_items)),
        past=past,
        until=until,
        histories=histories,
        times=stamps,
        people=np.array(people),
        pause=np.array(pause),
    )


def calendar_cut(
    events: pd.DataFrame, n_items: int, *, share: float = 0.8, seed: int = 0
) -> tuple[NextChoices, NextChoices]:
    """Return `next_choices` that learn from the first `share` of all events, and a nested one made of these alone.

    In the nested protocol the first `share` is cut once more at `share`: settings are chosen there.
    """
    until = float(events["timestamp"].quantile(share))
    known = events[events["timestamp"] <= until]
    earlier = float(known["timestamp"].quantile(share))
    return next_choices(events, n_items, until, seed=seed), next_choices(known, n_items, earlier, seed=seed)


def moment_groups(found: pd.DataFrame, split: NextChoices, *, long: float = 3600.0) -> dict[str, pd.DataFrame]:
    """Return the rows of an evaluation of `split`, the person as `user`, in three groups of moments.

    'in a sitting' are the moments after a pause shorter than `long` seconds. 'in a sitting, returning' are those of
    them whose people were also asked after a longer pause, 'after a pause, returning' the same people's moments after
    it. A group without rows is left out; without any, all rows are 'all moments'.
    """
    paused, people = split.pause[found["user"]] >= long, split.people[found["user"]]
    both = np.intersect1d(people[paused], people[~paused])
    returning, rows = np.isin(people, both), found.assign(user=people)
    groups = {
        "in a sitting": rows[~paused],
        "in a sitting, returning": rows[~paused & returning],
        "after a pause, returning": rows[paused & returning],
    }
    return {name: part for name, part in groups.items() if len(part)} or {"all moments": rows}


def choices(events: pd.DataFrame, shape: tuple[int, int]) -> sparse.csr_matrix:
    """Return the matrix [users, items] of ones at the pairs of `events`."""
    return sparse.csr_matrix((np.ones(len(events)), (events["user"], events["item"])), shape)


def known_events(events: pd.DataFrame, split: Split) -> pd.DataFrame:
    """Return those of the `events` (user, item, …) whose pair of user and item `split.train` knows."""
    return events[np.asarray(split.train[events["user"], events["item"]]).ravel() > 0]


def _moments(times: Array, until: float, long: float, most: int) -> Array:
    """Return the places in `times` (one user's, sorted) of the first choice of each moment that is asked."""
    gaps = np.diff(times, prepend=np.inf)
    gaps[:1] = 0  # nothing comes before the first choice: it is no moment
    parts = [np.flatnonzero(part & (times > until)) for part in (gaps >= long, (gaps > 0) & (gaps < long))]
    return np.sort(np.concatenate([_spread(part, most) for part in parts]))


def _spread(places: Array, most: int) -> Array:
    return places[np.unique(np.linspace(0, len(places) - 1, most).astype(int))] if len(places) else places


def histories_matrix(
    histories: Sequence[Array], n_items: int, weights: Sequence[Array] | None = None
) -> sparse.csr_matrix:
    """Return histories as rows of a matrix [histories, items]: 1 where an item was chosen, or its weight.

    `weights` has one array a history, in its order. An item that stands in a history twice counts twice.
    """
    ends = np.cumsum([0, *map(len, histories)])
    values = np.ones(ends[-1]) if weights is None else np.concatenate(weights)
    return sparse.csr_matrix((values, np.concatenate(histories), ends), (len(histories), n_items))


# --- What a model reads -----------------------------------------------------------------------------------------------


def padded(histories: Iterable[Sequence[int] | Array]) -> Tensor:
    """Return histories of unequal length as rows [n, longest] of item numbers, filled up at their right with −1."""
    import torch

    rows = [torch.tensor(own) for own in histories]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1)


def windows(events: pd.DataFrame, length: int, mix: Callable[[Array], Array] | None = None) -> Tensor:
    """Return each user's events, already in order, as `padded` rows of up to `length` + 1 items.

    A row starts with the item that the one before it ended with: every step from an item to the next stands in one row.
    `mix` reorders each row.
    """
    rows = []
    for _, items in events.groupby("user")["item"]:
        own = items.to_numpy()
        rows += [own[at : at + length + 1] for at in range(0, max(len(own) - 1, 1), length)]
    return padded(rows if mix is None else map(mix, rows))


def train(
    model: Module, loss: Callable[[Tensor], Tensor], events: pd.DataFrame, *, length: int, epochs: int, rate: float,
    seed: int = 0, shuffled: bool = False, batch: int = 32,
) -> Module:  # fmt: skip
    """Return `model`, trained to lower `loss(rows)` on the `windows` of `events`, `batch` rows a step.

    Events of the same second are shuffled anew in every epoch, and with `shuffled` each whole row: what came first is
    then lost.
    """

    def batches(epoch: int) -> Sequence[Tensor]:
        rng = np.random.default_rng([seed, epoch])
        rows = windows(in_order(events, [seed, epoch]), length, rng.permutation if shuffled else None)
        return rows[rng.permutation(len(rows))].split(batch)

    finetuning.fit(model, loss, batches, epochs=epochs, lr=rate, seed=seed)
    return model.eval()


def scores_after(model: Module, histories: Sequence[Array], length: int, *, shuffled: int | None = None) -> Array:
    """Return the scores [histories, items] of what comes after each history, of which the last `length` are read.

    `model(rows)` returns states [n, places, d] and vectors [items, d]; their products are the scores. `shuffled` is the
    seed by which what is read is put into random order. Raises ColdstartError for a history of nothing.
    """
    import torch

    if not all(map(len, histories)):
        raise ColdstartError("scores_after: expected one choice or more in each history, got none")
    mix = np.asarray if shuffled is None else np.random.default_rng(shuffled).permutation
    rows = padded(mix(own[-length:]) for own in histories)
    found = []
    with torch.inference_mode():
        for part in rows.split(256):
            states, vectors = model(part)
            last = states[torch.arange(len(part)), (part >= 0).sum(dim=1) - 1]
            found.append(last @ vectors.T)
    return torch.cat(found).numpy()


# --- What was recorded ------------------------------------------------------------------------------------------------


def recorded_trials() -> pd.DataFrame:
    """Return the trials that chose the settings of chapter 09's Transformers, on nested splits of MovieLens-100K.

    One row a training: question, model, what was changed, rate, drop, epochs, and the NDCG@20 that was reached. Written
    by `benchmarks/recorded/sequences.py`.
    """
    return pd.read_csv(package_file("ml-100k-sequences.tsv"), sep="\t", keep_default_na=False)


def chosen_settings(question: str) -> dict[str, dict[str, float]]:
    """Return for each model the rate and drop of its best `searched` trial in `recorded_trials`, by the model's name.

    Raises ColdstartError for a question that was not recorded.
    """
    table = recorded_trials()
    found = table[(table["question"] == question) & (table["change"] == "searched")]
    if found.empty:
        raise ColdstartError(f"question: expected one of {', '.join(table['question'].unique())}, got {question!r}")
    best = found.loc[found.groupby("model", sort=False)["ndcg"].idxmax()]
    return {row.model: {"rate": row.rate, "drop": row.drop} for row in best.itertuples()}
