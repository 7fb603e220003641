"""Tested building blocks of a hands-on course on recommender systems."""

__version__ = "0.1.0"
