"""The page: whole, self-contained, escaped, and with what the tables say."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml
from docutils.core import publish_parts
from jinja2 import Environment, StrictUndefined

from distilrank.page import inline_svg
from scripts.make_tables import make_tables
from scripts.plot_designed import plot_designed
from scripts.plot_predictor import plot_predictor
from scripts.plot_sensitivity import plot_sensitivity
from scripts.plot_speedup import plot_speedup
from scripts.plot_tradeoff import plot_tradeoff
from scripts.plot_training import plot_training
from scripts.render_report import render_report
from tests.results_builder import Results

ROOT = Path(__file__).parents[2]
SECTIONS = [
    *("headline", "tradeoff", "models", "matched", "sparse", "precision", "engines", "predictor"),
    *(
        "training",
        "sensitivity",
        "parity",
        "checks",
        "health",
        "features",
        "data",
        "machine",
        "accounts",
        "conventions",
        "published",
    ),
]


class Page(HTMLParser):
    """Ids, addresses, and whether every element is closed."""

    VOID = frozenset({"meta", "br", "link", "img", "hr"})

    def __init__(self, text):
        super().__init__()
        self.ids, self.addresses, self.open, self.sections = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "section":
            self.sections.append(attrs["id"])
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.addresses += [attrs[name] for name in ("href", "src", "xlink:href") if name in attrs]

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def built(root, datasets=("toy",), titles=None, designs=False, recipes=None):
    """Run every script of the report; the page's path."""
    recipes = recipes or {"plain": {"distil": {}, "prune": {}}}
    report = root / "report"
    tables, figures = report / "tables", report / "figures"
    results = Results(root / "results", datasets, queries=12, recipes=list(recipes))
    if designs:
        results.design()
    make_tables(
        **results.inputs,
        published=ROOT / "config" / "published.yaml", folder=tables,
        summary=report / "summary.json", headline_batch=256, margin=0.005, permutations=100,
        min_share=0.9, titles=titles or {}, recipes=recipes,
    )  # fmt: skip
    if designs:
        plot_designed(
            tables / "designed.csv", figures / "designed-toy.svg", figures / "designed-toy.png",
            dataset="toy",
        )  # fmt: skip
    for dataset in datasets:
        for plot, name, more in (
            (plot_tradeoff, "models", {"headline_batch": 256}),
            (plot_speedup, "speedup", {}),
            (plot_training, "training", {}),
            (plot_sensitivity, "sensitivity", {}),
        ):
            stem = figures / f"{plot.__name__.removeprefix('plot_')}-{dataset}"
            outputs = stem.with_suffix(".svg"), stem.with_suffix(".png")
            plot(tables / f"{name}.csv", *outputs, dataset=dataset, **more)
    plot_predictor(tables / "predictor.csv", figures / "predictor.svg", figures / "predictor.png")
    return rendered(report)


def rendered(report):
    render_report(
        ROOT / "report" / "index.html.j2",
        sorted((report / "tables").glob("*.csv")),
        sorted((report / "figures").glob("*.svg")),
        report / "summary.json",
        report / "index.html",
    )
    return report / "index.html"


@pytest.fixture(scope="module")
def page_path(tmp_path_factory):
    return built(tmp_path_factory.mktemp("page"), titles={"toy": "Toy & <b>sons</b>"})


@pytest.fixture(scope="module")
def page(page_path):
    return page_path.read_text()


def test_sections_stand_in_their_order_and_elements_are_closed(page):
    found = Page(page)
    assert found.sections == SECTIONS
    assert found.open == []
    assert len(found.ids) == len(set(found.ids))


def test_the_page_needs_nothing_from_outside(page_path, page):
    found = Page(page)
    for address in found.addresses:
        assert "://" not in address, address
        if address.startswith("#"):
            assert address[1:] in found.ids
        else:
            assert (page_path.parent / address).is_file(), address
    assert "<script" not in page
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_every_link_into_a_figure_has_its_target(page):
    ids = set(Page(page).ids)
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= ids


def test_text_is_escaped(page):
    assert "Toy &amp; &lt;b&gt;sons&lt;/b&gt;" in page
    assert "<b>sons" not in page


def test_every_model_and_headline_is_on_the_page(page_path, page):
    models = pd.read_csv(page_path.parent / "tables" / "models.csv")
    for name in models["name"]:
        assert f'<th scope="row">{name}</th>' in page
    summary = json.loads((page_path.parent / "summary.json").read_text())
    for match in summary["datasets"][0]["matches"]:
        assert match["headline"].replace("'", "&#39;") in page
    assert summary["datasets"][0]["power"] in page
    best = summary["datasets"][0]["best_forest"]
    assert f"compares with <strong>{best}</strong>, the forest of this data set" in page
    assert page.count('<p class="forest">') == 2
    assert page.count(f'<p class="forest">{best} · the best forest on vali</p>') == 1
    assert "absent is not installed: see the README" in page


def test_a_model_below_the_floor_has_a_red_line(page_path, tmp_path):
    report = page_path.parent
    checks = pd.read_csv(report / "tables" / "checks.csv")
    name = checks.loc[0, "name"]
    checks["ok"] = checks["name"] != name
    changed = tmp_path / "report"
    (changed / "tables").mkdir(parents=True)
    for path in (report / "tables").glob("*.csv"):
        (changed / "tables" / path.name).write_bytes(path.read_bytes())
    checks.to_csv(changed / "tables" / "checks.csv", index=False)
    (changed / "summary.json").write_bytes((report / "summary.json").read_bytes())
    text = rendered(changed).read_text()
    assert re.search(rf'<tr class="\w+ alert[^"]*"><th scope="row">{name}</th>', text)
    assert "checks fail" in text


