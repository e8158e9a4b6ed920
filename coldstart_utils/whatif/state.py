"""The states of the panels: what is asked, checked against the catalogue and completed from it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeVar

from ..catalogue.features import as_text
from ..ground import ColdstartError
from .bench import PLACES, Dials
from .desk import Desk
from .world import World

LONGEST = 600  # letters of a title, a description or a sentence that are read
MOST_ASKED = 2000  # letters of a question: people tell of a film at length
MOST: dict[str, float] = {"k": 50, "age": 120, "reserve": PLACES} | dict.fromkeys(
    ("text", "popularity", "diversity", "exploration"), 1.0
)


@dataclass(frozen=True)
class ItemState:
    """An item nobody has rated: what is written about it, or a `film` of the catalogue that plays new.

    What is None is as the catalogue has it of the film. `k` of the film's real choices are revealed.
    """

    film: str = ""
    title: str | None = None
    year: str | None = None
    genres: tuple[str, ...] | None = None
    description: str | None = None
    k: int = 0

    def read(self, part: str) -> str:
        """Return the letters of the title or the description that are read, none of what is None."""
        return (getattr(self, part) or "")[:LONGEST]


@dataclass(frozen=True)
class UserState:
    """A user nobody knows: names of films `liked`, `disliked` and `unseen` (not to be asked about again), an age
    (0: unsaid), an occupation, a sentence.
    """

    liked: tuple[str, ...] = ()
    disliked: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    age: int = 0
    occupation: str = ""
    sentence: str = ""


@dataclass(frozen=True)
class PolicyState(Dials):
    """The dials as they stand, and the policies pinned as A and B."""

    A: Dials | None = None
    B: Dials | None = None

    def dials(self) -> Dials:
        """Return the dials as they stand."""
        return Dials(**{field.name: getattr(self, field.name) for field in fields(Dials)})


@dataclass(frozen=True)
class QuestionState:
    """What is `wanted`, in a sentence, by whom of the desk's people ('': nobody), and the `film` that is meant ('': not
    known).
    """

    wanted: str = ""
    person: str = ""
    film: str = ""


State = ItemState | UserState | PolicyState | QuestionState
Known = TypeVar("Known", bound=State)
Asked = TypeVar("Asked", bound=QuestionState)
KINDS: dict[str, type[State]] = {
    "item": ItemState, "user": UserState, "policy": PolicyState, "question": QuestionState
}  # fmt: skip


def completed(world: World, state: Known) -> Known:
    """Return the state with what a film leaves unsaid taken from the catalogue, nothing None but A and B.

    Raises ColdstartError for a type, a number or a name that does not fit.
    """
    if isinstance(state, ItemState):
        _fits("scene, item, film", state.film, "", "film")
        _named("scene, item, film", state.film, ["", *world.row])
        state = replace(state, **{key: value for key, value in own(world, state.film).items() if _unsaid(state, key)})
        _all_fit("item", state)
        _named("scene, item, genres", state.genres, world.vocabulary.get("genres", ()))
    elif isinstance(state, UserState):
        _all_fit("user", state)
        _named("scene, user, liked", state.liked, world.row)
        _named("scene, user, disliked", state.disliked, world.row)
        _named("scene, user, unseen", state.unseen, world.row)
        _named("scene, user, occupation", state.occupation, ["", *world.dataset.users.get("occupation", ())])
    elif isinstance(state, PolicyState):
        _all_fit("policy", state)
        for name, dials in (("A", state.A), ("B", state.B)):
            if dials:
                _all_fit(f"policy, {name}", dials)
    elif world.desk:
        return fitting(world.desk, state)
    return state


def fitting(desk: Desk, state: Asked) -> Asked:
    """Return the state of a question. Raises ColdstartError for a type or a name that the desk does not have."""
    _all_fit("question", state)
    _named("scene, question, person", state.person, ["", *desk.people])
    _named("scene, question, film", state.film, ["", *desk.row])
    return state


def own(world: World, film: str) -> dict[str, Any]:
    """Return title, year, genres and description that the catalogue has of a film, empty ones of no film."""
    row = world.dataset.items.iloc[world.row[film]] if film else {}
    columns = {"title": "title", "year": "year", "genres": "genres", "description": world.body}
    found = {key: as_text(row[column]) if column in row else "" for key, column in columns.items()}
    return found | {"genres": tuple(found["genres"].split())}


def read_state(world: World, kind: str, given: Mapping[str, Any]) -> State:
    """Return the state of the panel `kind` that `given`, read from JSON, describes.

    Raises ColdstartError for a key, type, name or number that the panel does not have.
    """
    expected = [field.name for field in fields(KINDS[kind])]
    if not isinstance(given, dict) or not set(given) <= set(expected):
        raise ColdstartError(f"scene, {kind}: expected {', '.join(expected)}, got {str(given)[:80]}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    for name in ("A", "B") if kind == "policy" else ():
        if values.get(name):
            values[name] = _dials(f"scene, policy, {name}", values[name])
    made: Callable[..., State] = KINDS[kind]
    return completed(world, made(**values))


def written(world: World, state: State) -> dict[str, Any]:
    """Return what JSON needs to know of a state: nothing that goes without saying."""
    plain = type(state)()
    if isinstance(state, ItemState):
        plain = replace(plain, **own(world, state.film))
    return {key: value for key, value in asdict(state).items() if value != getattr(plain, key)}


def _dials(where: str, given: Any) -> Dials:
    expected = [field.name for field in fields(Dials)]
    if not isinstance(given, dict) or not set(given) <= set(expected):
        raise ColdstartError(f"{where}: expected {', '.join(expected)}, got {str(given)[:80]}")
    return Dials(**given)


def _unsaid(state: ItemState, key: str) -> bool:
    return getattr(state, key) is None


def _fits(where: str, value: Any, default: Any, name: str) -> None:
    """Raise ColdstartError unless a value has the type of its default and lies within its bounds."""
    if name in ("A", "B"):
        return
    like: Any = {"genres": (), "title": "", "year": "", "description": ""}.get(name, default)
    number = isinstance(like, int | float)
    if isinstance(value, bool) or not isinstance(value, int | float if number else type(like)):
        raise ColdstartError(f"{where}: expected a value like {_shown(like)}, got {str(value)[:80]}")
    if number and (not 0 <= value <= MOST[name] or (isinstance(like, int) and value != int(value))):
        raise ColdstartError(f"{where}: expected a number from 0 to {MOST[name]:.0f}, got {value}")


def _all_fit(where: str, state: Any) -> None:
    """Raise ColdstartError unless all parts of a state have the type of their defaults and lie within bounds."""
    for field in fields(state):
        _fits(f"scene, {where}, {field.name}", getattr(state, field.name), field.default, field.name)


def _shown(like: Any) -> str:
    return "[]" if like == () else repr(like)


def _named(where: str, value: Any, known: Collection[str]) -> None:
    """Raise ColdstartError unless a name, or each of several, is known."""
    for name in value if isinstance(value, tuple) else [value]:
        if not isinstance(name, str):
            raise ColdstartError(f"{where}: expected a value like '', got {str(name)[:80]}")
        if name not in known:
            raise ColdstartError(f"{where}: expected what is in the catalogue; {name[:60]!r} is not")
