"""Measures a model on the published benchmarks: samples, scores, judges, and writes tables and result files.

Talks HTTP to a policy service, and to a PRM service where the best of n is asked for. Needs no torch.
"""
