"""What the model services share and only they import: prompts, tokens, loading and the image gate."""
