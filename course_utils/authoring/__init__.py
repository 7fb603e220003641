"""Notebooks as files: built from their source, executed, and copied for the learner."""
