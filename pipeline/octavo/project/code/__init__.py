"""Which code a stage runs: digests of sources and of library versions, for DVC to compare."""
