"""Manage local models from a notebook."""
