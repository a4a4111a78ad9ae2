"""Show results to people: the variants table, the report, figures and documents. Imports every room below."""
