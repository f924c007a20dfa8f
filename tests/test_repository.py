"""The repository agrees with itself: versions, dependencies, names, sizes."""

from __future__ import annotations

import ast
import io
import os
import re
import shutil
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import dmsc

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "dmsc").rglob("*.py"))
ROOMS = ("data", "solvers", "plots", "experiments", "pages", "course")
FACES = ("__init__", "__main__", "clusterer", "estimators")  # of dmsc/ itself, which may look into any room
MAY_IMPORT = {  # rooms that a room may look into, beside dmsc/ itself
    "data": set(),
    "solvers": set(),
    "plots": {"data"},
    "experiments": {"data", "solvers"},
    "pages": {"data", "experiments"},
    "course": set(),
}
LIMIT = 250  # lines of code per file: without docstrings, comments and blank lines
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
JUPYTER = (
    "IPython ipykernel ipywidgets jupyter_client jupyter_core jupyterlab nbclient nbformat nbgrader papermill traitlets"
)
IMPORT_NAMES = {"scikit-learn": "sklearn", "pyyaml": "yaml"}


def direct_dependencies():
    """Every requirement of pyproject.toml, its extras included, by canonical name."""
    lines = [*PROJECT["dependencies"], *sum(PROJECT["optional-dependencies"].values(), [])]
    requirements = {canonicalize_name(r.name): r for r in map(Requirement, lines)}
    del requirements["dmsc"]  # an extra that contains another
    return requirements


def pins(lines):
    """Canonical name to version of those lines that read ``name==version``."""
    found = {}
    for line in lines:
        if re.fullmatch(r"[A-Za-z0-9._-]+==\S+", line):
            name, version = line.split("==")
            assert canonicalize_name(name) not in found, f"{name} is pinned twice"
            found[canonicalize_name(name)] = version
    return found


