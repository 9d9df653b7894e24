"""Reader of conversations without times: ShareGPT, LMSYS-Chat-1M."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import chain, groupby
from typing import NamedTuple

import numpy as np

from kvgym._check import finite, whole
from kvgym.workload.arrivals import poisson_arrivals, think_times
from kvgym.workload.checks import positive
from kvgym.workload.random import Seed
from kvgym.workload.tokenizers import PIECES, Tokenizer, Tokens, find_tokenizer, opening, tokens_of
from kvgym.workload.trace_file import Record, TraceError, TraceSource, decode, parse_lines, read_lines
from kvgym.workload.workload import Workload

KEYS = ("conversations", "conversation", "messages")
_ANSWERS = ("gpt", "assistant", "bard", "bing", "chatgpt", "model")


def read_conversations(
    source: TraceSource,
    page_size: int,
    *,
    tokenizer: str = PIECES,
    rate_scale: float = 1.0,
    sessions_per_s: float = 1.0,
    think_s: float = 30.0,
    template_tokens: int = 4,
    seed: Seed = 0,
    first_session: int = 0,
    max_sessions: int | None = None,
    max_requests: int | None = None,
    skip_bad: bool = False,
    header_lines: int = 0,
) -> Workload:
    """Sessions in a closed loop from conversations: ShareGPT's, LMSYS-Chat-1M's and those like them.

    A file is a JSON array or JSON lines of objects with `conversations`, `conversation` or `messages`, a list of
    messages with `from` and `value`, or `role` and `content`. Each answer is a request; its prompt is all that was said
    before it. Answers are tokens of later prompts, so that they hit. The data has no times: sessions start by a Poisson
    process, pauses are exponential.

    Args:
        source: a path, a folder or an open file; plain or gzip.
        page_size: tokens per page.
        tokenizer: "module:name" of a function that makes a list of integers >= 0 of a string; it is called once for
            each message. Default: `pieces`, four bytes a token.
        rate_scale: 2 = twice as fast: divides session starts and pauses.
        sessions_per_s: rate of session starts, before `rate_scale`.
        think_s: mean pause, before `rate_scale`.
        template_tokens: tokens of a chat template in front of each message, equal for equal roles.
        seed: of starts and pauses.
        first_session: conversations before this one are left out.
        max_sessions: at most so many.
        max_requests: only the first ones, in order of session starts.
        skip_bad: skips, and counts in a warning, conversations that are not in the format.
        header_lines: lines at the beginning that are skipped.

    Raises:
        TraceError: for a trace not in this format.
        ValueError: for another argument, or if no session is left.
    """
    positive("rate_scale", rate_scale)
    positive("sessions_per_s", sessions_per_s)
    finite("think_s", think_s)
    whole("template_tokens", template_tokens, 0)
    whole("first_session", first_session, 0)
    stop = math.inf if max_sessions is None else first_session + whole("max_sessions", max_sessions, 1)
    limit = math.inf if max_requests is None else whole("max_requests", max_requests, 1)
    prompts: list[Tokens] = []
    answers: list[Tokens] = []
    sessions: list[int] = []
    found = 0
    parse = _Parser(find_tokenizer(tokenizer), template_tokens).parse
    for number, turns in enumerate(parse_lines(_objects(source, header_lines), parse, skip_bad)):
        if number >= stop or len(prompts) >= limit:
            break
        if number >= first_session and turns:
            prompts += [prompt for prompt, _ in turns]
            answers += [answer for _, answer in turns]
            sessions += [found] * len(turns)
            found += 1
    if not prompts:
        raise ValueError(f"first_session must leave a conversation with an answer, got {first_session}")
    n = len(prompts) if limit == math.inf else min(len(prompts), int(limit))
    session = np.array(sessions[:n])
    opens = np.append(True, session[1:] != session[:-1])
    starts = poisson_arrivals(seed, found, sessions_per_s)[session] / rate_scale
    return Workload.from_tokens(
        prompts[:n],
        answers[:n],
        np.where(opens, starts, np.nan),
        page_size,
        predecessors=np.where(opens, -1, np.arange(n) - 1),
        think_times=think_times(seed, n, think_s) / rate_scale,
        sessions=session,
        name="conversations",
    )


class _Parser(NamedTuple):
    """Makes a conversation's turns, (prompt, answer) each, of a JSON object."""

    tokenize: Tokenizer
    template_tokens: int

    def parse(self, place: str, value: object) -> list[tuple[Tokens, Tokens]]:
        record = Record(place, decode(place, value) if isinstance(value, str) else value)
        said: list[Tokens] = []
        turns = []
        for k, item in enumerate(record.items(next((key for key in KEYS if key in record), KEYS[0]), "messages")):
            message = Record(f"{place}, message {k + 1}", item)
            names = ("from", "value") if "from" in message else ("role", "content")
            role, content = str(message.get(names[0])), tokens_of(self.tokenize, message, message.get(names[1]))
            said.append(opening(role, self.template_tokens))
            if role in _ANSWERS and len(content) and sum(map(len, said)):
                turns.append((np.concatenate(said), content))
            said.append(content)
        return turns


def _objects(source: TraceSource, header_lines: int) -> Iterator[tuple[str, object]]:
    """Each line of JSON lines; each element of a file that is an array."""
    for name, group in groupby(read_lines(source, header_lines), lambda one: one[0].rpartition(", line")[0]):
        lines = iter(group)
        first = next(lines)
        if not first[1].lstrip().startswith("["):
            yield from chain([first], lines)
            continue
        try:
            values = json.loads("".join(line for _, line in chain([first], lines)))
        except ValueError as error:
            raise TraceError(f"{name}: expected a JSON array ({error})") from None
        yield from ((f"{name}, element {k + 1}", value) for k, value in enumerate(values))
