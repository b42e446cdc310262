"""The pages: whole and valid with and without each part, without network, escaped, the same bytes each time."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lrea_cli.decide.results import UNKNOWN, Command, Contender, Dropped, Measurements
from lrea_cli.decide.verdict.answer import Decision, read_decision
from lrea_cli.decide.verdict.verdict import decide
from lrea_cli.reporting.decision.content import document
from lrea_cli.reporting.decision.document import Table
from lrea_cli.reporting.decision.html import html
from lrea_cli.reporting.decision.markdown import markdown
from lrea_cli.reporting.decision.page import write_pages
from lrea_cli.stats.estimates import Estimate
from tests.decide.made_up import DECISIONS, contender, made_up_ship, measured

VOID = {"meta"}
SECTIONS = [
    "The question",
    "What is unsure",
    "AUC against time",
    "The contenders",
    "More training rows",
    "Without a model",
    "What was dropped, and why",
    "The machine",
    "Make every number again",
]


class Balanced(HTMLParser):
    """Fails at a tag that is not closed, or closed elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(decision: Decision) -> str:
    """The HTML page, after what holds of every one."""
    text = html(document(decision))
    parser = Balanced()
    parser.feed(text)
    parser.close()
    assert not parser.open
    assert not {"script", "img", "link", "iframe", "a"} & set(parser.seen)
    assert not {"src", "href"} & {name for name, _ in parser.attributes}
    assert not any(name.startswith("on") for name, _ in parser.attributes)
    for outside in ("http://", "https://", "url(", "@import", "nan", "None"):
        assert outside not in text, outside
    for table in tables_of(decision):
        assert all(len(row) == len(table.columns) for row in table.rows)
    return text


def tables_of(decision: Decision) -> list[Table]:
    return [b for section in document(decision).sections for b in section.blocks if isinstance(b, Table)]


def sections_of(text: str) -> list[str]:
    return re.findall("<h2>(.*?)</h2>", text)


def each(change: Callable[[Contender], Contender]) -> Callable[[Measurements], Measurements]:
    return lambda m: replace(m, contenders=tuple(map(change, m.contenders)))


WITHOUT: dict[str, tuple[Callable[[Measurements], Measurements], set[str]]] = {
    "nothing": (lambda m: m, set()),
    "counters and a best": (
        lambda m: replace(m, counters=(), question=replace(m.question, data=replace(m.question.data, best_auc=None))),
        {"Without a model"},
    ),
    "counters": (lambda m: replace(m, counters=()), set()),
    "dropped": (lambda m: replace(m, dropped=()), {"What was dropped, and why"}),
    "curves": (each(lambda c: replace(c, curve=())), {"More training rows"}),
    "most of the curves": (each(lambda c: replace(c, curve=c.curve[-1:])), set()),
    "times": (each(lambda c: replace(c, p99_ms=UNKNOWN, p50_ms=UNKNOWN)), {"AUC against time"}),
    "intervals of times": (each(lambda c: replace(c, p99_ms=Estimate(c.p99_ms.value, None, None))), set()),
    "intervals of the AUC": (each(lambda c: replace(c, auc=Estimate(c.auc.value, None, None))), set()),
    "losses": (each(lambda c: replace(c, losses=())), set()),
    "load": (lambda m: replace(m, load=None), set()),
    "records": (each(lambda c: replace(c, record_bytes=None, make_ms=None, new_behavior=None, aged=())), set()),
    "calibration": (each(lambda c: replace(c, gauc=UNKNOWN, ece=UNKNOWN, ne=UNKNOWN)), set()),
    "commands": (lambda m: replace(m, commands=()), set()),
    "all but one": (lambda m: replace(m, contenders=m.contenders[:1]), set()),
    "contenders": (lambda m: replace(m, contenders=()), {"AUC against time", "The contenders", "More training rows"}),
}


@pytest.mark.parametrize("part", WITHOUT)
def test_the_page_is_whole_without_a_part(part: str) -> None:
    change, missing = WITHOUT[part]
    decision = decide(change(made_up_ship().measured))
    text = checked(decision)
    assert sections_of(text) == [name for name in SECTIONS if name not in missing]
    assert unescape(re.sub("<[^>]*>", "", text)).count(decision.verdict.headline.replace("`", "")) == 1
    assert markdown(document(decision)).startswith("# What to ship on `made-up-shop`\n\n**")


@pytest.mark.parametrize("name", DECISIONS)
def test_the_verdict_stands_first_and_all_is_said(name: str) -> None:
    decision = DECISIONS[name]()
    text, page = checked(decision), markdown(document(decision))
    verdict = decision.verdict
    plain = unescape(re.sub("<[^>]*>", "", text.partition("<body>")[2]))
    lines = [verdict.headline, *verdict.reasons, *verdict.unsure]
    at = [plain.index(line.replace("`", "")) for line in lines]
    assert at == sorted(at)
    assert plain.index("The question") > at[len(verdict.reasons)]
    assert page.index("## The question") > page.index(verdict.reasons[-1][:30])
    for each_one in decision.measured.contenders:
        assert each_one.name in plain
        assert f"{each_one.auc.value:.4f}" in plain
    for command in decision.measured.commands:
        assert command.line in plain
        assert f"    {command.line}\n" in page
    assert str(decision.measured.machine) in plain


