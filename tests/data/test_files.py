"""Finding, downloading and verifying files, against a server on this machine."""

from __future__ import annotations

import errno
import hashlib
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pooch
import pytest

from dmsc.data import files

CONTENT = b"fly embryos " * 1000


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Empty cache folder (not even made yet), DMSC_DATA not set."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(files, "cache_folder", lambda: folder)
    monkeypatch.delenv("DMSC_DATA", raising=False)
    return folder


@pytest.fixture
def server():
    """A web server on this machine; `server.send` is what it sends, `server.requests` what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.requests.append(self.path)
            self.send_response(200 if self.server.send else 404)
            self.send_header("Content-Length", str(self.server.claim or len(self.server.send)))
            self.end_headers()
            self.wfile.write(self.server.send)

        def log_message(self, *args):
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    http.send, http.claim, http.requests = CONTENT, None, []
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield http
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def known(server, monkeypatch):
    """The file "flies.mat", known by its SHA-256, at the address of the server."""
    url = f"http://127.0.0.1:{server.server_port}/flies.mat"
    file = files.KnownFile(url, "sha256", hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setitem(files.KNOWN_FILES, "flies.mat", file)
    return file


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_download_is_verified_and_kept(cache, server, known, capfd):
    path = files.find_file("flies.mat")
    assert path == cache / "flies.mat" and path.read_bytes() == CONTENT
    assert files.find_file("flies.mat") == path
    assert server.requests == ["/flies.mat"]  # the second time it came from the cache
    assert names(cache) == ["flies.mat"]
    assert capfd.readouterr() == ("", "")  # the progress bar is for terminals


def test_download_shows_its_progress_on_a_terminal(cache, known, monkeypatch, capfd):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    files.find_file("flies.mat")
    assert "100%" in capfd.readouterr().err


def test_dmsc_data_comes_before_the_cache(cache, server, known, tmp_path, monkeypatch):
    cache.mkdir()
    (cache / "flies.mat").write_bytes(CONTENT)
    mine = tmp_path / "mine"
    mine.mkdir()
    monkeypatch.setenv("DMSC_DATA", str(mine))
    assert files.find_file("flies.mat") == cache / "flies.mat"
    (mine / "flies.mat").write_bytes(CONTENT)
    assert files.find_file("flies.mat") == mine / "flies.mat"
    assert server.requests == []


def test_a_file_in_a_folder_is_found_in_all_three_places(cache, server, known, tmp_path, monkeypatch):
    name = "dsc_weights/orl.pkl"
    monkeypatch.setitem(files.KNOWN_FILES, name, known)
    server.send = b"not the weights"
    with pytest.raises(ValueError, match=r"set aside as orl\.pkl\.refused"):
        files.find_file(name)
    server.send = CONTENT
    assert files.find_file(name) == files.find_file(name) == cache / name
    assert (cache / name).read_bytes() == CONTENT and len(server.requests) == 2
    assert names(cache / "dsc_weights") == ["orl.pkl", "orl.pkl.refused"]
    mine = tmp_path / "mine"
    (mine / "dsc_weights").mkdir(parents=True)
    monkeypatch.setenv("DMSC_DATA", str(mine))
    assert files.find_file(name) == cache / name
    (mine / name).write_bytes(CONTENT)
    assert files.find_file(name) == mine / name


def test_wrong_file_in_dmsc_data_is_refused_and_left_alone(cache, server, known, tmp_path, monkeypatch):
    (tmp_path / "flies.mat").write_bytes(CONTENT[:-1])
    monkeypatch.setenv("DMSC_DATA", str(tmp_path))
    with pytest.raises(ValueError) as error:
        files.find_file("flies.mat")
    found = hashlib.sha256(CONTENT[:-1]).hexdigest()
    for word in (str(tmp_path / "flies.mat"), known.digest, found):
        assert word in str(error.value)
    assert (tmp_path / "flies.mat").read_bytes() == CONTENT[:-1]
    assert server.requests == [] and not cache.exists()


def test_wrong_file_in_the_cache_is_set_aside_then_downloaded(cache, server, known):
    cache.mkdir()
    for text in (b"first", b"second", b"third"):
        (cache / "flies.mat").write_bytes(text)
        with pytest.raises(ValueError, match="set aside"):
            files.find_file("flies.mat")
    assert (cache / "flies.mat.refused").read_bytes() == b"first"
    assert (cache / "flies.mat.refused.1").read_bytes() == b"second"
    assert (cache / "flies.mat.refused.2").read_bytes() == b"third"
    assert server.requests == []
    assert files.find_file("flies.mat").read_bytes() == CONTENT


def test_wrong_download_is_set_aside(cache, server, known):
    server.send = b"<html>sign in first</html>"
    with pytest.raises(ValueError, match=known.digest):
        files.find_file("flies.mat")
    assert names(cache) == ["flies.mat.refused"]
    assert (cache / "flies.mat.refused").read_bytes() == server.send


def test_download_that_is_not_found(cache, server, known):
    server.send = b""
    with pytest.raises(FileNotFoundError, match=rf"flies\.mat .*{known.digest}.*404"):
        files.find_file("flies.mat")
    assert names(cache) == []


def test_download_that_breaks_off(cache, server, known):
    server.claim = 2 * len(CONTENT)
    with pytest.raises((FileNotFoundError, ValueError), match=rf"flies\.mat .*{known.digest}"):
        files.find_file("flies.mat")  # by the client's version noticed while reading, or by the hash
    assert names(cache) in ([], ["flies.mat.refused"])


@pytest.mark.parametrize(
    ("cause", "error"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError(errno.ENOSPC, "No space left on device"), FileNotFoundError),
    ],
    ids=["interrupt", "full disk"],
)
def test_download_that_is_cut_off_leaves_nothing(cache, known, monkeypatch, cause, error):
    def download(self, url, output_file, pooch):
        Path(output_file).write_bytes(CONTENT[:10])
        raise cause

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", download)
    with pytest.raises(error, match="No space left|^$") as caught:
        files.find_file("flies.mat")
    assert "\n" not in str(caught.value)
    assert names(cache) == []


@pytest.mark.parametrize("name", ["EYB_fc.mat", "BDGP.mat", "dsc_weights/orl.pkl"])
def test_offline_and_missing_is_one_error_that_says_it_all(cache, name):
    with pytest.raises(FileNotFoundError) as error:
        files.find_file(name)
    known = files.KNOWN_FILES[name]
    for word in (name, known.url, known.algorithm, known.digest, "DMSC_DATA", str(cache / name)):
        assert word in str(error.value)
    assert error.value.__cause__ is None and error.value.__suppress_context__


def test_a_file_of_unknown_hash_is_never_downloaded(cache, server, monkeypatch):
    url = f"http://127.0.0.1:{server.server_port}/flies.mat"
    monkeypatch.setitem(files.KNOWN_FILES, "flies.mat", files.KnownFile(url, "sha256", ""))
    with pytest.raises(FileNotFoundError, match="no hash") as error:
        files.find_file("flies.mat")
    for word in (url, str(cache / "flies.mat"), "DMSC_DATA"):
        assert word in str(error.value)
    assert server.requests == [] and not cache.exists()
    cache.mkdir()
    (cache / "flies.mat").write_bytes(b"whatever")
    assert files.find_file("flies.mat") == cache / "flies.mat"


def test_dmsc_data_must_be_a_folder(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("DMSC_DATA", str(tmp_path / "typo"))
    with pytest.raises(FileNotFoundError, match="DMSC_DATA.*typo"):
        files.find_file("BDGP.mat")


def test_unknown_file():
    with pytest.raises(ValueError, match=r"flies\.tar.*BDGP\.mat"):
        files.find_file("flies.tar")


def test_a_file_known_by_gits_id_is_downloaded_and_verified_too(cache, server, known, monkeypatch):
    digest = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()
    monkeypatch.setitem(files.KNOWN_FILES, "flies.mat", files.KnownFile(known.url, "git", digest))
    assert files.find_file("flies.mat").read_bytes() == CONTENT
    (cache / "flies.mat").unlink()
    server.send = CONTENT[1:]
    with pytest.raises(ValueError, match=digest):
        files.find_file("flies.mat")
    assert names(cache) == ["flies.mat.refused"]


def test_every_address_is_pinned_and_every_hash_complete():
    for name, known in files.KNOWN_FILES.items():
        owner, repository, raw, commit, *path = known.url.removeprefix("https://github.com/").split("/")
        assert raw == "raw" and len(commit) == 40 and int(commit, 16) and owner and repository and path
        if name == "fm_2000_edge_ori.mat":  # never seen
            assert known.digest == ""
        else:
            assert len(known.digest) == {"sha256": 64, "git": 40}[known.algorithm] and int(known.digest, 16)
        assert name.split("/")[-1] == path[-1] or name == "YaleB_48x42.mat"


@pytest.mark.parametrize("name", [name for name, known in files.KNOWN_FILES.items() if known.digest])
def test_real_files_have_the_published_hashes(real_data, name):
    known = files.KNOWN_FILES[name]
    assert files.file_hash(real_data(name), known.algorithm) == known.digest


def test_file_hash_is_sha256_or_gits_blob_id(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    assert files.file_hash(path) == hashlib.sha256(CONTENT).hexdigest()
    path.write_bytes(b"hello\n")
    assert files.file_hash(path, "git") == "ce013625030ba8dba906f756967f9e9ca394464a"  # as git hash-object says
    path.write_bytes(b"")
    assert files.file_hash(path, "git") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def test_downloads_go_to_the_data_folder_of_a_checkout_or_else_to_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "ROOT", tmp_path)
    monkeypatch.setattr(files, "IN_CHECKOUT", True)
    assert files.cache_folder() == tmp_path / "data"
    monkeypatch.setattr(files, "IN_CHECKOUT", False)
    assert files.cache_folder() == Path(pooch.os_cache("dmsc"))


def test_git_ignores_downloads(request):
    root = request.config.rootpath
    if not (root / ".git").exists():
        pytest.skip("needs a git checkout")
    ignored = ["git", "-C", str(root), "check-ignore", "--quiet", "--no-index"]
    for name in ("data/BDGP.mat", "data/BDGP.mat.refused", "data/tmp7x2_k9qa", "data/dsc_weights/orl.pkl"):
        assert subprocess.run([*ignored, name]).returncode == 0
    for name in ("data/README.md", "data/.gitignore"):
        assert subprocess.run([*ignored, name]).returncode == 1
