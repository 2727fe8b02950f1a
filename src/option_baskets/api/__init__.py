"""The HTTP API: routes over the store and the queue, one router a noun. What asks is a Principal, proven by a token."""