@pytest.mark.parametrize("name", DECISIONS)
def test_markdown_says_what_html_says(name: str) -> None:
    decision = DECISIONS[name]()
    page, tables = markdown(document(decision)), tables_of(decision)
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert len(rows) == sum(len(table.rows) + 2 for table in tables)
    expected = [len(table.columns) for table in tables for _ in range(len(table.rows) + 2)]
    assert [len(re.split(r"(?<!\\)\|", row)) - 2 for row in rows] == expected
    written = "\n".join(rows).replace("\\", "")
    for table in tables:
        for cell in (cell for row in table.rows for cell in row):
            assert cell.text in written
            assert cell.under in written
    assert "| --- | --- | --- | --- |" in page, "texts stand at the left"
    assert "| --- | ---: | ---: |" in page
    assert "Picture (drawn on the HTML page): AUC as served against the p99" in page


def test_the_row_of_the_choice_stands_out() -> None:
    (row,) = re.findall(r'<tr class="?marked"?>(.*?)</tr>', checked(made_up_ship()).partition("a new behavior")[2])[:1]
    assert "din, clusters 16" in row
    assert "the choice" in row


WILD = "<script>alert('1')</script> & \"q\" | `x`"


def wild() -> Decision:
    """Names that would break out of HTML, Markdown and SVG."""
    base = made_up_ship().measured
    renamed = {c.name: WILD if c.name == "din, clusters 16" else c.name for c in base.contenders}
    contenders = tuple(
        replace(
            c,
            name=renamed[c.name],
            about=WILD,
            recipe=WILD,
            losses=tuple(replace(loss, against=renamed[loss.against]) for loss in c.losses),
        )
        for c in base.contenders
    )
    dropped = (Dropped(f"{WILD} 2", "cached", WILD, WILD, 0.7, 0.8, WILD),)
    question = replace(base.question, data=replace(base.question.data, name=WILD, source=WILD))
    commands = (Command(WILD, f"lrea decide --dataset {WILD}"),)
    counters = tuple(replace(c, name=f"{c.name} {WILD}") for c in base.counters)
    parts = {"contenders": contenders, "dropped": dropped, "commands": commands, "counters": counters}
    return decide(replace(base, question=question, **parts))


def test_names_are_escaped() -> None:
    decision = wild()
    assert decision.verdict.choice == WILD
    text = checked(decision)
    assert "<script" not in text
    assert "&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt; &amp; &quot;q&quot;" in text
    page = markdown(document(decision))
    for line in page.splitlines():
        outside = re.sub(r"`[^`]*`", "", line)
        assert line.startswith("    ") or not re.search(r"(?<!\\)<script", outside), line
    lengths = {len(re.split(r"(?<!\\)\|", line)) for line in page.splitlines() if line.startswith("|")}
    assert lengths == {len(table.columns) + 2 for table in tables_of(decision)}


def test_the_files_are_written_whole_and_the_json_is_the_decision(tmp_path: Path) -> None:
    decision = made_up_ship()
    page = write_pages(tmp_path / "new" / "folder", decision)
    assert sorted(path.name for path in page.parent.iterdir()) == ["decision.html", "decision.json", "decision.md"]
    assert page.read_text(encoding="utf-8") == html(document(decision))
    assert page.with_suffix(".md").read_text(encoding="utf-8") == markdown(document(decision))
    assert read_decision(page.with_suffix(".json")) == decision


def test_the_same_decision_gives_the_same_bytes(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from lrea_cli.reporting.decision.page import write_pages\n"
        "from tests.decide.made_up import made_up_ship\n"
        "write_pages(Path(sys.argv[1]), made_up_ship())\n"
        "assert 'matplotlib' not in sys.modules and 'torch' not in sys.modules"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program, str(tmp_path / seed)],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    for name in ("decision.html", "decision.md", "decision.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_it_is_for_narrow_and_dark_screens() -> None:
    text = checked(made_up_ship())
    assert "width=device-width" in text
    assert "prefers-color-scheme:dark" in text
    assert text.count('class="scroll"') == len(tables_of(made_up_ship())), "tables scroll, not the page"
    for size in ("wide", "narrow"):
        assert text.count(f'class="{size}"') == 2, "two pictures, of both sizes"
    assert text.count('role="img"') == text.count("<svg") == 4


def test_the_colors_are_told_apart_by_color_blind_eyes() -> None:
    """Those of Okabe & Ito 2008, and the ink; each kind has a shape of its own as well."""
    okabe_ito = {"#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"}
    text = checked(made_up_ship())
    light, dark = text.split("prefers-color-scheme:dark")[:2]
    for scheme in (light, dark):
        colors = [re.findall(rf"--{kind}:(#\w+)", scheme)[0] for kind in ("cached", "compressed", "short", "full")]
        assert len(set(colors)) == 4
        assert set(colors[:3]) <= okabe_ito


def test_a_page_of_one_contender_that_has_no_interval() -> None:
    alone = replace(contender("a", 0.8, 5.0), auc=Estimate(0.8, None, None), p99_ms=Estimate(5.0, None, None))
    checked(decide(measured([alone])))
