"""Compute units: programs beside the node that execute legacy processes (spec/05 §9)."""
