from html.parser import HTMLParser

import msgspec
import pytest

from cnflow.monitoring.report.page import page


class Checker(HTMLParser):
    """Tags of a page; fails on one that is not closed in its order."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.links = [], set(), []

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.links += [value for name, value in attrs if name in {"href", "src", "xlink:href"}]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_is_one_whole_file_without_scripts_and_links(report):
    checker = Checker()
    checker.feed(page(report))
    assert checker.open == []
    assert {"svg", "table", "style"} <= checker.seen
    assert "script" not in checker.seen
    assert checker.links == []


def test_hostile_texts_are_escaped(report):
    text = page(report)
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "\x1b" not in text


def test_state_that_no_version_has_is_escaped(report):
    bars = [msgspec.structs.replace(bar, state='x"><b>') for bar in report.bars]
    assert "<b>" not in page(report._replace(bars=bars))


@pytest.mark.parametrize("words", ["$0.25", "1 min 0 s", "ValueError", "Ask for 1 core", "COMPLETED", "A100", "16 GiB"])
def test_page_has_facts_of_the_run(report, words):
    assert words in page(report)


def test_report_of_a_run_without_tasks_says_so(report):
    empty = report._replace(states={}, apps=[], steps=[], bars=[], errors=[], failed=[], blocks=[], nodes=[], usage=[])
    text = page(empty)
    assert "The run has no tasks." in text
    assert "No progress was recorded." in text


def test_run_that_goes_on_has_the_time_so_far(report):
    going = report._replace(run=msgspec.structs.replace(report.run, state="running", ended=None))
    assert "Since" in page(going)
