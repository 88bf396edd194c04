"""The command ``neuralsmpl-listen``."""

import argparse
import signal
import sys
import time
from typing import List, Optional, Tuple

from .client import Client, open
from .messages import Message, Operation, Outcome, Pose
from .text import angles, kebab, summary, to_json
from .transport import SCHEMES, TransportError


def _operation(text: str) -> Tuple[Operation, int]:
    name, _, value = text.partition("=")
    operations = {kebab(operation): operation for operation in Operation}
    try:
        operation = operations[name]
        # A rate is given in hertz.
        argument = round(1000 * float(value)) if operation is Operation.SET_RATE else 0
    except (KeyError, ValueError) as error:
        expected = ", ".join(operations).replace("set-rate", "set-rate=HZ")
        raise argparse.ArgumentTypeError(f"{text!r} is none of {expected}") from error
    return operation, argument


def _arguments(arguments: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="neuralsmpl-listen", description="Prints the packets of NeuralSMPL Edge."
    )
    parser.add_argument("url", metavar="URL", help=SCHEMES)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--angles", action="store_true", help="joint angles of every pose, degrees")
    form.add_argument("--json", action="store_true", help="a line of JSON for every packet")
    parser.add_argument("--count", type=int, metavar="N", help="end after N packets")
    parser.add_argument("--seconds", type=float, metavar="S", help="end after S seconds")
    parser.add_argument(
        "--command",
        type=_operation,
        action="append",
        default=[],
        metavar="OPERATION",
        help="ask the device first: get-status, set-rate=HZ, pause, resume, redetect",
    )
    return parser.parse_args(arguments)


def _show(message: Message, options: argparse.Namespace) -> None:
    if options.json:
        print(to_json(message), flush=True)
    elif not options.angles:
        print(summary(message), flush=True)
    elif isinstance(message, Pose):
        print(angles(message), flush=True)


def _listen(client: Client, options: argparse.Namespace) -> int:
    until = None if options.seconds is None else time.monotonic() + options.seconds
    failed = 0
    for operation, argument in options.command:
        reply = client.command(operation, argument)
        outcome = kebab(reply.outcome) if isinstance(reply.outcome, Outcome) else reply.outcome
        print(f"{kebab(operation)}: {outcome}", file=sys.stderr)
        failed |= reply.outcome != Outcome.DONE
    shown = 0
    while options.count is None or shown < options.count:
        left = None if until is None else max(until - time.monotonic(), 0.0)
        message = client.receive(left)
        if message is None:
            break
        shown += 1
        _show(message, options)
    return failed


def main(arguments: Optional[List[str]] = None) -> int:
    """Runs the command; 0 = all well, 1 = a command was refused, 2 = the line failed."""
    options = _arguments(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with open(options.url) as client:
            try:
                return _listen(client, options)
            except KeyboardInterrupt:
                return 0
            finally:
                print(f"neuralsmpl-listen: {client.statistics}", file=sys.stderr)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except (TransportError, OSError) as error:
        print(f"neuralsmpl-listen: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
