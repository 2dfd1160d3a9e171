"""Renders pages from templates. All text from models, data sets and people is escaped; nothing is external."""

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

# Styles in the HTML are allowed for tints and shades, which templates set as variables (`--tint`).
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""A page runs only our own script, and nobody may frame it."""

_templates = Environment(
    loader=PackageLoader("mstar_coordinator.api.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(template: str, **values: object) -> HTMLResponse:
    """A page as HTML."""
    return HTMLResponse(_templates.get_template(template).render(**values), headers=HEADERS)
