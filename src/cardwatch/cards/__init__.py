"""Card numbers: the card file, its generator, and the tokenizer. Nothing else sees a number."""
