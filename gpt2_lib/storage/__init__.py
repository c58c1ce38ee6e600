"""What a pruned model costs as a file: the packed format and int8. It may import the model."""
