"""One module per DVC stage: read params, call one function, write outs. Run as `python -m stages.<name>`."""
