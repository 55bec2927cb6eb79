"""The methods that clients call: one file a family, with a literal table each; `table.py` merges them."""
