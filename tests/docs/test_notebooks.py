"""Runs the cells of each page that has some as one notebook, in a Jupyter kernel."""

import importlib.util
import re
import sys
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("pages", Path(__file__).with_name("test_examples.py"))
pages = sys.modules["pages"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pages)

NOTEBOOKS = [page for page in pages.PAGES if any("cell" in block.notes for block in pages.blocks_of(page))]
TAG = re.compile(r"<[^>]*>")


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda page: page.name)
def notebook(request, tmp_path_factory):
    """The cells of a page after their run, each with the output that the page promises (None where it has none)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages for notebooks
        import nbformat
        from nbclient import NotebookClient

        blocks = pages.blocks_of(request.param)
        cells = [
            (nbformat.v4.new_code_cell(block.text), after.text if after and "prints" in after.notes else None)
            for block, after in zip(blocks, [*blocks, None][1:], strict=True)
            if "cell" in block.notes
        ]
        made = nbformat.v4.new_notebook(cells=[cell for cell, _ in cells])
        folder = tmp_path_factory.mktemp("notebook")
        client = NotebookClient(made, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
        client.execute()  # raises for a cell that raises
    return cells


def outputs(cells, begins):
    (found,) = [cell for cell, _ in cells if cell.source.startswith(begins)]
    return found.outputs


def printed_by(cell):
    return "".join(each["text"] for each in cell.outputs if each.get("name") == "stdout")


def test_cells_print_what_the_page_says(notebook):
    promised = [(cell, text) for cell, text in notebook if text is not None]
    assert promised
    for cell, text in promised:
        assert printed_by(cell) == text, cell.source


def test_progress_is_one_output_that_ends_with_all_tasks_done(notebook):
    drawn = [each for each in outputs(notebook, "@cnflow.python_app\ndef growth") if each.output_type == "display_data"]
    (bar,) = drawn
    assert bar["data"]["text/plain"].startswith("5 of 5 done, ")
    assert "width:100.0%" in bar["data"]["text/html"]


def test_future_shows_its_task(notebook):
    (shown,) = outputs(notebook, "futures[0]")
    cells = [TAG.sub("", part) for part in shown["data"]["text/html"].split("</td>")]
    assert re.sub(r"\d\.\d s", "T s", " ".join(cells)) == "taskappstatetimeexecutor0 growth done T s threads "
    assert shown["data"]["text/plain"].startswith("<AppFuture of task 0 (growth), done on 'threads', ")


def test_run_shows_its_tasks_by_app(notebook):
    (shown,) = outputs(notebook, "dfk\n")
    page = pages.blocks_of(ROOT / "docs/how-to/notebooks.md")
    (table,) = [block.text for block in page if block.text.startswith("run 000,")]
    assert shown["data"]["text/plain"] + "\n" == table
    assert ">growth</td>" in shown["data"]["text/html"]


def test_run_that_has_ended_says_so(notebook):
    (shown,) = outputs(notebook, "dfk.cleanup()")
    assert shown["data"]["text/plain"].startswith("run 002, ended, ")


def test_plot_is_a_picture(notebook):
    (shown,) = outputs(notebook, "from IPython.display import SVG")
    assert shown["data"]["image/svg+xml"].count("<polyline") == 5
