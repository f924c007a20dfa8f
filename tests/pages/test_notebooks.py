"""Static checks of the notebooks as they are committed; nbval runs them and compares the checked cells."""

from __future__ import annotations

import ast
import json
import re

import pytest

from dmsc.paths import ROOT

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
EXPECTED = [
    "00_start_here",
    "01_data_and_modalities",
    "02_self_expression",
    "03_spectral_clustering",
    "04_dsc_networks",
    "05_early_fusion",
    "06_intermediate_fusion",
    "07_late_fusion",
    "08_affinity_fusion",
    "09_bdgp_listing",
    "10_cmsc_dcca",
    "11_comparison",
    "12_speed_and_scale",
    "13_what_does_the_work",
    "14_your_own_data",
]
ABSOLUTE_PATH = re.compile(r"(?<![\w.~])/(?:home|root|tmp|work|Users|opt|usr|var|mnt)/|\b[A-Z]:\\\\?\w")


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    content = json.loads(request.param.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        cell["source"] = "".join(cell["source"])
    content["path"] = request.param
    return content


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def markdown(notebook):
    return "\n\n".join(cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "markdown")


def texts(outputs):
    """Yield what a reader sees as text: streams, and results that are no pictures."""
    for output in outputs:
        data = output.get("data", {"text/plain": output.get("text", "")})
        for kind, value in data.items():
            if not kind.startswith("image/"):
                yield "".join(value) if isinstance(value, (str, list)) else json.dumps(value)


def test_the_course_is_complete():
    assert [path.stem for path in NOTEBOOKS if re.match(r"\d\d_", path.name)] == EXPECTED


def test_first_code_cell_prints_versions_and_device(notebook):
    first = code_cells(notebook)[0]
    printed = "\n".join(texts(first["outputs"]))
    assert re.search(r"torch\W+\d+\.\d+", printed), "no version of torch"
    assert re.search(r"\b(cpu|cuda)\b", printed, re.IGNORECASE), "no device"
    assert "NBVAL_CHECK_OUTPUT" not in first["source"], "versions differ between machines"


def test_one_parameters_cell_of_literals_comes_next(notebook):
    cells = code_cells(notebook)
    tagged = [k for k, cell in enumerate(cells) if "parameters" in cell["metadata"].get("tags", [])]
    assert tagged == [1], "the parameters cell is the second code cell, and the only one"
    names = []
    for statement in ast.parse(cells[1]["source"]).body:
        assert isinstance(statement, ast.Assign) and len(statement.targets) == 1, ast.unparse(statement)
        assert isinstance(statement.targets[0], ast.Name), ast.unparse(statement)
        names.append(statement.targets[0].id)
        literal = ast.literal_eval(statement.value)
        assert _is_yaml_like(literal), f"{names[-1]} = {literal!r}"
    assert names and len(set(names)) == len(names)


def test_options_of_the_default_dataset_are_given_to_no_other(notebook):
    """`papermill … -p dataset orl` must not hand ORL's loader the options that belong to the page's digits."""
    cells = [ast.parse(cell["source"]) for cell in code_cells(notebook)]
    defaults = {node.targets[0].id: ast.literal_eval(node.value) for node in cells[1].body}
    if not {"dataset", "data_options"} <= set(defaults):
        return
    assert defaults["data_options"] is None
    (filled,) = [
        node
        for cell in cells
        for node in cell.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "data_options is None"
    ]
    for dataset, other in ((defaults["dataset"], False), ("another", True)):
        names = {"dataset": dataset, "data_options": None}
        exec(compile(ast.Module([filled], []), "cell", "exec"), names)
        assert (names["data_options"] == {}) == other


def _is_yaml_like(value):
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_yaml_like(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_yaml_like, value))
    return value is None or isinstance(value, (bool, int, float, str))


