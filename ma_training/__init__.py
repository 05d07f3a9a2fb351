"""The toolkit under the launcher: what runs, watches, restarts and explains a training job."""

__all__ = ["__version__"]

__version__ = "0.1.0"
