"""What if an owner wrote something else: attacks on many items, defences, their cost, and the game of all owners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ..catalogue.dataset import Dataset
from ..catalogue.movielens import package_table
from ..ground import ColdstartError
from ..language import attacks
from ..language.storefront import DEFENCES, Storefront
from ..measure import ranking, study
from ..measure.intervals import estimate
from ..measure.logged import rate
from ..models import shilling
from ..models.owners import Game, best_responses

Array = np.ndarray
WAYS = ("words", "encoder", "text and tags")
DEFENDED = ("text and tags", "cleaned", "capped", "contained", "agreed", "levelled")
# What an owner may know of the ranking; 'cleaned' ranks plain words as 'text and tags' does.
KNOWN_TO_OWNERS = ("text and tags", *DEFENCES)
# How the answer of a language model becomes a score (chapter 10).
ASKED = ("its answer", "its answer less that to nobody")
KNOWING = ("ten words, knowing the defence", "the best rival's text, knowing it")


def picked(shop: Storefront, n: int, seed: int = 0) -> Array:
    """Return n new items of a shop at random [n]."""
    return np.random.default_rng([seed, shop.split.seed]).permutation(shop.new)[:n]


def attacked(
    shops: Sequence[Storefront], each: int, trigger: str, ways: Sequence[str], *, seed: int = 0
) -> pd.DataFrame:
    """Return the exposure of `each` items of every shop under every attack, by every way to rank.

    Columns: way, model (the attack), fold, user (the item: what intervals are over), exposure. The way 'cleaned' is
    'text and tags' of what people see of a text.
    """
    rows = []
    for shop in shops:
        for item in picked(shop, each, seed):
            texts = attacks.attacks(shop, item, trigger)
            seen = [attacks.as_people_see_it(text) for text in texts.values()]
            for way in ways:
                asked, name = (seen, "text and tags") if way == "cleaned" else (list(texts.values()), way)
                got = shop.exposure(item, asked, name)
                rows += [(way, attack, shop.split.seed, int(item), share) for attack, share in zip(texts, got)]
    return pd.DataFrame(rows, columns=["way", "model", "fold", "user", "exposure"])


def recorded_words(dataset: Dataset, seed: int) -> dict[tuple[int, str], str]:
    """Return the words that `data/words_against.py` found, by item and way; none for other catalogues and seeds."""
    if dataset.name != "ml-100k" or seed != 0:
        return {}
    table = package_table("ml-100k-words-against")
    items = pd.Index(dataset.items["item_id"]).get_indexer(table["item_id"])
    return {(int(item), row.way): row.words for item, row in zip(items, table.itertuples()) if item >= 0}


def knowing(shop: Storefront, item: int, way: str, words: Mapping[tuple[int, str], str]) -> dict[str, str]:
    """Return the two texts of an owner who knows by which `way` the platform ranks, by the names in `KNOWING`.

    Where `words` has none for this item and way, three are searched among six: with an encoder more takes minutes.
    """
    found = words.get((item, way)) or attacks.words_against(shop, item, way, n=3, tried=6)
    return dict(zip(KNOWING, (f"{shop.texts[item]} {found}", attacks.best_copy(shop, item, way))))


def attacked_knowing(
    shops: Sequence[Storefront], each: int, words: Mapping[tuple[int, str], str], *, seed: int = 0
) -> pd.DataFrame:
    """Return the exposure of the items of `attacked` by the texts of `knowing`, found for each way apart."""
    rows = []
    for shop in shops:
        for item in picked(shop, each, seed):
            for way in ("text and tags", *DEFENCES):
                texts = knowing(shop, int(item), way, words)
                got = shop.exposure(item, list(texts.values()), way)
                rows += [(way, name, shop.split.seed, int(item), share) for name, share in zip(texts, got)]
    table = pd.DataFrame(rows, columns=["way", "model", "fold", "user", "exposure"])
    # What has no hidden parts is read alike with and without cleaning.
    return pd.concat([table, table[table["way"] == "text and tags"].assign(way="cleaned")], ignore_index=True)


def obeyed(answers: pd.DataFrame, k: int = 3) -> pd.DataFrame:
    """Return in how many lists of k a film stands that a language model ranks, by what its owner added to its text.

    `answers` are the rows of `ml-100k-smollm2-attacked` (the package's table), each fold with films and readers of its
    own; one film is attacked at a time. Columns: way (how the answer is used), model (what was added), fold, user (the
    film), exposure (share of the readers).
    """
    verdict, alone = answers["verdict"].astype(float), answers["alone"].astype(float)
    numbers = answers.assign(**dict(zip(ASKED, (verdict, verdict - alone))))
    rows = []
    for way in ASKED:
        for (fold, _), own in numbers.groupby(["fold", "reader"], sort=False):
            scores = own.pivot(index="item_id", columns="text", values=way)[list(own["text"].unique())]
            for film in scores.index:
                last = scores["honest"].drop(film).nlargest(k).min()
                rows += [(way, text, fold, film, float(score > last)) for text, score in scores.loc[film].items()]
    table = pd.DataFrame(rows, columns=["way", "model", "fold", "user", "exposure"])
    return table.groupby(["way", "model", "fold", "user"], sort=False, as_index=False).mean()


def effects(results: pd.DataFrame, baseline: str = "honest", *, unit: str = "user") -> pd.DataFrame:
    """Return the `study.compare` tables of `attacked`, way by way, Holm over all rows.

    The unit is the item attacked ('user'), or the fold where folds share nothing.
    """
    parts = [
        study.compare(own, baseline, metric="exposure", unit=unit, test_share=0.0).assign(way=way)
        for way, own in results.groupby("way", sort=False)
    ]
    table = study.answered(pd.concat(parts, ignore_index=True))
    return table.assign(unit="item") if unit == "user" else table


def honest_cost(shops: Sequence[Storefront], ways: Sequence[str]) -> pd.DataFrame:
    """Return the rows of `ranking.evaluate` of each way with honest texts: what a defence costs those who need none."""
    rows = []
    for shop in shops:
        scorers = {}
        for way in ways:
            scores = np.zeros(shop.split.train.shape)
            scores[:, shop.new] = shop.lists("text and tags" if way == "cleaned" else way)
            scorers[way] = ranking.from_matrix(scores)
        rows.append(ranking.evaluate(scorers, shop.split, k=shop.k))
    return pd.concat(rows, ignore_index=True)


def detected(
    shops: Sequence[Storefront], each: int, trigger: str, words: Mapping[tuple[int, str], str], *, seed: int = 0
) -> pd.DataFrame:
    """Return the share of texts that `attacks.stopped` stops, a row an attack: columns of `logged.rate`.

    The detector is set on the first half of a shop's honest new items to stop one in twenty; 'honest' is what it stops
    of the other half. At least two new items of a shop stay honest. The texts of `knowing` are those against 'text and
    tags'. Raises ColdstartError for a shop with fewer than three new items.
    """
    rows: dict[str, list[Array]] = {}
    for shop in shops:
        everybody = picked(shop, len(shop.new), seed)
        if len(everybody) < 3:
            raise ColdstartError(f"detected: expected three new items or more in a shop, found {len(everybody)}")
        attacked, honest = np.split(everybody, [min(each, len(everybody) - 2)])
        signs = np.concatenate([attacks.suspicion(shop, item, [shop.texts[item]]) for item in honest])
        half = len(signs) // 2
        found = {"honest": attacks.stopped(signs[half:], signs[:half])}
        texts = [
            attacks.attacks(shop, item, trigger) | knowing(shop, int(item), "text and tags", words) for item in attacked
        ]
        by_item = [attacks.suspicion(shop, i, list(own.values())) for i, own in zip(attacked, texts)]
        for number, attack in enumerate(texts[0]):
            if attack != "honest":
                found[attack] = attacks.stopped(np.array([own[number] for own in by_item]), signs[:half])
        for name, values in found.items():
            rows.setdefault(name, []).append(values * 1.0)
    stopped = {name: np.concatenate(values) for name, values in rows.items()}
    return pd.DataFrame({name: rate(values) for name, values in stopped.items()}).T


def undone(shops: Sequence[Storefront], each: int, counts: Sequence[int], *, seed: int = 0) -> pd.DataFrame:
    """Return the exposure of items after true answers, with their own text and with that of a rival.

    Columns: model ('honest text', 'text of a rival'), fold, user (the item), dial (answers), exposure. A text is a
    prior of the item's factor, answers make it a posterior (chapter 07).
    """
    rows = []
    for shop in shops:
        items = picked(shop, each, seed)
        newcomers = shilling.Newcomers(shop.split, shop.kernel(), k=shop.k, yes=0)
        for item in items:
            copied = newcomers.prior_by(shop.kernel({item: attacks.imitated(shop)}), item)
            for model, prior in (("honest text", newcomers.prior[item]), ("text of a rival", copied)):
                path = shilling.undone(newcomers, item, prior, counts)
                rows += [(model, shop.split.seed, int(item), dial, share) for dial, share in path]
    return pd.DataFrame(rows, columns=["model", "fold", "user", "dial", "exposure"])


def pushed(shops: Sequence[Storefront], each: int, counts: Sequence[int], *, seed: int = 0) -> pd.DataFrame:
    """Return the exposure of items after fake profiles, in a shop that reads texts and in one that does not.

    Columns as those of `undone`; model is 'with text' or 'without text'.
    """
    rows = []
    for shop in shops:
        items = picked(shop, each, seed)
        for model, kernel in (("without text", None), ("with text", shop.kernel())):
            found = shilling.pushed(shilling.Newcomers(shop.split, kernel, k=shop.k), items, counts, seed=seed)
            rows.append(found.rename(columns={"item": "user"}).assign(model=model, fold=shop.split.seed))
    return pd.concat(rows, ignore_index=True)


def along(results: pd.DataFrame) -> pd.DataFrame:
    """Return the mean exposure with its 95 % interval over items at every value of the dial, model by model."""
    rows = []
    for (model, dial), own in results.groupby(["model", "dial"], sort=False):
        mean, low, high, _ = estimate(own.groupby("user")["exposure"].mean().to_numpy(), resampled=True)
        rows.append((model, dial, mean, low, high))
    return pd.DataFrame(rows, columns=["model", "dial", "mean", "low", "high"])


def game_of(shop: Storefront, owners: Array, way: str, *, cost: float, explore: float) -> Game:
    """Return the game of some `owners` (new items), who each may stay honest, stuff, choose ten words, or copy."""
    scores = []
    for item in owners:
        own = shop.texts[item]
        texts = [own, attacks.stuffed(shop, own), attacks.ten_words(shop, item, own), attacks.imitated(shop)]
        scores.append(shop.way(way, np.full(len(texts), item), texts))
    rivals = shop.lists(way)[:, ~np.isin(shop.new, owners)]
    return Game(np.array(scores), rivals, shop.k, cost, explore)


def played(
    shops: Sequence[Storefront], n: int, way: str, *, cost: float = 0.02, explore: float = 0.0, seed: int = 0
) -> pd.DataFrame:
    """Return how the game of n owners ends in every shop, a row each.

    Columns: fold, settled, rounds, honest (share of owners), recall before and after (of the real choices of all new
    items), and the exposure of an owner where 'all honest' and where 'alone honest'.
    """
    rows = []
    for shop in shops:
        owners = picked(shop, n, seed)
        game = game_of(shop, owners, way, cost=cost, explore=explore)
        end = best_responses(game)
        first, last = np.zeros(len(owners), int), end.path[-1]
        before, alone = (
            np.mean([game.payoffs(owner, chosen)[0] for owner in range(len(owners))]) for chosen in (first, last)
        )
        recall = [_recall(shop, owners, game, chosen) for chosen in (first, last)]
        rows.append((shop.split.seed, end.settled, len(end.path) - 1, (last == 0).mean(), *recall, before, alone))
    columns = ["fold", "settled", "rounds", "honest", "recall before", "recall after", "all honest", "alone honest"]
    return pd.DataFrame(rows, columns=columns).assign(**{"ranker": way, "places at random": explore})


def _recall(shop: Storefront, owners: Array, game: Game, chosen: Array) -> float:
    scores = np.zeros(shop.split.train.shape)
    scores[:, shop.new[~np.isin(shop.new, owners)]] = game.rivals
    scores[:, owners] = game.standing(chosen)
    return float(ranking.evaluate({"": ranking.from_matrix(scores)}, shop.split, k=shop.k)["recall"].mean())
