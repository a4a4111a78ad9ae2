"""Figures as geometry, one a file; `octavo.reporting.figures.svg` draws them as SVG."""
