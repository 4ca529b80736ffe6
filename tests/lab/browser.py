"""A real browser without a window: Chromium, told what to do over WebDriver.

Knows the few commands that our tests need, as plain HTTP. What is not installed raises `Missing`.
"""

import http.client
import json
import os
import re
import shutil
import subprocess
from base64 import b64decode
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.lab.namespaces import Missing

_ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"
_FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-proxy-server",
)
ENTER: Final = "\ue007"
TAB: Final = "\ue004"


class Browser:
    """One window, with a profile that is thrown away."""

    def __init__(self, folder: Path, *flags: str, width: int = 1280, height: int = 1000) -> None:
        driver = shutil.which("chromedriver")
        if driver is None or shutil.which("chromium") is None:
            raise Missing("needs a browser: install chromium and chromium-driver")
        self._driver = subprocess.Popen(
            [driver, "--port=0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder)},
        )
        self._session = ""
        try:
            self._port = self._started()
            options = {
                "binary": shutil.which("chromium"),
                "args": [*_FLAGS, *flags, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},{height}"],
            }
            wanted = {
                "browserName": "chrome",
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL"},
                "unhandledPromptBehavior": "ignore",
            }
            self._session = self._ask("POST", "", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._ask("DELETE", "")
        finally:
            self._end()

    def go(self, url: str) -> None:
        self._ask("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script as the page's own console would, and return what it returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": arguments})

    def text(self, selector: str) -> str:
        """Return the text that a person sees there."""
        return self._ask("GET", f"/element/{self._find(selector)}/text")

    def type(self, selector: str, text: str) -> None:
        self._ask("POST", f"/element/{self._find(selector)}/value", {"text": text})

    def click(self, selector: str) -> None:
        self._ask("POST", f"/element/{self._find(selector)}/click", {})

    def press(self, keys: str) -> None:
        """Press keys wherever the focus is."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._ask("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def complaints(self) -> list[str]:
        """Return what the console says since the last time: errors, and what the page's policy blocked.

        On a busy machine Chromium's own first page complains as well, of a slow network: that is nobody's fault here.
        """
        said = [entry["message"] for entry in self._ask("POST", "/se/log", {"type": "browser"})]
        return [message for message in said if not message.startswith("chrome://")]

    def resize(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._devtools("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, scheme: str) -> None:
        """Make the page believe that this person wants it light or dark."""
        self._devtools("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def screenshot(self) -> bytes:
        return b64decode(self._ask("GET", "/screenshot"))

    def _devtools(self, command: str, parameters: dict[str, Any]) -> None:
        self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _find(self, selector: str) -> str:
        return self._ask("POST", "/element", {"using": "css selector", "value": selector})[_ELEMENT]

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            place = f"/session/{self._session}{path}" if self._session else f"/session{path}"
            connection.request(method, place, json.dumps(body) if body is not None else None)
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(value, dict) and "error" in value:
            raise AssertionError(f"{value['error']}: {value['message']}")
        return value

    def _started(self) -> int:
        for line in self._driver.stdout or ():
            if port := re.search(r"started successfully on port (\d+)", line):
                return int(port[1])
        raise AssertionError("chromedriver did not start")

    def _end(self) -> None:
        self._driver.terminate()
        self._driver.wait(10)
        if self._driver.stdout is not None:
            self._driver.stdout.close()
