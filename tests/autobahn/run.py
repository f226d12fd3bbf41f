"""Runs Autobahn's cases against the echo server, and holds each to what is expected.

Arguments: the folder made by fetch.py, the echo program. Its last line counts the cases
in the words of Rust's test runner. expected.json beside this file says which cases end
otherwise than "OK", and why; nobody else decides what passes.
"""

import asyncio
import importlib
import json
import pathlib
import re
import subprocess
import sys
import types

from peer import Peer

# Framing, pings, reserved bits, opcodes, fragments, UTF-8, closing, many messages, misc.
# Left out: 9.1 to 9.6 (messages of 64 KiB to 16 MiB, of which the socket takes none),
# 12 and 13 (compression, which is not offered).
SECTIONS = re.compile(r"Case([1-7]|9_[78]|10)_")
# Most cases wait for a second or two; so many wait at once.
AT_ONCE = 32
TOO_LARGE = 1009


def load(folder):
    """All cases, in the order of their numbers."""
    stand_in()
    sys.path.insert(0, str(folder))
    importlib.import_module("case.case")
    found = {}
    for path in sorted((folder / "case").glob("case[0-9]*.py")):
        module = importlib.import_module(f"case.{path.stem}")
        for value in vars(module).values():
            for case in value if isinstance(value, list) else [value]:
                if isinstance(case, type) and SECTIONS.match(case.__name__):
                    found[case.__name__] = case
    numbers = lambda name: [int(part) for part in re.findall(r"\d+", name)]
    return [found[name] for name in sorted(found, key=numbers)]


def stand_in():
    """What cases import of a library for Python 2."""

    class Validator:
        def reset(self):
            """It keeps nothing."""

        def validate(self, text):
            data = text.encode("latin-1")
            try:
                data.decode("utf-8")
                return (True, True)
            except UnicodeDecodeError as error:
                return (error.reason == "unexpected end of data", False)

    class Hex:
        @staticmethod
        def b2a_hex(text):
            return text.encode("latin-1").hex()

    def module(name, **names):
        sys.modules[name] = types.SimpleNamespace(__path__=[], **names)

    module("autobahn")
    module("autobahn.websocket")
    module("autobahn.websocket.protocol", WebSocketProtocol=Peer)
    module("autobahn.websocket.utf8validator", Utf8Validator=Validator)
    module("binascii", b2a_hex=Hex.b2a_hex)


def verdict(case, peer, limit):
    if peer.largest > limit:
        return "TOO LARGE" if peer.remoteCloseCode == TOO_LARGE else f"FAILED ({peer.remoteCloseCode})"
    if case.behavior in ("OK", "NON-STRICT", "INFORMATIONAL") and case.behaviorClose in ("OK", "INFORMATIONAL"):
        return case.behavior
    return f"FAILED ({case.behavior}: {case.result}; {case.behaviorClose}: {case.resultClose})"


async def try_all(cases, port, limit):
    gate = asyncio.Semaphore(AT_ONCE)

    async def try_one(kind):
        async with gate:
            peer = Peer()
            case = kind(peer)
            await peer.run(port, case)
            return verdict(case, peer, limit)

    return await asyncio.gather(*map(try_one, cases))


def main(folder, program):
    expected = json.loads((pathlib.Path(__file__).parent / "expected.json").read_text())
    others = {name: word for word, part in expected["otherwise"].items() for name in part["cases"]}
    cases = load(folder)
    names = [case.__name__.removeprefix("Case").replace("_", ".") for case in cases]
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        port = int(server.stdout.readline())
        found = asyncio.run(try_all(cases, port, expected["message_bytes_max"]))
        server.stdin.close()
    failed = 0
    for name, word in zip(names, found):
        # To be stricter than was expected is no fault: some depends on which of two is first.
        if word not in ("OK", others.get(name, "OK")):
            failed += 1
            print(f"case {name}: {word}, expected {others.get(name, 'OK')}")
    missing = sorted(set(others) - set(names)) or ([] if len(names) == expected["cases"] else ["some"])
    if missing:
        failed += 1
        print(f"{len(names)} cases were found, expected {expected['cases']}; missing: {missing}")
    counts = {word: found.count(word) for word in sorted(set(found))}
    print(f"Autobahn: {counts}")
    state = "FAILED" if failed else "ok"
    print(f"test result: {state}. {len(found) - min(failed, len(found))} passed; {failed} failed; 0 ignored")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2])
