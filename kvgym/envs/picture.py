"""The cluster as a picture: a row per worker, and a column per slot of an EVICT decision."""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from kvgym.envs.lettering import ADVANCE, HEIGHT, write
from kvgym.envs.scene import Scene

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]
Parts = tuple[tuple[int, Colour], ...]
"""Sizes and colours of what makes up a bar, from left to right."""

PAPER, INK, DIM, EMPTY, ASKING = (255, 255, 255), (40, 40, 40), (130, 130, 130), (226, 226, 226), (255, 236, 160)
LOCKED, CACHED = (24, 70, 130), (120, 172, 220)
RUNNING, QUEUED, FETCHING = (232, 140, 30), (200, 50, 50), (240, 165, 165)
HIT, OFFERED = (40, 130, 70), (160, 212, 160)
OLDEST, DRAWN = (116, 80, 160), (190, 80, 140)
DOWN = (90, 90, 90)

_MARGIN = 8
_LINE = 16
_ROW = 20
_BAR = 14
_HEAD = _MARGIN + 2 * _LINE + _MARGIN // 2
_TABLE = _HEAD + _LINE
# Of a worker's row: where columns begin, and how long bars are.
_CELL = 480
_MEMORY, _RUN, _QUEUE, _HIT = 40, 192, 284, 376
_MEMORY_LENGTH, _COUNT_LENGTH = 144, 48
_ROWS_OF_ONE_COLUMN = 16
_SLOTS = _LINE + 2 * _ROW + _LINE
"""Height of the slots: a title, bars, numbers."""


