"""The workers of one gateway, on one host or many: how they tell each other what happens."""
