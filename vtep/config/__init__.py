"""The configuration: `file.py` reads what a person types, `model.py` is what the program uses."""
