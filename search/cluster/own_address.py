"""An address of this machine for a new head of Ray: reached by the other nodes, on a port that nobody has.

python -m search.cluster.own_address [PEER ...]    prints IP:PORT
"""

import socket
import sys
from collections.abc import Sequence


def own_address(peers: Sequence[str]) -> str:
    """The IP address by which this machine reaches its peers; without peers any but its loopback, if it has one.

    A name of one's own is no help, as many systems give it 127.0.1.1. Raises OSError where a peer can't be reached but
    by the loopback.
    """
    for peer in peers:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((peer, 9))  # nothing is sent
            address = str(probe.getsockname()[0])
        if address.startswith("127."):
            raise OSError(f"{peer} is reached by {address} alone, which other nodes can't reach; fix its name in DNS")
        return address
    addresses = {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    return min((a for a in addresses if not a.startswith("127.")), default="127.0.0.1")


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("", 0))
        return int(free.getsockname()[1])


if __name__ == "__main__":
    try:
        print(f"{own_address(sys.argv[1:])}:{free_port()}")
    except OSError as error:
        sys.exit(f"own_address: {error}")
