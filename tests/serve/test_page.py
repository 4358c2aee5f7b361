"""The page in a real browser: it asks nobody but its server, writes no errors, and can be used with the keyboard."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from serving import asking, opened, over
from serving import served as application
from tiny_faces import TEXTS, made, pictures

import isthmus
from isthmus.actions import Offer
from isthmus.serve.measuring.child import Child, served
from isthmus.serve.opened import Opened

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
BROWSER = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt-get install chromium)")


def panel_of(domain: str) -> Path:
    folder = find_spec(f"isthmus_{domain}").submodule_search_locations[0]
    return Path(folder) / "serving" / "page.js"


def test_files_of_the_page_come_from_here_alone() -> None:
    bare_panel = [Opened(one, one, "", None, Offer((), page=panel_of(one))) for one in ("text", "images", "vectors")]
    app, service = over([opened("ease"), *bare_panel])
    paths = ["/", "/page/style.css", "/page/icon.svg"]
    paths += [f"/page/{name}.js" for name in ("app", "kit", "map", "course")]
    paths += [f"/page/panel/{domain}.js" for domain in ("interactions", "text", "images", "vectors")]

    async def ask(client: Any) -> None:
        for path in paths:
            response = await client.get(path)
            assert response.status_code == 200, path
            assert "default-src 'none'" in response.headers["content-security-policy"]
            outside = [
                part for part in response.text.split("http")[1:] if not part.startswith("://www.w3.org/2000/svg")
            ]
            assert not [part for part in outside if part.startswith(("://", "s://"))], path
        for path in ("/page/none.js", "/page/panel/none.js", "/page/..%2fapp.py"):
            assert (await client.get(path)).status_code == 404

    asking(app, ask, service)
    bare, _ = application("ease", page=False)

    async def nothing(client: Any) -> int:
        return int((await client.get("/")).status_code)

    assert asking(bare, nothing) == 404


# --- in a browser ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    folder = tmp_path_factory.mktemp("bundles")
    titles = {item: f"Film number {item}" for item in range(20)}
    ease = made("ease")
    isthmus.Recommender(ease.fitted.with_titles(titles)).save(folder / "films.bundle")
    for name in ("text", "image", "detector"):
        made(name).save(folder / f"{name}.bundle")
    with served(*(str(folder / f"{name}.bundle") for name in ("films", "text", "image", "detector"))) as running:
        yield running


@pytest.fixture
def page(child: Child) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 1100, "height": 900})
        opened.set_default_timeout(60_000)
        wrong: list[str] = []
        opened.on("console", lambda one: wrong.append(one.text) if one.type in ("error", "warning") else None)
        opened.on("pageerror", lambda error: wrong.append(str(error)))
        opened.on(
            "request",
            lambda one: None if one.url.startswith((child.address, "data:", "blob:")) else wrong.append(one.url),
        )
        yield opened
        browser.close()
        assert wrong == []


@BROWSER
@pytest.mark.slow
def test_type_a_title_and_read_recommendations(page: Any, child: Child) -> None:
    page.goto(child.address)
    page.get_by_text("Popular to begin with").wait_for()
    field = page.get_by_role("combobox", name="Title")
    field.fill("number 7")
    page.get_by_role("option", name="Film number 7").wait_for()
    field.press("ArrowDown")
    field.press("ArrowUp")
    field.press("Enter")
    page.get_by_role("button", name="Remove Film number 7").wait_for()
    page.get_by_text("Recommended for you").wait_for()
    first = page.locator(".results > li").first
    page.get_by_text("because of Film number 7").first.wait_for()
    assert "Film number" in first.inner_text()
    assert "score" in first.inner_text()
    # The map shows where both lie.
    page.get_by_text("what the model suggests").wait_for()
    first.get_by_role("button", name="More like this").click()
    page.get_by_text("Most similar:").wait_for()
    first.get_by_role("button", name="I like").click()
    page.wait_for_function("document.querySelectorAll('.chosen li').length === 2")
    page.get_by_label("Variety").press("End")
    page.get_by_label("Leave out what everybody knows").press("ArrowRight")
    page.get_by_role("button", name="Start over").click()
    page.get_by_text("Popular to begin with").wait_for()
    page.get_by_text("what the model suggests").wait_for(state="hidden")
    assert page.locator(".map canvas").count() == 1


def film_at(page: Any, box: Any, place: tuple[int, int]) -> bool:
    """Whether the map shows a title where somebody points."""
    page.mouse.move(box["x"] + place[0], box["y"] + place[1])
    tip = page.locator(".tip")
    return bool(tip.is_visible()) and "Film number" in str(tip.inner_text())


@BROWSER
@pytest.mark.slow
def test_colours_and_small_screens(page: Any, child: Child) -> None:
    page.goto(child.address)
    page.locator(".map canvas").wait_for()
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Switch to dark colours").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    canvas = page.locator(".map canvas")
    canvas.focus()
    for key in ("+", "ArrowLeft", "-", "0"):
        canvas.press(key)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    places = [(x, y) for y in range(8, int(box["height"]), 12) for x in range(8, int(box["width"]), 12)]
    assert any(film_at(page, box, place) for place in places)


@BROWSER
@pytest.mark.slow
def test_texts(page: Any, child: Child) -> None:
    page.goto(f"{child.address}/#text")
    page.get_by_label("Text", exact=True).fill(TEXTS[0])
    page.get_by_role("button", name="Find the nearest").click()
    page.get_by_text("Nearest texts").wait_for()
    assert TEXTS[0] in page.locator(".results").first.inner_text()
    page.get_by_role("button", name="Is it unusual?").click()
    page.get_by_text("How unusual is it?").wait_for()
    page.get_by_label("Second text").fill(TEXTS[1])
    page.get_by_role("button", name="Show the way").click()
    page.get_by_role("heading", name="From one text to the other").wait_for()


@BROWSER
@pytest.mark.slow
def test_images_and_tables(page: Any, child: Child, tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(pictures()[0]).save(tmp_path / "one.png")
    page.goto(f"{child.address}/#image")
    page.set_input_files("input[type=file]", tmp_path / "one.png")
    page.get_by_text("Nearest images").wait_for()
    page.get_by_role("button", name="Remove noise").click()
    page.get_by_text("Without noise").wait_for()
    assert page.locator("#panel .pictures img").count() >= 2
    page.get_by_role("button", name="detector").click()
    lines = ["1,2,3,4,5,6", "0,0,0,0,0,0"]
    page.get_by_label("Or paste lines").fill("\n".join(["a,b,c,d,e,f", *lines]))
    page.get_by_role("button", name="Check these lines").click()
    page.get_by_text("row of 2 is unusual").or_(page.get_by_text("rows of 2 are unusual")).first.wait_for()
    assert page.locator("#panel tbody tr").count() == 2
