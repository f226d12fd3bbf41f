"""Uploads a file by tuspy, as anybody would, and prints where it went.

Arguments: endpoint, token, path of the file, case. It never looks inside the answers:
what tuspy makes of them is what is tested.
"""

import sys

from tusclient.client import TusClient

MIB = 1024 * 1024

CASES = {
    # The whole file in one request, as tuspy does unless told otherwise.
    "plain": {"metadata": {"filename": "plain.bin"}},
    "chunked-sha1": {
        "chunk_size": 2 * MIB,
        "upload_checksum": True,
        "metadata": {"filename": "chunked.bin"},
    },
    # Sends `Upload-Metadata:` with nothing in it.
    "no-metadata": {"chunk_size": MIB},
    "empty": {"metadata": {"filename": "empty.bin"}},
}


def main() -> None:
    endpoint, token, path, case = sys.argv[1:]
    client = TusClient(endpoint, headers={"Authorization": f"Bearer {token}"})
    if case == "resumed":
        first = client.uploader(path, chunk_size=MIB)
        first.upload(stop_at=2 * MIB)
        uploader = client.uploader(path, chunk_size=MIB, url=first.url)
        if uploader.offset != 2 * MIB:
            raise SystemExit(f"the server says {uploader.offset}")
    else:
        uploader = client.uploader(path, **CASES[case])
    uploader.upload()
    print(uploader.url)


main()
