"""How a catalogue grows, and what that costs: a generator, arithmetic on paper, and a plan from unit costs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import sparse

from ..ground import ColdstartError

Array = np.ndarray

USERS, ITEMS, CHOICES = 6_040, 3_706, 1_000_209  # of MovieLens-1M
WIDTH = 384  # numbers of a text vector
KINDS = 20


@dataclass(frozen=True)
class Size:
    """How large a catalogue is: its `users`, `items`, `choices`, the `rank` of factors, and `blocks` of each side."""

    users: float
    items: float
    choices: float
    rank: int = 32
    blocks: int = 4

    def times(self, factor: float) -> Size:
        """Return the size with `factor` times as many users, items and choices."""
        return Size(self.users * factor, self.items * factor, self.choices * factor, self.rank, self.blocks)


ML_1M = Size(USERS, ITEMS, CHOICES)


def grown(times: float, seed: int = 0) -> sparse.csr_matrix:
    """Return made-up choices [users, items] of about `times` the size of MovieLens-1M, float32 ones.

    A user makes 20 choices and as many more as a log-normal draw says (spread 1), 170 on average. An item is number
    g + 20·⌊(items/20)·a²⌋ with a uniform, so that a few are famous, and g one of 20 kinds: the user's own in half of
    the choices. What is drawn twice counts once, so that small catalogues have fewer choices. Raises ColdstartError
    where `times` leaves too few.
    """
    rng = np.random.default_rng(seed)
    users, items = round(USERS * times), round(ITEMS * times)
    if min(users, items) < KINDS:
        raise ColdstartError(f"times: expected enough for {KINDS} users and items, got {times!r}")
    draws = (20 + rng.lognormal(np.log(170) - 0.5, 1, users)).astype(int)
    row = np.repeat(np.arange(users, dtype=np.int32), draws)
    own = rng.random(len(row), np.float32) < 0.5
    kind = np.where(own, row % KINDS, rng.integers(KINDS, size=len(row), dtype=np.int32))
    rank = (items // KINDS * rng.random(len(row), np.float32) ** 2).astype(np.int32)
    chosen = sparse.csr_matrix((np.ones(len(row), np.float32), (row, kind + KINDS * rank)), shape=(users, items))
    chosen.data[:] = 1
    return chosen


def on_paper(size: Size) -> pd.DataFrame:
    """Return what each part of a job takes by arithmetic: `bytes` that lie, `moved` bytes, `operations`.

    A choice is a number of 4 bytes and a value of 4, kept by user and by item. A sweep adds one matrix of rank² for
    each choice, on both sides, and solves one system a row. A factor travels to each block in which its owner has a
    choice: blocks·(1 − (1 − 1/blocks)^choices) of them. The bridge adds a matrix of (text + rank + 1)² a text, of which
    one for each block travels. A list of 20 takes a product with every item.
    """
    k, n, rows = size.rank, size.choices, size.users + size.items
    side = WIDTH + k + 1
    copies = _reached(size.users, n, size.blocks) + _reached(size.items, n, size.blocks)
    table = {
        "choices": (16 * n, 0, 0),
        "factors": (4 * k * rows, 0, 0),
        "sweep of ALS": (0, 4 * k * copies, 4 * n * k**2 + rows * k**3 / 3),
        "bridge": (4 * WIDTH * size.items, 8 * side**2 * size.blocks, 2 * size.items * side**2),
        "lists": (20 * 8 * size.users, 4 * k * size.items * size.blocks, 2 * k * size.users * size.items),
    }
    return pd.DataFrame(table, index=["bytes", "moved", "operations"]).T


def _reached(owners: float, choices: float, blocks: int) -> float:
    """Return how many pairs of an owner and a block of the other side there are, if all have equally many choices."""
    return owners * blocks * (1 - (1 - 1 / blocks) ** (choices / owners))


# --- A plan -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Unit:
    """Processor seconds of one unit of work, and those that are there at any size.

    `read`: a choice; `sweep`: a choice in one sweep; `text`: a text through the language model; `bridge`: a text vector
    summed; `pair`: a user and an item multiplied. All for the rank that was measured; see `of_rank`. Fixed are `start`,
    once a job, and `planning`, once a sweep: no further core makes them shorter.
    """

    start: float
    read: float
    sweep: float
    text: float
    bridge: float
    pair: float
    planning: float = 0.0
    rank: int = 32

    def of_rank(self, rank: int) -> Unit:
        """Return the costs at another rank: a choice in a sweep costs rank², a pair rank operations."""
        share = rank / self.rank
        return replace(self, sweep=self.sweep * share**2, pair=self.pair * share, rank=rank)


def units(measured: pd.DataFrame, engine: str) -> Unit:
    """Return the unit costs of an engine from recorded rows (engine, step, times, units, cpu, seconds).

    A step's processor seconds are taken for a line, fixed + unit·units, through the smallest and the largest size. A
    step that was measured at one size has no fixed part. Raises ColdstartError for a step that was not measured.
    """
    rows = measured[measured["engine"].isin([engine, "any"])].sort_values("times")
    if missing := {"start", "read", "sweep", "text", "bridge", "pair"} - set(rows["step"]):
        raise ColdstartError(f"unit costs of {engine}: expected a measured {', '.join(sorted(missing))}")
    lines = {step: _line(part) for step, part in rows.groupby("step") if step != "start"}
    start = float(rows.loc[rows["step"] == "start", "cpu"].min())
    start += sum(lines[step][0] for step in ("read", "bridge", "pair"))
    read, sweep, text, bridge, pair = (lines[step][1] for step in ("read", "sweep", "text", "bridge", "pair"))
    return Unit(start, read, sweep, text, bridge, pair, planning=lines["sweep"][0])


def _line(rows: pd.DataFrame) -> tuple[float, float]:
    """Return the fixed seconds, 0 or more, and those of a unit, from rows in the order of size."""
    small, large = rows.iloc[0], rows.iloc[-1]
    if len(rows) == 1:
        return 0.0, float(large["cpu"] / large["units"])
    slope = (large["cpu"] - small["cpu"]) / (large["units"] - small["units"])
    fixed = small["cpu"] - slope * small["units"]
    return (float(fixed), float(slope)) if fixed > 0 else (0.0, float(large["cpu"] / large["units"]))


def plan(size: Size, unit: Unit, *, cores: int, price: float, sweeps: int = 10) -> pd.DataFrame:
    """Return the steps of one full job: `bytes` they hold, core-hours, `hours` on so many `cores`, and `dollars`.

    `price` is dollars a core-hour. It assumes that the work is spread evenly and that the network keeps up; traffic is
    that of `on_paper`. What is fixed counts in the hours of the whole.
    """
    unit, paper = unit.of_rank(size.rank), on_paper(size)
    work = {
        "read and number": (size.choices * unit.read, paper.loc["choices", "bytes"]),
        f"{sweeps} sweeps of ALS": (sweeps * size.choices * unit.sweep, sweeps * paper.loc["sweep of ALS", "moved"]),
        "read the texts": (size.items * unit.text, paper.loc["bridge", "bytes"]),
        "sum the bridge": (size.items * unit.bridge, paper.loc["bridge", "moved"]),
        "everybody's list": (size.users * size.items * unit.pair, paper.loc["lists", "bytes"]),
    }
    rows = pd.DataFrame(work, index=["core-hours", "bytes"]).T
    rows["core-hours"] /= 3_600
    rows.loc["all"] = rows.sum()
    rows = rows.assign(hours=rows["core-hours"] / cores, dollars=rows["core-hours"] * price)
    rows.loc["all", "hours"] += (unit.start + sweeps * unit.planning) / 3_600
    return rows


def seconds(size: Size, unit: Unit, *, cores: int, sweeps: int = 10) -> float:
    """Return the wall-clock seconds of rows, sweeps, bridge and lists for 10,000 users; texts are read either way."""
    unit = unit.of_rank(size.rank)
    work = size.choices * (unit.read + sweeps * unit.sweep) + size.items * (unit.bridge + 10_000 * unit.pair)
    return unit.start + sweeps * unit.planning + work / cores


def crossover(one: Unit, many: Unit, *, own: int, cores: int, sweeps: int = 10, most: float = 1e6) -> float:
    """Return from how many times MovieLens-1M on `cores` of a cluster are faster than `own` cores of one machine.

    Infinity where they are not up to `most` times.
    """
    for times in np.geomspace(0.01, most, 801):
        size = ML_1M.times(times)
        if seconds(size, many, cores=cores, sweeps=sweeps) < seconds(size, one, cores=own, sweeps=sweeps):
            return float(times)
    return float("inf")
