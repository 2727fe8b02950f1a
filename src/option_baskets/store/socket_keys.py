"""Keys of WebSockets; made as those of ``store/keys.py`` are."""

from option_baskets.store.keys import Key, part


def socket(socket_id: str) -> Key:
    """Whose a connection is."""
    return f"SOCKET#{part(socket_id)}", "SOCKET"


def sockets_of_user(user_id: str) -> str:
    return f"SOCKETS#{part(user_id)}"


def socket_of_user(user_id: str, socket_id: str) -> Key:
    return sockets_of_user(user_id), part(socket_id)


def sockets_of_shard(shard: int) -> str:
    """AllocationsByStrategy partition: the connections of every user of the shard."""
    return f"SOCKETS_OF_SHARD#{shard}"
