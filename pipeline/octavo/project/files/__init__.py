"""Read files with checks, and write them completely or not at all."""
