"""Results for people: the variants table, the report, figures and documents. Imports every room below."""
