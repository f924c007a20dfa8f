"""Shared fixtures: real data when the folder DMSC_DATA holds it, no network, no windows."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

os.environ["MPLBACKEND"] = "Agg"  # before anything imports matplotlib; notebooks' kernels inherit it


@pytest.fixture(autouse=True, scope="session")
def no_network():
    """Connections and name look-ups fail for everything but this machine, as they do without a network."""

    def local(host):
        return host in (None, "", "localhost", "::1") or str(host).startswith("127.")

    def guarded(function):
        def connect(self, address):
            if self.family != getattr(socket, "AF_UNIX", None) and not local(address[0]):
                raise ConnectionError(f"tests don't use the network: {address}")
            return function(self, address)

        return connect

    look_up = socket.getaddrinfo

    def getaddrinfo(host, *args, **kwargs):
        if not local(host):
            raise socket.gaierror(f"tests don't use the network: {host}")
        return look_up(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
        patch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        for proxy in ("http_proxy", "https_proxy", "all_proxy"):
            patch.delenv(proxy, raising=False)
            patch.delenv(proxy.upper(), raising=False)
        yield


@pytest.fixture
def real_data():
    """Return a function: file name → its path in the folder DMSC_DATA, or skip the test, saying why."""

    def find(name):
        folder = os.environ.get("DMSC_DATA")
        path = Path(folder).expanduser() / name if folder else None
        if path is None or not path.is_file():
            pytest.skip(f"needs {name}: set DMSC_DATA to a folder that holds it (see data/README.md)")
        return path

    return find


def pytest_configure(config):
    """Register the pretended card where the tests on it are run by themselves."""
    if config.option.markexpr == "card":
        import pretended_card

        if not pretended_card.UNAVAILABLE:
            pretended_card.register()


def pytest_collection_modifyitems(items):
    """Mark the tests on the pretended card."""
    for item in items:
        if "card" in getattr(item, "fixturenames", ()):
            item.add_marker("card")


@pytest.fixture
def card(monkeypatch):
    """Return the pretended card, on which the package computes while the test lasts (`pretended_card`)."""
    import pretended_card

    if pretended_card.UNAVAILABLE:
        pytest.skip(pretended_card.UNAVAILABLE)
    if not pretended_card.LIBRARIES:
        pytest.skip("PyTorch wants to know a device before its first gradient: run these tests by themselves, -m card")
    monkeypatch.setattr("dmsc.devices.KINDS", ("cpu", "cuda", pretended_card.KIND))
    return pretended_card.register()
