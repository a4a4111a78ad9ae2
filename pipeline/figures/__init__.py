"""Figures as geometry, one a file; `pipeline.drawing` draws them as SVG."""