def constraints():
    return pins((ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines())


def test_constraints_pin_every_direct_dependency_within_its_bounds():
    pinned = constraints()
    for name, requirement in direct_dependencies().items():
        assert name in pinned, f"constraints.txt does not pin {name}"
        assert requirement.specifier.contains(pinned[name]), f"{requirement} excludes {pinned[name]}"
        assert any(s.operator == ">=" for s in requirement.specifier), f"{name} has no lower bound"
    assert pinned["torch"] == "2.13.0"


def test_constraints_hold_nothing_but_exact_pins():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    content = [line for line in lines if line and not line.startswith("#")]
    assert len(pins(content)) == len(content)
    assert content == sorted(content, key=lambda line: line.split("==")[0])


def test_environment_yml_has_the_same_dependencies_at_the_same_versions():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["name"] == "dmsc"
    conda, pip = environment["dependencies"][:-1], environment["dependencies"][-1]["pip"]
    assert conda == ["python=3.11", "pip"]
    pinned = constraints()
    assert pins(pip) == {name: pinned[name] for name in direct_dependencies()}
    assert [line for line in pip if line not in {f"{n}=={v}" for n, v in pins(pip).items()}] == [
        "-c constraints.txt",
        "-e .",
    ]


def test_other_files_name_the_same_versions():
    pinned = constraints()
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    for hook in hooks:
        tool = hook["entry"].split()[0]
        assert hook["additional_dependencies"] == [f"{tool}=={pinned[tool]}"]
    assert f"torch=={pinned['torch']} -c constraints.txt" in (ROOT / "Makefile").read_text(encoding="utf-8")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"] == dmsc.__version__
    assert citation["license"] == PROJECT["license"]
    assert sorted(reference["year"] for reference in citation["references"]) == [2017, 2018, 2020]
    assert PROJECT["requires-python"] == ">=3.10"


def test_console_script_exists():
    module, function = PROJECT["scripts"]["dmsc"].split(":")
    shown = subprocess.run([sys.executable, "-m", "dmsc", "--version"], capture_output=True, text=True, cwd=ROOT)
    assert (module, function, shown.returncode) == ("dmsc.__main__", "main", 0)
    assert PROJECT["version"] in shown.stdout


def imported(tree):
    """Top-level names of absolute imports below a node."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


def name_of(path):
    """The dotted name of a module of the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def code_lines(text):
    """How many lines hold code: no docstrings, comments or blank lines."""
    lines = set()
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in layout:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in documented(ast.parse(text)):
        lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def documented(tree):
    """The nodes that have a docstring."""
    kinds = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef
    return [node for node in ast.walk(tree) if isinstance(node, kinds) and ast.get_docstring(node)]


def relative_imports(path):
    """Every (module of dmsc, imported name) of a file."""
    package = name_of(path).split(".") if path.stem == "__init__" else name_of(path).split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            for alias in node.names:
                yield ".".join([*base, *(node.module or "").split(".")]).rstrip("."), alias.name


def test_lines_of_code_are_counted_without_prose():
    assert code_lines('"""Doc."""\n\n# why\nx = [\n    1,\n]  # list\n\ndef f():\n    """Doc."""\n    return x\n') == 5


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_is_short_documented_and_declares_what_it_imports(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert code_lines(text) <= LIMIT
    assert ast.get_docstring(tree)
    required = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    declared = {IMPORT_NAMES.get(name, name) for name in required}
    foreign = set(imported(tree)) - set(sys.stdlib_module_names) - {"dmsc"}
    assert foreign - set(JUPYTER.split()) <= declared


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_docstrings_are_plain_text(path):
    """JupyterLab's ? shows them as they are written."""
    for node in documented(ast.parse(path.read_text(encoding="utf-8"))):
        marked = re.search(r":(?:func|class|mod|data|meth|attr|ref|math):`|\.\. [a-z]+::", ast.get_docstring(node))
        assert marked is None, f"{getattr(node, 'name', 'module')}: {marked[0]}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_one_way_and_take_no_private_name(path):
    parts = name_of(path).split(".")
    room = parts[1] if len(parts) > 1 and parts[1] in ROOMS else ""
    for module, name in relative_imports(path):
        assert not name.startswith("_") or name == "__version__", f"{module}.{name} is private"
        there = module.split(".")[1] if "." in module else name
        if there not in ROOMS or there == room or path.stem in FACES and not room:
            continue
        assert room and there in MAY_IMPORT[room], f"{name_of(path)} looks into {there}/"


def test_every_room_has_tests():
    for room in ROOMS:
        assert list((ROOT / "tests" / room).glob("test_*.py")), room


def test_imports_and_says_what_is_missing_without_jupyter():
    program = f"""
import importlib, sys
class Hook:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {JUPYTER.split()!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hook())
for name in {[name_of(path) for path in MODULES if path.stem != "__main__"]!r}:
    importlib.import_module(name)
for name in {JUPYTER.split()!r}:
    sys.modules[name] = None
sys.exit(importlib.import_module("dmsc.__main__").main(["reproduce"]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2, done.stderr
    assert "papermill" in done.stderr and 'pip install -e ".[notebooks]"' in done.stderr
    assert "Traceback" not in done.stderr


def repository_files():
    """Files that are tracked, or would be if they were added."""
    git = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(git, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs git and a checkout: reads the list of tracked files")
    return [path for path in (ROOT / name for name in listed.split("\0") if name) if path.is_file()]


def test_no_file_names_a_path_of_one_machine():
    machine = re.compile(r"(?<![\w.~+/-])/(?:home|root|Users|work|tmp|mnt|scratch)" + "/")
    for path in repository_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:  # a picture
            continue
        found = machine.search(text)
        assert found is None, f"{path.relative_to(ROOT)}: {text[found.start() : found.end() + 40]!r}"


def test_no_data_and_no_large_file_is_tracked():
    for path in repository_files():
        assert path.suffix not in {".mat", ".npz", ".npy", ".gz", ".pth", ".pt", ".pkl", ".zip"}, path
        assert path.stat().st_size < 1_000_000, path


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_help_shows_every_target():
    shown = subprocess.run(["make"], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    targets = ["env", "reproduce", "papers", "test", "test-browser", "test-cluster", "lint", "notebooks", "table"]
    targets += ["lab", "site", "clean"]
    assert set(targets) <= set(re.findall(r"^  make ([a-z-]+) +\w", shown, flags=re.M))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)", makefile, flags=re.M)[1].split()
    assert set(phony) == set(re.findall(r"^([a-z-]+):.*## ", makefile, flags=re.M))


def test_ci_runs_the_tests_of_the_makefile():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    calls = [line for line in script.read_text(encoding="utf-8").splitlines() if line.startswith("make ")]
    assert calls == ["make test", "make test-browser", "make test-cluster"]
