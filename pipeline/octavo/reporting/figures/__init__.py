"""Figures as geometry, one per file. `octavo.reporting.figures.svg` draws them as SVG."""
