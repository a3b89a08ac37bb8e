"""Histories: their entries, their files, and the index that arranges them. One reading for judge and reports."""
