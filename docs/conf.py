"""The documentation site, built offline: ``sphinx-build -W --keep-going -b html docs site``.

It needs ``pip install -c constraints.txt ".[docs]"``. The tutorials are run by the build, in their folder, one after
the other: what one leaves in ``work/`` the next takes.
"""

import os
import shutil
from importlib import metadata
from pathlib import Path

import facies_xr
from facies_xr import stations

project = "facies_xr"
author = "The facies_xr authors"
copyright = "The facies_xr authors, MIT"
release = metadata.version("facies_xr")
language = "en"

extensions = ["myst_nb", "sphinx.ext.autosummary", "sphinx.ext.autodoc", "numpydoc"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "tutorials/work"]
nb_execution_mode = "force"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True
os.environ["PYTHONWARNINGS"] = "ignore"  # of the kernels: libraries that are about to change
html_theme = "pydata_sphinx_theme"
html_theme_options = {
    "show_prev_next": False,
    "use_edit_page_button": False,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 3,
}
html_title = f"facies_xr {release}"
html_copy_source = False
autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
suppress_warnings = ["config.cache"]

HERE = Path(__file__).parent
TUTORIALS = HERE / "tutorials"
VOCABULARY = """# Vocabulary

The names, dims, types and units of the Datasets at each station of the line, made from `facies_xr.stations` by the
build of this site. A variable marked "may be absent" was not asked for, or cannot be known. Words of the field are in
[conventions](conventions.md).
"""


def vocabulary() -> None:
    """Write the page of names, from the contract that the code holds to."""
    page = [VOCABULARY]
    for station, contract in stations.STATIONS.items():
        page.append(f"## {station}\n\n| variable | dims | type | unit | meaning |\n|---|---|---|---|---|")
        for name, variable in contract.items():
            absent = " (may be absent)" if variable.optional else ""
            dims = " ".join(variable.dims) or "-"
            kind = {"U": "text", "datetime64": "date"}.get(variable.dtype, variable.dtype)
            page.append(f"| `{name}` | {dims} | {kind} | {variable.units or '-'} | {variable.long_name}{absent} |")
        page.append("")
    (HERE / "vocabulary.md").write_text("\n".join(page))


REFERENCE = """# Reference

The public names of `facies_xr`. Those whose first argument is a Dataset are methods of its accessor too,
`ds.facies.NAME(...)`; so are `plot`, `explore` and `report`.

```{eval-rst}
.. currentmodule:: facies_xr

.. autosummary::
   :toctree: generated

"""


def reference() -> None:
    """Write the page of public names."""
    public = sorted((n for n in facies_xr.__all__ if callable(getattr(facies_xr, n))), key=str.lower)
    names = [*public, "plot.plot", "explore.explore", "report.report"]
    (HERE / "reference.md").write_text(REFERENCE + "".join(f"   {name}\n" for name in names) + "```\n")


def tutorials() -> None:
    """What an earlier build left is made anew."""
    shutil.rmtree(TUTORIALS / "work", ignore_errors=True)


def setup(app) -> None:
    """Called by Sphinx, before it looks for pages."""
    tutorials()
    vocabulary()
    reference()
