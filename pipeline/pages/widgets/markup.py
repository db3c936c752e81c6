"""Small images and tables in HTML, for the pages, in colours that colour-blind people can distinguish."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.files.names import escape, printable
from pipeline.images.encode import png_url, to_png

# Okabe & Ito 2008, "Color universal design", and a gray.
BLUE, ORANGE, GREEN, PURPLE = (0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167)
GRAY = (153, 153, 153)
FOR, AGAINST = ORANGE, BLUE  # evidence for a class, and against it
PAGE_SIDE = 240  # pixels of an image on a page
_SMALL_SIDE = 128  # pixels; up to it, each pixel of an image is meant to be visible

LOGO = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 168 40" width="168" height="40">
<path d="M4 15 12 5h16l8 10-16 20z" fill="#56b4e9"/><path d="M12 5h16l-8 10z" fill="#9bd4f5"/>
<path d="M4 15h16v20z" fill="#2f8fcb"/><path d="M20 15h16L20 35z" fill="#0072b2"/>
<text x="46" y="29" font-family="Source Sans, Source Sans Pro, sans-serif" font-size="26" font-weight="600"
fill="#2f8fcb">Facette</text></svg>"""

# app.py puts it on every page, once.
STYLE = """<style>
.facette-bars {width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums}
.facette-bars th {text-align: left; font-weight: 400; padding: .3rem .75rem .3rem 0; max-width: 9rem;
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap}
.facette-bars th.facette-words {max-width: none; white-space: normal; width: 45%; line-height: 1.25}
.facette-ranking tr:first-child th, .facette-ranking tr:first-child td:last-child {font-weight: 600}
.facette-bars td:nth-child(2) {width: 70%}
.facette-counts td:nth-child(2) {width: 90%}
.facette-counts :is(th, td) {font-size: .875rem; line-height: 1.2; padding-top: .22rem; padding-bottom: .22rem}
.facette-bars td:last-child {text-align: right; padding-left: .75rem; white-space: nowrap}
.facette-track {background: rgba(128, 138, 150, .22); border-radius: .3rem; height: .8rem}
.facette-bar {background: #0072b2; border-radius: .3rem; height: .8rem}
.facette-stack {display: flex; height: .8rem}
.facette-stack i:first-child {border-radius: .3rem 0 0 .3rem}
.facette-stack i:last-child {border-radius: 0 .3rem .3rem 0}
.facette-photo img {width: 100%; aspect-ratio: 1; object-fit: contain; display: block; image-rendering: pixelated}
.facette-photo div {font-size: .8rem; line-height: 1.4; opacity: .75; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap}
.facette-photo img + div {padding-top: .35rem}
.facette-tiles {display: grid; grid-template-columns: repeat(auto-fill, minmax(76px, 1fr)); gap: .7rem}
.facette-tiles figure {margin: 0}
.facette-tiles img {width: 100%; display: block; image-rendering: pixelated; border-radius: 2px}
.facette-tiles figcaption {font-size: .75rem; line-height: 1.25; opacity: .75; padding-top: .15rem;
  font-variant-numeric: tabular-nums; white-space: pre-line}
.facette-small {grid-template-columns: repeat(auto-fill, 3.9rem)}
.facette-small figcaption {text-align: center}
.facette-views {grid-template-columns: repeat(3, minmax(0, 15rem)); gap: 1rem}
.facette-views {align-items: end}
@media (max-width: 640px) {.facette-views {align-items: start; gap: .6rem}}
.facette-views img {border-radius: .4rem}
.facette-scroll {overflow-x: auto}
.facette-table {width: 100%; border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums}
.facette-table :is(th, td) {text-align: left; font-weight: 400; padding: .35rem .6rem .35rem 0; white-space: nowrap;
  border-bottom: 1px solid rgba(128, 138, 150, .25)}
.facette-table tr:first-child th {opacity: .7; font-size: .8rem}
.facette-table :is(th, td):last-child {text-align: right; padding-right: 0}
@media (max-width: 640px) {.facette-table, .facette-table tr:first-child th {font-size: .75rem}}
.facette-views img[src^='data:image/jpeg'] {image-rendering: auto}
.facette-legend {display: flex; flex-wrap: wrap; gap: .25rem 1rem; font-size: .85rem; opacity: .85}
.facette-legend span::before {content: ""; display: inline-block; width: .75rem; height: .75rem;
  border-radius: 2px; margin-right: .35rem; vertical-align: -1px; background: var(--swatch)}
.facette-confusion {border-collapse: separate; border-spacing: 2px; font-size: .8rem;
  font-variant-numeric: tabular-nums}
.facette-confusion th {font-weight: 400; text-align: right; padding: .1rem .35rem; max-width: 7rem; overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap}
.facette-confusion td {text-align: center; min-width: 1.6rem; height: 1.6rem; border-radius: 3px; padding: 0 .2rem}
</style>"""


