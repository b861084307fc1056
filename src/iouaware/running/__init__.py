"""What happens around a run: its plan, its folder, its data, training it, its last lines."""
