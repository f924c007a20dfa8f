"""Chromium, a JupyterLab on copies of the pages, and the site; `make test-browser` runs what uses them.

Chromium is the system's (Debian: apt install chromium). It is not downloaded, and it reaches this machine alone.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import namedtuple
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dmsc.pages.copies import copy_pages
from dmsc.paths import ROOT

HERE = Path(__file__).parent
WIDTH, HEIGHT = 1366, 768  # a laptop's screen
QUIET = (
    "--disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync "
    "--disable-dev-shm-usage"
).split()
SETTINGS = {  # of JupyterLab: every cell is laid out at once, and nothing is asked of its makers
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
}

Lab = namedtuple("Lab", "address token folder")
Visit = namedtuple("Visit", "page errors foreign")  # console errors, and addresses elsewhere that were asked for


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason='needs Playwright: pip install -e ".[browser]"')
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Chromium: apt install chromium")
    root = hasattr(os, "geteuid") and os.geteuid() == 0  # whose Chromium has no sandbox
    with api.sync_playwright() as playwright:
        options = [*QUIET, *(["--no-sandbox"] if root else [])]
        running = playwright.chromium.launch(executable_path=chromium, args=options)
        yield running
        running.close()


@pytest.fixture
def visit(browser):
    """A fresh window, with what went wrong in it."""
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
    context.set_default_timeout(120_000)
    found = Visit(context.new_page(), [], [])

    def route(request):
        if urlsplit(request.request.url).hostname in ("127.0.0.1", None):
            request.continue_()
        else:
            found.foreign.append(request.request.url)
            request.abort()

    context.route("**/*", route)
    found.page.on("console", lambda m: found.errors.append(m.text) if m.type == "error" else None)
    found.page.on("pageerror", lambda error: found.errors.append(str(error)))
    yield found
    context.close()


def ask(lab, path, method="GET"):
    """Ask JupyterLab's server; return what it answers, read as JSON."""
    request = urllib.request.Request(lab.address + path, method=method, headers={"Authorization": f"token {lab.token}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read() or "null")


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """JupyterLab on copies of the pages, with settings of its own; it is stopped in the end."""
    home = tmp_path_factory.mktemp("jupyter")
    root = tmp_path_factory.mktemp("course")
    copy_pages(ROOT / "notebooks", root / "lab")
    for name, values in SETTINGS.items():
        path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = Lab(f"http://127.0.0.1:{port}", secrets.token_hex(16), root / "lab")
    folders = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "runtime", "JUPYTER_DATA_DIR": "data"}
    folders |= {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "spaces", "IPYTHONDIR": "ipython"}
    environment = {**os.environ, **{name: str(home / folder) for name, folder in folders.items()}}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), environment.get("PYTHONPATH")]))
    environment.pop("MPLBACKEND", None)  # kernels draw into the page
    options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
    options += [f"--IdentityProvider.token={running.token}", f"--ServerApp.root_dir={root}"]
    with open(home / "log", "w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options], stdout=log, stderr=log, env=environment
        )
    try:
        while True:
            try:
                ask(running, "/api/status")
                break
            except (urllib.error.URLError, ConnectionError):
                assert server.poll() is None, (home / "log").read_text()
                time.sleep(0.5)
        yield running
    finally:
        server.terminate()  # it ends its kernels
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The address of the site, built and served here."""
    pytest.importorskip("sphinx", reason='needs Sphinx: pip install -e ".[site]"')
    output = tmp_path_factory.mktemp("site")
    options = ["-b", "html", "-q", "-c", ROOT / "course" / "site", "-d", output / "doctrees", ROOT, output / "html"]
    subprocess.run([sys.executable, "-m", "sphinx", *options], check=True)
    handler = functools.partial(Quiet, directory=str(output / "html"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server of files that prints no line per request."""

    def log_message(self, *_):
        pass
