"""A pruned model as a file: the packed format, int8 and int4. It may import the model."""
