"""What a LiteRT file holds: flatbuffers to objects and back, with all indices checked. Nothing runs here."""
