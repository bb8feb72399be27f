"""A comparison as one HTML page that needs nothing from outside; texts from elsewhere are escaped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from lurcher.evaluation.compare import MEASURE, OVERLAP, Changed, Compared, ShownHit
from lurcher.printable import printable

_EXCERPT = 320

# Nothing is loaded, and nothing runs: whatever a document says, the page is text.
_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root { --paper: #fbfaf8; --raised: #fff; --ink: #1f1b17; --muted: #675f57; --line: #e4dfd8;
  --accent: #9a3f12; --good: #2c6a3d; --bad: #a12c2c; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #161412; --raised: #201d1a; --ink: #ece7e1; --muted: #a99f95; --line: #332f2a;
    --accent: #f0996a; --good: #7cc492; --bad: #ef8f86; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem 1.25rem 4rem; max-width: 76rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.wide { overflow-x: auto; overflow-wrap: normal; } td { white-space: nowrap; }
table { border-collapse: collapse; } th, td { padding: .25rem .75rem .25rem 0; text-align: right; }
th:first-child, td:first-child { text-align: left; } tr + tr { border-top: 1px solid var(--line); }
.muted, small { color: var(--muted); } .good { color: var(--good); } .bad { color: var(--bad); }
svg { width: 100%; height: 7rem; display: block; } rect.up { fill: var(--good); }
rect.down { fill: var(--bad); } line { stroke: var(--line); }
details { margin: .75rem 0; padding: .6rem .9rem; background: var(--raised);
  border: 1px solid var(--line); border-radius: .5rem; }
summary { cursor: pointer; } summary b { font-weight: 600; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 1.5rem; }
.sides h3 { font-size: .9rem; color: var(--muted); margin: .75rem 0 .25rem; }
ol { margin: 0; padding-left: 1.6rem; } li { margin: .5rem 0; } li p { margin: .1rem 0; font-size: .9rem; }
.judged { border-left: .25rem solid var(--good); padding-left: .5rem; }
</style>
</head>
<body>
"""


def page(found: Compared) -> str:
    """Return the whole page of ``found``."""
    first, second = map(_text, found.names)
    parts = [
        _HEAD.replace("{title}", f"{first} and {second}"),
        f"<h1>{first} <span class=muted>and</span> {second}</h1>\n",
        f"<p class=muted>{found.queries:,} queries.</p>\n",
        *(f"<p class=bad>{_text(warning)}</p>\n" for warning in found.warnings),
        *_figures(found),
        _bars(found.changes) if found.figures else "",
    ]
    for title, changed in (
        (f"Better in {second}", found.better),
        (f"Worse in {second}", found.worse),
        ("Most different", found.different),
    ):
        if changed:
            parts.append(f"<h2>{title}</h2>\n")
            parts += [_query(one, found.names) for one in changed]
    if not (found.better or found.worse or found.different):
        parts.append("<p>No query changed.</p>\n")
    return "".join(parts) + "</body>\n</html>\n"


def _figures(found: Compared) -> Iterator[str]:
    if not found.figures:
        return
    first, second = map(_text, found.names)
    yield (
        f"<div class=wide><table><tr><th>measure</th><th>{first}</th><th>{second}</th><th>difference</th>"
        "<th>95 % interval</th><th>p</th><th>corrected</th></tr>\n"
    )
    for name, (mine, theirs, change) in found.figures.items():
        yield (
            f"<tr><td>{name}</td><td>{mine.mean:.4f}</td><td>{theirs.mean:.4f}</td>"
            f"<td{_colour(change.mean)}>{change.mean:+.4f}</td>"
            f"<td>{change.low:+.4f} to {change.high:+.4f}</td><td>{change.p:.4f}</td>"
            f"<td>{change.p_corrected:.4f}</td></tr>\n"
        )
    ups = sum(one > 0 for one in found.changes)
    downs = sum(one < 0 for one in found.changes)
    yield (
        "</table></div>\n<p><small>p of a two-sided paired randomisation test, corrected by Holm for "
        f"{len(found.figures)} measures.</small></p>\n<p>{MEASURE}: <span class=good>{ups:,} better</span>, "
        f"<span class=bad>{downs:,} worse</span>, {found.queries - ups - downs:,} the same.</p>\n"
    )


def _bars(changes: Sequence[float]) -> str:
    """A bar for each query's change, in falling order: -1 to 1 from bottom to top."""
    bars = [
        f'<rect class="{"up" if one > 0 else "down"}" x="{i}" width="1" '
        f'y="{50 - 50 * max(one, 0):.2f}" height="{50 * abs(one):.2f}"/>'
        for i, one in enumerate(changes)
        if one
    ]
    n = len(changes)
    return (
        f'<svg viewBox="0 0 {n} 100" preserveAspectRatio="none" role="img" '
        f'aria-label="Change of {MEASURE} of each query, in falling order">'
        f'{"".join(bars)}<line x1="0" x2="{n}" y1="50" y2="50"/></svg>\n'
    )


def _query(one: Changed, names: tuple[str, str]) -> str:
    if one.values is None:
        change = f"<small>{OVERLAP} {one.change:.2f}</small>"
    else:
        change = (
            f"<span{_colour(one.change)}>{one.change:+.3f}</span> "
            f"<small>{one.values[0]:.3f} to {one.values[1]:.3f}</small>"
        )
    sides = "".join(
        f"<div><h3>{_text(name)}</h3>{_list(hits)}</div>"
        for name, hits in zip(names, one.hits, strict=True)
    )
    return (
        f"<details><summary><b dir=auto>{_text(one.text or one.id)}</b> {change} "
        f"<small>{f'query {_text(one.id)}' if one.text else ''}</small></summary>"
        f"<div class=sides>{sides}</div></details>\n"
    )


def _list(hits: Sequence[ShownHit]) -> str:
    if not hits:
        return "<p class=muted>nothing found</p>"
    return f"<ol>{''.join(map(_hit, hits))}</ol>"


def _hit(hit: ShownHit) -> str:
    title, text = hit.id, ""
    if hit.shown is not None:
        title = hit.shown.title or hit.id
        text = f"<p dir=auto>{_text(_cut(hit.shown.text))}</p>"
    facts = [_text(hit.id), f"{hit.score:.3f}", moved(hit)]
    if hit.grade is not None:
        facts.insert(0, f"<b>grade {hit.grade}</b>")
    judged = " class=judged" if (hit.grade or 0) > 0 else ""
    about = f"<p><small>{' · '.join(facts)}</small></p>"
    return f"<li{judged}><span dir=auto>{_text(title)}</span>{text}{about}</li>"


def moved(hit: ShownHit) -> str:
    """Return where the other target has ``hit``, in words."""
    if hit.elsewhere is None:
        return "not in the other's first 100"
    return "same place" if hit.elsewhere == hit.place else f"{hit.elsewhere} in the other"


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _EXCERPT else f"{line[:_EXCERPT].rstrip()}…"


def _text(text: str) -> str:
    return escape(printable(text))


def _colour(change: float) -> str:
    return " class=good" if change > 0 else " class=bad" if change < 0 else ""
