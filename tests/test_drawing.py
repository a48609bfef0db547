"""The picture of an architecture: dead parts marked, nothing overlaps, files parse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from nasrec_nni.analysis.diagram import diagram
from nasrec_nni.analysis.drawing import _Drawing, draw, draw_svg
from nasrec_nni.architecture.json import load_architecture
from nasrec_nni.architecture.value import Architecture, Block
from nasrec_nni.errors import UserError

PUBLISHED = Path(__file__).parent / "published"
NETWORKS = [f"{data}_{space}" for data in ("criteo", "avazu", "kdd") for space in ("autoctr", "xlarge")]


def published(name: str) -> Architecture:
    return load_architecture(PUBLISHED / f"{name}.json")


def ids(svg: str) -> set[str]:
    return {found for element in ElementTree.fromstring(svg).iter() if (found := element.get("id"))}


def chain(blocks: int) -> Architecture:
    block = Block("fc", 16, "efc", 16, None, None, None, None, True, True)
    every = [
        replace(block, dense_connections=(i - 1,), sparse_connections=tuple(range(i))) for i in range(1, blocks + 1)
    ]
    return Architecture("nasrec-small", tuple(every))


def test_dead_parts_of_criteo_small_are_marked() -> None:
    """SPEC section 11: block 3's sparse half and block 6 are dead, all else is live."""
    found = ids(draw_svg(published("criteo_autoctr"), (13, 26)))
    dead = {name for name in found if name.startswith("block") and name.endswith("-dead")}
    assert dead == {"block3-sparse-dead", "block6-dense-dead", "block6-sparse-dead"}
    assert {f"block{n}-dense-live" for n in (1, 2, 3, 4, 5, 7)} <= found
    assert {"merger-block3-sparse-dead", "merger-block2-sparse-live", "merger-block2-dense-live"} <= found
    assert {"read-dense-5-block6-dense-dead", "read-sparse-5-block7-sparse-live", "output-1-dense-dead"} <= found
    assert "merger-block7-sparse-dead" not in found


@pytest.mark.parametrize(("name", "dead"), list(zip(NETWORKS, (3, 6, 0, 6, 1, 3), strict=True)))
def test_as_many_dead_operators_as_the_spec_says(name: str, dead: int) -> None:
    assert sum(not half.live for row in diagram(published(name), None) for half in row) == dead


@pytest.mark.parametrize("name", NETWORKS)
def test_a_canonical_architecture_has_no_dead_line(name: str) -> None:
    found = ids(draw_svg(published(name).canonical))
    assert not {one for one in found if one.endswith("-dead") and not one.startswith("block")}


def test_only_what_is_read_is_drawn() -> None:
    gate = replace(chain(1).blocks[0], dense_operator="sg", left=0, right=0, sparse_to_dense=False)
    ((_, _), (dense, sparse)) = diagram(Architecture("nasrec-full", (gate,)), None)
    assert [read.label for read in dense.reads] == ["left 0", "right 0"]
    assert [read.label for read in sparse.reads] == ["0"]
    assert (dense.merger, sparse.merger, sparse.merger_live) == (False, True, True)


@pytest.mark.parametrize("architecture", [*map(published, NETWORKS), *map(chain, (1, 2, 9))], ids=lambda a: a.id)
def test_no_text_overlaps_another_or_leaves_the_picture(architecture: Architecture) -> None:
    drawing = _Drawing(architecture, (13, 26))
    renderer = drawing.figure.canvas.get_renderer()
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in drawing.axes.texts]
    width, height = drawing.figure.bbox.size
    for index, (text, box) in enumerate(boxes):
        assert box.x0 >= 0, text
        assert box.x1 <= width, text
        assert box.y0 >= 0, text
        assert box.y1 <= height, text
        for other, with_box in boxes[:index]:
            assert not box.padded(-1).overlaps(with_box.padded(-1)), (text, other)


def test_files_by_suffix(tmp_path: Path) -> None:
    draw(chain(2), tmp_path / "a.svg")
    draw(chain(2), tmp_path / "a.PNG")
    assert ElementTree.parse(tmp_path / "a.svg").getroot().tag.endswith("svg")
    assert (tmp_path / "a.PNG").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.svg").read_text() == draw_svg(chain(2))
    with pytest.raises(UserError, match=r"\.svg, \.png"):
        draw(chain(2), tmp_path / "a.pdf")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.PNG", "a.svg"]


def test_a_hostile_name_is_escaped() -> None:
    hostile = replace(chain(1), space="<script>alert($1$)</script> --> & '\"")
    root = ElementTree.fromstring(draw_svg(hostile))
    assert not [element for element in root.iter() if "script" in element.tag]
    assert "<script>alert" not in draw_svg(hostile)
