"""Reader of the logs of servers: requests and responses of OpenAI's interface, as JSON lines."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from kvgym._check import whole
from kvgym.workload.random import Seed
from kvgym.workload.timed import PRIVATE, Row, TimeUnit, from_zero, open_loop, seconds
from kvgym.workload.tokenizers import PIECES, Tokenizer, Tokens, find_tokenizer, opening, tokens_of
from kvgym.workload.trace_file import Record, TraceSource, is_whole, read_records
from kvgym.workload.workload import Workload

TIME = ("timestamp", "arrival_time", "created", "time", "ts")
_SESSION = ("session_id", "conversation_id", "user")


def read_access_log(
    source: TraceSource,
    page_size: int,
    *,
    tokenizer: str = PIECES,
    rate_scale: float = 1.0,
    window_s: tuple[float, float] = (0.0, math.inf),
    max_requests: int | None = None,
    jitter: float = 0.0,
    seed: Seed = 0,
    template_tokens: int = 4,
    time_unit: TimeUnit = "s",
    skip_bad: bool = False,
    header_lines: int = 0,
) -> Workload:
    """Open-loop requests from the log of a server with OpenAI's interface, or of vLLM: JSON lines.

    A line holds the fields of request and response, at its top or in objects `request` (or `body`) and `response`:

    - a time: `timestamp`, `arrival_time`, `created`, `time` or `ts`; a number or a date. The first one becomes 0.
    - what was asked, as far as it is there: `prompt_token_ids` or `prompt` as a list of integers, `messages`, `prompt`
      as text; else nothing is shared. A prompt whose `usage` gives another length is cut, or ends with private tokens.
    - what was answered: `output_token_ids` or `token_ids`, `choices`, `output` or `response` as text; else private.
      Answers that a later prompt repeats hit.
    - lengths: `usage` with `prompt_tokens` and `completion_tokens`, or these fields; else those of the tokens.
    - `session_id`, `conversation_id` or `user`: the session.

    Args:
        source: a path, a folder or an open file; plain or gzip. Lines may be unsorted.
        page_size: tokens per page.
        tokenizer: as in `read_conversations`, called for each message or text.
        rate_scale: 2 = twice as fast.
        window_s: (start, end): only requests with start <= time < end; start becomes 0.
        max_requests: only the first ones of the window.
        jitter: adds a uniform time in [0, jitter) to each time and sorts, before `rate_scale`.
        seed: of the jitter.
        template_tokens: as in `read_conversations`.
        time_unit: of times that are numbers, "ms" or "s".
        skip_bad: skips, and counts in a warning, lines that are not in the format.
        header_lines: lines at the beginning that are skipped.

    Raises:
        TraceError: for a trace not in this format.
        ValueError: for another argument, or a window without requests.
    """
    parse = _Parser(find_tokenizer(tokenizer), whole("template_tokens", template_tokens, 0), time_unit).parse
    calls = list(read_records(source, parse, skip_bad=skip_bad, header_lines=header_lines))
    names: dict[str, int] = {}
    known = any(len(one.prompt) for one in calls)
    rows = [
        Row(
            one.time,
            one.prompt_tokens,
            one.output_tokens,
            _of_length(one.prompt, one.prompt_tokens, k) if known else (),
            session=names.setdefault(one.session, len(names)) if one.session else -1,
            answer=one.output if known and len(one.output) == one.output_tokens else (),
        )
        for k, one in enumerate(calls)
    ]
    return open_loop(
        from_zero(rows),
        page_size,
        block_tokens=1,
        name="access_log",
        rate_scale=rate_scale,
        window_s=window_s,
        max_requests=max_requests,
        jitter=jitter,
        seed=seed,
    )


class _Call(NamedTuple):
    time: float
    prompt: Tokens  # nothing: not known
    output: Tokens  # nothing: not known
    prompt_tokens: int
    output_tokens: int
    session: str


class _Parser(NamedTuple):
    tokenize: Tokenizer
    template_tokens: int
    unit: TimeUnit

    def parse(self, record: Record) -> _Call:
        """Of the fields at the top and in the objects of request and response; the first one of a name counts."""
        parts = [record.get(name) for name in ("request", "body", "response") if name in record]
        fields: dict[str, Any] = {}
        for part in (*(part for part in parts if isinstance(part, dict)), record.fields):
            fields |= part
        usage = fields.get("usage")
        one = Record(record.place, fields | (usage if isinstance(usage, dict) else {}))
        time = next((name for name in TIME if name in one), TIME[0])
        prompt, output = self._prompt(one), self._output(one)
        return _Call(
            seconds(one, time, self.unit),
            prompt,
            output,
            one.whole("prompt_tokens", 1) if "prompt_tokens" in one or not len(prompt) else len(prompt),
            max(1, one.whole("completion_tokens", 0) if "completion_tokens" in one or not len(output) else len(output)),
            next((str(one.get(name)) for name in _SESSION if name in one and one.get(name) is not None), ""),
        )

    def _prompt(self, record: Record) -> Tokens:
        if "messages" in record:
            said = []
            for item in record.items("messages", "messages"):
                message = Record(record.place, item)
                role = str(message.get("role"))
                said += [opening(role, self.template_tokens), self._text(message, message.get("content"))]
            return np.concatenate([*said, opening("assistant", self.template_tokens)])
        return self._either(record, ("prompt_token_ids", "prompt"))

    def _output(self, record: Record) -> Tokens:
        if "choices" in record and record.items("choices", "choices"):
            choice = Record(record.place, record.items("choices", "choices")[0])
            message = choice.get("message") if "message" in choice else {"content": choice.get("text")}
            return self._text(record, Record(record.place, message).get("content"))
        return self._either(record, ("output_token_ids", "token_ids", "output", "response"))

    def _either(self, record: Record, names: tuple[str, ...]) -> Tokens:
        """The first of these fields that holds tokens or text; nothing if none does."""
        for name in names:
            value = record.get(name) if name in record else None
            if isinstance(value, str):
                return self._text(record, value)
            if isinstance(value, list) and value and all(is_whole(one) and one >= 0 for one in value):
                return np.array(value, np.int64)
        return np.zeros(0, np.int64)

    def _text(self, record: Record, content: Any) -> Tokens:
        return np.zeros(0, np.int64) if content is None else tokens_of(self.tokenize, record, content)


def _of_length(prompt: Tokens, tokens: int, number: int) -> Tokens:
    """A prompt cut, or continued by tokens that nobody shares."""
    missing = max(0, tokens - len(prompt))
    return np.append(prompt[:tokens], PRIVATE + number * 2**24 + np.arange(missing)) if missing else prompt[:tokens]
