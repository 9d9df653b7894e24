"""Messages between the process of an environment and that of an agent, one at a time in each direction.

A message is its length (4 bytes), a code (1 byte) and a body. What an agent's process sends is numbers and text, never
a pickle: reading it runs nothing.
"""

from __future__ import annotations

import struct
import time
from socket import socket

DECLARED, DONE, FAILED, ASKED = b"M", b"D", b"E", b"P"
"""From the agent: what it declares (JSON); `NANOSECONDS`, and an action where one was due; what it raised (JSON); what
it pulls (`ASK`)."""
RESET, ACT, TOLD = b"R", b"A", b"T"
"""To the agent: an episode begins (a pickle); a decision is due (`DECISION` and arrays); what it pulled (an array)."""
FINISHED, PAGES, MASKS = range(3)
"""What may be pulled."""

ASK = struct.Struct("<q")
"""Which of these."""
DECISION = struct.Struct("<ddqqqqq")
"""Time and dt (s), session; lengths of the mask, of the observation (float32), of the finished requests that come along
(8 float64 each) and of the prompt's pages (int64); -1 where these don't come along."""
NANOSECONDS = struct.Struct("<q")
"""Of an answer: how long `act` took; the action follows, one or two int64."""

MOST_OF_AGENT = 1 << 20
"""Bytes that an agent's process may send at a time."""
MOST = 1 << 31
_LENGTH = struct.Struct("<I")


class WireError(Exception):
    """What came is no message."""


class Channel:
    """One end of a connection.

    Args:
        end: A connected socket; its timeout is how long a message may let itself be waited for.
        most: Bytes that a message may have.
    """

    def __init__(self, end: socket, most: int) -> None:
        """Takes the socket."""
        self._end = end
        self._most = most
        self._buffer = bytearray(1 << 16)

    def send(self, code: bytes, *parts: bytes | memoryview) -> None:
        """Sends a message."""
        length = 1 + sum(map(len, parts))
        self._end.sendall(b"".join((_LENGTH.pack(length), code, *parts)))

    def receive(self) -> tuple[bytes, memoryview]:
        """Code and body of the next message; the body is valid until the next call.

        Raises:
            TimeoutError: If it does not come in time.
            EOFError: If the other end is closed.
            WireError: If it is too long, or more than one message comes.
        """
        until = None if self._end.gettimeout() is None else time.monotonic() + (self._end.gettimeout() or 0.0)
        got = self._take(0)
        while got < _LENGTH.size:
            got += self._take(got)
        end = _LENGTH.size + _LENGTH.unpack_from(self._buffer)[0]
        if not _LENGTH.size < end <= self._most:
            raise WireError(f"a message of {end} bytes")
        if end > len(self._buffer):
            self._buffer = self._buffer[:got] + bytearray(end - got)
        while got < end:
            if until is not None and time.monotonic() > until:
                raise TimeoutError
            got += self._take(got)
        if got > end:
            raise WireError("more than one message at a time")
        body = memoryview(self._buffer)
        return bytes(body[_LENGTH.size : _LENGTH.size + 1]), body[_LENGTH.size + 1 : end]

    def _take(self, at: int) -> int:
        n = self._end.recv_into(memoryview(self._buffer)[at:])
        if n == 0:
            raise EOFError
        return n
