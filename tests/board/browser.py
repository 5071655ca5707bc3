"""A `tensorboard` process, and a Chromium that looks at its pages."""

import contextlib
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

# Debian's names; install_chromium.sh installs them.
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

# For one thing to be there: one core may draw it, while others test.
PATIENCE = 60

# TensorBoard's pages nest shadow roots and frames, into which neither
# `innerText` nor the searches of Selenium look.
_WALK = """
    function* walk(node) {
        if (node.nodeType === Node.ELEMENT_NODE) {
            if (/^(STYLE|SCRIPT|NOSCRIPT|TEMPLATE)$/.test(node.tagName)) return;
            const style = getComputedStyle(node);
            if (style.display === "none" || style.visibility === "hidden")
                return;
        }
        yield node;
        const inner = node.shadowRoot || node.contentDocument?.body;
        if (inner) yield* walk(inner);
        for (const child of node.childNodes) yield* walk(child);
    }
    const shown = [...walk(document.body)];
"""


def wait_for(condition, otherwise):
    """Wait until it holds; fail with what `otherwise()` says if it never does.

    Returns what the condition gave.
    """
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.3)
    return found


class TensorBoard:
    """A `tensorboard` process over a folder, on a port of its own."""

    def __init__(self, folder):
        command = [sys.executable, "-m", "tensorboard.main", "--port", "0"]
        self._process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--logdir", str(folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stderr:
            self._lines.put(line)

    def __enter__(self):
        address = None
        while address is None:
            line = self._lines.get(timeout=PATIENCE)
            address = re.search(r"http://127\.0\.0\.1:\d+/", line)
        self.address = address.group()
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(timeout=PATIENCE)
        self._reader.join(timeout=PATIENCE)
        self._process.stderr.close()

    def ask(self, path):
        """Fetch JSON; `None` while there is no answer."""
        url = f"{self.address}data/plugin/{path}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with contextlib.suppress(urllib.error.HTTPError):
            with opener.open(url, timeout=PATIENCE) as answer:
                return json.load(answer)


class Browser:
    """A window of Chromium, without a screen, a GPU or the internet."""

    def __init__(self, size=(1600, 1000), scale=1):
        # With the path of a driver given, Selenium Manager is not asked for
        # one. If it were, it should fetch and report nothing.
        os.environ.setdefault("SE_OFFLINE", "true")
        os.environ.setdefault("SE_AVOID_STATS", "true")
        from selenium import webdriver

        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (
            "--headless=new",
            "--no-sandbox",  # root has none
            "--disable-dev-shm-usage",  # which is small in containers
            "--use-angle=swiftshader",  # WebGL, which the projector needs,
            "--enable-unsafe-swiftshader",  # without a GPU
            # Pages must do without what they would fetch from elsewhere.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--no-proxy-server",
            "--disable-background-networking",
            "--disable-component-update",
        ):
            options.add_argument(flag)
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {
                "width": size[0],
                "height": size[1],
                "deviceScaleFactor": scale,
                "mobile": False,
            },
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.driver.quit()

    def open(self, address, tab, **settings):
        """Open a page, with settings as its own address would keep them."""
        settings = "".join(
            f"&{name}={urllib.parse.quote(str(value), safe='')}"
            for name, value in settings.items()
        )
        # From elsewhere: with another fragment alone, nothing is loaded anew.
        self.driver.get("about:blank")
        self.driver.get(f"{address}#{tab}{settings}")

    def run(self, script, *arguments):
        """Run JavaScript that may use `shown`: all nodes in view of a walk."""
        return self.driver.execute_script(_WALK + script, *arguments)

    def text(self):
        """Return what is to be read, also further down the page."""
        return self.run("""
            return shown.filter(node => node.nodeType === Node.TEXT_NODE)
                .map(node => node.data.trim()).filter(text => text).join("\\n");
        """)

    def wait_for_words(self, *words):
        """Wait until the page says all that."""

        def missing():
            text = self.text()
            return [word for word in words if word not in text]

        wait_for(
            lambda: not missing(),
            lambda: f"{missing()} not on the page:\n{self.text()}",
        )

    def charts(self):
        """Count the lines in each chart, by its title."""
        return self.run("""
            const cards = shown.filter(node =>
                /-CARD$/.test(node.tagName) && (node.tag || node.title));
            return Object.fromEntries(cards.map(card => [
                card.tag || card.title,
                [...walk(card)].filter(node => node.tagName === "path"
                    && node.classList.contains("line")
                    && /L/.test(node.getAttribute("d"))).length,
            ]));
        """)

    def wait_for_charts(self, expected):
        """Wait for charts, by title, to have at least so many lines."""

        def missing():
            found = self.charts()
            return {
                title: (found.get(title, 0), "of", lines)
                for title, lines in expected.items()
                if found.get(title, 0) < lines
            }

        wait_for(
            lambda: not missing(), lambda: f"lines that were drawn: {missing()}"
        )

    def pictures(self):
        """Return run and tag of the pictures that have been loaded."""
        found = self.run("""
            return shown.filter(node => node.tagName === "TF-IMAGE-LOADER"
                && [...walk(node)].some(part => part.naturalWidth > 9)
            ).map(node => [node.run, node.tag]);
        """)
        return {tuple(names) for names in found}

    def wait_for_pictures(self, expected):
        """Wait for pictures, given as pairs of run and tag."""
        wait_for(
            lambda: expected <= self.pictures(),
            lambda: f"not shown: {expected - self.pictures()}",
        )

    def save(self, path):
        """Take a picture of the window, and return it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(path))
