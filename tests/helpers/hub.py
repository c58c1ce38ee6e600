"""A small Hugging Face Hub on this machine's loopback, for the real huggingface_hub client."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serve(repositories: dict[str, Path], private: str, flaky: str) -> Iterator[str]:
    """Serve ``{"owner/name": folder}``; gives the address to set HF_ENDPOINT to.

    ``private`` answers 401 to everything, as to a wrong token. Of the repository ``flaky``, the first download of the
    weights breaks off in the middle and the attempt to resume it fails; the next one works.
    """
    downloads: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self, body: bool) -> None:
            parts = urlsplit(self.path).path.strip("/").split("/")
            api = parts[:2] == ["api", "models"]
            name = "/".join(parts[2:4] if api else parts[:2])
            if name == private:
                self._send(401, b"{}", body)
            elif name not in repositories:  # the real Hub says 401 here as well, to a client without a token
                self._send(401, b"{}", body, {"X-Error-Code": "RepoNotFound"})
            elif api and parts[4:5] == ["tree"]:
                self._send(200, json.dumps(self._tree(repositories[name])).encode(), body)
            elif api:
                files = [{"rfilename": f.name} for f in sorted(repositories[name].iterdir())]
                self._send(200, json.dumps({"id": name, "sha": COMMIT, "siblings": files}).encode(), body)
            else:
                self._file(name, repositories[name] / parts[-1], body)

        def _tree(self, folder: Path) -> list[dict]:
            return [
                {"type": "file", "path": f.name, "size": f.stat().st_size, "oid": _digest(f.read_bytes())}
                for f in sorted(folder.iterdir())
            ]

        def _file(self, name: str, path: Path, body: bool) -> None:
            if not path.is_file():
                self._send(404, b"", body, {"X-Error-Code": "EntryNotFound"})
                return
            content = path.read_bytes()
            headers = {"ETag": f'"{_digest(content)}"', "X-Repo-Commit": COMMIT}
            if body and name == flaky and path.suffix == ".safetensors":
                downloads[name] += 1
                if downloads[name] == 1:
                    self._send(200, content[: len(content) // 2], body, headers, length=len(content))
                    self.close_connection = True
                    return
                if downloads[name] == 2:
                    self._send(503, b"", body)
                    return
            start = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0]
            if int(start):
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._send(206 if int(start) else 200, content[int(start) :], body, headers)

        def _send(
            self,
            status: int,
            content: bytes,
            body: bool,
            headers: dict[str, str] | None = None,
            length: int | None = None,
        ) -> None:
            self.send_response(status)
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content) if length is None else length))
            self.end_headers()
            if body:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
