"""Finds an address for a new head of Ray on this machine: one that other nodes can reach, with a free port.

python -m search.cluster.own_address [PEER ...]    prints IP:PORT
"""

import socket
import sys
from collections.abc import Sequence


def own_address(peers: Sequence[str]) -> str:
    """The IP address from which this machine reaches its peers; without peers, any but the loopback, if there is one.

    The host name would not do, as many systems map it to 127.0.1.1. Raises OSError if a peer can only be reached from
    the loopback.
    """
    for peer in peers:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((peer, 9))  # nothing is sent
            address = str(probe.getsockname()[0])
        if address.startswith("127."):
            raise OSError(f"{peer} is only reached from {address}, which other nodes can't reach; fix its name in DNS")
        return address
    addresses = {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    return min((a for a in addresses if not a.startswith("127.")), default=_outer_address())


def _outer_address() -> str:
    """The address of the way out of this machine; the loopback without one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation (RFC 5737); nothing is sent
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as free:
        free.bind(("", 0))
        return int(free.getsockname()[1])


if __name__ == "__main__":
    try:
        print(f"{own_address(sys.argv[1:])}:{free_port()}")
    except OSError as error:
        sys.exit(f"own_address: {error}")
