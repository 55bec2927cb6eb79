"""What clients may ask: one file a family, one literal table (`table.py`)."""
