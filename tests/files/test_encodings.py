"""Encodings that no mark tells: named in a warning, and told apart where the letters tell."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from isthmus.files import read_table

POLISH = """Człowiek z żelaza|Dzień świra|Krótki film o miłości|Nóż w wodzie|Ręce do góry|Różyczka|Chłopi
Popiół i diament|Żółty szalik|Tańczący jastrząb|Ścieżki chwały|Gwiezdne wojny: Część IV|Złoto dezerterów"""
GERMAN = """Der Himmel über Berlin|Männer|Der müde Tod|Fünf Freunde|Die üblichen Verdächtigen|Für eine Handvoll Dollar
Die Brücke|Zurück in die Zukunft|Der große Diktator|Fräulein Smillas Gespür für Schnee"""
FRENCH = """Le Fabuleux Destin d'Amélie Poulain|À bout de souffle|La Règle du jeu|Le Dîner de cons|Les Bronzés
Hôtel du Nord|Un prophète|L'Été meurtrier|La Cité des enfants perdus|Être et avoir|L'Œil du malin"""


@pytest.mark.parametrize(
    ("text", "encoding"), [(POLISH, "cp1250"), (GERMAN, "cp1252"), (FRENCH, "cp1252")], ids=["pl", "de", "fr"]
)
@pytest.mark.parametrize("form", ["csv", "json"])
def test_letters_are_those_that_were_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, encoding: str, form: str
) -> None:
    titles = text.replace("\n", "|").split("|")
    rows = [{"id": row, "title": title} for row, title in enumerate(titles)]
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if form == "csv":
        content = "id;title\n" + "".join(f"{row['id']};{row['title']}\n" for row in rows)
    path = tmp_path / f"titles.{form}"
    path.write_bytes(content.encode(encoding))
    with caplog.at_level(logging.WARNING):
        assert read_table(path)["title"].to_pylist() == titles
    assert f"read as {encoding}" in caplog.text
    assert "--encoding" in caplog.text


def test_few_letters_are_western_and_the_warning_names_the_way_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "t.csv").write_bytes("id,title\n1,Stacja Łódź\n2,b\n".encode("cp1250"))
    assert read_table(tmp_path / "t.csv")["title"].to_pylist() == ["Stacja Łódź".encode("cp1250").decode("cp1252"), "b"]
    assert "--encoding" in caplog.text
    assert "cp1250" in caplog.text
    assert read_table(tmp_path / "t.csv", encoding="cp1250")["title"].to_pylist() == ["Stacja Łódź", "b"]