def plain(text: str) -> str:
    """Escape text so that Markdown shows it as it is, on one line; for names, which may hold anything."""
    return re.sub(r"([\\`*_\[\]$:~#<>|!])", r"\\\1", escape(text))


def quoted(text: str) -> str:
    """Escape text for HTML, and what would steer the text around it."""
    return html.escape(printable(text))


def percentage(share: float) -> str:
    """Write a probability as a percentage that never rounds to certainty."""
    if share > 0.999:
        return ">\N{NO-BREAK SPACE}99.9%"
    return "<\N{NO-BREAK SPACE}0.1%" if share < 0.001 else f"{100 * share:.1f}%"


def bars(
    ranking: Sequence[tuple[str, float]],
    title: str = "Probability of each class",
    format_share: Callable[[float], str] = percentage,
) -> str:
    """Return shares, such as class probabilities, as bars: an HTML table, which a screen reader can read."""
    wide = " class='facette-words'" if format_share is not percentage else ""  # sentences are not cut, as names are
    rows = ""
    for label, p in ranking:
        label, width = quoted(label), f"width:{100 * p:.2f}%" + (";min-width:2px" if p else "")
        rows += (
            f"<tr><th scope='row'{wide} title='{label}'>{label}</th>"
            f"<td><div class='facette-track'><div class='facette-bar' style='{width}'></div></div></td>"
            f"<td>{quoted(format_share(p))}</td></tr>"
        )
    return f"<table class='facette-bars facette-ranking' aria-label='{quoted(title)}'>{rows}</table>"


def tiles(images: Sequence[tuple[str, str, str]], *, small: bool = False) -> str:
    """Return images as a grid that fits any width: (URL, caption, alternative text) each."""
    figures = "".join(
        f"<figure><img src='{url}' alt='{quoted(alt)}'><figcaption>{quoted(caption)}</figcaption></figure>"
        for url, caption, alt in images
    )
    return f"<div class='facette-tiles{' facette-small' * small}'>{figures}</div>"


def views(images: Sequence[tuple[str, str, str, str]]) -> str:
    """Return a few images side by side: (URL, title, caption, alternative text) each."""
    figures = "".join(
        f"<figure><img src='{url}' alt='{quoted(alt)}'>"
        f"<figcaption><b>{quoted(title)}</b><br>{quoted(caption)}</figcaption></figure>"
        for url, title, caption, alt in images
    )
    return f"<div class='facette-tiles facette-views'>{figures}</div>"


def stacks(title: str, rows: Sequence[tuple[str, Sequence[int]]], colors: Sequence[Sequence[int]]) -> str:
    """Return counts as stacked bars: an HTML table, each row with a name and a count for each colour."""
    most = max((sum(counts) for _, counts in rows), default=0) or 1
    lines = []
    for name, counts in rows:
        parts = "".join(
            f"<i style='width:{100 * count / most:.3f}%;background:rgb({red},{green},{blue})'></i>"
            for count, (red, green, blue) in zip(counts, colors, strict=True)
        )
        name, total = quoted(name), sum(counts)
        lines.append(
            f"<tr><th scope='row' title='{name}'>{name}</th><td><div class='facette-stack'>{parts}</div></td>"
            f"<td>{total:,}</td></tr>"
        )
    label = quoted(title)
    return f"<table class='facette-bars facette-counts' aria-label='{label}'>{''.join(lines)}</table>"


