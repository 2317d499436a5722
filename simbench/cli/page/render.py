"""What all pages share: one dress, and drawings and downloads inside the page, which fetches nothing."""

import base64
import io
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib import rc_context
from matplotlib.figure import Figure


def rendered(template: str, **context: Any) -> str:
    """A page from its template and what it says; all that is said is escaped."""
    environment = Environment(
        loader=PackageLoader("simbench.cli.page", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(template).render(
        style=_text("page.css"), script=_text("page.js"), **context
    )


def link(kind: str, content: bytes) -> str:
    """The address of a download that lies in the page itself."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def svg_of(drawing: Figure, name: str) -> tuple[str, bytes]:
    """A drawing as a part of a page, and as a file.

    Parameters
    ----------
    drawing : Figure
    name : str
        Of one drawing of a page: names inside two of them must differ, and be the same whenever it is built.

    Returns
    -------
    str
        An ``<svg>`` element.
    bytes
        A whole SVG file.
    """
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        drawing.savefig(buffer, format="svg", metadata={"Date": None}, bbox_inches="tight")
    text = buffer.getvalue().decode()
    drawn = text[text.index("<svg") :].replace('id="', f'id="{name}-').replace("url(#", f"url(#{name}-")
    return drawn.replace('xlink:href="#', f'xlink:href="#{name}-'), buffer.getvalue()


def sentence(words: str) -> str:
    """Words with a capital at their head."""
    return f"{words[:1].upper()}{words[1:]}"


def _text(name: str) -> str:
    return files("simbench.cli.page").joinpath(name).read_text(encoding="utf-8")
