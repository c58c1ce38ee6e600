"""The methods that prune in one shot: what each takes, how it chooses, and the table that names them all."""
