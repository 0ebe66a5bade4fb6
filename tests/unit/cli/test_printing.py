"""How tables are printed where nobody looks at them: whole."""

from __future__ import annotations

import pytest

from rollout.cli.printing import columns, out


def test_a_program_that_reads_a_table_finds_every_word(capsys: pytest.CaptureFixture[str]) -> None:
    name = "outbound|80||" + "a" * 150
    table = columns("NAME", "DESTINATION", elastic="DESTINATION")
    table.add_row(name, f"90% {name}, 10% {name}")
    out(table, [], "text")
    [head, row] = capsys.readouterr().out.splitlines()
    assert head.split() == ["NAME", "DESTINATION"]
    assert row.rstrip() == f"{name}  90% {name}, 10% {name}"
