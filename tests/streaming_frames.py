"""A table that is known by Arrow's interface alone."""


class Streaming:
    """Nothing but Arrow's interface."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)
