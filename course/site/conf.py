"""The course as a site, by Sphinx and MyST-NB; `make site` builds it into build/site.

Pages are read where they lie, with the outputs that are stored in them: the sources' folder is the repository.
Nothing is run, and nothing is loaded from elsewhere: not while it is built, and not by a reader's browser.
"""

import importlib.util
import os
import re
import shutil
from pathlib import Path

from docutils import nodes
from sphinx import addnodes

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
#: Where the repository's files can be read, such as ``https://example.org/dmsc/blob/main``; links to files that are
#: no pages of the site lead there. Without it they lead to a copy, and those to folders are plain text.
SOURCE_URL = os.environ.get("DMSC_SOURCE_URL", "").rstrip("/")

project = "dmsc"
author = copyright = "the dmsc authors"
language = "en"
root_doc = "course/site/index"
include_patterns = [
    *("course/site/*.md", "course/*.md", "course/solutions/*.md", "notebooks/README.md", "notebooks/*.ipynb"),
    *("README.md", "results/README.md", "data/README.md", "CONTRIBUTING.md", "CHANGELOG.md"),
]
exclude_patterns = [
    ".*",
    "build",
    "dist",
    "runs",
    "dmsc",
    "tests",
    "results/*/**",
    "data/*/**",
    "**/.ipynb_checkpoints",
]

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 6  # names of headings as in links on GitHub

default_role = "literal"  # docstrings: `name`
autodoc_typehints = "none"  # docstrings say it
autodoc_member_order = "groupwise"
napoleon_use_param = napoleon_use_rtype = False
napoleon_google_docstring = False
napoleon_use_ivar = True
nitpick_ignore_regex = [("py:class", ".*")]  # types are prose, such as "array (N,)"
autodoc_default_options = {"exclude-members": "set_fit_request, set_predict_request"}  # scikit-learn's

html_theme = "furo"
html_title = "dmsc"
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_favicon = str(HERE / "static" / "icon.svg")
html_extra_path = [str(HERE / "front")]  # index.html, which leads on to the page of the same name
html_copy_source = False
mathjax_path = "mathjax/tex-chtml-full.js"
MATHJAX = "sphinx-mathjax-offline"  # the package that holds it, with fonts


def refer_outside(app, doctree):
    """Lead links to files and folders that are no pages of the site to SOURCE_URL, to a copy, or nowhere."""
    docname = app.env.docname
    for node in list(doctree.findall(addnodes.pending_xref)) + list(doctree.findall(addnodes.download_reference)):
        if node["reftype"] != "myst":
            continue
        target = node["reftarget"].split("#")[0]
        if node.get("refdomain") == "doc":
            if target in app.env.found_docs:
                continue
            path = next(ROOT.glob(f"{target}.*"), ROOT / target)
        else:
            path = Path(app.env.relfn2path(target, docname)[1])
        if not target or not path.exists():
            continue  # Sphinx warns of it
        if SOURCE_URL:
            uri = f"{SOURCE_URL}/{path.resolve().relative_to(ROOT).as_posix()}"
            node.replace_self(nodes.reference("", "", *node.children, refuri=uri, internal=False))
        elif isinstance(node, addnodes.pending_xref):  # a folder, or an assignment, which has its answers in it
            node.replace_self(node.children)


def prepare(app, docname, source):
    """Write names of headings in lower case, unlike JupyterLab; list what there is on the first page."""
    source[0] = re.sub(r"(?<=\]\(#)[^)\s]+(?=\))", lambda match: match[0].lower(), source[0])
    if docname == root_doc:
        lines = source[0].splitlines()
        source[0] = "\n".join(x for x in lines if "*" not in x or any(ROOT.glob(x.strip("/") + ".*")))


def escape(app, what, name, obj, options, lines):
    """Make reStructuredText of a docstring, in which |C|, Z* and labels_ are no markup."""
    if what in ("property", "attribute"):
        lines.insert(0, "\\ ")  # or napoleon takes words before a colon for a type
    for k, line in enumerate(lines):
        if not re.match(r"\s*>>> |\s*\.\.\. ", line):
            parts = re.split(r"(``[^`]+``|`[^`]+`)", line)
            parts[::2] = [re.sub(r"(?<!\\)([*|]|(?<=\w)_(?!\w))", r"\\\1", part) for part in parts[::2]]
            lines[k] = "".join(parts)


def copy_mathjax(app, exception):
    """Put MathJax and its fonts beside the pages."""
    if exception is None and app.builder.format == "html":
        origin = Path(importlib.util.find_spec(MATHJAX).origin).parent / "static" / "mathjax"
        goal = Path(app.outdir) / "_static" / "mathjax"
        for part in (Path(mathjax_path).name, "output/chtml/fonts/woff-v2"):
            (goal / part).parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (origin / part).is_dir() else shutil.copy
            copy(origin / part, goal / part, **({"dirs_exist_ok": True} if copy is shutil.copytree else {}))


def setup(app):
    """Connect the functions above."""
    app.connect("source-read", prepare)
    app.connect("doctree-read", refer_outside, priority=400)  # before Sphinx copies what is linked to
    app.connect("autodoc-process-docstring", escape, priority=400)  # before napoleon
    app.connect("build-finished", copy_mathjax)