def render_image(scene: Scene) -> Picture:
    """The cluster as uint8 (height, width, 3); clusters of as many workers and slots have pictures of one shape.

    Two lines say the time and which decision is due. A row per worker has its memory (locked by running requests and
    transfers, cached, free), its batch and queue with a pixel per request up to 48, and how much of the prompt that is
    to be routed would hit; with transfers also the requests that wait for pages, and what could be fetched. A worker
    that is down says so; the one whose EVICT decision is due is shaded. Under the workers a column per slot: the share
    of the wanted pages that its leaf would give up, and their number.
    """
    columns = ceil(sqrt(len(scene.workers) / _ROWS_OF_ONE_COLUMN))
    rows = ceil(len(scene.workers) / columns)
    slots = _TABLE + rows * _ROW
    legend = slots + (_SLOTS if scene.n_slots else 0) + _MARGIN // 2
    width = max(columns * _CELL, 2 * _MARGIN + scene.n_slots + scene.n_slots % 2)  # video encoders want even numbers
    picture = np.full((legend + _LINE + _MARGIN // 2, width, 3), PAPER, np.uint8)
    _write_head(picture, scene)
    for column in range(columns):
        cell = picture[:, column * _CELL : (column + 1) * _CELL]
        _write_columns(cell)
        for row, w in enumerate(range(column * rows, min((column + 1) * rows, len(scene.workers)))):
            _draw_worker(cell[_TABLE + row * _ROW :][:_ROW], scene, w)
    if scene.n_slots:
        _draw_slots(picture[slots:legend], scene)
    _write_legend(picture[legend:], scene)
    return picture


def _box(picture: Picture, y: int, x: int, height: int, width: int, colour: Colour) -> None:
    picture[y : y + height, x : x + width] = colour


def _write_head(picture: Picture, scene: Scene) -> None:
    time = f"TIME {scene.time_s:.3f} S  ARRIVED {scene.n_arrived}  FINISHED {scene.n_finished}"
    due = "NO DECISION IS DUE"
    if scene.asking >= 0:
        due = f"EVICT {scene.wanted} PAGES ON WORKER {scene.asking}  FOR REQUEST {scene.request}"
    elif scene.request >= 0:
        due = f"ROUTE REQUEST {scene.request}  PROMPT {scene.prompt_tokens}  SESSION {scene.session}"
    write(picture, _MARGIN, _MARGIN, time, INK)
    write(picture, _MARGIN + _LINE, _MARGIN, due, INK)


def _write_columns(cell: Picture) -> None:
    for x, title in ((_MEMORY, "KV MEMORY"), (_RUN, "RUN"), (_QUEUE, "QUEUE"), (_HIT, "HIT TOKENS")):
        write(cell, _HEAD, x, title, DIM)


def _draw_worker(row: Picture, scene: Scene, w: int) -> None:
    """Draws into a row of the table, (_ROW, _CELL, 3)."""
    worker = scene.workers[w]
    if w == scene.asking:
        row[:] = ASKING
    text = (_ROW - HEIGHT) // 2
    write(row, text, _MARGIN, str(w), INK)
    if not worker.up:
        _box(row, (_ROW - _BAR) // 2, _MEMORY, _BAR, _MEMORY_LENGTH, DOWN)
        write(row, text, _MEMORY + _MEMORY_LENGTH // 2 - 2 * ADVANCE, "DOWN", PAPER)
        return
    _draw_bar(row, _MEMORY, _MEMORY_LENGTH, worker.pages, ((worker.locked, LOCKED), (worker.cached, CACHED)))
    _draw_count(row, _RUN, ((worker.running, RUNNING),))
    _draw_count(row, _QUEUE, ((worker.queued, QUEUED), (worker.fetching, FETCHING)))
    if not scene.routes:
        return
    write(row, text, _HIT, str(worker.hit), INK)
    x = _HIT + 6 * ADVANCE
    _draw_bar(row, x, _COUNT_LENGTH, scene.prompt_tokens, ((worker.hit, HIT), (worker.offered, OFFERED)))


def _draw_bar(row: Picture, x: int, length: int, whole: int, parts: Parts) -> None:
    """A bar of which each part has its share of the whole."""
    y, total, end = (_ROW - _BAR) // 2, 0, 0
    _box(row, y, x, _BAR, length, EMPTY)
    for n, colour in parts:
        total += n
        start, end = end, min(length, round(length * total / whole))  # a request that came back may hit on its output
        _box(row, y, x + start, _BAR, end - start, colour)


def _draw_count(row: Picture, x: int, parts: Parts) -> None:
    """The number of requests, and a bar with a pixel for each, as far as there is room."""
    write(row, (_ROW - HEIGHT) // 2, x, str(sum(n for n, _ in parts)), INK)
    x += 4 * ADVANCE + ADVANCE // 2
    end = x + _COUNT_LENGTH
    for n, colour in parts:
        length = min(n, end - x)
        _box(row, (_ROW - _BAR) // 2, x, _BAR, length, colour)
        x += length


def _draw_slots(panel: Picture, scene: Scene) -> None:
    """Draws the slots of the EVICT decision that is due; frames where none is."""
    pitch = max(1, (panel.shape[1] - 2 * _MARGIN) // scene.n_slots)
    length = max(1, min(pitch - 3, _ROW))
    top, height = _LINE + 2, 2 * _ROW - 4
    halves = (("OLDEST LEAVES: PAGES", OLDEST), ("DRAWN LEAVES: PAGES", DRAWN))
    for half, (title, colour) in enumerate(halves):
        first = half * scene.n_slots // 2
        write(panel, 4, _MARGIN + first * pitch, title, colour)
        for slot in range(first, first + scene.n_slots // 2):
            x = _MARGIN + slot * pitch
            _box(panel, top, x, height, length, EMPTY)
            tail = scene.tails[slot] if scene.tails else 0
            if tail == 0:
                continue
            share = max(1, round(height * min(1.0, tail / scene.wanted)))
            _box(panel, top + height - share, x, share, length, colour)
            if ADVANCE * len(str(tail)) <= pitch:
                write(panel, top + height + 3, x, str(tail), INK)


def _write_legend(line: Picture, scene: Scene) -> None:
    names: dict[str, Colour] = {"LOCKED": LOCKED, "CACHED": CACHED, "FREE": EMPTY}
    if scene.transfers:
        names |= {"FETCHING": FETCHING, "COULD BE FETCHED": OFFERED}
    x = _MARGIN
    for name, colour in names.items():
        _box(line, 0, x, HEIGHT, HEIGHT, colour)
        write(line, 0, x + HEIGHT + ADVANCE // 2, name, DIM)
        x += HEIGHT + ADVANCE * (len(name) + 2)
