"""The cluster as a picture, drawn with pygame on a surface in memory; and a window that shows pictures."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from functools import lru_cache
from math import ceil, isnan, sqrt
from typing import Any

import numpy as np
from gymnasium.error import DependencyNotInstalled
from numpy.typing import NDArray

from kvgym.envs.scene import Scene, WorkerScene, cached_by_group, prefix_groups, read_scene
from kvgym.sim import Simulator

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""

PAPER, ROW, INK, DIM, FREE, ASKING = (
    (13, 17, 23),
    (22, 27, 34),
    (235, 240, 246),
    (148, 158, 170),
    (44, 51, 60),
    (92, 74, 12),
)
LOCKED, RUNNING, QUEUED, FETCHING, DOWN = (128, 137, 148), (200, 207, 215), (213, 94, 0), (255, 176, 120), (70, 20, 20)
# Of Okabe and Ito, "Color Universal Design" (2008): colour-blind people tell them apart; vermilion is that of queues.
GROUPS: tuple[Colour, ...] = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (204, 121, 167)
)  # fmt: skip
SHARED = (255, 255, 255)
"""Pages that all prompts begin with."""

_MARGIN = 16
_HEAD, _TITLES, _LEGEND, _SLOTS, _RULES = 84, 18, 28, 78, 24
_COLUMNS = ("KV MEMORY", "BATCH", "QUEUE", "HIT TOKENS", "LINKS"), ("MEMORY", "RUN", "WAIT", "HIT", "LINK")
"""Titles, and those where columns are narrow."""
_SHARES = (0.50, 0.12, 0.12, 0.26, 0.0), (0.44, 0.11, 0.11, 0.18, 0.16)
"""Widths of columns, over that of a worker's cell; without and with transfers."""
_LARGEST_WINDOW = (1920, 1000)


