"""Finding, downloading and verifying files (against a server on this machine), and reading them safely."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from dmsc.data import files
from dmsc.data.readers import read_idx, read_mat, read_npz

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


def test_interrupted_download_leaves_nothing(cache, known, monkeypatch):
    def fetch(url, target):
        target.write_bytes(CONTENT[:10])
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "_fetch", fetch)
    with pytest.raises(KeyboardInterrupt):
        files.find_file("flies.mat")
    assert names(cache) == []


@pytest.mark.parametrize("name", ["EYB_fc.mat", "BDGP.mat"])
def test_offline_and_missing_is_one_error_that_says_it_all(cache, name):
    with pytest.raises(FileNotFoundError) as error:
        files.find_file(name)
    known = files.KNOWN_FILES[name]
    for word in (name, known.url, known.algorithm, known.digest, "DMSC_DATA", str(cache)):
        assert word in str(error.value)
    assert error.value.__cause__ is None and error.value.__suppress_context__


def test_dmsc_data_must_be_a_folder(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("DMSC_DATA", str(tmp_path / "typo"))
    with pytest.raises(FileNotFoundError, match="DMSC_DATA.*typo"):
        files.find_file("BDGP.mat")


def test_unknown_file():
    with pytest.raises(ValueError, match=r"flies\.tar.*BDGP\.mat"):
        files.find_file("flies.tar")


def test_every_address_is_pinned_and_every_hash_complete():
    for name, known in files.KNOWN_FILES.items():
        owner, repository, raw, commit, *path = known.url.removeprefix("https://github.com/").split("/")
        assert raw == "raw" and len(commit) == 40 and int(commit, 16) and owner and repository and path
        assert len(known.digest) == {"sha256": 64, "git": 40}[known.algorithm] and int(known.digest, 16)
        assert name == path[-1] or name == "YaleB_48x42.mat"


def test_real_files_have_the_published_hashes(real_data):
    for name, known in files.KNOWN_FILES.items():
        if known.algorithm == "sha256":
            assert files.file_hash(real_data(name)) == known.digest


def test_file_hash_is_sha256_or_gits_blob_id(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    assert files.file_hash(path) == hashlib.sha256(CONTENT).hexdigest()
    path.write_bytes(b"hello\n")
    assert files.file_hash(path, "git") == "ce013625030ba8dba906f756967f9e9ca394464a"  # as git hash-object says
    path.write_bytes(b"")
    assert files.file_hash(path, "git") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def test_downloads_of_a_checkout_go_to_its_ignored_data_folder(tmp_path, monkeypatch):
    (tmp_path / "dmsc").mkdir()
    monkeypatch.setattr(files, "__file__", str(tmp_path / "dmsc" / "files.py"))
    assert files.cache_folder() != tmp_path / "data"  # an installed package
    (tmp_path / "pyproject.toml").touch()
    assert files.cache_folder() == tmp_path / "data"


def test_git_ignores_downloads(request):
    root = request.config.rootpath
    if not (root / ".git").exists():
        pytest.skip("needs a git checkout")
    ignored = ["git", "-C", str(root), "check-ignore", "--quiet", "--no-index"]
    for name in ("data/BDGP.mat", "data/BDGP.mat.refused", "data/BDGP.mat.7.part"):
        assert subprocess.run([*ignored, name]).returncode == 0
    for name in ("data/README.md", "data/.gitignore"):
        assert subprocess.run([*ignored, name]).returncode == 1


def test_read_mat(tmp_path):
    cell = np.empty((1, 2), dtype=object)
    cell[0, :] = [np.eye(2), np.ones((3, 1))]
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"fea": np.arange(6.0).reshape(2, 3), "data": cell})
    fea, data = read_mat(path, ["fea", "data"], cells=["data"])
    np.testing.assert_array_equal(fea, [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(data[0, 1], np.ones((3, 1)))
    with pytest.raises(ValueError, match=r"a\.mat has no variable 'gnd'; it holds: fea, data"):
        read_mat(path, ["fea", "gnd"])
    with pytest.raises(ValueError, match=r"'fea' must be a cell array"):
        read_mat(path, ["fea"], cells=["fea"])


@pytest.mark.parametrize(
    "value",
    [np.array([["a", 1]], dtype=object), {"field": 1}, "text", np.array([[1j]]), scipy.sparse.eye(3).tocsc()],
    ids=["cell", "struct", "text", "complex", "sparse"],
)
def test_read_mat_refuses_all_but_full_real_arrays(tmp_path, value):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"fea": value})
    with pytest.raises(ValueError, match=r"a\.mat: variable 'fea' must be a full array of real numbers"):
        read_mat(path, ["fea"])


def test_read_mat_refuses_damaged_files(tmp_path):
    path = tmp_path / "a.mat"
    rng = np.random.default_rng(0)
    scipy.io.savemat(path, {"fea": rng.random((50, 50))}, do_compression=True)
    whole = path.read_bytes()
    damaged = [whole[:n] for n in (0, 3, 100, 128, 131, 140, len(whole) // 2, len(whole) - 1)]
    damaged += [b"not MATLAB at all" * 50, whole[:2000] + bytes(8) + whole[2008:]]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.mat"):
            read_mat(path, ["fea"])
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(ValueError, match=r"a\.mat is a MATLAB 7\.3 file.*-v7"):
        read_mat(path, ["fea"])


def test_read_npz(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, a=np.eye(2), b=["x", "yz"])
    arrays = read_npz(path)
    np.testing.assert_array_equal(arrays["a"], np.eye(2))
    assert arrays["b"].tolist() == ["x", "yz"]


def test_read_npz_never_unpickles(tmp_path):
    touched = tmp_path / "touched"

    class Trap:
        def __reduce__(self):
            return touched.touch, ()

    path = tmp_path / "a.npz"
    np.savez(path, fine=np.eye(2), trap=np.array([Trap()], dtype=object))
    with pytest.raises(ValueError, match=r"a\.npz: array 'trap'.*Python objects"):
        read_npz(path)
    assert not touched.exists()


def test_read_npz_refuses_damaged_files(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.random.default_rng(0).random((50, 50)))
    whole = path.read_bytes()
    damaged = [whole[:n] for n in (0, 10, len(whole) // 2, len(whole) - 1)]
    damaged += [b"not a zip file" * 50, whole[:500] + bytes(8) + whole[508:]]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.npz"):
            read_npz(path)


def test_read_idx(tmp_path):
    path = tmp_path / "a.gz"
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    header = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))
    np.testing.assert_array_equal(read_idx(path), array)
    bad = {
        "starts with 00 00 0d 03": b"\0\0\x0d\x03" + header[4:] + array.tobytes(),
        "starts with": b"",
        r"24 bytes for its shape \(2, 3, 4\), got 23": header + array.tobytes()[:-1],
        "24 bytes .* got 25": header + array.tobytes() + b"\0",
        "isn't an IDX file": header[:10],
    }
    for message, content in bad.items():
        path.write_bytes(gzip.compress(content))
        with pytest.raises(ValueError, match=message):
            read_idx(path)
    for content in (b"plain", gzip.compress(header + array.tobytes())[:-9]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.gz can't be read as a gzip file"):
            read_idx(path)


@pytest.mark.parametrize("read", [read_idx, read_npz, lambda path: read_mat(path, ["fea"])])
def test_missing_files_and_folders(tmp_path, read):
    for path in (tmp_path / "nothing.mat", tmp_path):
        with pytest.raises(FileNotFoundError, match="no such file"):
            read(path)
