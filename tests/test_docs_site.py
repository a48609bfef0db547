"""The site: built strictly, nothing fetched from elsewhere, generated pages as the code is."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from nasrec_nni.cli.parser import verb_parser
from nasrec_nni.cli.verbs import VERBS
from nasrec_nni.config import Config, Recipe

sys.path.insert(0, str(Path(__file__).parents[1] / "docs" / "site"))  # the generators
import catalogue
import commands
import configuration
import rooms
import source_texts

ROOT = Path(__file__).parents[1]


class Page(HTMLParser):
    """What a page loads, where it links to, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "video", "audio", "object", "embed", "use", "image", "form"):
            self.loads += [given[key] or "" for key in ("src", "data", "href", "srcset", "action") if key in given]
        if tag == "link" and given.get("rel") not in ("canonical", "prev", "next", "edit"):
            self.loads.append(given.get("href") or "")
        self.loads += re.findall(r"url\(([^)]*)\)", given.get("style") or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it: warnings, such as links to nowhere, are errors."""
    pytest.importorskip("mkdocs", reason="the site is built with Python 3.11.5 on")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        patch.chdir(ROOT)
        build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(folder)))
    return folder


def pages(site: Path) -> dict[str, str]:
    return {path.relative_to(site).as_posix(): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}


def test_every_page_of_docs_is_built(site: Path) -> None:
    written = {path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for path in ROOT.glob("docs/**/*.md")}
    generated = {f"{name}.html" for name in ("benchmarks", "results", "changelog", "contributing")}
    generated |= {f"reference/{name}.html" for name in ("configuration", "command-line", "python", "errors")}
    assert written | generated | {"404.html"} == set(pages(site))


def test_nothing_is_fetched_from_another_host(site: Path) -> None:
    for name, text in pages(site).items():
        assert [one for one in Page(text).loads if "//" in one] == [], name
    for path in site.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        assert re.findall(r"url\(\s*['\"]?(?:https?:)?//[^)]*\)|@import[^;]*//[^;]*;", text) == [], path
    assert not [path.name for path in site.rglob("*") if path.suffix in (".woff", ".woff2", ".ttf")]


def test_every_load_is_a_file_of_the_site(site: Path) -> None:
    for name, text in pages(site).items():
        for one in Page(text).loads:
            if one and not one.startswith(("data:", "#", "/")) and name != "404.html":
                assert ((site / name).parent / one.partition("?")[0].partition("#")[0]).is_file(), (name, one)


def test_drawings_are_in_the_pages_and_take_their_colours_from_the_palette(site: Path) -> None:
    drawn = {name: text.count('<svg role="img"') for name, text in pages(site).items()}
    assert drawn["method.html"] == len(list((ROOT / "docs" / "drawings").glob("*.svg")))
    assert drawn["architecture.html"] == 1
    for path in (ROOT / "docs" / "drawings").glob("*.svg"):
        text = path.read_text(encoding="utf-8")
        assert rooms.STYLE in text
        assert set(re.findall(r"(?:fill|stroke): ([^;}\"]+)", text.replace(rooms.STYLE, ""))) <= {"none"} | {
            f"var(--{name})" for name in ("ink", "soft", "line", "fill", "mark", "tint")
        }


@pytest.mark.parametrize("page", ["index", "data", "reference/configuration", "reference/errors", "benchmarks"])
def test_pages_fit_a_phone(site: Path, page: str, widths: Callable[[str, int], tuple[int, int]]) -> None:
    """Wide tables scroll in their boxes, the page does not."""
    path = site / f"{page}.html"
    text = path.read_text(encoding="utf-8").replace("<head>", f'<head><base href="{path.as_uri()}">', 1)
    content, window = widths(text, 360)
    assert window == 360
    assert content <= window


def test_no_place_on_one_machine() -> None:
    for path in [ROOT / "mkdocs.yml", *ROOT.glob("docs/**/*.md"), *ROOT.glob("docs/site/*")]:
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"https?://(?!127\.0\.0\.1|www\.w3\.org)|/home/|/root/|/tmp/", text), path


# The generated pages.


def test_every_error_has_a_way_out_and_a_group() -> None:
    """A failure here: give the new error `allowed` or `hint`, or its line in docs/site/errors.yaml."""
    assert catalogue.missing(ROOT) == []


def test_no_entry_of_the_catalogue_is_left_over() -> None:
    assert catalogue.unused(ROOT) == []


def test_the_catalogue_finds_what_a_search_by_eye_finds() -> None:
    """Every raised UserError of some files, and each alternative of one that is made of a variable."""
    found = {(one.module, one.says) for one in catalogue.messages(ROOT)}
    for module, says in (
        ("nasrec_nni.run_folder", "another command works on this run"),
        ("nasrec_nni.config", "search.objectives must name each one once"),
        ("nasrec_nni.strategies.search.earlier", "holds no candidate"),
    ):
        assert (module, says) in found
    made = sum(text.count("UserError(\n") + len(re.findall(r"UserError\(f?\"", text)) for text in _sources())
    assert len(found) > 0.9 * made


def _sources() -> list[str]:
    folders = [ROOT / name for name in source_texts.FOLDERS]
    return [path.read_text(encoding="utf-8") for folder in folders for path in folder.rglob("*.py")]


def test_a_new_error_is_seen(tmp_path: Path) -> None:
    (tmp_path / "nasrec_nni").mkdir()
    text = (
        'from nasrec_nni.errors import UserError\nNEXT = "Go on"\ndef f(x):\n    raise UserError("is odd", value=x)\n'
    )
    more = 'def g(x):\n    raise UserError(f"is {x} odd", hint=NEXT)\n'
    (tmp_path / "nasrec_nni" / "odd.py").write_text(text + more)
    first, second = catalogue.messages(tmp_path)
    assert (first.says, first.told, second.says, second.told) == ("is odd", (), "is ‹x› odd", ("Go on",))
    assert catalogue.missing(tmp_path) == [
        "nasrec_nni.odd:4: 'is odd'",
        "nasrec_nni.odd: no group",
        "nasrec_nni.odd: no group",
    ]


def test_the_configuration_page_has_every_key_with_its_meaning() -> None:
    text = configuration.page(ROOT)

    def keys(schema: dict[str, Any]) -> set[str]:
        return {key for one in [schema, *schema.get("$defs", {}).values()] for key in one["properties"]}

    every = keys(Config.model_json_schema()) | set(Recipe.model_fields)
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.*) \| (.*) \|$", text, re.MULTILINE)
    assert every <= {key for key, *_ in rows}
    assert [key for key, meaning, takes, _ in rows if not takes.strip() or not meaning.strip()] == []
    assert "| `learning_rate` | peak learning rate | number above 0 | `0.12` |" in text
    assert "| `seeds` | one training each | list: whole number from 0, below 2³²; 1 or more | `[0, 1, 2]` |" in text


def test_the_command_page_has_every_verb_and_option() -> None:
    text = commands.page(ROOT)
    for verb in VERBS:
        part = text.partition(f"## nasrec {verb} ")[2].partition("\n## ")[0]
        for action in verb_parser(verb)._actions:
            if not set(commands.SHARED) & set(action.option_strings):
                assert all(f"`{word}" in part for word in action.option_strings), (verb, action.dest)


def test_the_drawing_of_the_code_has_every_room() -> None:
    drawn, table = rooms.drawing(ROOT), rooms.table(ROOT)
    for room in rooms.floors(ROOT):
        name = room.removeprefix("nasrec_nni.")
        assert f">{name}</text>" in drawn
        assert re.search(rf"^\| \d \| `{re.escape(name)}` \| \S.+\|$", table, re.MULTILINE), name
    assert set(rooms.NAMES) == set(rooms.by_floor(ROOT))


def test_who_is_cited_and_the_licence() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert f'version="{cited["version"]}"' in setup
    assert cited["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
    assert f"## {cited['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
