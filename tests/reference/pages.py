"""Page identities: a page is the whole token prefix up to its end, interned as a node of a trie over pages."""

from __future__ import annotations

from collections.abc import Sequence

from .types import RefRequest


class Page:
    """One page identity of the workload; two pages are the same exactly if they are the same object.

    Attributes:
        parent: The page before it, None for a first page.
        number: 0-based page number, i.e. depth.
        first_request: Lowest index of a request whose path holds the page: it brought it into the prefix tree.
        children: Next pages of the workload, by their tokens.
        prompt_users: Indices of the requests whose prompt's full pages hold the page, ascending.
    """

    __slots__ = ("children", "first_request", "number", "parent", "prompt_users")

    def __init__(self, parent: Page | None, number: int, first_request: int) -> None:
        self.parent = parent
        self.number = number
        self.first_request = first_request
        self.children: dict[tuple[int, ...], Page] = {}
        self.prompt_users: list[int] = []

    def __repr__(self) -> str:
        return f"Page({self.first_request}, {self.number})"


def build_paths(requests: Sequence[RefRequest], page_size: int) -> list[list[Page]]:
    """Intern the full pages of every request, in index order.

    The path of a request is the full pages of prompt + output - 1 tokens: the KV of the last one is never computed.
    """
    roots: dict[tuple[int, ...], Page] = {}
    paths = []
    for index, request in enumerate(requests):
        tokens = tuple(request.prompt) + tuple(request.output)
        path: list[Page] = []
        for number in range(request.computed_tokens() // page_size):
            chunk = tokens[number * page_size : (number + 1) * page_size]
            siblings = path[-1].children if path else roots
            if chunk not in siblings:
                siblings[chunk] = Page(path[-1] if path else None, number, index)
            path.append(siblings[chunk])
        for page in path[: len(request.prompt) // page_size]:
            page.prompt_users.append(index)
        paths.append(path)
    return paths
