"""QuickRank's and RankLib's XML: an ``ensemble`` of weighted trees of nested ``split``.

A feature's number counts from 1, and a row goes left where ``x <= threshold`` in float32. See
QuickRank's ``RTNode::parse_xml`` and RankLib's ``Ensemble`` and ``Split``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from distilrank.forest import Forest, Tree
from distilrank.readers.fields import (
    FORMATS,
    Growing,
    forest_of,
    nan_goes,
    number,
    shown,
    to_float32,
    whole,
)

# What QuickRank calls the forests whose score is the weighted sum of their trees.
_SUMS = ("MART", "LAMBDAMART", "OBVMART", "OBVLAMBDAMART", "DART", "LAMBDAMART-SELECTIVE")
_SIDES = {"left": 0, "right": 1}
_TEXTS = ("type", "feature", "threshold", "output")


def read_ensemble_xml(content: bytes, path: Path) -> tuple[Forest, str]:
    """The forest, and which of the two formats it is in.

    QuickRank holds leaves in float64, RankLib in float32, which it also sums in. NaN goes right in
    QuickRank, where no comparison with it holds; RankLib takes it for 0.

    Raises:
        ValueError: if the file is no such XML; a document type is refused, and with it every
            entity that a bomb could be made of.
    """
    # RankLib puts lines of comment before its XML.
    lines = content.lstrip(b"\xef\xbb\xbf \t\r\n").split(b"\n")
    comments = next((n for n, line in enumerate(lines) if not _is_comment(line)), len(lines))
    xml = b"\n".join(lines[comments:])
    ranklib = comments > 0 or xml.startswith(b"<ensemble")
    parser = _Parser(path, ranklib)
    parser.feed(xml)
    n_features = 1 + max((tree.largest for tree in parser.trees), default=-1)
    trees = [
        _tree(each, f"{path}, tree {index}", n_features) for index, each in enumerate(parser.trees)
    ]
    kind = "RankLib XML" if ranklib else "QuickRank XML"
    return forest_of(trees, 0.0, n_features, (), path), kind


def _is_comment(line: bytes) -> bool:
    return not line.strip() or line.startswith(b"##")


def _tree(grown: "_Tree", where: str, n_features: int) -> Tree:
    return grown.growing.nodes().tree(where, n_features)


@dataclass
class _Tree:
    """A tree that is being read; ``largest`` is its last column."""

    weight: float
    growing: Growing = field(default_factory=Growing)
    largest: int = -1


@dataclass
class _Split:
    """An element ``split`` that is being read, and where it hangs."""

    parent: "_Split | None"
    side: int
    found: dict[str, str] = field(default_factory=dict)
    place: int = -1
    sides: set[int] = field(default_factory=set)


class _Parser:
    """Expat's events, so that nothing is nested in Python's own stack."""

    def __init__(self, path: Path, ranklib: bool) -> None:
        self.trees: list[_Tree] = []
        self._path, self._ranklib = path, ranklib
        self._open: list[str] = []
        self._split: _Split | None = None
        self._text: list[str] = []
        self._parser = expat.ParserCreate()
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text.append

    def feed(self, xml: bytes) -> None:
        try:
            self._parser.Parse(xml, True)
        except expat.ExpatError as error:
            raise ValueError(
                f"{self._path} is cut short or no XML of one ensemble: {error}"
            ) from None
        if not self.trees:
            raise ValueError(f"{self._path} holds no tree of an ensemble; {FORMATS}")

    @property
    def _where(self) -> str:
        return f"{self._path}, tree {len(self.trees) - 1}"

    def _refuse_doctype(self, name: str, *_: object) -> None:
        raise ValueError(
            f"{self._path} has a document type ({name[:40]}), which no forest needs and which can "
            "blow a file up; take the lines with <!DOCTYPE and <!ENTITY away"
        )

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._text.clear()
        if not self._open and name not in ("ranker", "ensemble"):
            raise ValueError(f"{self._path} is XML of a {name[:40]}, expected a ranker or ensemble")
        if name == "tree":
            if self._split is not None or "tree" in self._open:
                raise ValueError(f"{self._where}: a tree stands within it")
            self.trees.append(_Tree(1.0))
            weight = number(attributes.get("weight"), "weight", self._where)
            self.trees[-1].weight = to_float32(weight) if self._ranklib else weight
        elif name == "split" and "tree" in self._open:
            self._start_split(attributes.get("pos"))
        self._open.append(name)

    def _start_split(self, position: str | None) -> None:
        parent, side = self._split, _SIDES.get(position or "", 0)
        if parent is not None:
            if position not in _SIDES or side in parent.sides:
                raise ValueError(
                    f"{self._where}: a split has the pos {shown(position)}, expected left once and "
                    "right once"
                )
            parent.sides.add(side)
            if parent.place < 0:
                parent.place = self._add(parent)
        elif self.trees[-1].growing.rows:
            raise ValueError(f"{self._where} has two roots")
        self._split = _Split(parent, side)

    def _end(self, name: str) -> None:
        self._open.pop()
        text = "".join(self._text).strip()
        self._text.clear()
        if name == "type" and self._open[-1:] == ["info"] and text not in _SUMS:
            raise ValueError(
                f"{self._path} is a {shown(text)} of QuickRank, expected a weighted sum of trees: "
                f"{', '.join(_SUMS)}"
            )
        if self._split is None:
            return
        if name in _TEXTS:
            self._split.found[name] = text
        if name == "split":
            self._end_split(self._split)

    def _end_split(self, split: _Split) -> None:
        if split.sides:
            if len(split.sides) < 2:
                raise ValueError(f"{self._where}: a split has one child, expected two")
        else:
            split.place = self._add_leaf(split)
        if split.parent is not None:
            self.trees[-1].growing.link(split.parent.place, split.side, split.place)
        self._split = split.parent

    def _add(self, split: _Split) -> int:
        column = whole(split.found.get("feature"), "feature", self._where) - 1
        if column < 0:
            raise ValueError(f"{self._where}: 'feature' is 0, expected numbers from 1")
        threshold = number(split.found.get("threshold"), "threshold", self._where)
        tree = self.trees[-1]
        tree.largest = max(tree.largest, column)
        route = 0 if self._ranklib else int(nan_goes(False))
        return tree.growing.split(column, to_float32(threshold), route)

    def _add_leaf(self, split: _Split) -> int:
        value = number(split.found.get("output"), "output", self._where)
        tree = self.trees[-1]
        return tree.growing.leaf((to_float32(value) if self._ranklib else value) * tree.weight)
