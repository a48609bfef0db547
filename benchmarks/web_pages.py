"""NNI's web page of a search, looked at by a browser: it shows what `candidates.jsonl` says; pictures of it.

    python benchmarks/web_pages.py --out DIR                   # Chromium's program: chromium, or --browser PATH

Trains a small supernet, searches with two workers, 28 candidates in batches of 4, and keeps the finished experiment
while headless Chromium opens its pages. Best value, trials, every point of the chart of intermediate results and the
axes of the chart of hyper-parameters are compared with the run folder. Paths in the pictures are this machine's.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from PIL import Image
from websockets.sync.client import connect  # NNI depends on it

from nasrec_nni.cli import main as nasrec
from nasrec_nni.experiment import door
from nasrec_nni.experiment.launch import Plan, Running, running

CONFIG: dict[str, Any] = {
    "threads": 1,
    "device": "cpu",
    "data": {"source": "synthetic", "options": {"rows": 3000}},
    "space": {"blocks": 2, "dense_widths": [8, 16], "sparse_rows": [4, 8], "embedding": 4, "heads": 2},
    "supernet": {"recipe": {"preset": "bars", "batch": 128, "epochs": 1}, "validation_rows": 50},
    "search": {"candidates": 28, "in_flight": 8, "options": {"population": 8, "sample": 4}, "head_rows": 512},
    "workers": {"batch": 4},
}
SIZE = (1300, 900)
WAIT = 120.0  # seconds, for a page to show something
QUIET = ("--no-first-run", "--disable-background-networking", "--disable-sync", "--disable-gpu", "--no-sandbox")
CLICK = """(() => {{ const found = [...document.querySelectorAll('button,span')].filter(
    one => one.textContent.trim() === {text} && one.offsetParent); found.at(-1).click(); return true; }})()"""
POINTS = """(() => { const chart = document.querySelector('.intermediate-graph .echarts-for-react');
    let at = chart[Object.keys(chart).find(key => key.startsWith('__reactFiber'))];
    while (!(at.memoizedProps && at.memoizedProps.option)) at = at.return;
    return at.memoizedProps.option.series.map(line => line.data); })()"""
AXES = "[...document.querySelectorAll('.parcoords .dimension .label')].map(one => one.textContent)"
OPEN_FIRST = "void document.querySelector('.ms-DetailsRow i[data-icon-name=ChevronRight]').click()"
OPENED = "!!document.querySelector('.openRow')"


class Browser:
    """Headless Chromium with one page.

    Args:
        program: of Chromium.
        folder: for its profile.
    """

    def __init__(self, program: str, folder: Path) -> None:
        words = [program, "--headless", *QUIET, f"--user-data-dir={folder}", "--remote-debugging-port=0", "about:blank"]
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        told = folder / "DevToolsActivePort"
        port = until(lambda: told.exists() and told.read_text().splitlines()[:1], "Chromium")[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
            (page,) = (one for one in json.load(answer) if one["type"] == "page")
        self._stack, self._number = contextlib.ExitStack(), 0
        self._socket = self._stack.enter_context(connect(page["webSocketDebuggerUrl"], max_size=None))
        width, height = SIZE
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def call(self, method: str, **more: Any) -> Any:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": more}))
        while (answer := json.loads(self._socket.recv(timeout=WAIT))).get("id") != self._number:
            pass
        return answer["result"]

    def ask(self, script: str) -> Any:
        """What JavaScript says; None if it fails, as it does while a page is being made."""
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def click(self, text: str) -> None:
        until(lambda: self.ask(CLICK.format(text=json.dumps(text))), f"the button {text}")
        time.sleep(2)  # it moves

    def picture(self, path: Path) -> None:
        taken = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        Image.open(io.BytesIO(taken)).convert("RGB").quantize(128).save(path, optimize=True)

    def end(self) -> None:
        self._stack.close()
        self._process.terminate()
        self._process.wait()


def until(what: Callable[[], Any], told: str) -> Any:
    end = time.monotonic() + WAIT
    while not (found := what()):
        if time.monotonic() > end:
            raise SystemExit(f"waited in vain for {told}")
        time.sleep(0.2)
    return found


def look(url: str, run: Path, browser: Browser, out: Path) -> dict[str, int]:
    """Compare the pages with the run folder; pictures of them.

    Returns:
        How many figures were compared.
    """
    lines = map(json.loads, (run / "search" / "candidates.jsonl").read_text().splitlines())
    values = [line["value"] for line in sorted(lines, key=lambda line: line["number"])]
    batches = [values[at : at + 4] for at in range(0, len(values), 4)]

    def text_has(what: str) -> None:
        until(lambda: what in (browser.ask("document.body.innerText") or ""), f"`{what}` on the page")

    browser.call("Page.navigate", url=f"{url}/oview")
    for shown in ("DONE", str(round(min(values), 6)), f"{len(batches)}/{len(batches)}"):
        text_has(shown)
    browser.picture(out / "web-overview.png")
    browser.call("Page.navigate", url=f"{url}/detail")
    for batch in batches:
        text_has(f"{round(min(batch), 6)} (FINAL)")
    until(lambda: browser.ask(OPENED) or browser.ask(OPEN_FIRST), "the first trial's parameters")
    browser.ask("document.querySelector('.openRow').scrollIntoView({block: 'center'})")
    time.sleep(1)
    browser.picture(out / "web-trials.png")
    browser.click("Hyper-parameter")
    axes = until(lambda: browser.ask(AXES), "axes")
    if axes[:4] != ["batch", "candidates", "default", "candidate"] or len(axes) > 12:
        raise SystemExit(f"unreadable axes: {axes}")
    browser.picture(out / "web-parameters.png")
    browser.click("Intermediate result")
    points = until(lambda: browser.ask(POINTS), "the chart of intermediate results")
    if sorted(points) != sorted(batches):
        raise SystemExit(f"the chart shows {points}, scored were {batches}")
    browser.picture(out / "web-intermediate.png")
    return {"trials": len(batches), "points": sum(map(len, points)), "axes": len(axes)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--browser", default=shutil.which("chromium") or "chromium", help="Chromium's program")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)

        @contextlib.contextmanager
        def watched(plan: Plan) -> Iterator[Running]:
            with running(plan) as experiment:
                yield experiment
                browser = Browser(options.browser, place / "browser")
                try:
                    found.update(look(experiment.url, place / "my-search", browser, options.out))
                finally:
                    browser.end()

        door.running = watched
        (place / "c.yaml").write_text(yaml.safe_dump(CONFIG))
        words = ["search", str(place / "c.yaml"), "--out", str(place / "my-search"), "--workers", "2"]
        if status := nasrec(words):
            return status
    print("as candidates.jsonl says: " + ", ".join(f"{count} {what}" for what, count in found.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
