"""Run all tests, the long ones too."""

from __future__ import annotations

from tasks.commands.test import Plugin as Test


class Plugin(Test):
    """As `test`, and reproducible builds and interruptions of every kind of task, which build for minutes."""

    doc_purpose = "run all tests, also those that build products again and again"
    selection = ()
