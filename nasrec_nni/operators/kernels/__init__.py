"""Compiled CPU kernels, where torch's operations lose; each has torch's own as its other way, and a test against it."""
