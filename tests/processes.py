"""Processes that tests start."""

import signal
import subprocess


def accept_interrupts() -> None:
    """Run in the child.

    What the tests run in may ignore signals, as a shell's background job does, and hands that down.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


# A network of its own whose way out leads nowhere. Prints how many packets took it, even if only to find the gateway.
CLOSED_NETWORK = """
set -e
ip link set lo up
ip link add out type veth peer name nowhere
for end in out nowhere; do echo 1 > /proc/sys/net/ipv6/conf/$end/disable_ipv6; ip link set $end up; done
ip addr add 192.0.2.1/24 dev out
ip route add default via 192.0.2.2
status=0
"$@" || status=$?
echo "packets out: $(sed -n 's/^ *out: *//p' /proc/net/dev | awk '{print $10}')"
exit $status
"""
IN_CLOSED_NETWORK = ["unshare", "--map-root-user", "--net", "sh", "-c", CLOSED_NETWORK, "sh"]


def packets_out(shown: str) -> int:
    """What a command that ran IN_CLOSED_NETWORK sent out of it."""
    return int(shown.rpartition("packets out: ")[2])


def can_close_network() -> bool:
    """Whether this machine allows it: it takes user namespaces, iproute2 and util-linux."""
    try:
        return subprocess.run([*IN_CLOSED_NETWORK, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False
