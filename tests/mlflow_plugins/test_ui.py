"""What a person sees: ten runs in MLflow's own pages, side by side by accuracy, size and latency."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.mlflow_plugins.measured_project import MakeProject, Serve

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
    page.get_by_role("button", name="Columns", exact=True).click()
    for name in names:
        page.get_by_placeholder("Search columns").fill(name)
        page.get_by_text(name, exact=True).first.click()
    page.keyboard.press("Escape")


def rows(page: Page) -> dict[str, list[str]]:
    """The words of each row, which MLflow draws in several parts, by the run's name."""
    words: dict[str, list[str]] = {}
    for part in page.locator("[role=row][row-index]").all():
        words.setdefault(part.get_attribute("row-index") or "", []).extend(part.inner_text().split())
    return {next(word for word in row if word.startswith(("onnx_", "litert_"))): row for row in words.values()}


def test_the_ten_variants_stand_side_by_side(
    make_project: MakeProject, serve: Serve, page: Page, tmp_path: Path
) -> None:
    project = make_project()
    look = project.register().look
    server = ["server", "--backend-store-uri", "sqlite:///mlflow.db", "--workers", "1"]
    address = serve(server, "/health")

    page.goto(address + re.sub(r".*http://127\.0\.0\.1:5000", "", look))
    expect(page.get_by_text("10 matching runs")).to_be_visible()
    show_columns(page, FIGURES)
    for name in FIGURES:
        expect(page.get_by_role("columnheader", name=name, exact=True).first).to_be_visible()
    page.screenshot(path=tmp_path / "table.png")
    shown = rows(page)
    assert set(shown) == set(project.params.variants)
    for card in project.scorecards.scorecards:
        for figure in card.quality.top1, card.size.file_bytes, card.latency.batches["1"].p50_us:
            assert f"{figure:.4g}" in shown[card.variant]

    page.goto(f"{page.url}&compareRunsMode=CHART")
    for name in FIGURES:
        page.get_by_placeholder("Search metric charts").fill(f"^{name}$")
        expect(page.locator(".js-plotly-plot")).to_have_count(1)
        expect(page.get_by_text(name, exact=True)).to_be_visible()
        expect(page.locator(".js-plotly-plot .bars .point")).to_have_count(10)
        page.screenshot(path=tmp_path / f"chart-{name}.png")
