"""What wrote `ml-100k-learning-curves.tsv`: how an encoder of films gets better for new films, step by step.

    python -m coldstart_utils.data.learning_curves [--minutes 40] [--file learning-curves.tsv]

Chapter 03 runs this file where LONG is True. It stands beside its product, not among the modules. A row that is in the
file is not computed again, and a curve goes on from where it stopped.
"""

from __future__ import annotations

import argparse
import pydoc_data.topics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy import sparse

from coldstart_utils import palette
from coldstart_utils.catalogue.dataset import Dataset, liked_pairs
from coldstart_utils.catalogue.features import item_texts
from coldstart_utils.catalogue.recordings import keep, recorded, with_rows
from coldstart_utils.catalogue.sources import load_dataset
from coldstart_utils.catalogue.splits import Split
from coldstart_utils.ground import cache_dir, package_file, written_aside
from coldstart_utils.language import finetuning, towers
from coldstart_utils.language.context import user_texts
from coldstart_utils.language.encoders import TextEncoder
from coldstart_utils.measure import phrases, ranking, study
from coldstart_utils.measure.intervals import estimate
from coldstart_utils.models.content import unit_rows
from coldstart_utils.models.teachers import bridged, collaborative_targets

Array = np.ndarray
FILE = "ml-100k-learning-curves.tsv"
KEY = ["arm", "rate", "fold", "step"]
CHECKPOINTS = (0, 7, 20, 70, 200, 700)
PENALTIES = (0.3, 1.0, 3.0, 10.0)
ITEMS_A_STEP, WARM_UP, MAX_TOKENS = 64, 7, 32


@dataclass(frozen=True)
class Way:
    """One way of training: what `ItemTower` is told, the middle of the three rates tried, and the name of the loss."""

    base_rate: float
    tower: Mapping[str, Any] = field(default_factory=dict)
    loss: str = "bridge"


WAYS = {
    "random weights, all six layers": Way(3e-4, {"pretrained": False}),
    "LoRA, upper three layers": Way(1e-3, {"frozen": 3, "lora_rank": 8}),
    "adapters, upper three layers": Way(1e-3, {"frozen": 3, "adapter_width": 32}),
    "upper three layers": Way(1e-4, {"frozen": 3}),
    "all six layers": Way(1e-4),
    "two towers, upper three layers": Way(1e-4, {"frozen": 3}, "InfoNCE"),
    "upper three layers, item helps itself": Way(1e-4, {"frozen": 3}, "fitted"),
}
OWN = "two towers, their own scores"
FROZEN = "upper three layers"  # its step 0 is the pretrained encoder as it came


def manual_halves(words: int = 24) -> list[str]:
    """Return two neighbouring pieces of each page of Python's manual: texts about anything but films, [2 · pages].

    The pieces of page n are n and n + pages.
    """
    pages = [text.split("\n", 3)[-1].split() for text in pydoc_data.topics.topics.values()]
    pages = [page for page in pages if len(page) >= 2 * words]
    return [" ".join(page[start : start + words]) for start in (0, words) for page in pages]


def matched(vectors: Array) -> float:
    """Return for how many of the first halves of `vectors` [2n, d] the nearest second half is their own."""
    first, second = np.split(vectors, 2)
    return float(np.mean(np.argmax(first @ second.T, axis=1) == np.arange(len(first))))


def fitted_loss(encode: Any, targets: Array, reg: float = 1.0) -> finetuning.Loss:
    """Return the twin of `bridge_loss` in which an item may help to predict itself."""

    def loss(rows: Array) -> torch.Tensor:
        Z, Y = encode(rows), torch.from_numpy(targets[rows])
        Z, Y = Z - Z.mean(dim=0), Y - Y.mean(dim=0)
        missed = Y - Z @ Z.T @ torch.linalg.solve(Z @ Z.T + reg * torch.eye(len(Z)), Y)
        return (missed**2).sum() / (Y**2).sum()

    return loss


