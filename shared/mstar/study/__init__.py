"""Studies: several arms of the method over several seeds, compared by tests that were named before. No I/O in here."""
