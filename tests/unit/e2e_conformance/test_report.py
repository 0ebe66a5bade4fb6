"""What a run of the conformance suite is said to have come to."""

from __future__ import annotations

import json

import pytest

from e2e.conformance.report import Catalogue, Level, Report, Result, page, report, summary, table
from e2e.conformance.suite import passes, results

LINE = json.dumps(
    {
        "profiles": {
            "GATEWAY": {"core": ["Gateway", "Route"], "extended": ["Rewrite", "Mirror"]},
            "MESH": {"core": ["Mesh", "Route"], "extended": []},
        },
        "tests": [
            {"name": name, "description": "", "features": features, "provisional": provisional}
            for name, features, provisional in (
                ("Simple", ["Gateway", "Route"], False),
                ("Rewrites", ["Gateway", "Route", "Rewrite"], False),
                ("Named", ["Gateway", "Route"], True),
                ("MeshBasic", ["Mesh"], False),
                ("Udp", ["Gateway", "UDP"], False),
                ("MeshRewrites", ["Mesh", "Route", "Rewrite"], False),
            )
        ],
    }
)
CATALOGUE = Catalogue.parse(LINE)
PASSED, FAILED, SKIPPED = Result.PASSED, Result.FAILED, Result.SKIPPED


def run(**gateway: Result) -> Report:
    return report(
        CATALOGUE,
        {"GATEWAY": gateway, "MESH": {"MeshBasic": PASSED}},
        ["Rewrite"],
        version="v1",
        seconds=7,
    )


def test_a_test_belongs_to_the_profiles_that_know_what_it_needs() -> None:
    rows = {(row.profile, row.test.name): row.level for row in run().rows}
    assert rows == {
        ("GATEWAY", "Simple"): Level.CORE,
        ("GATEWAY", "Rewrites"): Level.EXTENDED,
        ("GATEWAY", "Named"): Level.PROVISIONAL,
        ("MESH", "MeshBasic"): Level.CORE,
    }


@pytest.mark.parametrize(
    ("simple", "rewrites", "failed"),
    [
        (PASSED, FAILED, []),
        (FAILED, PASSED, ["Simple"]),
        (SKIPPED, PASSED, ["Simple"]),
    ],
    ids=["only an extended one failed", "a core one failed", "a core one was not run"],
)
def test_core_tests_must_pass(simple: Result, rewrites: Result, failed: list[str]) -> None:
    assert run(Simple=simple, Rewrites=rewrites, Named=FAILED).failed_core == failed


def test_what_the_suite_never_came_to_has_failed() -> None:
    assert run(Rewrites=PASSED).failed_core == ["Simple"]


def test_what_was_run_beyond_the_profiles_is_told_where_it_fits() -> None:
    """A test of the mesh with a feature that only gateways' profile knows."""
    mesh = {"MeshBasic": PASSED, "MeshRewrites": FAILED}
    found = report(CATALOGUE, {"GATEWAY": {}, "MESH": mesh}, ["Rewrite"], version="v1", seconds=7)
    (row,) = [row for row in found.rows if row.test.name == "MeshRewrites"]
    assert (row.profile, row.level, row.result) == ("MESH", Level.EXTENDED, FAILED)
    assert not [row for row in run(MeshRewrites=SKIPPED).rows if row.test.name == "MeshRewrites"]


def test_the_last_line_is_json() -> None:
    found = json.loads(summary(run(Simple=PASSED, Rewrites=SKIPPED, Named=PASSED)))
    assert found["profiles"]["GATEWAY"] == {
        "core": {"passed": 1, "failed": 0, "skipped": 0},
        "extended": {"passed": 0, "failed": 0, "skipped": 1},
        "provisional": {"passed": 1, "failed": 0, "skipped": 0},
    }
    assert found["supported"] == {"GATEWAY": ["Rewrite"], "MESH": []}
    assert found["failed"] == []


def test_table_and_page_have_each_test_once() -> None:
    found = run(Simple=PASSED, Rewrites=FAILED, Named=SKIPPED)
    assert len(table(found).splitlines()) == len(found.rows)
    written = page(found)
    assert "| Rewrites | extended | failed |" in written
    assert "| GATEWAY | 1 of 1 pass | 0 of 1 pass | 0 of 0 pass, 1 skipped |" in written
    assert "Not supported: `Mirror`." in written


def test_only_ends_of_the_suites_own_tests_are_results() -> None:
    said = [
        "=== RUN   TestConformance/Simple\n",
        "        --- PASS: TestConformance/Simple/0_request_to_'/' (0.10s)\n",
        "    --- PASS: TestConformance/Simple (1.20s)\n",
        "    --- SKIP: TestConformance/Udp (0.00s)\n",
        "    --- FAIL: TestConformance/Rewrites (30.00s)\n",
        "--- FAIL: TestConformance (31.20s)\n",
    ]
    assert dict(results(said)) == {"Simple": PASSED, "Udp": SKIPPED, "Rewrites": FAILED}


def test_one_test_is_run_in_the_pass_that_has_it() -> None:
    real = Catalogue.parse(
        LINE.replace('"GATEWAY"', '"GATEWAY-HTTP"').replace('"MESH"', '"MESH-HTTP"')
    )
    grpc = {
        "GATEWAY-GRPC": real.profiles["GATEWAY-HTTP"],
        "MESH-GRPC": real.profiles["MESH-HTTP"],
    }
    catalogue = Catalogue(profiles={**real.profiles, **grpc}, tests=real.tests)
    gateways, mesh = passes(["Rewrite"])
    cases = {case.name: case for case in catalogue.tests}
    assert gateways.has(cases["Rewrites"], catalogue)
    assert not passes([])[0].has(cases["Rewrites"], catalogue)
    assert not gateways.has(cases["MeshBasic"], catalogue)
    assert mesh.has(cases["MeshBasic"], catalogue)
