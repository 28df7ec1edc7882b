"""A web server on this machine that can misbehave as real ones do."""

from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """How `Web` serves one file, and how it misbehaves."""

    body: bytes
    status: int = 200
    kind: str = "application/zip"
    ranges: bool = True
    etag: str | None = None
    modified: str | None = None
    # The bytes after which each connection breaks, in order; what is asked later comes whole.
    breaks: list[int] = field(default_factory=list)
    # The length that it claims, where that is not the truth; None: it says none.
    length: int | None = -1


class Web:
    """A web server on this machine: set ``pages[path] = (status, body)`` or a `Page`.

    What was asked stands in ``asked``, the ranges that were asked for in ``ranges``.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.pages: dict[str, tuple[int, bytes] | Page] = {}
        self.asked: list[str] = []
        self.ranges: list[str | None] = []

    def url(self, path: str) -> str:
        return f"{self.address}{path}"

    def page(self, path: str) -> Page:
        found = self.pages.get(path, (404, b"not here"))
        return found if isinstance(found, Page) else Page(found[1], found[0], "text/html")


class WebHandler(BaseHTTPRequestHandler):
    served: Web

    def do_GET(self) -> None:
        self.served.asked.append(self.path)
        self.served.ranges.append(self.headers["Range"])
        page = self.served.page(self.path)
        first = self._first(page)
        if first > len(page.body) or (first and first == len(page.body)):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(page.body)}")
            self.end_headers()
            return
        body = page.body[first:]
        self.send_response(206 if first else page.status)
        if first:
            last = len(page.body) - 1
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(page.body)}")
        told = {"Content-Type": page.kind, "ETag": page.etag, "Last-Modified": page.modified}
        length = len(body) if page.length == -1 else page.length
        told["Content-Length"] = None if length is None else str(length)
        for name, value in told.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: page.breaks.pop(0)] if page.breaks else body)

    def _first(self, page: Page) -> int:
        """Where the asked range begins, as far as the page is still what the client knows."""
        asked, known = self.headers["Range"], self.headers["If-Range"]
        if (
            not asked
            or not page.ranges
            or page.status != 200
            or known not in (None, page.etag, page.modified)
        ):
            return 0
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def log_message(self, *_: object) -> None:
        pass


class WebServer(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that leaves in the middle is what some tests are about."""
