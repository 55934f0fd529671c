"""The page of `composer-pl demo`: one HTML file with every command, picture and failure."""

import base64
import html
import shlex
from collections.abc import Sequence
from pathlib import Path

from composer_pl.cli.demo_steps import Step

_STYLE = """
body{font:16px/1.4 sans-serif;max-width:75em;margin:2em auto;padding:0 1em;color:#222}
code{font-size:12px;overflow-wrap:anywhere;background:#f3f3f3;padding:2px 4px}
img{max-width:100%;image-rendering:auto}
.failed{border:2px solid #b22;background:#fee;padding:.5em 1em}
.note{color:#555}
"""


def write_page(path: Path, steps: Sequence[Step], *, lead: str, seconds: float) -> None:
    """Write the page; pictures are inside, so that the file can be sent alone.

    Args:
        path: Where to.
        steps: What was done, in order.
        lead: Paragraph above them.
        seconds: Of everything.
    """
    failures = sum(bool(step.error) for step in steps)
    summary = f"{len(steps)} steps in {seconds:.0f} s, {failures} failed."
    sections = "".join(_section(number, step) for number, step in enumerate(steps, 1))
    path.write_text(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>composer-pl demo</title>"
        f"<style>{_STYLE}</style><h1>composer-pl demo</h1><p>{html.escape(lead)}</p>"
        f"<p>{summary} Poor results are shown like good ones.</p>{sections}</html>\n",
        encoding="utf-8",
    )


def _section(number: int, step: Step) -> str:
    command = html.escape(shlex.join(["composer-pl", *step.command]))
    seed = "" if step.seed is None else f", seed {step.seed}"
    parts = [
        f"<h2>{number}. {html.escape(step.title)}</h2>",
        f"<p><code>{command}</code><br>{step.seconds:.1f} s{seed}</p>",
    ]
    if step.note:
        parts.append(f'<p class="note">{html.escape(step.note)}</p>')
    if step.error:
        parts.append(f'<p class="failed">Failed: {html.escape(step.error)}</p>')
    if step.verdict and step.said:
        parts.append(f"<pre>{html.escape(step.said.strip())}</pre>")
    for picture in (step.picture, *step.more):
        if picture.is_file() and not step.error:
            data = base64.b64encode(picture.read_bytes()).decode()
            alt = html.escape(step.title, quote=True)
            parts.append(f'<img src="data:image/png;base64,{data}" alt="{alt}">')
    return "\n".join(parts) + "\n"
