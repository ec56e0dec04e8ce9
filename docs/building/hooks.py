"""The hooks that MkDocs calls while it builds the site."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs.building import api, commands, components, configuration, mathematics
from docs.building.foreign import find_foreign

#: Pages without a file of their own, by their place: title and text.
_PAGES: dict[str, tuple[str, Callable[[], str]]] = {
    "reference/commands.md": ("Commands", commands.write_page),
    "reference/configuration.md": ("Configuration", configuration.write_page),
    "reference/components.md": ("Components", components.write_page),
    "reference/api.md": ("Python", api.write_page),
    "reference/kernels.md": ("Writing kernels", api.write_kernels_page),
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List what is found rather than written down: reports and reference."""
    folder = Path(config.docs_dir)
    reports = sorted(path.relative_to(folder).as_posix() for path in folder.glob("results/*/report.md"))
    assert isinstance(config.nav, list)
    config.nav.append({"Results": ["results/README.md", *({_name_place(place): place} for place in reports)]})
    config.nav.append({"Reference": [{title: place} for place, (title, _) in _PAGES.items()]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the program."""
    for place, (title, text) in _PAGES.items():
        files.append(File.generated(config, place, content=f"# {title}\n\n{text()}"))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Leave the reports' many numbers out of the search."""
    if page.file.src_uri.startswith("results/") and page.file.name == "report":
        page.meta["search"] = {"exclude": True}
    return markdown


def on_page_content(html: str, **_: Any) -> str:
    """Turn mathematics into MathML."""
    return mathematics.render(html)


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site that would load something from elsewhere."""
    site = Path(config.site_dir)
    pages = [path for kind in ("*.html", "*.css") for path in site.rglob(kind)]
    found = [
        f"{path.relative_to(site)} loads {address}" for path in pages for address in find_foreign(path.read_text())
    ]
    if found:
        raise PluginError("\n".join(found))


def _name_place(place: str) -> str:
    return Path(place).parent.name
