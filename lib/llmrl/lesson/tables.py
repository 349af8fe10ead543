"""Tables a reader can trust and a screen reader can read.

Numbers are written to a few significant digits and aligned; the first column names its row. A table of trained numbers
differs from seed to seed, so its cell carries the tag nbval-ignore-output; a table of numbers that follow from literals
needs no tag and is compared. Left out: sorting, paging, colours.
"""

import html

from llmrl.lesson.display import emit


def table(rows, caption=None, digits=3, fold=None):
    """An HTML table.  rows: a list of dictionaries, or (header, list of rows); digits: significant digits of floats

    fold: words to click on, for a table to look things up in; closed at first.
    """
    header, body = _header_and_body(rows)
    cells = [[written(value, digits) for value in row] for row in body]
    numeric = [all(row[i] is None or _is_number(row[i]) for row in body) for i in range(len(header))]
    page = folded(_html(header, cells, numeric, caption), fold)
    emit({"text/html": page, "text/plain": _text(header, cells, numeric, caption)})


def folded(page, words):
    """HTML that opens when these words are clicked on; as it is when there are none."""
    return f"<details><summary>{html.escape(words)}</summary>{page}</details>" if words else page


def _header_and_body(rows):
    rows = list(rows) if not isinstance(rows, tuple) else rows
    if isinstance(rows, tuple) and len(rows) == 2:
        header, body = list(rows[0]), [list(row) for row in rows[1]]
    elif rows and all(isinstance(row, dict) for row in rows):
        header = list(dict.fromkeys(key for row in rows for key in row))
        body = [[row.get(key) for key in header] for row in rows]
    else:
        raise TypeError("rows must be a list of dictionaries, [{'beta': 0.1, 'KL': 7.0}], or a pair (header, rows)")
    if not header or not body:
        raise ValueError(f"a table needs columns and rows, got {len(header)} and {len(body)}: there is nothing to show")
    uneven = next((row for row in body if len(row) != len(header)), None)
    if uneven is not None:
        raise ValueError(f"a row needs one value per column, got {len(uneven)} for {len(header)} columns: {uneven!r}")
    return header, body


def _is_number(value):
    value = value.item() if getattr(value, "shape", None) == () else value
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def written(value, digits=3):
    """A value as a table shows it: floats to `digits` significant digits, whole numbers with thousands separated."""
    value = value.item() if getattr(value, "shape", None) == () else value
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if not isinstance(value, float):
        return str(value)
    if value == 0 or value != value or not 1e-4 <= abs(value) < 1e9:
        return f"{value:.{digits}g}"
    exponent = int(f"{value:.{digits - 1}e}".split("e")[1])
    text = f"{value:,.{max(0, digits - 1 - exponent)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _html(header, cells, numeric, caption):
    styles = [f"text-align:{'right' if right else 'left'};padding:3px 10px" for right in numeric]
    head = "".join(f'<th scope="col" style="{s}">{html.escape(str(h))}</th>' for h, s in zip(header, styles))
    lines = []
    for first, *rest in cells:
        others = "".join(f'<td style="{s}">{html.escape(c)}</td>' for c, s in zip(rest, styles[1:]))
        lines.append(f'<tr><th scope="row" style="{styles[0]}">{html.escape(first)}</th>{others}</tr>')
    bold = "caption-side:top;text-align:left;font-weight:bold"
    title = f'<caption style="{bold}">{html.escape(caption)}</caption>' if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _text(header, cells, numeric, caption):
    columns = list(zip(*([list(map(str, header))] + cells)))
    wide = [max(map(len, column)) for column in columns]
    lines = [
        "  ".join(c.rjust(w) if right else c.ljust(w) for c, w, right in zip(row, wide, numeric)).rstrip()
        for row in zip(*columns)
    ]
    return "\n".join(([caption] if caption else []) + lines)
