"""The prefix tree by brute force: a page is the tuple of all tokens up to its end. For workloads of a few requests."""

from dataclasses import dataclass


@dataclass
class Node:
    parent: int
    start_page: int
    n_pages: int
    first_request: int
    n_requests: int


def follows(predecessors, later, earlier):
    """Whether `later` is a transitive successor of `earlier`."""
    while later >= 0:
        later = predecessors[later]
        if later == earlier:
            return True
    return False


def brute_tree(tokens, prompt_tokens, page_size, predecessors):
    """(nodes, paths) of requests given by all their tokens, prompt and output."""
    counts = [(len(row) - 1) // page_size for row in tokens]
    pages = [
        [tuple(row[: (i + 1) * page_size]) for i in range(count)] for row, count in zip(tokens, counts, strict=True)
    ]
    prompt_pages = [prompt // page_size for prompt in prompt_tokens]
    users = {}
    for r, row in enumerate(pages):
        for page in row:
            users.setdefault(page, []).append(r)

    def alone(page, i):
        """Rule (iv): an output page that a request uses which may run at the same time."""
        return any(
            i >= prompt_pages[r] and any(u != r and not follows(predecessors, u, r) for u in users[page])
            for r in users[page]
        )

    def begins(row, i):
        if i == 0 or users[row[i]] != users[row[i - 1]]:  # rules (i) and (ii)
            return True
        if len(users[row[i]]) == 1:
            return False
        return any(prompt_pages[r] == i for r in users[row[i]]) or alone(row[i], i) or alone(row[i - 1], i - 1)

    nodes, paths, number = [], [], {}
    for r, row in enumerate(pages):
        path = []
        for i, page in enumerate(row):
            if page in number:
                if number[page] not in path:
                    path.append(number[page])
                continue
            if begins(row, i):
                nodes.append(Node(path[-1] if path else -1, i, 0, r, len(users[page])))
                path.append(len(nodes) - 1)
            number[page] = path[-1]
            nodes[path[-1]].n_pages += 1
        paths.append(path)
    return nodes, paths