class TwoTowers:
    """Users and items in one space: a user is a learnt map of the mean of the frozen vectors of what they chose.

    `X` [users, items] are the choices to learn from, `Z` [items, d] the frozen vectors. Each item of a batch meets
    `draws` of those who chose it, less the item itself.
    """

    def __init__(self, tower: towers.ItemTower, X: sparse.csr_matrix, Z: Array, draws: int = 4) -> None:
        self.tower, self.X, self.draws = tower, X.astype(bool).astype(np.float32), draws
        self.Z = Z - Z[np.diff(X.tocsc().indptr) > 0].mean(axis=0)
        self.sums = self.X @ self.Z
        self.map = torch.nn.Linear(Z.shape[1], Z.shape[1], bias=False)
        torch.nn.init.eye_(self.map.weight)
        tower.model.user_tower = self.map
        self.columns = self.X.tocsc()

    def users(self, sums: Array) -> torch.Tensor:
        """Return the vectors of users, of unit length, whose choices have these `sums` [n, d] of frozen vectors."""
        return torch.nn.functional.normalize(self.map(torch.from_numpy(unit_rows(sums).astype(np.float32))))

    def loss(self, rows: Array) -> torch.Tensor:
        """Return InfoNCE of a batch of items against users drawn for them."""
        items, total = self.tower.encode(rows), torch.zeros(())
        # What chance draws follows from the batch alone, so that a curve that goes on draws as if it had not stopped.
        rng = np.random.default_rng(rows)
        for _ in range(self.draws):
            chosen = [rng.choice(self.columns.indices[slice(*self.columns.indptr[row : row + 2])]) for row in rows]
            known = torch.from_numpy(self.X[chosen][:, rows].toarray())
            total = total + towers.info_nce_loss(self.users(self.sums[chosen] - self.Z[rows]), items, 0.1, known)
        return total / self.draws

    def scores(self, Z: Array) -> Array:
        """Return what the towers themselves say of all pairs, [users, items], for item vectors `Z`."""
        with torch.no_grad():
            return self.users(self.sums).numpy() @ Z.T


class Recorder:
    """The data, the folds and what a curve needs of them; `curve` yields one frame a checkpoint."""

    def __init__(self, dataset: Dataset, encoder: TextEncoder, *, seed: int = 0, folds: int = 5) -> None:
        self.X = dataset.matrix()
        self.stars = dataset.matrix("rating") if "rating" in dataset.interactions else None
        self.pairs, self.seed, self.encoder = liked_pairs(dataset, seed), seed, encoder
        named = ["title", "year", "genres"] if "title" in dataset.items else None
        self.texts = [text or "(no text)" for text in item_texts(dataset, named)]
        self.titles = [text or "(no text)" for text in item_texts(dataset, named and named[:1])]
        alone = dataset.users.shape[1] <= 1
        self.profiles = ["A person."] * dataset.n_users if alone else user_texts(dataset)
        self.folds = study.item_folds(self.X, folds, seed=seed)
        self._parts: dict[Split, Any] = {}

    def parts(self, split: Split) -> Any:
        """Return the targets learnt from a split, which are kept."""
        if split not in self._parts:
            self._parts[split] = collaborative_targets(split.train, self.stars)
        return self._parts[split]

    def as_pairs(self, pairs: pd.DataFrame) -> finetuning.RecommendationDataset:
        """Return pairs (user, item, label) as pairs of texts, the user's profile first, and their labels."""
        texts = [(self.profiles[u], self.texts[i]) for u, i in zip(pairs["user"], pairs["item"])]
        return finetuning.RecommendationDataset(texts, pairs["label"], self.encoder.tokenizer)

    def measured(self, Z: Array, fold: study.Fold) -> pd.DataFrame:
        """Return NDCG@20 and AUC within user on the nested and the outer split for each penalty of the bridge."""
        rows = []
        for name, split in {"nested": fold.nested[0], "outer": fold.outer}.items():
            warm, parts, _ = self.parts(split)
            for reg in PENALTIES:
                found = ranking.chosen_and_liked(bridged(Z, warm, parts, reg), split, self.pairs, k=20)
                rows.append({"split": name, "reg": reg, "ndcg": found["ndcg"].mean(), "auc": found["auc"].mean()})
        return pd.DataFrame(rows)

    def by_own_scores(self, both: TwoTowers, Z: Array, fold: study.Fold) -> pd.DataFrame:
        """Return the same for the scores of the two towers themselves, which have no penalty."""
        rows = []
        for name, split in {"nested": fold.nested[0], "outer": fold.outer}.items():
            scorers = {"chosen": ranking.from_matrix(both.scores(Z))}
            found = ranking.chosen_and_liked(scorers, split, self.pairs, k=20)
            rows.append({"split": name, "reg": 0.0, "ndcg": found["ndcg"].mean(), "auc": found["auc"].mean()})
        return pd.DataFrame(rows)

    def curve(
        self, arm: str, factor: float, fold: int, checkpoints: Sequence[int], state: Path | None = None
    ) -> Iterator[pd.DataFrame]:
        """Yield what `measured` says at each of the `checkpoints`, the items of the outer and nested split unseen.

        The rate rises over the first steps and stays, so that a curve does not depend on where it will end. With a
        file `state` the curve goes on after the last checkpoint that was yielded.
        """
        torch.manual_seed(self.seed)
        way, split = WAYS[arm], self.folds[fold].nested[0]
        known, _, targets = self.parts(split)
        halves = manual_halves()
        encoder = TextEncoder(max_tokens=MAX_TOKENS) if self.encoder is None else self.encoder
        tower = towers.ItemTower(encoder, self.texts + halves, **way.tower)
        both = None
        if way.loss == "InfoNCE":
            both = TwoTowers(tower, split.train, tower.vectors()[: len(self.texts)])
            loss = both.loss
        else:
            loss = (towers.bridge_loss if way.loss == "bridge" else fitted_loss)(tower.encode, targets)
        mine = [own for own in tower.model.parameters() if own.requires_grad]
        optimizer = torch.optim.AdamW(mine, lr=factor * way.base_rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / WARM_UP))
        done, losses, seconds = _resumed(state, mine, optimizer, schedule)
        size = sum(own.numel() for own in mine)
        for start, stop in pairwise([0, *checkpoints]):
            if stop < done or (stop == done and stop):
                continue
            begun, step = time.process_time(), max(start, done)
            for rows in _batches(known, self.seed, step, stop):
                losses += finetuning.train_epoch([rows], loss, optimizer)
                schedule.step()
            seconds += time.process_time() - begun
            done = stop
            vectors = tower.vectors()
            Z, manual = vectors[: len(self.texts)], matched(vectors[len(self.texts) :])
            found = self.measured(Z, self.folds[fold]).assign(arm=arm)
            if both is not None:
                found = pd.concat([found, self.by_own_scores(both, Z, self.folds[fold]).assign(arm=OWN)])
            last = float(np.mean(losses[-20:])) if losses else np.nan
            yield found.assign(rate=round(factor, 3), fold=fold, step=stop, manual=manual, loss=last, trained=size,
                               seconds=round(seconds, 1))  # fmt: skip
            _keep(state, done, losses, seconds, mine, optimizer, schedule)


