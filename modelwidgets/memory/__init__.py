"""Will it fit: what a model needs, and what this machine has."""
