"""The hooks that MkDocs calls while it builds the site."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs.building import api, citation, commands, components, configuration, gallery, mathematics, proofs, speed
from docs.building.foreign import find_foreign
from docs.make_results.titles import TITLES

#: Pages without a file of their own, by their place: title and text.
_PAGES: dict[str, tuple[str, Callable[[], str]]] = {
    "reference/commands.md": ("Commands", commands.write_page),
    "reference/configuration.md": ("Configuration", configuration.write_page),
    "reference/components.md": ("Components", components.write_page),
    "reference/api.md": ("Python", api.write_page),
    "reference/kernels.md": ("Writing kernels", api.write_kernels_page),
    "cite.md": ("Cite bptt", citation.write_page),
}
#: Pages with a mark, which what is found takes the place of.
_LISTS: dict[str, tuple[str, Callable[[Path], str]]] = {
    "index.md": (gallery.MARK, gallery.write_gallery),
    proofs.INDEX: (proofs.MARK, proofs.write_list),
    "good-for.md": (speed.MARK, speed.write_speed),
}
#: Sections of the navigation that have a page for each of what is found.
_RESULTS, _PROOFS, _REFERENCE = "Results", "Published results, again", "Reference"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List what is found rather than written down: reports, proofs and reference."""
    docs = Path(config.docs_dir)
    assert isinstance(config.nav, list)
    sections = {title: pages for entry in config.nav for title, pages in entry.items()}
    found = proofs.list_proofs(docs)
    sections[_RESULTS] += [{"Reports": [{title: f"results/{name}/report.md"} for name, title in TITLES.items()]}]
    sections[_PROOFS] += [{proof.title: proof.page} for proof in found]
    reports = [{title: place} for place, title in proofs.name_reports(docs).items()]
    sections[_PROOFS] += [{"Reports": reports}] if reports else []
    sections[_REFERENCE] += [{title: place} for place, (title, _) in _PAGES.items() if place.startswith("reference/")]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the program."""
    for place, (title, text) in _PAGES.items():
        files.append(File.generated(config, place, content=f"# {title}\n\n{text()}"))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Put in what is found, and leave the reports' many numbers out of the search."""
    if page.file.src_uri.startswith("results/") and page.file.name == "report":
        page.meta["search"] = {"exclude": True}
        markdown = _name_report(markdown, Path(page.file.src_uri).parent.name)
    if write := _LISTS.get(page.file.src_uri):
        mark, text = write
        if mark not in markdown:
            raise PluginError(f"{page.file.src_uri}: has no {mark}")
        return markdown.replace(mark, text(Path(config.docs_dir)))
    return markdown


def _name_report(markdown: str, sweep: str) -> str:
    """A report whose title is the name of its sweep gets one for people."""
    title, rest = markdown.split("\n", 1)
    return f"# {TITLES[sweep]}\n{rest}" if title.replace("\\", "") == f"# {sweep}" and sweep in TITLES else markdown


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
