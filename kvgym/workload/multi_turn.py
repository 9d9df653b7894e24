"""Multi-turn conversations: chains of requests, each holding all messages and answers so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kvgym._check import whole
from kvgym.workload.arrivals import think_times
from kvgym.workload.checks import positive, wholes
from kvgym.workload.random import Seed
from kvgym.workload.workload import Workload

MAX_TURNS = 2**20
SYSTEM, TEMPLATE, FIRST_MESSAGE = range(3)  # segments; then message and answer of each turn in turn


def multi_turn(
    seed: Seed,
    page_size: int,
    *,
    conversations: int = 128,
    turns: Sequence[int] = (2, 4, 6, 8),
    message_tokens: int = 1024,
    output_tokens: int = 4,
    rate: float = 12.0,
    system_tokens: int = 0,
    template_tokens: int = 0,
) -> Workload:
    """Conversations in a closed loop: every one starts at 0, and each next turn follows an answer after a pause.

    The prompt of a turn is: system prompt, then for each turn so far template, message, answer (the last one without
    answer). Answers are identified tokens, so that the next turn finds them in the cache. Pauses are exponential with
    mean 1 / rate. Requests are ordered by turn, then by conversation; more conversations leave the messages and pauses
    of the first ones as they are.

    The driver of the paper's authors works differently: it fills up to 128 requests in flight at once; then, after each
    pause of mean 1 / rate, it fills up again from conversations drawn at random, even ones that are still in flight,
    so that a turn can be sent twice. Here each conversation has one request in flight or one pause, and no turn comes
    twice.

    Args:
        seed: an integer >= 0 or a SeedSequence.
        page_size: tokens per page.
        conversations: number of chains.
        turns: conversation i has turns[i % len(turns)] turns.
        message_tokens: tokens of each new user message.
        output_tokens: tokens of each answer.
        rate: 1 / mean pause, per second.
        system_tokens: a prefix shared by all conversations.
        template_tokens: tokens of the chat template in front of each message, equal everywhere.

    Raises:
        ValueError: for an argument outside these.
    """
    whole("conversations", conversations, 1)
    choices = wholes("turns", turns, None, 1, MAX_TURNS)
    whole("the number of turns", len(choices), 1)
    whole("message_tokens", message_tokens, 1)
    whole("output_tokens", output_tokens, 1)
    whole("system_tokens", system_tokens, 0)
    whole("template_tokens", template_tokens, 0)
    longest = int(choices.max())
    pauses = think_times(seed, conversations * longest, 1.0 / positive("rate", rate)).reshape(conversations, longest)

    kept = choices[np.arange(conversations) % len(choices)]
    turn, conversation = np.nonzero(np.arange(longest)[:, None] < kept)
    index = np.full((longest, conversations), -1)
    index[turn, conversation] = np.arange(len(turn))
    predecessor = np.where(turn > 0, index[turn - 1, conversation], -1)

    # Runs of a request: the system prompt, then (template, message, answer) per turn, without the last answer.
    n_runs = 3 * (turn + 1)
    splits = np.append(0, np.cumsum(n_runs))
    request = np.repeat(np.arange(len(turn)), n_runs)
    place = np.arange(splits[-1]) - splits[request] - 1
    part, past = place % 3, place // 3
    message = _message_segment(conversation[request], past)
    is_system = place < 0
    segments = np.where(is_system, SYSTEM, np.choose(part, (np.full_like(part, TEMPLATE), message, message + 1)))
    lengths = np.where(is_system, system_tokens, np.array([template_tokens, message_tokens, output_tokens])[part])
    return Workload.from_segments(
        splits,
        segments,
        np.zeros_like(segments),
        lengths,
        np.full(len(turn), output_tokens),
        np.where(turn > 0, np.nan, 0.0),
        page_size,
        output_segments=_message_segment(conversation, turn) + 1,
        predecessors=predecessor,
        think_times=pauses[conversation, turn],
        sessions=conversation,
        turns=turn,
        name="multi_turn",
    )


def _message_segment(conversation: NDArray[np.int64], turn: NDArray[np.int64]) -> NDArray[np.int64]:
    return FIRST_MESSAGE + 2 * (conversation * MAX_TURNS + turn)