def _batches(known: Array, seed: int, start: int, stop: int) -> Iterator[Array]:
    batches = towers.shuffled(known, ITEMS_A_STEP, seed)
    a_pass = len(batches(0))
    for step in range(start, stop):
        yield batches(step // a_pass)[step % a_pass]


def _keep(path: Path | None, done: int, losses: list[float], seconds: float, mine: Any, *states: Any) -> None:
    if path is not None:
        kept = [done, losses, seconds, [own.detach() for own in mine], *[one.state_dict() for one in states]]
        with written_aside(path) as aside:
            torch.save(kept, aside)


def _resumed(path: Path | None, mine: Any, *states: Any) -> tuple[int, list[float], float]:
    if path is None or not path.is_file():
        return 0, [], 0.0
    done, losses, seconds, values, *dicts = torch.load(path, weights_only=True)
    with torch.no_grad():
        for own, value in zip(mine, values):
            own.copy_(value)
    for one, kept in zip(states, dicts):
        one.load_state_dict(kept)
    return done, losses, seconds


def read(path: Path | None = None) -> pd.DataFrame:
    """Return the recorded rows, or none: arm, rate (times its base), fold, step, split, reg, ndcg, auc, and so on."""
    return recorded(path or package_file(FILE), KEY)


def chosen(curves: pd.DataFrame, metric: str, *, stopped: bool = False) -> pd.DataFrame:
    """Return one row per arm, fold and step: `metric` on the outer split, rate and penalty chosen on the nested one.

    With `stopped` the step is chosen there as well (early stopping), one row per arm and fold. Rates, folds and steps
    that not every arm has are left out, so that all have the same choice. The columns `frozen` and `gain` hold the
    value of the pretrained vectors before any step and the difference to it, fold by fold.
    """
    place = ["rate", "fold", "step"]
    ran = curves.groupby(place)["arm"].transform("nunique")
    common = curves[ran == curves["arm"].nunique()]
    nested = common[common["split"] == "nested"]
    best = nested.loc[nested.groupby(["arm", "fold", "step"], sort=False)[metric].idxmax()]
    start = best[(best["arm"] == FROZEN) & (best["step"] == 0)]
    if stopped:
        best = best.loc[best.groupby(["arm", "fold"], sort=False)[metric].idxmax()]
    outer = common[common["split"] == "outer"]
    found, frozen = (one[[*KEY, "reg"]].merge(outer, on=[*KEY, "reg"]) for one in (best, start))
    found["frozen"] = found["fold"].map(frozen.set_index("fold")[metric])
    return found.assign(gain=found[metric] - found["frozen"])


def over_folds(gains: Sequence[float]) -> str:
    """Return the mean of one gain a fold and its interval (`study.compare`) as text; of one fold, the gain alone."""
    if len(gains) < 2:
        return phrases.signed(gains[0])
    mean, low, high, _ = estimate(np.array(gains), resampled=False, extra=0.25)
    return phrases.told(mean, low, high)


def figure(by_ndcg: pd.DataFrame, by_auc: pd.DataFrame) -> Figure:
    """Return three panels over the steps: the gains of both measures to frozen vectors, and what is forgotten."""
    colours = dict(zip(WAYS, [*palette.COLOURS, palette.INK, "#E69F00"])) | {OWN: palette.GREY}
    steps = sorted(by_ndcg["step"].unique())
    fig, axes = palette.figure(1, 3, width=11.5, height=4.6)
    for ax, frame, column in zip(axes, (by_ndcg, by_auc, by_ndcg), ("gain", "gain", "manual")):
        mean = frame.groupby(["arm", "step"], sort=False)[column].mean().unstack("step")[steps]
        for name in colours if column == "gain" else WAYS:
            ax.plot(mean.loc[name].to_numpy(), "o--" if name == OWN else "o-", color=colours[name], ms=4, label=name)
        ax.set_xticks(range(len(steps)), steps)
        ax.set(xlabel="gradient steps (not to scale)")
        if column == "gain":
            ax.axhline(0, color=palette.GREY, lw=1, zorder=0)
        else:
            ax.set_ylim(0)
    for ax, title in zip(axes, ("NDCG@20, new films", "AUC within a user, new films", "What is kept")):
        ax.set_title(title)
    for ax in axes[:2]:
        ax.set_ylabel("difference to frozen vectors")
    axes[2].set_ylabel("pages of a manual matched")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    return fig


def plan() -> Iterator[tuple[int, float, int]]:
    """Yield (steps, factor of the rate, fold) in the order of their worth, each for all arms."""
    for fold in range(5):
        for factor in (1.0, 1 / 3):
            yield 70, factor, fold
    for steps, factor in ((200, 1.0), (70, 3.0), (200, 1 / 3), (200, 3.0), (700, 1.0), (700, 1 / 3), (700, 3.0)):
        for fold in range(5):
            yield steps, factor, fold


def _append(path: Path, found: pd.DataFrame) -> None:
    columns = [*KEY, "split", "reg", "ndcg", "auc", "manual", "loss", "trained", "seconds"]
    rows = with_rows(read(path), found).drop_duplicates([*KEY, "split", "reg"])
    keep(rows[columns], path, numbers="%.5g")


def record(path: Path, minutes: float) -> None:
    """Append rows to `path` in the order of `plan` until `minutes` have passed. What a curve goes on from is cached."""
    folder = cache_dir() / "learning-curves"
    recorder = Recorder(load_dataset("ml-100k"), TextEncoder(max_tokens=MAX_TOKENS))
    end = time.monotonic() + 60 * minutes
    for steps, factor, fold in plan():
        for arm in WAYS:
            if time.monotonic() > end:
                return
            rows = read(path)
            there = rows[(rows["arm"] == arm) & (rows["rate"] == round(factor, 3)) & (rows["fold"] == fold)]
            if steps in set(there["step"]):
                continue
            state = folder / f"{arm.replace(' ', '-')}-{round(factor, 3)}-{fold}.pt"
            # Before the first step a rate does not matter.
            of_arm = rows["arm"].isin([arm, OWN] if WAYS[arm].loss == "InfoNCE" else [arm])
            begun = rows[of_arm & (rows["step"] == 0) & (rows["fold"] == fold)].assign(rate=round(factor, 3))
            _append(path, begun)
            checkpoints = [step for step in CHECKPOINTS if step <= steps and (step or begun.empty)]
            for found in recorder.curve(arm, factor, fold, checkpoints, state):
                _append(path, found)
                print(time.strftime("%H:%M:%S"), arm, factor, fold, found["step"].iloc[0], found["seconds"].iloc[0],
                      found.groupby(["arm", "split"])["ndcg"].max().round(4).to_dict(), found["manual"].iloc[0],
                      flush=True)  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so long")
    parser.add_argument("--file", type=Path, default=Path("learning-curves.tsv"), help="where the rows are kept")
    options = parser.parse_args()
    torch.set_num_threads(1)
    record(options.file, options.minutes)
