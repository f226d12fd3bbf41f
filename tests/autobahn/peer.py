"""The client that Autobahn's cases drive: says on a WebSocket whatever a case wants said.

It never repairs or hides anything. A case thinks in Python 2: its strings are bytes, here
kept as text of which each character is one byte.
"""

import asyncio
import base64
import os

SECONDS_TO_CLOSE = 5
FIN = 0x80


class Factory:
    isServer = False


class Peer:
    """One connection; offers cases the names they expect."""

    CLOSE_STATUS_CODE_NORMAL = 1000
    CLOSE_STATUS_CODE_PROTOCOL_ERROR = 1002
    CLOSE_STATUS_CODE_INVALID_PAYLOAD = 1007
    STATE_OPEN = "open"
    STATE_CLOSING = "closing"
    STATE_CLOSED = "closed"

    def __init__(self):
        self.factory = Factory()
        self.state = self.STATE_CLOSED
        self.connectionWasOpen = False
        self.closedByMe = self.droppedByMe = self.wasClean = False
        self.remoteCloseCode = self.localCloseReason = None
        self.autoFragmentSize = 0
        # Of frames sent by the library itself, which is not here; its one case sends too much.
        self.txFrameStats = [0, 0]
        # Not a name of theirs: the largest message that was sent.
        self.largest = self.growing = 0
        self.out = asyncio.Queue()
        self.timers = []

    async def run(self, port, case):
        self.case = case
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        await self.shake_hands(port)
        writing = asyncio.create_task(self.write())
        self.state, self.connectionWasOpen = self.STATE_OPEN, True
        case.onOpen()
        try:
            await self.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        self.state = self.STATE_CLOSED
        for timer in self.timers:
            timer.cancel()
        writing.cancel()
        self.writer.close()
        case.onConnectionLost(self.droppedByMe)

    async def shake_hands(self, port):
        key = base64.b64encode(os.urandom(16)).decode()
        head = (
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        )
        self.writer.write(head.encode())
        answer = await self.reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 101 "):
            raise RuntimeError(f"no WebSocket: {answer!r}")

    async def write(self):
        while True:
            piece = await self.out.get()
            self.writer.write(piece)
            await self.writer.drain()

    async def read(self):
        message, kind = b"", 0
        while True:
            first, second = await self.reader.readexactly(2)
            length = second & 0x7F
            if length > 125:
                length = int.from_bytes(await self.reader.readexactly(2 if length == 126 else 8), "big")
            payload = await self.reader.readexactly(length)
            opcode = first & 0x0F
            if first & 0x70 or second & 0x80:
                raise RuntimeError("the server has masked a frame or set a reserved bit")
            if opcode in (0, 1, 2):
                message, kind = message + payload, opcode or kind
                if first & FIN:
                    whole, message = message, b""
                    self.case.onMessage(whole.decode("latin-1"), kind == 2)
            elif opcode == 8:
                self.closed(payload)
            elif opcode == 9:
                self.case.onPing(payload.decode("latin-1"))
            else:
                self.case.onPong(payload.decode("latin-1"))

    def closed(self, payload):
        self.wasClean = True
        if payload:
            self.remoteCloseCode = int.from_bytes(payload[:2], "big")
        if self.state == self.STATE_OPEN:
            self.frame(8, payload[:2])
        self.state = self.STATE_CLOSED
        # Both have said farewell. What a case gives for an answer is over; the server reads on for
        # up to a second before it ends the connection, so that its farewell is not lost.
        for timer in self.timers:
            timer.cancel()
        self.killAfter(SECONDS_TO_CLOSE)

    # What cases call.

    def sendFrame(self, opcode, payload="", fin=True, rsv=0, payload_len=None, chopsize=None, sync=False):
        if payload_len is not None:
            payload = (payload * (payload_len // max(1, len(payload)) + 1))[:payload_len]
        self.frame(opcode, payload.encode("latin-1"), fin, rsv, chopsize)

    def frame(self, opcode, payload, fin=True, rsv=0, chopsize=None):
        head = self.head(opcode, len(payload), fin, rsv)
        if opcode < 8:
            self.growing = len(payload) + (self.growing if opcode == 0 else 0)
            self.largest = max(self.largest, self.growing)
        text = head + payload
        step = chopsize or max(1, len(text))
        for start in range(0, len(text), step):
            self.out.put_nowait(text[start : start + step])

    def head(self, opcode, length, fin=True, rsv=0):
        first = (FIN if fin else 0) | (rsv << 4) | opcode
        if length < 126:
            size = bytes([0x80 | length])
        elif length < 2**16:
            size = bytes([0x80 | 126]) + length.to_bytes(2, "big")
        else:
            size = bytes([0x80 | 127]) + length.to_bytes(8, "big")
        # Masked, as clients must, by a mask that changes nothing.
        return bytes([first]) + size + bytes(4)

    def sendMessage(self, payload, isBinary=False, fragmentSize=None):
        size = fragmentSize or self.autoFragmentSize or max(1, len(payload))
        pieces = [payload[start : start + size] for start in range(0, len(payload), size)] or [""]
        for at, piece in enumerate(pieces):
            opcode = 0 if at else 2 if isBinary else 1
            self.sendFrame(opcode, piece, fin=at == len(pieces) - 1)

    def beginMessage(self, isBinary=False):
        self.opcode = 2 if isBinary else 1

    def beginMessageFrame(self, length):
        self.out.put_nowait(self.head(self.opcode, length, fin=False))

    def sendMessageFrameData(self, payload, sync=False):
        self.out.put_nowait(payload.encode("latin-1"))

    def endMessage(self):
        self.sendFrame(0)

    def sendCloseFrame(self, code=None, reasonUtf8=None):
        if self.state != self.STATE_OPEN:
            return
        self.state, self.closedByMe = self.STATE_CLOSING, True
        self.localCloseReason = reasonUtf8
        start = b"" if code is None else code.to_bytes(2, "big")
        self.frame(8, start + (reasonUtf8 or "").encode("latin-1"))

    sendClose = sendCloseFrame

    def later(self, seconds, act):
        self.timers.append(asyncio.get_running_loop().call_later(seconds, act))

    def killAfter(self, seconds):
        self.later(seconds, self.drop)

    def drop(self):
        self.droppedByMe = True
        self.writer.transport.abort()
        self.reader.feed_eof()

    def closeAfter(self, seconds):
        self.later(seconds, lambda: self.sendClose(self.CLOSE_STATUS_CODE_NORMAL))

    def continueLater(self, seconds, act, tag=None):
        self.later(seconds, act)

    def enableWirelog(self, enable):
        """There is none."""
