"""Pages of one HTML file that need nothing else: their text, style, program and data put together."""

from __future__ import annotations

from importlib.resources import files


def filled(package: str, data: str) -> str:
    """The page of a package, which has page.html with a mark for each of page.css, page.js and the data.

    Args:
        package: Its full name.
        data: What goes into an element <script>: it must hold no "<" that is anybody's, since "</script>" would end it.
    """
    parts = {name: (files(package) / f"page.{name}").read_text(encoding="utf-8") for name in ("html", "css", "js")}
    text = parts["html"]
    # What is put in last may hold the marks of the others.
    for mark, part in (("/*CSS*/", parts["css"]), ("/*JS*/", parts["js"]), ("/*DATA*/", data)):
        text = text.replace(mark, part, 1)
    return text