def _pygame() -> Any:
    """The module pygame.

    Raises:
        DependencyNotInstalled: If it is not there.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pygame 2.6 asks setuptools for its files
            import pygame
    except ImportError as error:
        raise DependencyNotInstalled('pygame is not installed, run `pip install "kvgym[render]"`') from error
    return pygame


@lru_cache(maxsize=32)
def _font(size: int) -> Any:
    pygame = _pygame()
    pygame.font.init()
    pygame.register_quit(_font.cache_clear)  # gymnasium's HumanRendering ends pygame when it is closed
    return pygame.font.Font(None, size)  # pygame's own, so that pictures do not depend on the machine's fonts


@lru_cache(maxsize=4096)
def _words(text: str, size: int, colour: Colour) -> Any:
    return _font(size).render(text, True, colour)


class Painter:
    """Draws the cluster of one environment, and shows pictures in a window.

    Args:
        size: Width and height of pictures in pixels; None: what the number of workers needs. Much smaller than that,
            a picture has no text, and bars alone fill it.
        fps: Pictures per second that the window shows at most.
    """

    def __init__(self, size: tuple[int, int] | None, fps: float) -> None:
        """Nothing is drawn, and pygame not loaded, before it is asked for."""
        self._size, self._fps = size, fps
        self._workload: Any = None
        self._window: Any = None
        self._clock: Any = None

    def draw(self, sim: Simulator, title: str, rules: Sequence[str] = ()) -> Picture:
        """The cluster now: uint8 (height, width, 3); pictures of one cluster have one shape.

        Args:
            sim: The simulator; nothing in it changes.
            title: The first line.
            rules: Evictors that an EVICT decision may name.

        Raises:
            RuntimeError: Before the simulator's `reset()`.
            DependencyNotInstalled: If pygame is not there.
        """
        scene = read_scene(sim)
        if self._workload is not sim.workload:
            assert sim.workload is not None
            self._workload, self._groups = sim.workload, prefix_groups(sim.workload)
        sheet = _Sheet(scene, cached_by_group(sim, self._groups), rules, self._size)
        request = sim.tables["requests"][scene.request] if scene.request >= 0 else None
        if request is not None:
            path = sim.tables["paths"][request["path_start"] :][: request["path_nodes"]]
            sheet.colour = _colour(int(self._groups[path].max(initial=-1)))
        if scene.tails:
            leaves = sim.tables["rows"]["node"][sim.tables["candidates"]]  # of slots without a leaf any row
            sheet.slot_colours = [_colour(group) for group in self._groups[leaves].tolist()]
        return sheet.draw(title)

    def show(self, picture: Picture) -> None:
        """Shows a picture in the window, which opens with the first one; sleeps where that would be too soon."""
        pygame = _pygame()
        height, width = picture.shape[:2]
        shrunk = min(1.0, _LARGEST_WINDOW[0] / width, _LARGEST_WINDOW[1] / height)
        size = (round(width * shrunk), round(height * shrunk))
        if self._window is None:
            pygame.display.init()
            self._window = pygame.display.set_mode(size)
            pygame.display.set_caption("kvgym")
            self._clock = pygame.time.Clock()
        surface = pygame.image.frombuffer(np.ascontiguousarray(picture), (width, height), "RGB")
        self._window.blit(surface if shrunk == 1.0 else pygame.transform.smoothscale(surface, size), (0, 0))
        pygame.event.pump()
        self._clock.tick(self._fps)
        pygame.display.flip()

    def close(self) -> None:
        """Closes the window; the next picture opens it again."""
        if self._window is not None:
            _pygame().display.quit()
            self._window = None


def grid(pictures: Sequence[Picture]) -> Picture:
    """Pictures of one shape as one picture: row after row, as many columns as rows, or one more."""
    height, width, _ = pictures[0].shape
    columns = ceil(sqrt(len(pictures)))
    out = np.full((ceil(len(pictures) / columns), height, columns, width, 3), PAPER, np.uint8)
    for i, picture in enumerate(pictures):
        out[i // columns, :, i % columns] = picture
    return out.reshape(out.shape[0] * height, columns * width, 3)


def _colour(group: int) -> Colour:
    return SHARED if group < 0 else GROUPS[group % len(GROUPS)]


class _Sheet:
    """One picture in the making."""

    colour: Colour = SHARED
    """Of the prefix group of the request that is decided about."""
    slot_colours: Sequence[Colour] = ()
    """Of the prefix groups of the leaves that may go."""

    def __init__(self, scene: Scene, cached: Any, rules: Sequence[str], size: tuple[int, int] | None) -> None:
        self.scene, self.cached, self.rules, self.size = scene, cached, rules, size
        n = len(scene.workers)
        self.columns = 1 if n <= 8 else 2 if n <= 16 else ceil(sqrt(n / 4))
        self.rows = ceil(n / self.columns)
        self.pitch = 40 if self.rows <= 8 else 28
        self.below = _HEAD + _TITLES + self.rows * self.pitch
        self.panel = _SLOTS if scene.n_slots else _RULES if rules else 0
        # Video encoders want even numbers.
        natural = max(960, 320 * self.columns), (self.below + self.panel + _LEGEND + 8) // 2 * 2
        self.bare = size is not None and (2 * size[0] < natural[0] or 2 * size[1] < natural[1])
        self.width, self.height = size if self.bare and size is not None else natural
        self.pygame = _pygame()
        self.surface = self.pygame.Surface((self.width, self.height), depth=24)
        self.surface.fill(PAPER)

    def draw(self, title: str) -> Picture:
        if self.bare:
            self._bare()
        else:
            self._head(title)
            for column in range(self.columns):
                self._titles(column)
            for w, worker in enumerate(self.scene.workers):
                self._worker(w, worker)
            if self.scene.n_slots:
                self._slots()
            elif self.rules:
                line = "EVICT choices: " + ", ".join(self.rules)
                self._fit(line, (_MARGIN, self.below + 6, self.width - 2 * _MARGIN, 14), 17, DIM)
            self._legend()
        surface, size = self.surface, (self.width, self.height)
        if self.size is not None and self.size != size:
            size = self.size
            surface = self.pygame.transform.smoothscale(surface, size)
        data = bytearray(self.pygame.image.tobytes(surface, "RGB"))
        return np.frombuffer(data, np.uint8).reshape(size[1], size[0], 3)

    def _box(self, box: Box, colour: Colour) -> None:
        if box[2] > 0 and box[3] > 0:
            self.surface.fill(colour, box)

    def _write(self, text: str, x: int, y: int, size: int, colour: Colour, right: bool = False) -> int:
        """Writes a line from, or up to, x; returns its width."""
        words = _words(text, size, colour)
        self.surface.blit(words, (x - words.get_width() if right else x, y))
        return int(words.get_width())

    def _fit(self, text: str, box: Box, size: int, colour: Colour) -> None:
        """Writes a line at the left edge of a box; what does not fit in gives way to dots."""
        font = _font(size)
        while text and font.size(text)[0] > box[2]:
            text = text.removesuffix("..")[:-1] + ".." if len(text) > 3 else ""
        self._write(text, box[0], box[1], size, colour)

    def _head(self, title: str) -> None:
        scene, right = self.scene, self.width - _MARGIN
        room = self.width - 2 * _MARGIN - self._write(f"{scene.time_s:,.3f} s", right, 12, 26, INK, right=True)
        self._fit(title, (_MARGIN, 12, room - 16, 20), 26, INK)
        counts = f"{scene.n_arrived:,} arrived, {scene.n_finished:,} finished"
        if scene.n_refused:
            counts += f", {scene.n_refused:,} refused"
        if not isnan(scene.e2e_s):
            counts += f"; mean latency {scene.e2e_s:.2f} s, to the first token {scene.ttft_s:.2f} s"
        self._write(counts, _MARGIN, 38, 20, DIM)
        due = "No decision is due"
        if scene.asking >= 0:
            pages = "page" if scene.wanted == 1 else "pages"
            due = f"EVICT {scene.wanted:,} {pages} on worker {scene.asking} for request {scene.request:,}"
        elif scene.request >= 0:
            due = f"ROUTE request {scene.request:,}: {scene.prompt_tokens:,} prompt tokens, session {scene.session:,}"
        if scene.request >= 0:
            self._box((_MARGIN, 61, 12, 12), self.colour)
        self._write(due, _MARGIN + (20 if scene.request >= 0 else 0), 60, 20, INK)
        if scene.sent >= 0:
            gone = "was refused" if scene.was_refused else "came back"
            where = f"to worker {scene.sent_to}" if scene.sent_to >= 0 else gone
            self._write(f"last: request {scene.sent:,} {where}", right, 60, 20, DIM, right=True)

    def _cells(self, w: int) -> tuple[Box, list[Box]]:
        """The box of a worker, or of the titles over it, and of its columns."""
        width = (self.width - 2 * _MARGIN) // self.columns
        column, row = divmod(w, self.rows)
        left = _MARGIN + column * width
        box = (left, _HEAD + _TITLES + row * self.pitch, width - (8 if self.columns > 1 else 0), self.pitch - 3)
        x, room, boxes = left + 30, box[2] - 30, []
        for share in _SHARES[self.scene.transfers]:
            boxes.append((x, box[1] + 4, int(room * share) - 8, box[3] - 8))
            x += int(room * share)
        return box, boxes

    def _titles(self, column: int) -> None:
        _, boxes = self._cells(column * self.rows)
        for title, (x, _, width, _) in zip(_COLUMNS[boxes[1][2] < 42], boxes, strict=True):
            if width > 0:
                self._fit(title, (x, _HEAD + 1, width + 6, 12), 15, DIM)

    def _worker(self, w: int, worker: WorkerScene) -> None:
        scene = self.scene
        row, (memory, batch, queue, hit, links) = self._cells(w)
        self._box(row, ASKING if w == scene.asking else ROW)
        middle = row[1] + row[3] // 2 - 6
        if w == scene.sent_to:
            self._box((row[0], row[1], 3, row[3]), INK)
        self._write(str(w), row[0] + 26, middle, 18, INK, right=True)
        if not worker.up:
            self._box(memory, DOWN)
            self._write("DOWN", memory[0] + 8, middle, 18, INK)
            return
        self._memory(memory, w, worker)
        self._count(batch, worker.running, ((worker.running, RUNNING),))
        self._count(queue, worker.queued + worker.fetching, ((worker.queued, QUEUED), (worker.fetching, FETCHING)))
        if scene.routes:
            more = f" +{worker.offered:,}" if worker.offered and hit[2] > 80 else ""
            strip = self._strip(hit, f"{worker.hit:,}{more}")
            self._box(strip, FREE)
            self._share(strip, worker.hit + worker.offered, scene.prompt_tokens, FETCHING)
            self._share(strip, worker.hit, scene.prompt_tokens, self.colour)
        if worker.incoming:
            source, share = worker.incoming[0]
            more = f" +{len(worker.incoming) - 1}" if len(worker.incoming) > 1 else ""
            strip = self._strip(links, f"from {source}{more}" if links[2] > 60 else f"{source}{more}")
            self._box(strip, FREE)
            self._share(strip, round(1000 * share), 1000, FETCHING)

    def _memory(self, box: Box, w: int, worker: WorkerScene) -> None:
        """Locked pages, then those that may be evicted, a segment per prefix group, then free ones."""
        x, y, width, height = box
        self._box(box, FREE)
        groups, pages = self.cached[w]
        ends = np.rint((worker.locked + np.cumsum(pages)) * (width / worker.pages)).astype(int).tolist()
        start = round(worker.locked * width / worker.pages)
        self._box((x, y, start, height), LOCKED)
        for group, end in zip(groups.tolist(), ends, strict=True):
            gap = 1 if 0 < start < end - 3 else 0  # neighbours may have one colour
            self._box((x + start + gap, y, end - start - gap, height), _colour(group))
            start = end

    def _strip(self, box: Box, text: str) -> Box:
        """Writes a number over a strip; returns the box of that."""
        x, y, width, height = box
        thin = 8 if height > 24 else 5
        self._fit(text, (x, y - 1, width, 14), 20 if height > 24 else 17, INK)
        return x, y + height - thin, width, thin

    def _share(self, strip: Box, part: int, whole: int, colour: Colour) -> None:
        x, y, width, height = strip
        self._box((x, y, min(width, round(width * part / max(1, whole))), height), colour)

    def _count(self, box: Box, n: int, parts: Sequence[tuple[int, Colour]]) -> None:
        """A number, and a mark per request as far as there is room."""
        x, y, width, height = self._strip(box, f"{n:,}")
        end, step = x + width, 3 if width > 60 else 2
        for count, colour in parts:
            for _ in range(min(count, max(0, (end - x) // step))):
                self._box((x, y, step - 1, height), colour)
                x += step

    def _slots(self) -> None:
        """A column per slot of the EVICT decision that is due: what its leaf would give up of the pages wanted."""
        scene, top = self.scene, self.below + 20
        width, height, n = self.width - 2 * _MARGIN, 36, scene.n_slots
        for half, title in enumerate(("EVICT: PAGES OF THE OLDEST LEAVES", "OF LEAVES DRAWN AT RANDOM")):
            self._fit(title, (_MARGIN + half * width // 2, self.below + 4, width // 2 - 8, 12), 15, DIM)
        for slot in range(n):
            left, right = _MARGIN + slot * width // n, _MARGIN + (slot + 1) * width // n
            box = (left, top, max(1, min(right - left - 3, 60)), height)
            self._box(box, ROW)
            tail = scene.tails[slot] if scene.tails else 0
            if not tail:
                continue
            share = max(1, round(height * min(1.0, tail / scene.wanted)))
            self._box((left, top + height - share, box[2], share), self.slot_colours[slot])
            if _font(17).size(f"{tail:,}")[0] <= right - left - 2:
                self._write(f"{tail:,}", left, top + height + 4, 17, DIM)

    def _legend(self) -> None:
        names: list[tuple[str, tuple[Colour, ...]]] = [
            ("locked", (LOCKED,)),
            ("cached, a colour per prefix group", GROUPS),
            ("common to all", (SHARED,)),
            ("free", (FREE,)),
            ("queued", (QUEUED,)),
        ]
        if self.scene.transfers:
            names.append(("fetched from another worker", (FETCHING,)))
        x, y = _MARGIN, self.height - 22
        for name, colours in names:
            for colour in colours:
                self._box((x, y, 10, 10), colour)
                x += 12
            x += self._write(name, x + 3, y - 1, 17, DIM) + 22
        self._box((x, y - 2, 3, 14), INK)
        self._write("last decision", x + 8, y - 1, 17, DIM)

    def _bare(self) -> None:
        """Bars alone, as large as the picture allows: memory, batch, queue, hits."""
        scene = self.scene
        for w, worker in enumerate(scene.workers):
            column, row = divmod(w, self.rows)
            left, right = (c * self.width // self.columns for c in (column, column + 1))
            top, bottom = (r * self.height // self.rows for r in (row, row + 1))
            height = max(1, bottom - top - 1)
            if w in (scene.asking, scene.sent_to):
                self._box((left, top, 2, height), ASKING if w == scene.asking else INK)
            x, room = left + 3, right - left - 4
            if not worker.up:
                self._box((x, top, room, height), DOWN)
                continue
            memory = int(0.55 * room)
            self._memory((x, top, memory, height), w, worker)
            third = (room - memory) // 3
            bars = [
                (worker.running, 64, RUNNING),
                (worker.queued + worker.fetching, 32, QUEUED),
                (worker.hit, scene.prompt_tokens, self.colour) if scene.routes else (0, 1, FREE),
            ]
            for i, (part, whole, colour) in enumerate(bars):
                strip = (x + memory + 1 + i * third, top, max(1, third - 1), height)
                self._box(strip, ROW)
                self._share(strip, part, whole, colour)
