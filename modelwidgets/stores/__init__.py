"""The places where models live."""
