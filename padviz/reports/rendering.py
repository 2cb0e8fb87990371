"""A report in each format: a table for the terminal, JSON, CSV, Markdown, GitHub, HTML."""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat

from padviz.errors import printable
from padviz.phrases import counted
from padviz.reports import documents, tables
from padviz.reports.report import ABOUT, Beside, Block, Facts, Heading, Lines, Report, Table
from padviz.version import SCHEMA_VERSION, __version__

ROWS, BESIDE = 20, 8  # of a table in a notebook, alone and beside a picture; the rest is folded
LONG, FACT = 48, 120  # characters of a cell, and of a fact; more fold
FIGURE = re.compile(r"[-+]?[\d.,]*( ?%|x)?")
PICTURE = "max-width: 100%; max-height: 360px"
MARK = ' style="background: #c22f2f26"'  # of uneven rows, on white and on black


def to_text(report: Report, format_: str, width: int = tables.UNLIMITED) -> str:
    """Return the report in a format; only a table for people folds, to a terminal's width."""
    if format_ == "table":
        return to_screen(report, width)
    return _FORMATS[format_](report)


def to_screen(report: Report, width: int) -> str:
    """Write tables, facts and sentences for the terminal."""
    parts = []
    for part in _parts(report, report.screen):
        texts = [_on_screen(block, width) for block in part]
        parts.append("\n\n".join(filter(None, texts)))
    return "\n\n\n".join(parts)


def _parts(report: Report, parts: Sequence[Sequence[Block]]) -> Sequence[Sequence[Block]]:
    """Return the parts with the files at the end, among the facts if these end the last part."""
    if not report.files:
        return parts
    *before, last = parts
    facts = Facts(("file", file) for file in report.files)
    if isinstance(last[-1], Facts):
        ended = [*last[:-1], Facts((*last[-1], *facts))]
    else:
        ended = [*last, facts]
    return [*before, ended]


def _on_screen(block: Block, width: int) -> str:
    if isinstance(block, Heading):
        return tables.wrapped(block, width)
    if isinstance(block, Facts):
        if block:
            return tables.to_facts(block, width)
        return ""
    if isinstance(block, Lines):
        return "\n".join(tables.wrapped(text, width, block.indent) for text in block.texts)
    if isinstance(block, Table):
        if block.rows:
            return _fitted(block, width)
        return ""
    if isinstance(block, Beside):
        return tables.beside(block.texts, width)
    return str(block)


def _fitted(table: Table, width: int) -> str:
    """Write a table and its legend; leave out empty columns, and name those that do not fit."""
    headings, cells, filled = table.headings, table.cells(), _filled(table)
    shown = _columns_within(table, filled, tables.least_widths(headings, cells), width)
    rows = [[row[i] for i in shown] for row in cells]
    lines = [tables.to_table([headings[i] for i in shown], rows, width)]
    if legend := table.legend_of(shown):
        lines.append(tables.wrapped(legend, width))
    missing = [headings[i] for i in filled if i not in shown]
    if missing:
        text = f"Not shown in {width} columns: {', '.join(missing)}."
        lines.append(tables.wrapped(f"{text} Widen the terminal, or pipe to less -S.", width))
    return "\n".join(lines)


def _filled(table: Table) -> list[int]:
    """Return the columns that have a cell."""
    columns = enumerate(zip(*table.cells(), strict=True))
    return [i for i, column in columns if any(cell not in (None, "") for cell in column)]


def _columns_within(
    table: Table, filled: Sequence[int], least: Sequence[int], width: int
) -> list[int]:
    """Choose columns: the one to spare first goes, until the rest fits the width."""
    shown = [*filled]
    # The first column says what a row is about, so it stays.
    while len(shown) > 1 and tables.total_width([least[i] for i in shown]) > width:
        shown.remove(max(shown[1:], key=lambda i: (table.columns[i].spare, i)))
    return shown


def to_json(report: Report) -> str:
    """Write the JSON object: what it is about first, then figures, its rows, and written files."""
    head = {"schema_version": SCHEMA_VERSION, "padviz": __version__, "command": report.name}
    head |= {**dict.fromkeys(ABOUT), "notes": []}
    tail = {"rows": sheet_of(report).records, "files": [*report.files]}
    return documents.to_json({**head, **report.facts, **tail})


def to_csv(report: Report) -> str:
    keys, rows = whole_rows(report)
    return documents.to_csv(keys, [[row[key] for key in keys] for row in rows])


def whole_rows(report: Report) -> tuple[list[str], list[dict[str, object]]]:
    """Return the keys and the rows of CSV: those of JSON, and before them what they are about."""
    about = {key: report.facts[key] for key in ABOUT if key in report.facts}
    sheet = sheet_of(report)
    keys = dict.fromkeys([*about, *(column.key for column in sheet.columns)])
    return [*keys], [documents.plain({**about, **record}) for record in sheet.records]


def sheet_of(report: Report) -> Table:
    """Return the table of the rows in JSON and CSV."""
    tables_shown = (block for block in chain(*report.screen) if isinstance(block, Table))
    return report.sheet or next(tables_shown)


def to_markdown(report: Report) -> str:
    """Write what the screen shows as Markdown, or more where a screen has no room for it."""
    blocks = chain(*_parts(report, report.paper or report.screen))
    return "\n\n".join(text for block in blocks if (text := _in_markdown(block)))


