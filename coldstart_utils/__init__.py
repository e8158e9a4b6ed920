"""Cold-start search and recommendation by knowledge transfer from pretrained language models."""

__version__ = "0.1.0"
