"""What mkdocs does not do by itself: generated pages, pages from elsewhere in the repository, drawings in the page.

Generated at each build, not kept in git: such a page cannot be older than the code that it describes.
"""

from __future__ import annotations

import html
import posixpath
import re
from pathlib import Path
from typing import Any

import catalogue
import commands
import configuration
import python_names
import rooms
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
# Pages of the site that are files outside docs/, for people who read the repository.
ELSEWHERE = {
    "benchmarks.md": "benchmarks/README.md",
    "results.md": "results/README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
}
GENERATED = {
    "reference/configuration.md": configuration.page,
    "reference/command-line.md": commands.page,
    "reference/errors.md": catalogue.page,
    "reference/python.md": python_names.page,
}
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s]+)(\))")


def on_files(files: Files, config: Any) -> Files:
    for path, make in GENERATED.items():
        files.append(File.generated(config, path, content=make(ROOT)))
    for path, source in ELSEWHERE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, path, content=moved(text, source, path)))
        for image in set(re.findall(r"!\[[^\]]*\]\(([\w./-]+)\)", text)):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(source), image))
            if not target.startswith("docs/"):
                files.append(File.generated(config, target, abs_src_path=str(ROOT / target)))
    files.append(File.generated(config, "drawings/rooms.svg", content=rooms.drawing(ROOT)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    path = page.file.src_uri
    if path == "architecture.md":
        markdown = markdown.replace("<!-- rooms -->", rooms.table(ROOT))
    return markdown if path in ELSEWHERE or path in GENERATED else moved(markdown, f"docs/{path}", path)


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Drawings become part of the page, so that they follow its palette; their text can be selected and read aloud."""

    def inline(found: re.Match[str]) -> str:
        name, words = found["name"], html.escape(html.unescape(found["alt"]))
        text = (
            rooms.drawing(ROOT)
            if name == "rooms"
            else (ROOT / "docs" / "drawings" / f"{name}.svg").read_text(encoding="utf-8")
        )
        text = text.replace("<svg ", f'<svg role="img" aria-label="{words}" ', 1)
        broad = " broad" if name == "rooms" else ""
        return f'<figure class="drawing{broad}">{text}<figcaption>{words}</figcaption></figure>'

    content = re.sub(r'<p><img alt="(?P<alt>[^"]*)" src="[./]*drawings/(?P<name>\w+)\.svg" ?/?></p>', inline, content)
    # A picture alone in its paragraph leads to itself: on a phone that is the way to read it.
    return re.sub(r'<p>(<img alt="[^"]*" src="([^"]+)" ?/?>)</p>', r'<p><a href="\2">\1</a></p>', content)


def moved(text: str, source: str, page: str) -> str:
    """Links that are right at `source` in the repository, as they must read on the page of the site."""
    pages = {target: path for path, target in ELSEWHERE.items()} | {"README.md": "index.md"}

    def link(found: re.Match[str]) -> str:
        address, _, anchor = found[2].partition("#")
        if not address or "://" in address:
            return found[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), address))
        target = pages.get(target, target.removeprefix("docs/"))
        relative = posixpath.relpath(target, posixpath.dirname(page) or ".")
        return f"{found[1]}{relative}{'#' if anchor else ''}{anchor}{found[3]}"

    return LINK.sub(link, text)