def test_the_check_of_quality_is_explained_only_where_there_is_a_floor(page_path, page, tmp_path):
    assert "<em>quality</em>:" in page
    changed = tmp_path / "report"
    shutil.copytree(page_path.parent, changed)
    summary = json.loads((changed / "summary.json").read_text())
    summary["settings"]["min_share"] = None
    (changed / "summary.json").write_text(json.dumps(summary))
    text = rendered(changed).read_text()
    assert "<em>quality</em>:" not in text and "<em>sparsity</em>:" in text


def test_low_precision_is_shown_and_its_lack_is_told(page_path, page, tmp_path):
    assert page.count("<td>native-bf16</td>") >= 8
    assert "No engine of this run computes in low precision." not in page
    report = page_path.parent
    changed = tmp_path / "report"
    (changed / "tables").mkdir(parents=True)
    for path in (report / "tables").glob("*.csv"):
        text = path.read_text()
        only_head = path.stem == "precision"
        (changed / "tables" / path.name).write_text(text.split("\n")[0] if only_head else text)
    (changed / "summary.json").write_bytes((report / "summary.json").read_bytes())
    assert "No engine of this run computes in low precision." in rendered(changed).read_text()


def test_several_data_sets_have_a_part_each_in_every_section(tmp_path):
    titles = {"toy": "First", "other": "Second"}
    page = built(tmp_path, ("toy", "other"), titles).read_text()
    found = Page(page)
    assert found.sections == SECTIONS
    assert len(found.ids) == len(set(found.ids))
    assert page.count("<h3>First</h3>") == page.count("<h3>Second</h3>") > 8
    # Only the second has missing values: one sentence, one column.
    assert page.count(" % of values missing: ") == page.count("Missing values") == 1


def test_the_same_input_gives_the_same_page(page_path, page, tmp_path):
    assert built(tmp_path, titles={"toy": "Toy & <b>sons</b>"}).read_text() == page


@pytest.mark.parametrize("no_relevant", [1.0, None])
@pytest.mark.parametrize(
    "path", sorted((ROOT / "report").glob("*.rst")), ids=lambda path: path.stem
)
def test_captions_read_the_config_and_are_clean(path, no_relevant):
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    config["quality"]["no_relevant"] = no_relevant
    job = SimpleNamespace(config=config, wildcards=SimpleNamespace(dataset="toy"))
    text = Environment(undefined=StrictUndefined).from_string(path.read_text())
    # Level 1: even a hint of the parser's is an error.
    parts = publish_parts(
        text.render(snakemake=job),
        writer="html",
        settings_overrides={"halt_level": 1, "report_level": 1},
    )
    assert "system-message" not in parts["body"]
    assert "{" not in parts["body"]


def test_every_table_and_figure_has_a_caption(page_path):
    stems = {path.stem for path in (page_path.parent / "tables").glob("*.csv")}
    captions = {path.stem for path in (ROOT / "report").glob("*.rst")}
    others = {"workflow", "page", "tradeoff", "designed", "ranked"}
    assert stems | others == captions


def test_a_file_that_is_no_svg_is_told(tmp_path):
    path = tmp_path / "figure.svg"
    path.write_text("nothing")
    with pytest.raises(ValueError, match="is not an SVG file"):
        inline_svg(path)


def test_designs_have_a_section_where_some_were_trained(tmp_path, page):
    assert 'id="designed"' not in page
    with_designs = built(tmp_path, designs=True).read_text()
    sections = Page(with_designs).sections
    at = sections.index("designed")
    assert sections[at - 1 : at + 2] == ["predictor", "designed", "training"]
    assert [*sections[:at], *sections[at + 1 :]] == SECTIONS
    assert '<a href="#designed">' in with_designs
    section = with_designs[with_designs.index('<section id="designed">') :]
    section = section[: section.index("</section>")]
    assert section.count("<svg") == 1
    assert "picked from 4,940 architectures" in section and "predicted time plus 8 %" in section
    # The one that took longer than its budget is red, and the alerts name it.
    (red,) = re.findall(r'<tr class="alert">.*?</tr>', section, flags=re.DOTALL)
    assert "design-400ns-1" in red and ">no<" in red
    assert "1 of 2 designs took longer than their budget" in with_designs


def test_recipes_have_a_section_where_there_are_several(tmp_path, page):
    assert 'id="recipes"' not in page and "#recipes" not in page
    taught = {"distil": {"epochs": 40}, "prune": {}}
    alone = {"distil": {"epochs": 40, "learn_from": "labels"}, "prune": {}}
    text = built(tmp_path, recipes={"taught": taught, "alone": alone}).read_text()
    sections = Page(text).sections
    at = sections.index("recipes")
    assert [*sections[:at], *sections[at + 1 :]] == SECTIONS
    assert '<a href="#recipes">' in text
    section = text[text.index('<section id="recipes">') :]
    section = section[: section.index("</section>")]
    # Two teachers, two students, two sparsities, each with two recipes and one choice.
    assert section.count("<td>taught") + section.count("<td>alone") == 2 * 2 * 2 * 2
    assert section.count(" (chosen)</td>") == 2 * 2 * 2
    assert "Δ on test to the baseline, taught, and to the forest" in section
    assert "<strong>alone</strong> learns from the labels alone, without a teacher." in section
    assert "<td>distil.learn_from labels</td>" in section
