"""Records `make demo` as the picture of the README: runs it, passes its output on, and writes docs/demo.svg.

.venv/bin/python docs/record.py
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
from itertools import dropwhile, takewhile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 92
# The picture must not fetch fonts from elsewhere when it is shown.
FORMAT = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
COLOURS = {
    "==>": "bold cyan",
    "  $": "bold",
    "Succeeded": "green",
    "Failed": "red",
    "Progressing": "yellow",
}


def main() -> int:
    lines = []
    with subprocess.Popen(
        ["make", "-s", "demo"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as demo:
        for line in demo.stdout or ():
            print(line, end="", flush=True)
            lines.append(line.rstrip())
    if demo.returncode == 0:
        draw(story(lines))
    return demo.returncode


def story(lines: list[str]) -> list[str]:
    """The demo's own words, without the preparations before and the directions after."""
    begun = dropwhile(lambda line: not line.startswith("==>"), lines)
    return ["$ make demo", *takewhile(str.strip, begun)]


def draw(lines: list[str]) -> None:
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    for line in lines:
        style = next((style for word, style in COLOURS.items() if word in line), "")
        console.print(Text(line, style=style), overflow="ellipsis", no_wrap=True)
    console.save_svg(str(ROOT / "docs" / "demo.svg"), title="rollout", code_format=FORMAT)


if __name__ == "__main__":
    sys.exit(main())