def _in_markdown(block: Block) -> str:
    if isinstance(block, Heading):
        return printable(f"### {block}")
    if isinstance(block, Facts):
        return "\n".join(
            f"- {printable(name)}{': ' * bool(name)}{documents.marked(value)}"
            for name, value in block
        )
    if isinstance(block, Lines):
        return "\n\n".join(map(printable, block.texts))
    if not isinstance(block, Table):
        return f"```\n{block}\n```"
    if not block.rows:
        return ""
    legend = printable(block.legend_of(_filled(block)))
    cells = [block.headings, *([documents.marked(cell) for cell in row] for row in block.cells())]
    head, *lines = (f"| {' | '.join(line)} |" for line in cells)
    return "\n".join(
        [head, f"|{'---|' * len(block.columns)}", *lines, *(["", legend] if legend else [])]
    )


def to_github(report: Report) -> str:
    """Write an annotation for each finding, as GitHub reads them in the log of a workflow."""
    lines = []
    for finding in report.findings:
        file = ""
        if finding.file:
            file = f"file={escaped(finding.file, property_=True)},"
        title = escaped(finding.title, property_=True)
        lines.append(f"::{finding.level} {file}title={title}::{escaped(finding.text)}")
    return "\n".join(lines)


def escaped(text: str, property_: bool = False) -> str:
    """Escape what a workflow command would misread, and then what a terminal would.

    >>> escaped("50%, a:b", property_=True)
    '50%25%2C a%3Ab'
    """
    pairs = [
        ("%", "%25"),
        ("\r", "%0D"),
        ("\n", "%0A"),
        *([(":", "%3A"), (",", "%2C")] if property_ else []),
    ]
    for char, escape_ in pairs:
        text = text.replace(char, escape_)
    return printable(text)


def to_html(report: Report, png: bytes = b"") -> str:
    """Write a fragment for notebooks, whose tables fold all but their first rows."""
    blocks = [*chain(*(report.paper or report.screen))]
    if not any(isinstance(block, Table) for block in blocks) and not png:
        blocks.append(sheet_of(report))
    texts = [in_html(block, BESIDE if png else ROWS) for block in blocks]
    if png:
        at = next((i for i, block in enumerate(blocks) if isinstance(block, Table)), len(blocks))
        data = b2a_base64(png, newline=False).decode("ascii")
        texts.insert(
            at, f'<img alt="{report.name}" style="{PICTURE}" src="data:image/png;base64,{data}">'
        )
    return "\n".join(filter(None, texts))


def in_html(block: Block, most: int = 0) -> str:
    """Write a block of a report as HTML; in a notebook, rows after the `most` first ones fold."""
    if isinstance(block, Heading):
        return f"<h4>{_html(block)}</h4>"
    if isinstance(block, Lines):
        return _paragraphs(block.texts)
    if isinstance(block, Facts):
        if any(name for name, _ in block):
            return _table_of([], block, long=FACT if most else 0)
        return _paragraphs(text for _, text in block)
    if isinstance(block, Table):
        return _folded(block, most or len(block.rows))
    lines = map(_html, str(block).split("\n"))
    return '<pre style="font-family: monospace">' + "\n".join(lines) + "</pre>"


def _paragraphs(texts: Iterable[object]) -> str:
    return "\n".join(f"<p>{_html(text)}</p>" for text in texts)


def _folded(table: Table, most: int) -> str:
    """Write a table and its legend; rows after the `most` first ones fold."""
    marks = [table.marked(row) for row in table.rows]
    filled = _filled(table)
    headings = [table.headings[i] for i in filled]
    cells = [[row[i] for i in filled] for row in table.cells()]
    text = ""
    if cells:
        text = _table_of(headings, cells[:most], marks[:most])
    if len(cells) > most:
        more = counted(len(cells) - most, "more row")
        rest = _table_of(headings, cells[most:], marks[most:])
        text += f"<details><summary>{more}</summary>\n{rest}</details>\n"
    if legend := table.legend_of(filled):
        text += f"<p>{_html(legend)}</p>"
    return text


def _table_of(
    headings: Sequence[str],
    rows: Sequence[Sequence[object]],
    marks: Iterable[bool] = repeat(False),
    long: int = LONG,
) -> str:
    lines: list[tuple[str, str, Sequence[object]]] = [("th", "", headings)] * bool(headings)
    lines += [("td", MARK * marked, row) for row, marked in zip(rows, marks, strict=False)]
    texts = (
        f"<tr{look}>{''.join(_cell(tag, cell, long) for cell in cells)}</tr>"
        for tag, look, cells in lines
    )
    return "<table>\n" + "\n".join(texts) + "\n</table>\n"


def _cell(tag: str, value: object, long: int) -> str:
    """Write a cell: in a notebook figures stand right and words left, and long ones fold."""
    text = _html(value)
    if not long or FIGURE.fullmatch(text):
        return f"<{tag}>{text}</{tag}>"
    if len(text) <= long:
        return f'<{tag} style="text-align: left; white-space: nowrap">{text}</{tag}>'
    opening = _html(tables.readable(value)[: long - 1])
    folded = f"<details><summary>{opening}…</summary>{text}</details>"
    return f'<{tag} style="text-align: left">{folded}</{tag}>'


def _html(value: object) -> str:
    from html import escape

    return escape(tables.readable(value))


_FORMATS: dict[str, Callable[[Report], str]] = {
    "json": to_json,
    "csv": to_csv,
    "markdown": to_markdown,
    "github": to_github,
}
