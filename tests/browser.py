"""Headless Chromium, controlled through the Chrome DevTools Protocol."""

import asyncio
import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest
from tornado.websocket import websocket_connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PROGRAM = next((path for name in NAMES if (path := shutil.which(name))), None)
needs_browser = pytest.mark.skipif(PROGRAM is None, reason=f"no browser is installed: {', '.join(NAMES)}")

# The text of a page, that of web components (shadow roots) included.
TEXT = """(function text(node) {
    if (node.nodeType === Node.TEXT_NODE) return node.textContent;
    const children = [...(node.shadowRoot ? node.shadowRoot.childNodes : []), ...node.childNodes];
    return ['STYLE', 'SCRIPT'].includes(node.nodeName) ? '' : children.map(text).join(' ');
})(document.body)"""


# All elements of a page, those in shadow roots included.
ELEMENTS = """(function all(node) {
    const children = [...(node.shadowRoot ? node.shadowRoot.children : []), ...node.children];
    return children.flatMap(child => [child, ...all(child)]);
})(document.body)"""


class Browser:
    """A page of a given width (CSS pixels) at a URL; use as a context manager."""

    def __init__(self, url: str, width: int = 1400, height: int = 1000):
        self.url, self.size = url, (width, height)
        self.loop = asyncio.new_event_loop()
        self.number = 0

    def __enter__(self) -> "Browser":
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        command = [
            *(
                PROGRAM,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
            ),
            *("--remote-debugging-port=0", f"--user-data-dir={self.profile.name}", "about:blank"),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port = Path(self.profile.name) / "DevToolsActivePort"
        wait_until(lambda: port.exists() and len(port.read_text().splitlines()) == 2, "the browser's start")
        with urllib.request.urlopen(f"http://127.0.0.1:{port.read_text().splitlines()[0]}/json") as reply:
            page = next(target for target in json.load(reply) if target["type"] == "page")
        self.socket = self._await(websocket_connect, page["webSocketDebuggerUrl"], max_message_size=2**28)
        width, height = self.size
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.call("Page.navigate", url=self.url)
        return self

    def __exit__(self, *_) -> None:
        self._await(self._close)
        self.process.terminate()
        self.process.wait()
        self.loop.close()
        self.profile.cleanup()

    def call(self, method: str, **params) -> dict:
        """Call a method of the protocol and return its result."""
        self.number += 1
        reply = self._await(self._exchange, {"id": self.number, "method": method, "params": params})
        assert "error" not in reply, reply
        return reply["result"]

    async def _exchange(self, message: dict) -> dict:
        await self.socket.write_message(json.dumps(message))
        while (reply := json.loads(await self.socket.read_message())).get("id") != message["id"]:
            pass  # an event
        return reply

    async def _close(self) -> None:
        self.socket.close()
        while await self.socket.read_message() is not None:
            pass  # an event that came before the end

    def evaluate(self, expression: str):
        """Return the value of a JavaScript expression in the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def wait_for(self, *texts: str) -> str:
        """Return the text of the page, with single spaces, as soon as it contains all of `texts`."""
        found = [""]

        def is_there() -> bool:
            found[0] = " ".join((self.evaluate(TEXT) or "").split())
            return all(text in found[0] for text in texts)

        wait_until(is_there, f"{texts} in the page", seen=found)
        return found[0]

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def _await(self, function, *args, **kwargs):
        async def call():
            return await function(*args, **kwargs)

        return self.loop.run_until_complete(call())


def wait_until(condition, what: str, seen: list[str] | None = None, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}; found: {(seen or [''])[0][:3000]}"
        time.sleep(0.2)
