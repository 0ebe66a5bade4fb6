"""What a run of the suite came to: a table, one line of JSON, and a page of the documentation. Pure.

A test belongs to a profile when the profile knows each feature that it needs; it is core there when all of them are.
What was run besides, since all that it needs is claimed, counts as extended where it has most in common.
It must not know how the suite is run.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self


class Result(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Level(StrEnum):
    CORE = "core"
    EXTENDED = "extended"
    PROVISIONAL = "provisional"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The features that every implementation of a profile has, and those that it may have."""

    core: frozenset[str]
    extended: frozenset[str]

    @property
    def known(self) -> frozenset[str]:
        return self.core | self.extended


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test of the suite, and the features without which it is skipped."""

    name: str
    description: str
    features: frozenset[str]
    provisional: bool

    def within(self, profile: Profile) -> Level | None:
        """What the test is to the profile; None when it needs what the profile does not know."""
        if not self.features <= profile.known:
            return None
        if self.provisional:
            return Level.PROVISIONAL
        return Level.CORE if self.features <= profile.core else Level.EXTENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """What the suite has to offer."""

    profiles: Mapping[str, Profile]
    tests: Sequence[Case]

    @classmethod
    def parse(cls, line: str) -> Self:
        """Of the line that the suite's program prints."""
        found = json.loads(line)
        return cls(
            profiles={
                name: Profile(core=frozenset(each["core"]), extended=frozenset(each["extended"]))
                for name, each in found["profiles"].items()
            },
            tests=[
                Case(
                    name=each["name"],
                    description=each["description"],
                    features=frozenset(each["features"]),
                    provisional=each["provisional"],
                )
                for each in found["tests"]
            ],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One test within one profile."""

    profile: str
    test: Case
    level: Level
    result: Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The tests of the profiles that were run, in the suite's order, and the features that were claimed."""

    version: str
    rows: Sequence[Row]
    supported: Mapping[str, Sequence[str]]
    unsupported: Mapping[str, Sequence[str]]
    seconds: int

    @property
    def failed_core(self) -> list[str]:
        return sorted(
            {
                row.test.name
                for row in self.rows
                if row.level is Level.CORE and row.result is not Result.PASSED
            }
        )

    @property
    def profiles(self) -> list[str]:
        return sorted(self.supported)

    def counts(self, profile: str, level: Level) -> dict[str, int]:
        found = Counter(
            row.result for row in self.rows if row.profile == profile and row.level is level
        )
        return {result.value: found[result] for result in Result}


def report(
    catalogue: Catalogue,
    results: Mapping[str, Mapping[str, Result]],
    claimed: Iterable[str],
    *,
    version: str,
    seconds: int,
) -> Report:
    """Of the results by profile and test; a test that the suite never came to counts as failed."""
    features = set(claimed)
    profiles = {profile: catalogue.profiles[profile] for profile in sorted(results)}
    rows = [
        Row(
            profile=profile,
            test=test,
            level=level,
            result=results[profile].get(test.name, Result.FAILED),
        )
        for profile, level, test in _places(catalogue.tests, profiles, results)
    ]
    extended = {profile: catalogue.profiles[profile].extended for profile in results}
    return Report(
        version=version,
        rows=rows,
        supported={profile: sorted(known & features) for profile, known in extended.items()},
        unsupported={profile: sorted(known - features) for profile, known in extended.items()},
        seconds=seconds,
    )


def _places(
    tests: Iterable[Case],
    profiles: Mapping[str, Profile],
    results: Mapping[str, Mapping[str, Result]],
) -> Iterator[tuple[str, Level, Case]]:
    """Each test with the profiles that it belongs to, profile by profile."""
    beyond: dict[str, list[Case]] = {}
    for test in tests:
        if any(test.within(each) for each in profiles.values()):
            continue
        ran = (p for p in profiles if results[p].get(test.name, Result.SKIPPED) != Result.SKIPPED)
        if most := max(ran, key=lambda p: len(test.features & profiles[p].core), default=""):
            beyond.setdefault(most, []).append(test)
    for name, profile in profiles.items():
        for test in tests:
            if level := test.within(profile):
                yield name, level, test
            elif test in beyond.get(name, ()):
                yield name, Level.PROVISIONAL if test.provisional else Level.EXTENDED, test


def table(found: Report) -> str:
    """For a terminal."""
    width = max((len(row.test.name) for row in found.rows), default=0)
    lines = [
        f"{row.profile:<13} {row.test.name:<{width}}  {row.level:<11} {row.result}"
        for row in found.rows
    ]
    return "\n".join(lines)


def summary(found: Report) -> str:
    """One line of JSON."""
    answer: dict[str, Any] = {
        "suite": found.version,
        "profiles": {
            profile: {level.value: found.counts(profile, level) for level in Level}
            for profile in found.profiles
        },
        "supported": {profile: list(found.supported[profile]) for profile in found.profiles},
        "failed": sorted({row.test.name for row in found.rows if row.result is Result.FAILED}),
        "failed_core": found.failed_core,
        "seconds": found.seconds,
    }
    return json.dumps(answer)


def page(found: Report) -> str:
    """`docs/conformance.md`."""
    return "\n".join(_page(found)) + "\n"


def _page(found: Report) -> Iterator[str]:
    yield "# Gateway API conformance"
    yield ""
    yield (
        f"The public suite of Gateway API {found.version} against the bundled mesh, on the real cluster: "
        f"`make conformance` runs it and writes this page ({found.seconds} s). One test by name: "
        "`make conformance TEST=HTTPRouteWeight`."
    )
    yield ""
    yield "| profile | core | extended | provisional |"
    yield "|---|---|---|---|"
    for profile in found.profiles:
        cells = " | ".join(_fraction(found.counts(profile, level)) for level in Level)
        yield f"| {profile} | {cells} |"
    for profile in found.profiles:
        yield ""
        yield f"## {profile}"
        yield ""
        yield f"Extended features that are supported: {_names(found.supported[profile])}."
        yield ""
        yield f"Not supported: {_names(found.unsupported[profile])}."
        yield ""
        yield "| test | | result |"
        yield "|---|---|---|"
        for row in found.rows:
            if row.profile == profile:
                yield f"| {row.test.name} | {row.level} | {row.result} |"


def _fraction(counts: Mapping[str, int]) -> str:
    ran = counts[Result.PASSED] + counts[Result.FAILED]
    skipped = counts[Result.SKIPPED]
    return f"{counts[Result.PASSED]} of {ran} pass" + (f", {skipped} skipped" if skipped else "")


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"
