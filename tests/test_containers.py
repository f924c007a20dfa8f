"""The Dockerfile and the files for Binder agree with the repository; no image is built here."""

from __future__ import annotations

import fnmatch
import os
import re

import pytest
import yaml

from dmsc.paths import ROOT


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def pinned_torch():
    return re.search(r"^torch==\S+$", read("constraints.txt"), flags=re.M)[0]


def python_of_conda():
    (python, _, _) = yaml.safe_load(read("environment.yml"))["dependencies"]
    return python.removeprefix("python=")


def instructions():
    """Every instruction of the Dockerfile and its arguments, on one line each."""
    text = re.sub(r"^#.*\n", "", read("Dockerfile"), flags=re.M).replace("\\\n", " ")
    return [tuple(line.split(" ", 1)) for line in text.splitlines() if line.strip()]


def test_the_image_has_the_versions_that_were_tested():
    (base,) = [rest for what, rest in instructions() if what == "FROM"]
    assert base == f"python:{python_of_conda()}-slim"
    installs = [rest for what, rest in instructions() if what == "RUN" and "pip install" in rest]
    assert len(installs) == 2 and all("-c constraints.txt" in line and "--extra-index-url" in line for line in installs)
    assert f" {pinned_torch()} " in installs[0]
    assert '-e ".[notebooks,files]"' in installs[1]


def test_the_image_copies_files_that_exist_and_are_not_ignored():
    ignored = [line for line in read(".dockerignore").splitlines() if line and not line.startswith("#")]
    needed = [
        "constraints.txt",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "dmsc/__init__.py",
        "notebooks/00_start_here.ipynb",
    ]
    needed += ["notebooks/params/orl.yaml", "studies/papers.yaml", "results/papers", "data/README.md"]
    for name in needed:
        assert (ROOT / name).exists(), name
        hidden = [pattern for pattern in ignored if fnmatch.fnmatch(name, pattern)]
        assert not hidden or f"!{name}" in ignored, (name, hidden)
    assert {".git", ".venv", "lab", "runs", "build", "data/*"} <= set(ignored)
    for line in (rest for what, rest in instructions() if what == "COPY"):
        assert all((ROOT / name).exists() for name in line.split()[:-1]), line


def test_the_image_runs_jupyterlab_unprivileged_on_the_published_port():
    lines = instructions()
    (user,) = [k for k, (what, rest) in enumerate(lines) if (what, rest) == ("USER", "student")]
    (command,) = [k for k, (what, _) in enumerate(lines) if what == "CMD"]
    assert user < command and ("EXPOSE", "8888") in lines
    assert "dmsc copy-pages" in lines[command][1] and "--port=8888 lab/00_start_here.ipynb" in lines[command][1]
    assert not re.search(r"token|password|allow-root", read("Dockerfile"), flags=re.IGNORECASE)


def test_binder_has_the_versions_that_were_tested():
    assert read("binder/runtime.txt") == f"python-{python_of_conda()}\n"
    lines = [line for line in read("binder/requirements.txt").splitlines() if not line.startswith("#")]
    assert lines[1:] == ["-c ../constraints.txt", pinned_torch(), "-e .[notebooks,files]"]
    assert (ROOT / "binder" / "../constraints.txt").resolve() == ROOT / "constraints.txt"
    assert lines[0].split()[1] in read("Dockerfile")


@pytest.mark.skipif(os.name == "nt", reason="no such bits there")
def test_binders_script_can_be_executed():
    assert os.access(ROOT / "binder" / "postBuild", os.X_OK)
    assert read("binder/postBuild").splitlines()[-1] == "dmsc copy-pages"


def test_the_image_for_clusters_has_the_versions_that_were_tested():
    text = read("workflow/dmsc.def")
    assert f"From: python:{python_of_conda()}-slim" in text
    installs = [line.strip() for line in text.splitlines() if "pip install" in line]
    assert len(installs) == 2 and all("-c constraints.txt" in line for line in installs)
    assert f" {pinned_torch()} " in installs[0] and '".[notebooks,files]"' in installs[1]
    copied = re.findall(r"^    (\S+) /opt/dmsc/(\S+)$", text, flags=re.M)
    assert copied and all((ROOT / source).exists() and source == target for source, target in copied)
