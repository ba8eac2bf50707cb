"""What is to be in force: several sources merged, and what the last good configuration has for the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping

from agent.config.model import SECTIONS, Config
from agent.config.problems import SHOWN, Problem, errors, lines, warnings
from agent.config.render import FILES, OPEN, PROBLEMS, REPORT, File, broken_files, render
from agent.config.source import Reading

FORMAT = 1
# Sections, and what of a Config is theirs.
ATTRIBUTES = {
    "hostname": ("hostname",),
    "network": ("cards",),
    "kubesolo": ("flags", "kubesolo_edge"),
    "portainer": ("portainer_edge",),
    "ssh": ("keys",),
    "ntp": ("servers",),
    "airgap": ("images",),
    "registries": ("registries",),
    "extensions": ("extensions",),
    "kubeconfig": ("token",),
    "update": ("update",),
    "metrics": ("metrics",),
}


class Source:
    """A file that was read: name, SHA-256 in hexadecimal, size in bytes."""

    def __init__(self, file: str, sha256: str, size: int) -> None:
        self.file = file
        self.sha256 = sha256
        self.size = size

    def record(self) -> dict[str, object]:
        """For JSON."""
        return {"file": self.file, "sha256": self.sha256, "bytes": self.size}


def merge(configs: list[Config]) -> Config:
    """The sections of several sources: each from the first source that has it, be it right or wrong."""
    merged = Config()
    for config in configs:
        for section in SECTIONS:
            if section in config.given - merged.given:
                merged.given.add(section)
                if section in config.broken:
                    merged.broken.add(section)
                for name in ATTRIBUTES[section]:
                    setattr(merged, name, getattr(config, name))
    return merged


def decide(readings: list[Reading], sources: list[Source], last_good: Mapping[str, File]) -> dict[str, File]:
    """The files that are to be in force, with the report on them.

    A broken section is that of the last good configuration, and has its defaults where that has nothing. If a
    source cannot be read at all, everything is as it was; without a last good configuration, the other
    sources count.
    """
    problems = [problem for reading in readings for problem in reading.problems]
    configs = [reading.config for reading in readings if reading.config is not None]
    config = merge(configs)
    files: dict[str, File] = {}
    if len(configs) < len(readings) and last_good:
        files.update(last_good)
        states = {"applied": [], "kept": kept_sections(last_good), "left_out": config.applied}
    else:
        files.update(render(config))
        broken = broken_files(config)
        kept = {name: file for name, file in last_good.items() if name in broken}
        files.update(kept)
        held = [section for section in kept_sections(kept) if section in config.broken]
        left_out = [section for section in SECTIONS if section in config.broken and section not in held]
        states = {"applied": config.applied, "kept": held, "left_out": left_out}
    files[PROBLEMS] = (
        "".join(f"{line}\n" for line in lines(problems)).encode(errors="backslashreplace"),
        OPEN,
    )
    files[REPORT] = (report(problems, sources, states), OPEN)
    return files


def kept_sections(files: Mapping[str, File]) -> list[str]:
    """The sections that files belong to."""
    found = {section for name in files for section in FILES[name]}
    return [section for section in SECTIONS if section in found]


def report(problems: list[Problem], sources: list[Source], sections: Mapping[str, list[str]]) -> bytes:
    """What happened, for programs; of many errors or warnings, the first 50 and how many more there are."""
    wrong, doubtful = errors(problems), warnings(problems)
    record = {
        "format": FORMAT,
        "sources": [source.record() for source in sources],
        "sections": dict(sections),
        "errors": [problem.record() for problem in wrong[:SHOWN]],
        "warnings": [problem.record() for problem in doubtful[:SHOWN]],
        "more_errors": len(wrong[SHOWN:]),
        "more_warnings": len(doubtful[SHOWN:]),
    }
    return (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode(errors="backslashreplace")
