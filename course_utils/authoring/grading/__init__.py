"""Grading a class: submissions in, points, feedback and an overview out."""
