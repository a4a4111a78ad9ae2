"""What a person sees: ten runs in MLflow's own pages, side by side by accuracy, size and latency."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FIGURES = ("accuracy", "size_bytes", "latency_us")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium: apt-get install chromium"),
]


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 2400, "height": 1100})
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        yield page
        browser.close()


def show_columns(page: Page, names: tuple[str, ...]) -> None:
    """Tick columns of the runs table, which MLflow hides at first."""
    page.get_by_role("button", name="Columns").click()
    for name in names:
        page.get_by_placeholder("Search columns").fill(name)
        page.get_by_title(name, exact=True).or_(page.get_by_text(name, exact=True)).last.click()
    page.keyboard.press("Escape")


def test_the_ten_variants_stand_side_by_side(make_project: Callable, serve: Callable, page: Page, tmp_path: Path):
    project = make_project()
    look = project.register().look
    server = ["server", "--backend-store-uri", "sqlite:///mlflow.db", "--workers", "1"]
    address = serve(server, "/health")

    page.goto(address + re.sub(r".*http://127\.0\.0\.1:5000", "", look))
    expect(page.get_by_text("10 matching runs")).to_be_visible()
    show_columns(page, FIGURES)
    page.screenshot(path=tmp_path / "table.png")
    shown = [row.inner_text().split() for row in page.get_by_role("row").all()]
    for card in project.scorecards.scorecards:
        (row,) = [words for words in shown if card.variant in words]
        for figure in card.quality.top1, card.size.file_bytes, card.latency.batches["1"].p50_us:
            assert f"{figure:.4g}" in row

    page.goto(f"{page.url}&compareRunsMode=CHART")
    for name in FIGURES:
        page.get_by_placeholder("Search metric charts").fill(f"^{name}$")
        chart = page.locator(".js-plotly-plot").first
        expect(chart.locator(".bars .point")).to_have_count(10)
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
        page.screenshot(path=tmp_path / f"chart-{name}.png")
