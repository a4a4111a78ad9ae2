"""Networks that were trained elsewhere: one module per kind of file. Imports `backends` and what is below."""
