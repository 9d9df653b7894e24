"""An episode in the browser: lanes of iterations, requests, memory, and every decision with what else was possible.

kvgym watch --agent lbgr random             two agents on the same arrivals, opened in the browser
kvgym watch --agent lmetric --out page.html the same as a file that needs no other
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import webbrowser
from collections.abc import Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from kvgym import _atomic, _command
from kvgym.watch.command_line import add_options, films
from kvgym.watch.payload import page


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = _command.parser("kvgym.watch", __doc__)
    parser.add_argument("--agent", nargs="+", default=["lbgr"], metavar="NAME|path.py:Class", help="one or two (lbgr)")
    add_options(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the page there, and show nothing")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="port on localhost (any that is free)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    parser = make_parser()
    options = parser.parse_args(argv)
    if len(options.agent) > 2:
        parser.error(f"--agent must name one agent or two, got {' '.join(options.agent)}")
    text = page(films(parser, options, options.agent, options.out))
    if options.out is not None:
        _atomic.write(options.out, text)
        print(f"{options.out}: {len(text) / 1e6:.1f} MB; open it in a browser")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "index.html").write_text(text, encoding="utf-8")
        serve(folder, options.port)
    return 0


def serve(folder: str, port: int) -> None:
    """Shows a folder on localhost, to nobody else, until Ctrl-C."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), partial(Quiet, directory=folder)) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        print(f"{address} (Ctrl-C ends it)", flush=True)
        threading.Timer(0.2, webbrowser.open, [address]).start()
        server.serve_forever()


if __name__ == "__main__":
    _command.run(main)
