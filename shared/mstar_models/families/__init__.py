"""What a model family needs beside what transformers brings, one file each; `docs/models.md` lists the families."""
