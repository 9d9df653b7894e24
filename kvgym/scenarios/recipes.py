"""Workload recipes: what a scenario names, as functions (seed, page_size, requests wanted, split, **arguments)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kvgym import _check, _named
from kvgym.scenarios.traces import GIVEN, Facts, facts, trace
from kvgym.workload import FORMATS, Workload, coding_agents, equal_requests, gsp, long_documents, multi_turn
from kvgym.workload.adversary import adversary
from kvgym.workload.mix import Part, mix
from kvgym.workload.presets import preset
from kvgym.workload.random import PARTS, spawned
from kvgym.workload.sessions import sessions

Recipe = Callable[..., Workload]
"""Makes the workload of an episode: recipe(seed, page_size, wanted, split, **recipe_args).

The first four are given by position: the episode's `np.random.SeedSequence`, which alone may decide what is random and
is another one for each split; tokens per page; how many requests the scenario plays and one more, to stop at; and
"train", "validation", "test" or "all". What follows are the names that a scenario may have in `recipe_args`. A recipe
that can make fewer requests than wanted is refused when the scenario plays more; more of them may be asked for where
some fit on no worker. One with a parameter kv_pages is told by it what the smallest worker holds.
"""
_GIVEN = 4
_MEMORY = "kv_pages"


def _hands_on_to(*generators: Callable[..., Workload], but: Sequence[str] = ()) -> Callable[[Recipe], Recipe]:
    """Makes a recipe show, as parameters of its own, the keyword arguments that it hands on to generators."""

    def mark(recipe: Recipe) -> Recipe:
        shown = {name: one for name, one in inspect.signature(recipe).parameters.items() if one.kind != one.VAR_KEYWORD}
        for function in generators:
            for name, one in inspect.signature(function).parameters.items():
                if one.kind == one.KEYWORD_ONLY and name not in but:
                    shown.setdefault(name, one)
        recipe.__signature__ = inspect.Signature(list(shown.values()))  # type: ignore[attr-defined]  # inspect knows it
        return recipe

    return mark


def _generated(make: Callable[..., Workload]) -> Recipe:
    """A recipe of a generator: its random stream already depends on the split."""

    @_hands_on_to(make)
    def recipe(seed: np.random.SeedSequence, page_size: int, wanted: int, split: str, **args: Any) -> Workload:
        return make(seed, page_size, **args)

    return recipe


@_hands_on_to(gsp, but=["requests"])
def _gsp(seed: np.random.SeedSequence, page_size: int, wanted: int, split: str, **args: Any) -> Workload:
    return gsp(seed, page_size, requests=wanted, **args)


@_hands_on_to(equal_requests, but=["requests"])
def _equal(seed: np.random.SeedSequence, page_size: int, wanted: int, split: str, **args: Any) -> Workload:
    return equal_requests(seed, page_size, requests=wanted, **args)


_trace = _hands_on_to(*(one.read for one in FORMATS.values()), but=GIVEN)(trace)


@_hands_on_to(coding_agents, but=["requests"])
def _coding_agents(seed: np.random.SeedSequence, page_size: int, wanted: int, split: str, **args: Any) -> Workload:
    """Enough sessions that the requests of an episode can come from many that go on: half as many again."""
    return coding_agents(seed, page_size, requests=wanted + wanted // 2, **args)


@_hands_on_to(sessions, but=["requests"])
def _sessions_of_kinds(seed: np.random.SeedSequence, page_size: int, wanted: int, split: str, **args: Any) -> Workload:
    return sessions(seed, page_size, requests=wanted, **args)


@_hands_on_to(preset, sessions, but=["requests"])
def _preset(seed: np.random.SeedSequence, page_size: int, wanted: int, split: str, **args: Any) -> Workload:
    return preset(seed, page_size, requests=wanted, **args)


@_hands_on_to(adversary, but=["requests"])
def _adversary(seed: np.random.SeedSequence, page_size: int, wanted: int, split: str, **args: Any) -> Workload:
    return adversary(seed, page_size, requests=wanted, **args)


def _mix(
    seed: np.random.SeedSequence, page_size: int, wanted: int, split: str, *, parts: Sequence[Mapping[str, Any]]
) -> Workload:
    """The workloads of several recipes at once.

    Args:
        seed: Of which each part has a child.
        page_size: Tokens per page.
        wanted: Requests.
        split: "train", "validation" or "test".
        parts: Mappings with "recipe", "recipe_args" and, if wanted, "start_s" and "until_s" (see `mix`).
    """
    if not isinstance(parts, (list, tuple)) or not parts:
        raise ValueError(f"parts in recipe_args of mix must be a list of mappings, got {parts!r}")
    made = []
    for number, part in enumerate(parts):
        where = f"part {number} of the mix"
        _check.keywords(where, _check.mapping(where, part), _part, first=_GIVEN)
        made.append(_part(spawned(seed, PARTS, number), page_size, wanted, split, **part))
    return mix(made, wanted)


def _part(
    seed: np.random.SeedSequence,
    page_size: int,
    wanted: int,
    split: str,
    *,
    recipe: str,
    recipe_args: Mapping[str, Any] | None = None,
    start_s: float = 0.0,
    until_s: float | None = None,
) -> Part:
    return Part(make_workload(recipe, seed, page_size, wanted, split, recipe_args or {}), start_s, until_s)


RECIPES: dict[str, Recipe] = {
    "gsp": _gsp,
    "multi_turn": _generated(multi_turn),
    "long_documents": _generated(long_documents),
    "equal": _equal,
    "coding_agents": _coding_agents,
    "sessions": _sessions_of_kinds,
    "preset": _preset,
    "mix": _mix,
    "adversary": _adversary,
    "trace": _trace,
}
"""Name -> recipe; `register_recipe` adds to it."""
SUITE_RECIPES = tuple(RECIPES)
"""Names of those that come with the package."""


def register_recipe(name: str, recipe: Recipe) -> None:
    """Lets scenarios of this process name a recipe; "module:name" in its place is found by other processes too.

    Args:
        name: A new name, without a colon.
        recipe: A function (seed, page_size, wanted, split, **recipe_args) that returns a Workload; see `Recipe`.

    Raises:
        ValueError: If there is another recipe of that name, or it is no function of four arguments and more.
    """
    if ":" in _check.string("name of a recipe", name):
        raise ValueError(f"name of a recipe must have no colon, got {name!r}")
    _check_recipe(name, recipe)
    if RECIPES.setdefault(name, recipe) is not recipe:
        raise ValueError(f"there is a recipe {name!r} already, it must have another name")


def find_recipe(name: Any) -> Recipe:
    """A recipe by its name, or by "module:name".

    Raises:
        ValueError: If there is none; the message lists those that there are.
    """
    if isinstance(name, str) and ":" in name:
        return _check_recipe(name, _named.load("recipe", name))
    try:
        return RECIPES[_check.choice("recipe", name, RECIPES)]
    except ValueError as error:
        raise ValueError(
            f'{error}; or "module:name" of a function (what `register_recipe` adds is known in its process alone)'
        ) from None


def recipe_file(name: str) -> str:
    """The source file of a recipe, "" where it has none."""
    try:
        return inspect.getsourcefile(inspect.unwrap(find_recipe(name))) or ""
    except TypeError:  # no function, or one that was typed in
        return ""


def make_workload(
    name: str,
    seed: np.random.SeedSequence,
    page_size: int,
    wanted: int,
    split: str,
    args: Mapping[str, Any],
    kv_pages: int | None = None,
) -> Workload:
    """The workload that a recipe makes.

    Raises:
        ValueError: If it is not there, its arguments are not allowed, or it makes something else than a workload with
            pages of that size.
    """
    check_arguments(name, args)
    # A fresh one each time: whoever calls its spawn() gets the same children again.
    seed = np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key, pool_size=seed.pool_size)
    recipe = find_recipe(name)
    told = {_MEMORY: kv_pages} if _MEMORY in inspect.signature(recipe).parameters else {}
    made: Any = recipe(seed, page_size, wanted, split, **args, **told)
    if not isinstance(made, Workload) or made.page_size != page_size:
        got = f"one of {made.page_size}" if isinstance(made, Workload) else repr(made)
        raise ValueError(f"recipe {name!r} must return a Workload with pages of {page_size} tokens, got {got}")
    return made


def check_arguments(name: str, args: Mapping[str, Any], complete: bool = True) -> None:
    """Checks the names of a recipe's arguments; unless `complete` some may be missing.

    Raises:
        ValueError: If one is not known, or is missing.
    """
    recipe = find_recipe(name)
    _check.keywords(f"recipe_args of {name}", args, recipe, first=_GIVEN, without=(_MEMORY,), complete=complete)


def trace_facts(
    name: str, page_size: int, wanted: int, split: str, args: Mapping[str, Any], kv_pages: int | None
) -> Facts | None:
    """What a trace offers; None where a recipe makes as many requests and episodes as one wants."""
    check_arguments(name, args)
    return facts(page_size, wanted, split, kv_pages, args) if find_recipe(name) is _trace else None


def _check_recipe(name: str, recipe: Recipe) -> Recipe:
    try:
        inspect.signature(recipe).bind_partial(*range(_GIVEN))
    except (TypeError, ValueError) as error:
        form = "a function (seed, page_size, wanted, split, **recipe_args)"
        raise ValueError(f"recipe {name!r} must be {form}, got {recipe!r}: {error}") from None
    return recipe
