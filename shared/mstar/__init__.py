"""M-STaR: self-evolving training for multimodal reasoning (arXiv 2412.17451), the light package.

Pure rules, wire types, errors, client and command line. Nothing here imports torch.
"""
