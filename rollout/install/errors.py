"""Why an installation cannot go on."""

from __future__ import annotations


class InstallError(Exception):
    """Expected and explained: the text is one sentence with its remedy, shown to the user as it is."""
