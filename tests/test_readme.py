"""The README keeps its word: its code runs, and its links and those of the other pages lead somewhere."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_ten_lines_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("python")
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) == 10
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.count("\n") == 6
    assert (tmp_path / "books.bundle" / "manifest.json").is_file()


def test_the_two_commands_are_one_line_each():
    for name in ("demo", "tests"):
        (block,) = re.findall(rf"<!-- ci: {name} -->\s*```bash\n(.*?)```", TEXT, re.DOTALL)
        assert re.fullmatch(r"pip install [^\n]+ && [^\n]+\n", block)


def test_links_lead_somewhere():
    pages = [ROOT / "README.md", ROOT / "adapters" / "README.md", *(ROOT / "docs").rglob("*.md")]
    missing = [
        f"{page.name}: {link}"
        for page in pages
        for link in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8"))
        if not (page.parent / link).exists()
    ]
    assert missing == []
