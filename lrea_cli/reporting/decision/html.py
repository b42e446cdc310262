"""A document as one HTML file that needs no other: no script, no network, light and dark, wide and narrow."""

from __future__ import annotations

import re
from html import escape

from lrea_cli.reporting.decision.document import Block, Cell, Document, Lines, Picture, Points, Section, Table, Text

NO_NETWORK = "default-src 'none'; style-src 'unsafe-inline'"
CODE = re.compile(r"`([^`]*)`")

STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1c1e21;--soft:#595f66;--line:#d5d9de;--box:#f3f6f9;
--cached:#0072b2;--compressed:#d55e00;--full:#1c1e21;--short:#009e73;--band:#0072b21f;--over:#595f6614}
@media(prefers-color-scheme:dark){:root{--paper:#16181b;--ink:#e9ebee;--soft:#a9b0b8;--line:#3b4148;--box:#20252b;
--cached:#56b4e9;--compressed:#e69f00;--full:#e9ebee;--short:#009e73;--band:#56b4e926;--over:#a9b0b81a}}
*{box-sizing:border-box}
body{font:16px/1.55 system-ui,sans-serif;max-width:64rem;margin:0 auto;padding:1.5rem 1rem 4rem;color:var(--ink);
background:var(--paper);overflow-wrap:break-word}
h1{font-size:1.05rem;font-weight:600;color:var(--soft);margin:0 0 .6rem}
h2{font-size:1.2rem;margin:2.4rem 0 .6rem}
.verdict{background:var(--box);border-left:.35rem solid var(--cached);border-radius:.3rem;padding:1rem 1.2rem}
.verdict p{margin:.5rem 0 0}
.verdict .said{font-size:1.5rem;line-height:1.3;font-weight:650;margin:0}
code{font:.92em ui-monospace,monospace;background:var(--box);padding:0 .2em;border-radius:.2em}
th code,td code{background:none;padding:0;font:inherit}
ul{padding-left:1.2rem}li{margin:.3rem 0}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:.3rem;margin:.8rem 0;
background:linear-gradient(90deg,var(--paper) 30%,transparent),
linear-gradient(270deg,var(--paper) 30%,transparent) 100% 0,linear-gradient(90deg,#0004,transparent),
linear-gradient(270deg,#0004,transparent) 100% 0;background-repeat:no-repeat;
background-size:2.5rem 100%,2.5rem 100%,.7rem 100%,.7rem 100%;
background-attachment:local,local,scroll,scroll}
table{border-collapse:separate;border-spacing:0;font-size:.86rem;line-height:1.3;min-width:100%}
th,td{padding:.35rem .7rem;text-align:right;white-space:nowrap;vertical-align:top;border-bottom:1px solid var(--line);
font-variant-numeric:tabular-nums}
tr:last-child>*{border-bottom:0}
thead th{font-weight:600;color:var(--soft);vertical-align:bottom;white-space:normal;min-width:4.5rem}
tr>:first-child{text-align:left;position:sticky;left:0;background:var(--paper);background-clip:padding-box}
tbody th{font-weight:500;max-width:11rem;white-space:normal}
.words{text-align:left}td.words{text-align:left;white-space:normal;min-width:12rem}
.marked>*{background:var(--box)!important;font-weight:650}
small{display:block;color:var(--soft);font-weight:400;font-size:.8rem}
pre{overflow-x:auto;background:var(--box);padding:.6rem .8rem;border-radius:.3rem;font-size:.86rem;margin:.3rem 0 1rem}
svg{display:block;width:100%;height:auto;margin:.6rem 0}
.narrow{display:none}
@media(max-width:640px){.wide{display:none}.narrow{display:block}.verdict .said{font-size:1.25rem}}
svg text{font:13px system-ui,sans-serif;fill:var(--ink)}
svg .soft{fill:var(--soft)}svg .name{paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}
svg .strong{font-weight:700}
svg path{fill:none}
svg .grid{stroke:var(--line);stroke-width:1}svg .axis{stroke:var(--soft);stroke-width:1}
svg .band{fill:var(--band)}svg .over{fill:var(--over)}
svg .limit{stroke:var(--ink);stroke-width:1.5;stroke-dasharray:6 4}
svg .frontier{stroke:var(--soft);stroke-width:1.5;stroke-dasharray:2 3}
svg .count{stroke:var(--short);stroke-width:2.5;stroke-dasharray:9 5}
svg .ring{fill:none;stroke:var(--ink);stroke-width:2}
svg .lead{stroke:var(--soft);stroke-width:.8}
svg .bar{stroke-width:1.5;opacity:.55}svg .line{stroke-width:1.5;opacity:.6}
svg .line.main{stroke-width:3;opacity:1}
svg .mark{stroke:var(--paper);stroke-width:1}
.f-cached{fill:var(--cached)}.f-compressed{fill:var(--compressed)}.f-full{fill:var(--full)}.f-short{fill:var(--short)}
.s-cached{stroke:var(--cached)}.s-compressed{stroke:var(--compressed)}.s-full{stroke:var(--full)}
.s-short{stroke:var(--short)}
"""


def html(document: Document) -> str:
    """The whole page."""
    reasons = "".join(f"<p>{_inline(reason)}</p>" for reason in document.reasons)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{NO_NETWORK}">\n'
        f"<title>{escape(document.title.replace('`', ''))}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{_inline(document.title)}</h1>\n"
        f'<div class="verdict"><p class="said">{_inline(document.verdict)}</p>{reasons}</div>\n'
        f"{''.join(map(_section, document.sections))}</body>\n</html>\n"
    )


def _section(section: Section) -> str:
    blocks = "\n".join(map(_block, section.blocks))
    return f"<section>\n<h2>{_inline(section.title)}</h2>\n{blocks}\n</section>\n"


def _block(block: Block) -> str:
    if isinstance(block, Text):
        return f"<p>{_inline(block.text)}</p>"
    if isinstance(block, Points):
        return f"<ul>{''.join(f'<li>{_inline(line)}</li>' for line in block.lines)}</ul>"
    if isinstance(block, Picture):
        return block.wide + block.narrow
    if isinstance(block, Lines):
        return "".join(f"<p>{_inline(makes)}:</p><pre>{escape(line)}</pre>" for makes, line in block.lines)
    return _table(block)


def _table(table: Table) -> str:
    """In a box of its own, which scrolls where the table is wider than the page, by keys as well."""
    head = "".join(
        f'<th scope="col"{" class=words" if words else ""}>{_inline(name)}</th>'
        for name, words in zip(table.columns, table.words, strict=True)
    )
    body = "".join(_row(row, number == table.marked) for number, row in enumerate(table.rows))
    return (
        f'<div class="scroll" role="region" aria-label="{escape(table.about)}" tabindex="0"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(row: tuple[Cell, ...], marked: bool) -> str:
    name, *others = row
    cells = "".join(f"<td{' class=words' if cell.words else ''}>{_cell(cell)}</td>" for cell in others)
    return f'<tr{" class=marked" if marked else ""}><th scope="row">{_cell(name)}</th>{cells}</tr>'


def _cell(cell: Cell) -> str:
    return _inline(cell.text) + (f"<small>{_inline(cell.under)}</small>" if cell.under else "")


def _inline(text: str) -> str:
    return CODE.sub(r"<code>\1</code>", escape(text))
