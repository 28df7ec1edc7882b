"""scripts/fetch_dataset.py: a catalogue entry becomes a checked file, or a sentence."""

import hashlib

import pytest
from tiny import names

from scripts.fetch_dataset import fetch_dataset

BODY = b"an archive" * 500
SHA256 = hashlib.sha256(BODY).hexdigest()


def entry(*sources: str, **more: str) -> dict:
    archive = {"name": "tiny.zip", "sha256": SHA256, "sources": list(sources)}
    return {"title": "Tiny", "archive": archive} | more


def test_an_archive_is_fetched_from_the_first_source_that_serves_it(web, tmp_path, capsys):
    web.pages |= {"/old": (403, b"<html>"), "/new": (200, BODY), "/never": (200, BODY)}
    dataset = entry(*map(web.url, ("/old", "/new", "/never")), terms="for research use")
    fetch_dataset(dataset, tmp_path / "raw" / "tiny.zip")
    assert (tmp_path / "raw" / "tiny.zip").read_bytes() == BODY
    assert web.asked == ["/old", "/new"]
    assert "Tiny: for research use\n" in capsys.readouterr().out, "the terms come before"


def test_a_release_is_fetched_from_the_index(web, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", web.url("/simple"))
    web.pages |= {
        "/simple/tiny/": (200, b'<a href="/files/tiny-1.2.tar.gz">tiny-1.2.tar.gz</a>'),
        "/files/tiny-1.2.tar.gz": (200, BODY),
    }
    package = {"name": "tiny", "version": "1.2", "sha256": SHA256}
    fetch_dataset({"title": "Tiny", "package": package}, tmp_path / "tiny-1.2.tar.gz")
    assert (tmp_path / "tiny-1.2.tar.gz").read_bytes() == BODY


def test_a_failure_names_the_web_page_and_writes_nothing(web, tmp_path):
    web.pages["/old"] = (200, b"<html>sign in first</html>")
    dataset = entry(web.url("/old"), page="the page of Tiny")
    with pytest.raises(ValueError) as raised:
        fetch_dataset(dataset, tmp_path / "tiny.zip")
    sentence = str(raised.value)
    assert sentence.startswith("tiny.zip could not be fetched. Put the file with sha256 ")
    assert sentence.endswith(" Its web page: the page of Tiny")
    assert names(tmp_path) == []
