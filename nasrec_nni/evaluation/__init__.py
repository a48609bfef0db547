"""Candidates scored on slices of the supernet's weights, the last layer refitted; latency."""
