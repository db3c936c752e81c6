"""The report of an audit: findings as text, JSON and HTML, and as a contact sheet of their images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from model.storage.atomic import replacing
from pipeline.errors import InputError, not_written
from pipeline.files.names import escape, one_line
from pipeline.images.decode import from_array
from pipeline.images.encode import png_url, to_png
from pipeline.text import shortened

SHOWN = 12  # images kept with a finding
SEVERITIES = ("serious", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """A problem that was found: its kind, how bad it is, a message, and the files it is about.

    `images` holds the first of these files, as (caption, array of shape (height, width, channels), uint8).
    """

    kind: str
    severity: str
    message: str
    paths: tuple[str, ...] = ()
    images: tuple[tuple[str, np.ndarray], ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True)
class AuditReport:
    """Counts, sizes and findings of a set of images, the most serious first."""

    source: str
    m: int
    classes: dict[str, int]
    splits: dict[str, int]
    sizes: dict[str, tuple[float, float, float]]
    kinds: dict[str, int]
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, for JSON: without images."""
        plain = {name: getattr(self, name) for name in ("source", "m", "classes", "splits", "sizes", "kinds")}
        findings = [
            {"kind": f.kind, "severity": f.severity, "message": f.message, "paths": list(f.paths)}
            for f in self.findings
        ]
        return {**plain, "findings": findings}

    def to_json(self) -> str:
        """Return the report as JSON text."""
        return json.dumps(self.to_dict(), indent=2)

    def to_text(self, names: int = 5) -> str:
        """Return the report as lines of text, with at most `names` file names for each finding."""
        lines = [f"{self.source}: {self.m:,} images"]
        lines.append(_counts_line("classes", self.classes))
        lines.append(_counts_line("splits", self.splits))
        lines.append(_counts_line("files", self.kinds))
        lines += [
            f"{name}: {low:g} to {high:g}, half of them under {middle:g}"
            for name, (low, middle, high) in self.sizes.items()
        ]
        if not self.findings:
            lines.append("no problems were found")
        for finding in self.findings:
            lines.append(f"{finding.severity}: {finding.message}")
            lines += [f"    {path}" for path in finding.paths[:names]]
            if len(finding.paths) > names:
                lines.append(f"    and {len(finding.paths) - names:,} more")
        return "\n".join(escape(line) for line in lines if line)

    def to_html(self) -> str:
        """Return the report as one HTML page, with the contact sheets inside."""
        from jinja2 import Environment, PackageLoader

        environment = Environment(
            loader=PackageLoader("pipeline"), autoescape=True, finalize=one_line, trim_blocks=True, lstrip_blocks=True
        )
        sheets = [png_url(to_png(contact_sheet([finding]))) if finding.images else "" for finding in self.findings]
        return environment.get_template("audit.html.j2").render(
            report=self, findings=list(zip(self.findings, sheets, strict=True)), names=200
        )

    def write_contact_sheet(self, path: str | Path) -> None:
        """Write one PNG with a row of images for every finding that has any.

        Raises
        ------
        InputError
            If no finding has images, or the file cannot be written.
        """
        shown = [finding for finding in self.findings if finding.images]
        if not shown:
            raise InputError("no contact sheet: no finding has images to show")
        try:
            with replacing(path) as temporary:
                temporary.write_bytes(to_png(contact_sheet(shown)))
        except OSError as error:
            raise not_written(escape(path), error) from None


def contact_sheet(findings: Sequence[Finding], side: int = 96) -> np.ndarray:
    """Draw a row of images, below its title, for every finding: ndarray of shape (height, width, 3), uint8."""
    title = 18
    sheet = Image.new("RGB", (SHOWN * side, len(findings) * (side + title)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, finding in enumerate(findings):
        top = row * (side + title)
        draw.text((4, top + 3), f"{finding.kind} ({len(finding.paths)})", fill="black")
        for column, (_, pixels) in enumerate(finding.images):
            image = from_array(pixels)
            scale = (side - 4) / max(image.size)
            size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
            sheet.paste(image.resize(size).convert("RGB"), (column * side + 2, top + title))
    return np.asarray(sheet)


def _counts_line(name: str, counts: dict[str, int]) -> str:
    return f"{name}: {shortened([f'{key} {n:,}' for key, n in counts.items()])}" if counts else ""
