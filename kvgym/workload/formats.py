"""The formats of traces, which one a file has, and reading a file in whatever format."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple

from kvgym import _check
from kvgym.workload import access_log, conversations, lengths
from kvgym.workload.access_log import read_access_log
from kvgym.workload.agent_sessions import read_agent_sessions
from kvgym.workload.conversations import read_conversations
from kvgym.workload.lengths import read_lengths
from kvgym.workload.mooncake import read_bailian, read_mooncake
from kvgym.workload.servegen import read_servegen
from kvgym.workload.trace_file import TraceError, TraceSource, read_lines
from kvgym.workload.workload import Workload


class Format(NamedTuple):
    """A format.

    Attributes:
        read: Its reader: (source, page size, **arguments).
        fields: Its records have one field at least of each of these groups.
        text: One line for lists.
    """

    read: Callable[..., Workload]
    fields: tuple[tuple[str, ...], ...]
    text: str


_IDS = (("timestamp",), ("input_length",), ("output_length",), ("hash_ids",))
_USAGE = ("usage", "prompt_tokens", "messages", "prompt", "prompt_token_ids", "request", "body")
FORMATS = {
    "mooncake": Format(read_mooncake, _IDS, "JSON lines with ids of the prompts' blocks (Mooncake)"),
    "bailian": Format(read_bailian, (*_IDS, ("chat_id",), ("parent_chat_id",)), "the same with chats (Qwen-Bailian)"),
    "agent-sessions": Format(read_agent_sessions, (("bs",), ("reqs",)), "JSON lines, a session of agents each"),
    "lengths": Format(
        read_lengths,
        (lengths.PROMPT, lengths.OUTPUT),
        "CSV or JSON lines of lengths (Azure, BurstGPT, vidur)",
    ),
    "conversations": Format(read_conversations, (conversations.KEYS,), "JSON of messages (ShareGPT, LMSYS)"),
    "servegen": Format(
        read_servegen, (("client_id",), ("window_start_s",), ("rate_rps",)), "CSV of clients' rates (ServeGen)"
    ),
    "access-log": Format(read_access_log, (access_log.TIME, _USAGE), "JSON lines, a call each (OpenAI, vLLM)"),
}
"""Name -> format: the table that everything else goes by."""
_LINES = 50


def detect(source: TraceSource) -> str:
    """The format of a trace, by the names of the fields of its first records.

    Raises:
        TraceError: if it has none of `FORMATS`; the message lists them, and says which one comes nearest.
    """
    known = _first_records(source)
    scores = {name: max((_score(one, names) for names in known), default=0.0) for name, one in FORMATS.items()}
    best = max(scores.values())
    # Of several whose fields are all there it is the one that asks for most.
    name = max(scores, key=lambda name: (scores[name], len(FORMATS[name].fields)))
    if best == 1.0:
        return name
    listed = "\n".join(f"  {name}: {one.text}; needs {_needs(one)}" for name, one in FORMATS.items())
    guess = f"nearest is {name!r}; " if best > 0 else ""
    first = sorted(known[0]) if known and known[0] else "no fields"
    raise TraceError(f"{source}: the format is not known ({guess}the first record has {first}). Formats are\n{listed}")


def read_trace(
    source: TraceSource, page_size: int, *, format: str | None = None, max_model_len: int | None = None, **args: Any
) -> Workload:
    """A trace in any format.

    Args:
        source: a path, a folder of files or, if `format` is given, an open file; plain or gzip.
        page_size: tokens per page.
        format: one of `FORMATS`; None: it is found by `detect`.
        max_model_len: requests of more tokens, prompt and output together, are left out with those that follow them;
            `Workload.n_dropped` counts them.
        **args: of the format's reader.

    Raises:
        TraceError: if the file is in none of the formats, or not in the one that was given.
        ValueError: for an argument that is not allowed.
    """
    name = detect(source) if format is None else _check.choice("format", format, FORMATS)
    _check.keywords(f"arguments of format {name!r}", args, FORMATS[name].read, first=2)
    try:
        found = FORMATS[name].read(source, page_size, **args)
    except TraceError as error:
        raise TraceError(f"{error}{_hint(source, name)}") from None
    return found if max_model_len is None else found.drop_longer(max_model_len)


def _hint(source: TraceSource, name: str) -> str:
    try:
        other = detect(source)
    except (TraceError, TypeError, AttributeError):
        return ""
    return "" if other == name else f" (the fields are those of format {other!r})"


def _first_records(source: TraceSource) -> list[set[str]]:
    """Names of the fields of some records."""
    lines = list(islice(read_lines(source), _LINES))
    if lines[0][1].lstrip().startswith("["):  # an array: its first element
        text = "".join(line for _, line in lines)
        try:
            value, _ = json.JSONDecoder().raw_decode(text[text.index("{") :])
        except ValueError:
            return []
        return [set(value)]
    return [_names(line) for _, line in lines]


def _names(line: str) -> set[str]:
    try:
        value = json.loads(line)
    except ValueError:
        return {one.strip() for one in next(csv.reader([line]))}
    return set(value) if isinstance(value, dict) else set()


def _score(one: Format, names: set[str]) -> float:
    return sum(bool(names.intersection(group)) for group in one.fields) / len(one.fields)


def _needs(one: Format) -> str:
    return ", ".join("/".join(group[:3]) + ("/.." if len(group) > 3 else "") for group in one.fields)
