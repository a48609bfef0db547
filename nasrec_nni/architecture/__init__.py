"""Architectures, paths and spaces as values: canonical form, JSON, random draws. No torch, no NNI."""
