"""Kinds of click logs; each module has one `Source`, found by its entry point."""
