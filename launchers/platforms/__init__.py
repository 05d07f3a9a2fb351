"""Where the job finds itself, one file a platform."""
