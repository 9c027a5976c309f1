def from_transformers(): pass
