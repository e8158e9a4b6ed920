"""What attacks on texts, defences, fake profiles and the game of owners show, in sentences that follow the numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..measure.intervals import estimate
from ..measure.logged import resampled
from ..measure.phrases import told
from .consequences_told import typeset

Array = np.ndarray


def attacks(shares: pd.DataFrame, ways: tuple[str, ...], films: int) -> str:
    """Return the exposure of honest texts, of the strongest attack, and of an instruction, by way to rank."""
    shares = shares[list(ways)].dropna()
    best = {way: shares[way].idxmax() for way in ways}
    easiest = (shares.max() - shares.loc["honest"]).idxmax()
    return (
        f"**Of the three, *{easiest}* is cheated most, by *{best[easiest]}*.** Share of lists with honest texts, and "
        "with the strongest attack: "
        + "; ".join(f"{way} {shares[way]['honest']:.1%}, {shares[way].max():.0%} (*{best[way]}*)" for way in ways)
        + f" (means of {films} films, intervals resample films). The instruction: "
        + ", ".join(f"{shares[way]['an instruction']:.1%}" for way in ways)
        + ". None of the three obeys: to them it is a text like any other."
    )


def obeyed(table: pd.DataFrame, k: int, films: int) -> str:
    """Return what instructions bring where a language model ranks, from the `attack.effects` of `attack.obeyed`."""
    parts = []
    for way, own in table.groupby("way", sort=False):
        rows = own[own["model"] != own["baseline"]].itertuples()
        parts.append(f"ranked by {way}: " + "; ".join(f"*{row.model}* {row.mean:.0%}, {row.told}" for row in rows))
    helped = table[table["better"]].groupby("way", sort=False)["model"].agg(", ".join)
    start, obeys = table["mean"].iloc[0], "obeys" if len(helped) else "is not shown to obey"
    return typeset(
        f"**A ranker that is a language model {obeys}.** SmolLM2 (chapter 10; recorded) was asked of {films} new films "
        "of MovieLens-100K whether 20 people would like them, ten films a list. Of the honest films "
        f"{start:.0%} stand among the first {k}. With one more sentence in the text, {'. And '.join(parts)} "
        "(intervals over five sets of films and people). Shown to help: "
        + ("; ".join(f"{names} (by {way})" for way, names in helped.items()) or "nothing")
        + "."
    )


def defences(grid: pd.DataFrame, attacked: pd.DataFrame, costs: pd.DataFrame, caught: pd.DataFrame) -> str:
    """Return by how much the strongest attack multiplies exposure, what defences cost, and what a detector stops."""
    factor = factors(grid)
    ends = {way: _factor_ends(attacked[attacked["way"] == way], grid[way].drop("honest").idxmax()) for way in grid}
    paid = "; ".join(f"{row.model} {row.told}" for row in costs.itertuples() if row.model != row.baseline)
    attacks_only = grid.drop("honest")
    fewer = attacks_only.drop(columns="text and tags").lt(attacks_only["text and tags"] - 1e-9, axis=0).sum()
    return (
        "The strongest attack multiplies exposure by "
        + ", ".join(f"{value:.1f} ({way}; {ends[way][0]:.1f} to {ends[way][1]:.1f})" for way, value in factor.items())
        + f". Of {len(attacks_only)} attacks a defence lowers the exposure of: "
        + ", ".join(f"{way} {n}" for way, n in fewer.items())
        + f". With honest texts NDCG changes by: {paid}. **Detection** by copied words, pushing words, and promises "
        f"above the tags, set to stop one honest text in twenty, stops {_of_texts(caught.loc['honest'])} of the other "
        + "honest texts, and of the attacks "
        + ", ".join(f"{_of_texts(row)} (*{name}*)" for name, row in caught.drop("honest").iterrows())
        + "."
    )


def _of_texts(row: pd.Series) -> str:
    return f"{row['rate']:.0%} ({row['low']:.0%} to {row['high']:.0%})"


def known(table: pd.DataFrame, names: tuple[str, str]) -> str:
    """Return what an owner gains who knows the defence, from `attack.effects`: the better of two attacks of `names`."""
    best = []
    for way, own in table[table["model"].isin(names) & (table["way"] != "cleaned")].groupby("way", sort=False):
        row = own.loc[own["mean"].idxmax()]
        start = row["mean"] - row["difference"]
        best.append(f"{way} {start:.1%} to {row['mean']:.0%}, {row['told']} by *{row['model']}*")
    return f"**Who knows the ranking:** a film's share of lists goes, under {'; '.join(best)}."


def _factor_ends(rows: pd.DataFrame, strongest: str, draws: int = 1000) -> Array:
    """Return the ends of the 95 % interval of how many times as much one attack brings, of items resampled."""
    pair = rows.groupby(["user", "model"])["exposure"].mean().unstack()[["honest", strongest]].to_numpy()
    means = resampled(pair, draws, np.random.default_rng(0))
    return np.percentile(means[:, 1] / means[:, 0].clip(min=1e-9), [2.5, 97.5])


def factors(grid: pd.DataFrame) -> pd.Series:
    """Return how many times as much as an honest text the strongest attack brings, by defence (columns)."""
    return grid.drop("honest").max() / grid.loc["honest"].clip(lower=1e-9)


def answers(undone: pd.DataFrame, pushed: pd.DataFrame) -> str:
    """Return what true answers leave of the lead of a copied text, and how many fake profiles a tenth takes."""
    lead = undone.pivot(index="dial", columns="model", values="mean")
    gap = lead["text of a rival"] - lead["honest text"]
    ends = {(row.model, row.dial): f"{row.mean:.0%} ({row.low:.0%} to {row.high:.0%})" for row in undone.itertuples()}
    copied, own = ([ends[model, dial] for dial in lead.index[[0, -1]]] for model in ("text of a rival", "honest text"))
    half = gap.reset_index(name="mean")
    needed = {model: _first(own, own["mean"] >= 0.1) for model, own in pushed.groupby("model", sort=False)}
    five = pushed[pushed["dial"] == 5]
    return (
        f"Without answers the copied text stands in {copied[0]} of the lists, the honest one in {own[0]}; after "
        f"{lead.index[-1]:.0f} true answers in {copied[1]} and {own[1]}. Half of the lead is gone after "
        f"{_first(half, half['mean'] <= gap.iloc[0] / 2)}. A "
        "tenth of all lists takes "
        + " and ".join(f"{value} fake profiles ({model})" for model, value in needed.items())
        + "; five bring "
        + " and ".join(f"{row.mean:.0%} ({row.low:.0%} to {row.high:.0%}; {row.model})" for row in five.itertuples())
        + "."
    )


def _first(table: pd.DataFrame, reached: pd.Series) -> str:
    return f"{table[reached]['dial'].iloc[0]:.0f}" if reached.any() else f"more than {table['dial'].max():.0f}"


def games(table: pd.DataFrame) -> str:
    """Return how many games settle, who stays honest, and what users lose, by ranker and share of random places."""
    ways = list(table.groupby("ranker", sort=False))
    shares = list(dict.fromkeys(table["places at random"]))
    honest, change, recall, alone = [], [], [], []
    for way, own in ways:
        by_fold = own.pivot(index="fold", columns="places at random", values="honest")
        honest.append(f"{by_fold[shares[0]].mean():.0%} ({way})")
        change.append(_over_folds(by_fold[shares[-1]] - by_fold[shares[0]]))
        ends = own.groupby("fold")[["recall before", "recall after"]].mean()
        lost = _over_folds(ends["recall after"] - ends["recall before"])
        recall.append(f"{ends['recall before'].mean():.3f}, {told(*lost)} ({way})")
        first = own[own["places at random"] == shares[0]]
        left = _over_folds(first["alone honest"] - first["all honest"])
        alone.append(f"{way} {first['all honest'].mean():.1%}, {told(*left)}")
    shown = any(low > 0 or high < 0 for _, low, high in change)
    moves = ", ".join(told(*one) for one in change)
    return typeset(
        f"{table['settled'].mean():.0%} of the games settle. Honest at the end: {', '.join(honest)}; {shares[-1]:.0%} "
        f"of the places at random change this by {moves} over folds, in the same order: "
        f"{'some are shown' if shown else 'none is shown'} to differ. Recall of users before the game, and its change: "
        f"{'; '.join(recall)}. {_price(table)}An owner's exposure when all are honest, and the change when no other "
        f"is: {'; '.join(alone)}."
    )


def _over_folds(differences: pd.Series) -> tuple[float, float, float]:
    return estimate(differences.to_numpy(), resampled=False, extra=0.25)[:3]


def _price(table: pd.DataFrame) -> str:
    """Return whether users are better off with levelled texts than where everybody cheats undefended."""
    means = table.groupby("ranker")[["recall before", "recall after"]].mean()
    levelled, cheated = means["recall after"]["levelled"], means["recall after"]["text and tags"]
    if levelled > cheated:
        return ""
    return (
        "*Levelled* weakens attacks, but the mean recall of users is no higher here: "
        f"{levelled:.3f} against {cheated:.3f} where owners have cheated undefended. "
    )
