"""The report's figures as geometry, one a file; `report.figures.html.j2` draws them as inline SVG."""
