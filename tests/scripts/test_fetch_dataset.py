"""scripts/fetch_dataset.py: a catalogue entry becomes a checked file, or a sentence."""

import hashlib
from pathlib import Path

import pytest
import yaml
from tiny import names

from scripts.fetch_dataset import fetch_dataset

BODY = b"an archive" * 500
SHA256 = hashlib.sha256(BODY).hexdigest()
CONFIG = yaml.safe_load((Path(__file__).parents[2] / "config" / "config.yaml").read_text())
CATALOGUE = {name: each for name, each in CONFIG["datasets"].items() if "archive" in each}


def entry(*sources: str, **more: str) -> dict:
    archive = {
        "name": "tiny.zip", "bytes": len(BODY), "sha256": SHA256, "sources": list(sources)
    }  # fmt: skip
    return {"title": "Tiny", "archive": archive} | more


def fetch(dataset: dict, folder: Path, name: str = "tiny.zip") -> Path:
    """Fetch it as the workflow does; returns the link that says so."""
    output = folder / "archives" / "tiny" / name
    fetch_dataset(dataset, "tiny", output, folder / "raw" / "tiny" / name)
    return output


def test_an_archive_is_fetched_from_the_first_source_that_serves_it(web, tmp_path, capsys):
    web.pages |= {"/old": (403, b"<html>"), "/new": (200, BODY), "/never": (200, BODY)}
    dataset = entry(*map(web.url, ("/old", "/new", "/never")), terms="for research use")
    output = fetch(dataset, tmp_path)
    assert output.read_bytes() == BODY
    assert output.readlink() == Path("../../raw/tiny/tiny.zip")
    assert web.asked == ["/old", "/new"]
    assert "Tiny: for research use\n" in capsys.readouterr().out, "the terms come before"
    output.unlink()
    assert fetch(dataset, tmp_path).read_bytes() == BODY
    assert len(web.asked) == 2, "what is there and right is not fetched again"


def test_a_release_is_fetched_from_the_index(web, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", web.url("/simple"))
    web.pages |= {
        "/simple/tiny/": (200, b'<a href="/files/tiny-1.2.tar.gz">tiny-1.2.tar.gz</a>'),
        "/files/tiny-1.2.tar.gz": (200, BODY),
    }
    package = {"name": "tiny", "version": "1.2", "sha256": SHA256}
    output = fetch({"title": "Tiny", "package": package}, tmp_path, "tiny-1.2.tar.gz")
    assert output.read_bytes() == BODY
    web.pages.clear()
    output.unlink()
    fetch({"title": "Tiny", "package": package}, tmp_path, "tiny-1.2.tar.gz")
    (tmp_path / "raw" / "tiny" / "tiny-1.2.tar.gz").unlink()
    with pytest.raises(ValueError) as raised:
        fetch({"title": "Tiny", "package": package}, tmp_path, "tiny-1.2.tar.gz")
    assert "Tried: the package index has no source archive of tiny 1.2. Or name" in str(
        raised.value
    )


@pytest.mark.parametrize("answer", [(200, b"<html>sign in first</html>"), (403, b""), (200, b"")])
def test_a_failure_names_the_web_page_and_writes_nothing(web, tmp_path, answer):
    web.pages["/old"] = answer
    dataset = entry(web.url("/old"), page="the page of Tiny")
    with pytest.raises(ValueError) as raised:
        fetch(dataset, tmp_path)
    sentence = str(raised.value)
    assert sentence.startswith(
        f"tiny.zip could not be fetched. Put the file with sha256 {SHA256} and 5,000 bytes at "
        f"{tmp_path / 'raw' / 'tiny' / 'tiny.zip'} by hand. Tried: "
    )
    assert sentence.endswith(
        ". Or name a copy of your own in the config: datasets.tiny.archive.path (the archive) or "
        ".folder (the extracted files). Its web page: the page of Tiny"
    )
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []


def test_a_persons_own_archive_is_checked_and_left_alone(tmp_path):
    own = tmp_path / "My Downloads" / "renamed.zip"
    own.parent.mkdir()
    own.write_bytes(BODY)
    before = own.stat()
    dataset = entry("http://127.0.0.1:9/never")
    dataset["archive"]["path"] = str(own)
    output = fetch(dataset, tmp_path)
    assert output.readlink() == own
    assert output.read_bytes() == BODY
    assert own.stat().st_mtime_ns == before.st_mtime_ns
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (BODY[:-1], "it has 4,999 bytes, expected 5,000"),
        (b"x" + BODY[1:], f"expected {SHA256}"),
        (None, "is not there, which datasets.tiny.archive.path of the config names"),
    ],
)
def test_a_persons_own_archive_that_is_wrong_is_left_alone_too(tmp_path, content, said):
    own = tmp_path / "own.zip"
    if content is not None:
        own.write_bytes(content)
    dataset = entry("http://127.0.0.1:9/never")
    dataset["archive"]["path"] = str(own)
    with pytest.raises(ValueError) as raised:
        fetch(dataset, tmp_path)
    assert said in str(raised.value)
    assert str(own) in str(raised.value)
    assert names(tmp_path) == (["own.zip"] if content else [])
    assert content is None or own.read_bytes() == content


def test_an_own_archive_without_a_checksum_is_taken_with_a_warning(tmp_path, caplog):
    own = tmp_path / "own.zip"
    own.write_bytes(b"anything")
    output = fetch({"title": "Tiny", "archive": {"path": str(own)}}, tmp_path, "own.zip")
    assert output.read_bytes() == b"anything"
    assert "no sha256 is known, so it is not checked" in caplog.text


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_terms_of_every_published_set_are_known(name):
    terms = CATALOGUE[name]["terms"]
    assert "research use" in terms
    assert ("non-commercial" in terms and "agreement" in terms) == name.startswith("istella")