def html_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return text as an HTML table, the last column aligned for numbers; it scrolls if it is wider than the screen."""
    lines = ["".join(f"<th scope='col'>{quoted(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{quoted(cell)}</td>" for cell in row) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    label = quoted(title)
    return (
        f"<div class='facette-scroll' tabindex='0' role='region' aria-label='{label}'>"
        f"<table class='facette-table' aria-label='{label}'>{body}</table></div>"
    )


def photo(url: str, name: str, caption: str) -> str:
    """Return one image, as wide as its container and with visible pixels, above its name and a caption."""
    name = quoted(name)
    lines = f"<div title='{name}'>{name}</div><div title='{quoted(caption)}'>{quoted(caption)}</div>"
    return f"<div class='facette-photo'><img src='{url}' alt='{name}'>{lines}</div>"


def legend(entries: Sequence[tuple[Sequence[int], str]]) -> str:
    """Return the meaning of colours as a line of HTML: (color, text) each."""
    spans = "".join(
        f"<span style='--swatch:rgb({','.join(map(str, color))})'>{quoted(text)}</span>" for color, text in entries
    )
    return f"<div class='facette-legend'>{spans}</div>"


def data_url(image: NDArray[np.uint8]) -> str:
    """Return an image as a URL that holds it."""
    return png_url(to_png(image))


def photo_url(image: Image.Image) -> str:
    """Return a photograph as a URL that holds it: JPEG, or PNG if it is so small that its pixels are visible."""
    if max(image.size) <= _SMALL_SIDE:
        return data_url(np.asarray(image))
    image, data = image.copy(), io.BytesIO()
    image.thumbnail((2 * PAGE_SIDE, 2 * PAGE_SIDE))
    image.save(data, format="jpeg", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()


def framed(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """Return an image with everything outside a box faded, and a frame around the box."""
    rgb = image.convert("RGB")
    faded = Image.blend(rgb, Image.new("RGB", rgb.size, (128, 128, 128)), 0.6)
    faded.paste(rgb.crop(box), box[:2])
    left, top, right, bottom = box
    ImageDraw.Draw(faded).rectangle((left, top, right - 1, bottom - 1), outline=FOR, width=max(1, image.width // 200))
    return faded


def thumbnail(image: Image.Image, side: int = 88) -> str:
    """Return a reduced copy of an image as a URL that holds it."""
    small = image.copy()
    small.thumbnail((side, side))
    return data_url(np.asarray(small))


def icon(side: int = 64) -> Image.Image:
    """Return the cut stone of the logo, for the tab of the browser."""
    image, scale = Image.new("RGBA", (4 * side, 4 * side)), 4 * side / 40
    facets = {
        "#56b4e9": [(4, 15), (12, 5), (28, 5), (36, 15), (20, 35)],
        "#9bd4f5": [(12, 5), (28, 5), (20, 15)],
        "#2f8fcb": [(4, 15), (20, 15), (20, 35)],
        "#0072b2": [(20, 15), (36, 15), (20, 35)],
    }
    draw = ImageDraw.Draw(image)
    for color, corners in facets.items():
        draw.polygon([(x * scale, y * scale) for x, y in corners], fill=color)
    return image.resize((side, side), Image.Resampling.LANCZOS)


def enlarged(image: NDArray[np.uint8], side: int = 2 * PAGE_SIDE) -> NDArray[np.uint8]:
    """Return a small image enlarged, each pixel as a square, so that its longer side has about `side` pixels."""
    factor = max(1, round(side / max(image.shape[:2])))
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def overlaid(image: NDArray[np.uint8], evidence: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return an image in gray, coloured `FOR` where the evidence is above 0 and `AGAINST` where it is below.

    Parameters
    ----------
    image : ndarray of shape (height, width, channels), uint8
    evidence : ndarray of shape (height, width), float64
        The largest value, of either sign, gets the full colour.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8
    """
    gray = np.asarray(Image.fromarray(image).convert("L") if image.shape[2] == 3 else image[:, :, 0], np.float64)
    strongest = np.abs(evidence).max()
    strength = 0.85 * np.abs(evidence)[..., None] / strongest if strongest > 0 else np.zeros((*gray.shape, 1))
    color = np.where(evidence[..., None] > 0, np.array(FOR, float), np.array(AGAINST, float))
    return np.rint((1 - strength) * gray[..., None] + strength * color).astype(np.uint8)