def test_it_was_executed_from_top_to_bottom(notebook):
    counts = [cell["execution_count"] for cell in code_cells(notebook) if cell["source"].strip()]
    assert counts == list(range(1, len(counts) + 1)), "run `make notebooks`"


def test_no_errors_and_nothing_on_stderr(notebook):
    for cell in code_cells(notebook):
        for output in cell["outputs"]:
            assert output["output_type"] != "error", output
            assert output.get("name") != "stderr", output


def test_no_absolute_paths(notebook):
    for cell in notebook["cells"]:
        for text in [cell["source"], *texts(cell.get("outputs", []))]:
            found = ABSOLUTE_PATH.search(text)
            assert found is None, text[max(0, found.start() - 40) : found.end() + 40]


def test_some_outputs_are_checked(notebook):
    checked = [cell for cell in code_cells(notebook) if re.search(r"^# *NBVAL_CHECK_OUTPUT", cell["source"], re.M)]
    assert checked
    for cell in checked:
        assert list(texts(cell["outputs"])), "a checked cell without text checks nothing"


def test_exercises_link_to_their_answers(notebook):
    """The answers are in course/solutions, under a heading of the exercise's own name; none unfolds on the page."""
    page = notebook["path"].stem
    solutions = (ROOT / "course" / "solutions" / f"{page}.md").read_text(encoding="utf-8")
    anchors = {anchor(title): title for title in re.findall(r"^## +(.*)", solutions, flags=re.M)}
    sections = re.split(r"^#{1,6} +", markdown(notebook), flags=re.M)
    exercises = [section for section in sections if re.search(r"\bExercise\b", section.split("\n")[0])]
    assert 2 <= len(exercises) <= 4
    for exercise in exercises:
        linked = re.search(rf"\]\(\.\./course/solutions/{page}\.md#([^)]+)\)", exercise)
        assert linked, exercise
        assert linked[1] == anchor(exercise.split("\n")[0]), "an exercise links to its own answer"
        assert linked[1] in anchors, f"no answer under that heading: {linked[1]}"
    assert "<details" not in markdown(notebook)


def anchor(title):
    """Return the address of a heading, as GitHub and Sphinx make it."""
    return re.sub(r"[^\w -]", "", title.strip().lower()).replace(" ", "-")


def test_links_lead_somewhere(notebook):
    for target in re.findall(r"\]\(([^)\s]+)\)", markdown(notebook)):
        if not re.match(r"[a-z]+:|#", target):
            assert (FOLDER / target.split("#")[0]).exists(), target


LIST_ITEM = re.compile(r"\s*(\d+[.)]|[-+*])\s")


def accidental_lists(text):
    """Yield lines of running text that Markdown takes for the item of a list, such as "1. So the", wrapped badly."""
    before = ""
    for line in re.sub(r"^```.*?^```", "", text, flags=re.M | re.S).split("\n"):
        running = before.strip() and not before.startswith(("#", " ")) and not LIST_ITEM.match(before)
        if running and re.match(r" {0,3}(1[.)]|[-+*])\s", line):
            yield f"{before} / {line}"
        before = line


def test_no_line_becomes_a_list_by_accident(notebook):
    assert list(accidental_lists("Has length\n1. The shares"))
    assert not list(accidental_lists("Steps:\n\n1. one\n2. two\n   more\n3. three\n\n```\na\n1. b\n```"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            assert not list(accidental_lists(cell["source"]))


def test_teaching_text_equations_and_pictures(notebook):
    outputs = [output for cell in code_cells(notebook) for output in cell["outputs"]]
    assert any("image/png" in output.get("data", {}) for output in outputs), "no picture"
    assert "$" in markdown(notebook), "no equation"


def test_metadata_is_clean_and_the_file_small(notebook):
    assert notebook["path"].stat().st_size < 700_000
    assert set(notebook["metadata"]) <= {"kernelspec", "language_info"}
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in notebook["cells"]:
        assert set(cell["metadata"]) <= {"tags"}, cell["metadata"]
