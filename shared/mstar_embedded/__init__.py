"""The whole of M-STaR on one machine, without a server to install: what `mstar up` and `mstar demo` start."""
